"""A mistake made on purpose, and how parts are named when it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainrule.expr.nodes import Expr
from chainrule.expr.walk import tree_size
from chainrule.grade import words
from chainrule.grade.case import Found

LONGEST = 40  # characters of a part in a sentence
LARGEST = 40  # nodes of a part that is written out at all


@dataclass(frozen=True, slots=True)
class Mutant:
    """What comes of a mistake, and what is told of it if that is the claim: most never are."""

    expr: Expr
    tell: Callable[[], Found]


def short(node: Expr) -> str:
    """A part by its formula; one that is too long by what it is."""
    text = words.written(node) if tree_size(node) <= LARGEST else ""
    return text if 0 < len(text) <= LONGEST else "…"
