"""The questions that can be asked of a derivative, by name: where it vanishes, how it curves, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chainrule.api.answers import Said
from chainrule.errors import OptionError

if TYPE_CHECKING:
    from chainrule.api.printable import Printable


def ask(
    about: Printable,
    *,
    stationary: bool = False,
    convex: bool = False,
    taylor: object = None,
    why_shape: bool = False,
    gauss_newton: bool = False,
    fisher: bool = False,
    inner: str | None = None,
    augmented: bool = False,
    at: Mapping[str, Any] | str | None = None,
) -> dict[str, Said]:
    """The answers to the questions that were asked, by the name that they have in JSON.

    Raises: OptionError for a question that cannot be asked of this derivative; CheckFailed.
    """
    found: dict[str, Said] = {}
    if stationary:
        found["stationary"] = about.stationary().said
    if convex:
        found["convexity"] = about.is_convex().said
    if taylor is not None:
        found["taylor"] = about.taylor(taylor, at=at).said
    if inner is not None and not (gauss_newton or fisher):
        raise OptionError(
            "inner says which part is f in ℓ(f(θ))", hint="it goes with gauss_newton and fisher"
        )
    if gauss_newton:
        found["gauss_newton"] = about.gauss_newton(inner).said
    if fisher:
        found["fisher"] = about.fisher(inner).said
    if augmented:
        found["augmented"] = about.augmented().said
    if why_shape:
        found["why_shape"] = about.why_shape().said
    return found


def as_text(answers: Mapping[str, Said]) -> str:
    """The answers behind a sheet, each after a blank line."""
    return "".join(f"\n\n{said.text}" for said in answers.values())


def as_markdown(answers: Mapping[str, Said]) -> str:
    """The same for a page: formulas in LaTeX, then everything in words."""
    parts: list[str] = []
    for said in answers.values():
        rows = " \\\\\n".join(said.latex)
        formulas = f"$$\\begin{{aligned}}\n{rows}\n\\end{{aligned}}$$\n\n" if rows else ""
        words = "\n".join(said.text.splitlines()[1:])
        parts.append(f"\n\n**{said.title}**\n\n{formulas}```\n{words}\n```")
    return "".join(parts)


def as_comments(answers: Mapping[str, Said], mark: str) -> str:
    """The same behind LaTeX or code, in comments; LaTeX has the formulas too."""
    lines: list[str] = []
    for said in answers.values():
        lines += [f"{mark} {line}".rstrip() for line in said.text.splitlines()]
        if mark == "%" and said.latex:
            rows = " \\\\\n".join(said.latex)
            lines.append(f"\\begin{{aligned}}\n{rows}\n\\end{{aligned}}")
    return "".join(f"\n{line}" for line in lines)
