"""Expressions entry by entry: (Ax + z)_i as Σ_k A_ik x_k + z, nothing contracted, every sum spelled out.

In: an expression as it was written, with derivatives that are not taken, and a letter (or a number) for each
of its axes. Out: a tree. The expression becomes one of scalars, in which a placeholder stands for each entry
and each sum; that is read as any other, so that signs, fractions and the order of factors are those of the
rest of the page.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.derive.inward import is_unevaluated
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of, number
from chainrule.notation import matform as m
from chainrule.notation.index import ALPHABET
from chainrule.notation.matform import Tree
from chainrule.notation.present import Request, present_many
from chainrule.notation.text import dim_text
from chainrule.rules.constants import BASIS
from chainrule.rules.table import Elementwise

Letters = tuple[str, ...]


class Entries:
    """A writer of entries; `wrt` is what derivatives are by, `taken` names that are no letters."""

    def __init__(self, wrt: Variable, taken: Iterable[str]) -> None:
        self.wrt = wrt
        self.taken = frozenset(taken)
        self.leaves: dict[Tree, Tree] = {}

    def letters(self, count: int, used: Iterable[str] = ()) -> Letters:
        """So many free letters."""
        avoid = {*used, *self.taken}
        free = [c for c in ALPHABET if c not in avoid]
        free += [f"i{k}" for k in range(1, count + len(avoid) + 1) if f"i{k}" not in avoid]
        return tuple(free[:count])

    def tree(self, expr: Expr, letters: Letters, free: Letters = ()) -> Tree:
        """The entry of an expression at letters; no sum in it is over a letter of `free`."""
        return self._read(self._scalar(expr, letters, (*letters, *free)))

    def entry_of(self, variable: Variable, letters: Letters) -> Tree:
        """x_i, or a scalar by its name."""
        base = m.name(variable.name)
        return m.tree("entry", (base,), letters) if letters else base

    # ------------------------------------------------------------ scalars

    def _read(self, scalar: Expr) -> Tree:
        (written,), _ = present_many([Request(scalar)], taken=self.taken, abbreviate=False)
        return m.replace_leaves(written.tree, self.leaves)

    def _mark(self, tree: Tree, key: str) -> Variable:
        """A scalar that is written as `tree` and sorts as `key` does."""
        variable = Variable(f"{key}∎{len(self.leaves)}")
        self.leaves[m.name(variable.name)] = tree
        return variable

    def _scalar(self, expr: Expr, letters: Letters, used: Letters) -> Expr:
        """The entry as an expression of scalars; `used` are letters that sums inside must not take."""
        if is_unevaluated(expr):
            return self._derivative(expr, letters, used)
        constant = constant_of(expr)
        if constant is not None:
            return number(constant)
        match expr:
            case Variable():
                return self._mark(self.entry_of(expr, letters), expr.name)
            case Sum():
                terms = [self._scalar(t, letters, used) for t in expr.terms]
                alive = [t for t in terms if not _is_zero(t)]
                return (alive[0] if len(alive) == 1 else Sum(alive)) if alive else number(0)
            case Einsum():
                return self._product(expr, letters, used)
            case Apply() if isinstance(expr.function, Elementwise):
                arguments = [self._scalar(a, letters, used) for a in expr.arguments]
                return Apply(expr.function, arguments, expr.parameters)
            case Apply() if expr.function is BASIS:
                return self._delta(_counted(expr), letters[0])
            case Stack() if letters[0].isdigit():
                return self._scalar(expr.entries[int(letters[0]) - 1], letters[1:], used)
        (written,), _ = present_many([Request(expr)], taken=self.taken, abbreviate=False)
        tree = m.tree("entry", (written.tree,), letters) if letters else written.tree
        return self._mark(tree, written.tree.key[:8])

    def _derivative(self, node: Expr, letters: Letters, used: Letters) -> Expr:
        body = node.children[0]
        inner = self._read(self._scalar(body, letters[: body.rank], used))
        below = self.entry_of(self.wrt, letters[body.rank :])
        plain = isinstance(body, Variable) or inner.op == "entry"
        tree = m.derivative(inner, below) if plain else m.operator(inner, below)
        return self._mark(tree, "∎")

    def _product(self, expr: Einsum, letters: Letters, used: Letters) -> Expr:
        name: dict[int, str] = {}
        factors: list[Expr] = []
        for label, letter in zip(expr.output, letters, strict=True):
            if name.setdefault(label, letter) != letter:
                factors.append(self._delta(name[label], letter))
        for operand, axes in zip(expr.operands, expr.labels, strict=True):
            # e₂ᵀx is x₂.
            if isinstance(operand, Apply) and operand.function is BASIS and axes[0] not in name:
                name[axes[0]] = _counted(operand)
        summed = [a for a in dict.fromkeys(a for axes in expr.labels for a in axes) if a not in name]
        fresh = self.letters(len(summed), (*used, *letters))
        name |= dict(zip(summed, fresh, strict=True))
        inside = (*used, *letters, *fresh)
        for operand, axes in zip(expr.operands, expr.labels, strict=True):
            factors.append(self._scalar(operand, tuple(name[a] for a in axes), inside))
        if any(map(_is_zero, factors)):
            return number(0)
        body = _times(factors)
        if not fresh:
            return Einsum(expr.coefficient, (body,), ((),), ())
        total = self._mark(m.tree("sigma", (self._read(body),), fresh), "∎")
        return Einsum(expr.coefficient, (total,), ((),), ())

    def _delta(self, a: str, b: str) -> Expr:
        if a == b:
            return number(1)
        if _is_number(a) and _is_number(b):
            return number(0)
        return self._mark(m.tree("delta", (), (a, b)), "∎")


def _counted(basis: Apply) -> str:
    """Which entry a basis vector picks, counted from 1."""
    return dim_text(basis.parameters[0] + Dim.of(1))


def _times(factors: list[Expr]) -> Expr:
    return factors[0] if len(factors) == 1 else Einsum(ONE, factors, [()] * len(factors), ())


def _is_number(letter: str) -> bool:
    """A row or column that is named: 1, 2, or the last one, n."""
    return letter.isdigit() or letter not in ALPHABET or letter in "nm"


def _is_zero(expr: Expr) -> bool:
    return isinstance(expr, Einsum) and expr.coefficient.is_zero
