"""Presentation adaptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chainrule.expr.nodes import Expr
from chainrule.notation.recover import Reader
from chainrule.notation.text import to_text


@dataclass(frozen=True)
class Presentation:
    text: str
    latex: str
    form: str = "matrix"


@dataclass(frozen=True)
class Request:
    expr: Expr
    turned: bool = False


def present(expr: Expr, names: Mapping[str, Expr] | None = None) -> Presentation:
    return present_all([Request(expr)], names or {})[0][0]


def present_all(
    requests: Sequence[Request], names: Mapping[str, Expr]
) -> tuple[list[Presentation], list[tuple[str, Presentation]]]:
    reader = Reader()
    out = []
    for r in requests:
        tree = reader.tree(r.expr, int(r.turned))
        out.append(Presentation("(index form)" if tree is None else to_text(tree), ""))
    return out, []
