"""A derivation as a JSON document; docs/derivation-json.md describes it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from chainrule.explain.derivation import Checked, Derivation, Entry, Line, Phase, Sentence, Words
from chainrule.explain.latex import paragraph
from chainrule.explain.words import words_text
from chainrule.expr.nodes import Expr
from chainrule.notation.latex import to_latex
from chainrule.notation.matform import Tree
from chainrule.notation.present import present
from chainrule.notation.text import to_text

SCHEMA = "chainrule/derivation"
VERSION = 1


def to_json(*derivations: Derivation) -> str:
    """Everything that the derivations hold as one JSON object."""
    content = {"schema": SCHEMA, "version": VERSION, "derivations": [to_dict(d) for d in derivations]}
    return json.dumps(content, ensure_ascii=False, indent=2)


def to_dict(derivation: Derivation) -> dict[str, Any]:
    """One derivation as dictionaries and lists."""
    return {
        "style": derivation.style,
        "layout": derivation.layout,
        "profile": derivation.profile,
        "heading": _lines(derivation.heading),
        "sizes": [_words(words) for words in derivation.sizes],
        "phases": [_entry(phase) for phase in derivation.phases],
        "answer": _lines(derivation.answer),
        "where": _lines(derivation.where),
        "reading": [_words(sentence.words) for sentence in derivation.reading],
        "sections": [_entry(phase) for phase in derivation.sections],
        "not_differentiable": list(derivation.kinks),
        "notes": list(derivation.notes),
        "check": _check(derivation.checked),
        "start": None if derivation.start is None else _expression(derivation.start, derivation.profile),
        "steps": [
            {
                "rule": step.rule,
                "path": list(step.path),
                "before": _expression(step.before, derivation.profile),
                "after": _expression(step.after, derivation.profile),
                "why": step.why,
            }
            for step in derivation.steps
        ],
        "figures": [{"svg": figure.svg, "alt": figure.alt} for figure in derivation.figures],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    match entry:
        case Line():
            return {"kind": "line", **_line(entry)}
        case Sentence():
            return {"kind": "sentence", **_words(entry.words)}
        case Phase():
            return {
                "kind": "phase",
                "number": entry.number,
                "title": entry.title,
                "entries": [_entry(part) for part in entry.entries],
            }


def _lines(lines: Iterable[Line]) -> list[dict[str, Any]]:
    return [_line(line) for line in lines]


def _line(line: Line) -> dict[str, Any]:
    return {
        "left": None if line.left is None else _formula(line.left),
        "relation": line.relation,
        "right": _formula(line.right),
        "sizes": line.sizes,
        "reason": _words(line.reason),
        "claims": line.value is not None,
        "result": line.result,
    }


def _formula(tree: Tree) -> dict[str, str]:
    return {"text": to_text(tree), "latex": to_latex(tree)}


def _words(words: Words) -> dict[str, str]:
    return {"text": words_text(words), "latex": paragraph(words)}


@lru_cache(maxsize=4096)
def _expression(expr: Expr, profile: str | None) -> dict[str, str]:
    shown = present(expr, profile=profile)
    return {"text": shown.text, "latex": shown.latex}


def _check(checked: Checked) -> dict[str, Any]:
    return {
        "passed": None if checked.reason else not checked.failed,
        "reason": checked.reason or None,
        "steps": checked.steps,
        "points": checked.points,
        "method": checked.method,
        # JSON has no NaN and no infinity.
        "largest_relative_error": checked.worst if math.isfinite(checked.worst) else str(checked.worst),
        "failed": list(checked.failed),
    }
