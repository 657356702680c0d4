"""The report of a fit as one web page without scripts, plots as SVG; also for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.explain.page import PAGE
from chainrule.fit.report import curve, entries, facts, logarithmic, number, table_rows
from chainrule.fit.svg import line_plot, surface_plot
from chainrule.language import parse_formula
from chainrule.notation.mathml import to_mathml
from chainrule.notation.present import present

if TYPE_CHECKING:
    from chainrule.fit.result import Result

# Colours are those of the page around it, or in a notebook those behind the commas.
STYLE = """
.fit { --plot: var(--accent, #1b5faa); --faint: var(--line, #d9d6cc); --pale: var(--soft, #6a6a76); }
.fit .formula { font-size: 1.15em; overflow-x: auto; margin-bottom: 0.7rem; padding-bottom: 0.2rem; }
.fit .about { color: var(--pale); margin: 0.2rem 0; font-size: 0.95em; }
.fit .updates { list-style: none; padding: 0.7em 1em; margin: 0.6rem 0; overflow-x: auto;
  background: var(--card, #8881); border: 1px solid var(--faint); border-radius: 6px; white-space: nowrap;
  font-family: "STIX Two Text", "Cambria", "DejaVu Serif", serif; }
.fit .updates li { margin: 0.15em 0; }
.fit dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.25em 1.4em; }
.fit dt { color: var(--pale); text-align: left; font-weight: 400; }
.fit dd { margin: 0; text-align: left; }
.fit .verdict { font-weight: 600; }
.fit .verdict.good { color: var(--good, #1d6b3a); }
.fit .verdict.open { color: var(--wrong, #b3261e); }
.fit .scroll { overflow-x: auto; }
.fit table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.97em; }
.fit th { text-align: right; font-weight: 600; border-bottom: 1px solid var(--pale); padding: 0.2em 1.1em; }
.fit td { text-align: right; padding: 0.14em 1.1em; border-bottom: 1px solid var(--faint); }
.fit th:first-child, .fit td:first-child { text-align: left; padding-left: 0.2em; }
.fit .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.fit .plots { gap: 1rem; }
.fit figure { margin: 0.4rem 0; }
.fit figcaption { color: var(--pale); font-size: 0.95em; text-align: left; }
.fit svg { width: 100%; height: auto; font: 11px system-ui, "DejaVu Sans", sans-serif; }
.fit svg text { fill: currentColor; } .fit svg .x { text-anchor: middle; }
.fit svg .y, .fit svg .name { text-anchor: end; } .fit svg .name { fill: var(--pale); }
.fit svg .grid { stroke: var(--faint); stroke-width: 0.7; }
.fit svg .axis { stroke: var(--pale); fill: none; }
.fit svg .level { stroke: var(--pale); stroke-dasharray: 5 4; }
.fit svg .curve { fill: none; stroke: var(--plot); stroke-width: 1.8; stroke-linejoin: round; }
.fit svg .dot { fill: var(--plot); }
.fit svg .path { fill: none; stroke: #f07a2b; stroke-width: 1.6; stroke-linejoin: round; }
.fit svg .step { fill: #f07a2b; } .fit svg .start { fill: #fff; stroke: #f07a2b; stroke-width: 2; }
.fit svg .end { fill: #f07a2b; stroke: #fff; stroke-width: 1.5; }
.fit .notes { color: var(--pale); font-size: 0.95em; padding-left: 1.2em; }
"""


def page(result: Result) -> str:
    """The report as a page of its own."""
    name = escape(f"Fit of {result.formula}")
    about = escape(f"{result.formula}, fitted by {result.method}: loss {number(result.loss)}")
    return PAGE.format(language="en", title=name, description=about, body=article(result))


def article(result: Result) -> str:
    """The report without the frame of a page."""
    return "\n".join(["<article class='fit'>", f"<style>{STYLE}</style>", *_parts(result), "</article>"])


def _parts(result: Result) -> Iterator[str]:
    yield f'<header><h1>Fit</h1><div class="formula">{_formula(result)}</div>'
    rows = "" if result.rows is None else f"{result.rows:,} rows"
    held = f"{result.held_out:,} more held out" if result.held_out else ""
    source = " of ".join(part for part in (rows, result.data) if part)
    said = [
        result.shapes,
        ", ".join(p for p in (source, held) if p),
        f"method {result.method}, seed {result.seed}",
    ]
    yield "".join(f'<p class="about">{escape(text)}</p>' for text in said if text) + "</header>"
    yield "<section><h2>Result</h2>"
    mark, word = ("good", "converged") if result.converged else ("open", "not converged")
    yield f'<p class="verdict {mark}">{word}</p><dl>'
    yield from (f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts(result))
    yield "</dl></section>"
    yield from _plots(result)
    yield "<section><h2>Parameters</h2>"
    yield from _table(result)
    yield "</section>"
    if result.updates:
        yield "<section><h2>Derived updates</h2>"
        yield "<p>What a step of gradient descent does, from the derivatives in closed form:</p>"
        lines = "".join(f"<li>{escape(line)}</li>" for line in result.updates)
        yield f'<ul class="updates">{lines}</ul></section>'
    if result.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
        yield f'<section><h2>Notes</h2><ul class="notes">{notes}</ul></section>'
    versions = ", ".join(f"{name} {number_}" for name, number_ in result.versions.items())
    yield f"<footer><p>{escape(versions)}</p></footer>"


def _formula(result: Result) -> str:
    """The loss in mathematical notation; as it was typed, if it cannot be read again."""
    try:
        return to_mathml(present(parse_formula(result.formula, result.shapes).expr).tree, large=True)
    except ChainruleError:
        return f"<code>{escape(result.formula)}</code>"


def _plots(result: Result) -> Iterator[str]:
    steps, losses = curve(result)
    norms = result.history["gradient_norm"]
    seen = np.isfinite(norms) & (norms > 0) & result.history["whole"].astype(bool)
    log = logarithmic(losses)
    drawn = [
        (line_plot(steps, losses, "loss", log, result.baseline), "Loss by step" + log * ", logarithmic"),
        (
            line_plot(result.history["step"][seen], norms[seen], "gradient norm", True),
            "Gradient norm by step, logarithmic",
        ),
    ]
    if result.surface and result.path is not None:
        drawn.append(
            (
                surface_plot(result.surface, result.path, entries(result.params), result.names),
                "Loss over the two parameters, dark where it is small, with the path from the start "
                "(open) and its best point (filled)" + "; both as standardised" * bool(result.scaling),
            )
        )
    figures = [
        f"<figure>{svg}<figcaption>{escape(words)}</figcaption></figure>" for svg, words in drawn if svg
    ]
    if figures:
        yield f'<section><h2>Course</h2><div class="plots">{"".join(figures)}</div></section>'


def _table(result: Result) -> Iterator[str]:
    rows, headings = table_rows(result)
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    yield f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    if result.original_note:
        yield f'<p class="about">{escape(result.original_note)}</p>'
