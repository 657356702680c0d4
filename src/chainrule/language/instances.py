"""Formulas per instance: Σᵢ (w·xᵢ − yᵢ)² where xᵢ is row i of a declared matrix X, as a column.

In: tokens and declared variables. Out: which names are instances of which arrays; with them Σᵢ of a formula
for one instance is the sum over all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chainrule.expr.names import ascii_name, row_name
from chainrule.expr.nodes import Expr, Variable, reduce_sum, require_same
from chainrule.expr.walk import variables
from chainrule.language.syntax import Statement
from chainrule.language.tokens import Token
from chainrule.rules.instances import lifted

_INSTANCE = re.compile(r"(.+)_([i-t])")
_LETTERED = re.compile(r".+_([i-t]+)")


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of an array: its entry or row at `letter`."""

    array: Variable
    letter: str

    def symbol(self, name: str) -> Variable:
        """The variable that stands for it inside a sum."""
        return Variable(name, self.array.shape[1:])


def instances(tokens: Iterable[Token], declared: Mapping[str, Variable]) -> dict[str, Instance]:
    """The names that are instances, if one of them is a row; a formula of entries alone is index notation.

    >>> from chainrule.language.tokens import tokenize
    >>> from chainrule.expr.dims import Dim
    >>> N, n = Dim.of("N"), Dim.of("n")
    >>> known = {"X": Variable("X", (N, n)), "y": Variable("y", (N,))}
    >>> sorted(instances(tokenize("Σᵢ xᵢ yᵢ", "numpy"), known))
    ['x_i', 'y_i']
    """
    found: dict[str, Instance] = {}
    tokens = list(tokens)
    named = {ascii_name(t.text) for t, after in pairwise(tokens) if t.kind == "name" and after.text == "="}
    named |= {parts[1] for name in named if (parts := _INSTANCE.fullmatch(name))}
    for token in tokens:
        name = ascii_name(token.text) if token.kind == "name" else ""
        parts = _INSTANCE.fullmatch(name)
        if parts is None or name in declared:
            continue
        base, letter = parts[1], parts[2]
        array = declared.get(base)
        if array is None and base not in named:
            array = next((v for n, v in declared.items() if v.rank > 1 and row_name(n) == base), None)
        if array is not None and array.rank:
            found[name] = Instance(array, letter)
    return found if any(instance.array.rank > 1 for instance in found.values()) else {}


def summed(expr: Expr, letters: Sequence[str], known: Mapping[str, Instance]) -> Expr:
    """Σ over the letters of a formula for one instance.

    Raises: ShapeMismatch if arrays with one letter have different numbers of instances.
    """
    for letter in letters:
        expr = reduce_sum(gathered(expr, letter, known), 0)
    return expr


def gathered(expr: Expr, letters: Sequence[str], known: Mapping[str, Instance]) -> Expr:
    """The array of a formula for one instance: an axis for each letter, in front.

    Raises: ShapeMismatch if arrays with one letter have different numbers of instances.
    """
    for letter in reversed(letters):
        mine: dict[Expr, tuple[Expr, int]] = {
            i.symbol(name): (i.array, 0) for name, i in known.items() if i.letter == letter
        }
        first, *others = [array.shape[0] for array, _ in mine.values()]
        for size in others:
            require_same(first, size, f"are two sizes for the index {letter}")
        expr = lifted(expr, mine, first)
    return expr


def defined_for(statement: Statement, known: Mapping[str, Instance]) -> str:
    """The letters for which a statement defines instances: those of eᵢ = w·xᵢ − yᵢ, which holds for every i.

    >>> from chainrule.errors import Span
    >>> from chainrule.language.syntax import Number
    >>> from chainrule.expr.dims import Dim
    >>> one = Statement("e_i", Number(Span(0, 1), 1), Span(0, 1))
    >>> defined_for(one, {"x_i": Instance(Variable("X", (Dim.of("N"), Dim.of("n"))), "i")})
    'i'
    """
    named = _LETTERED.fullmatch(statement.name)
    letters = statement.output if statement.output is not None else named[1] if named else ""
    return "".join(c for c in letters if any(instance.letter == c for instance in known.values()))


def outside(expr: Expr, known: Mapping[str, Instance]) -> str | None:
    """The name of an instance that no sum runs over."""
    symbols = {instance.symbol(name): name for name, instance in known.items()}
    return next((symbols[v] for v in variables(expr) if v in symbols), None)
