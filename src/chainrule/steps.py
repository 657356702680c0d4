"""What was rewritten, by which rule, where, and what lines claim: a derivation as data, before any words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import rebuild

# Where a part stands in an expression: which child, which child of that, and so on.
Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One rewrite: the part at `path` of the whole expression was `before` and is `after`.

    rule  the key of the rule, "product rule"
    why   what a reader may ask: "b does not depend on w"
    """

    rule: str
    path: Path
    before: Expr
    after: Expr
    why: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """`value` is `of`; with `by` it is the derivative of `of` by that, all other names held fixed.

    by      a variable, or a part of `of` that moves by itself
    along   a variable that holds a direction: then `value` is the derivative along it (a differential)
    name    how it is told if it fails
    """

    name: str
    value: Expr
    of: Expr
    by: Expr | None = None
    along: Variable | None = None


def part_at(whole: Expr, path: Path) -> Expr:
    """The part of an expression at a path."""
    for k in path:
        whole = whole.children[k]
    return whole


def replace_at(whole: Expr, path: Path, part: Expr) -> Expr:
    """The expression with the part at a path replaced by another of its shape."""
    above: list[Expr] = []
    for k in path:
        above.append(whole)
        whole = whole.children[k]
    for node, k in zip(reversed(above), reversed(path), strict=True):
        children = list(node.children)
        children[k] = part
        part = rebuild(node, children)
    return part


def replay(start: Expr, steps: Sequence[Step]) -> Expr:
    """The expression that the steps lead to.

    Raises: AssertionError if a step does not find what it rewrites.

    >>> from chainrule.expr.nodes import Variable
    >>> x, y = Variable("x"), Variable("y")
    >>> replay(x + y, [Step("rename", (0,), x, y)]) is y + y
    True
    """
    for step in steps:
        assert part_at(start, step.path) is step.before, f"{step.rule} does not find its part"
        start = replace_at(start, step.path, step.after)
    return start
