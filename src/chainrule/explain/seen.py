"""A derivative as it is read: its factors, the names of its parts, its entries, what can be claimed of it.

In: a Board, and the names that the page has introduced. Out: trees for sentences, and claims that stand
behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from chainrule.derive.kinks import without_kinks
from chainrule.explain.board import Board
from chainrule.explain.entries import Entries, Letters
from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, constant_of, number, scale
from chainrule.expr.walk import substitute, topological, transform, variables
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.recover import Product, flatten
from chainrule.rules.elementwise import greater, greater_equal, power, tanh
from chainrule.rules.table import Elementwise, Row
from chainrule.simplify import Normaliser, simplify
from chainrule.steps import Claim

Labels = tuple[int, ...]


class Answer:
    """∂y/∂x while sentences about it are written.

    value    the derivative: axes of y, then of x
    rows     letters for the axes of y
    columns  letters for the axes of x
    """

    def __init__(self, board: Board, named: Mapping[Expr, Variable]) -> None:
        self.board, self.named = board, named
        self.value = board.abbreviated.expr
        self.output, self.wrt = board.output.symbol, board.wrt
        self.x, self.y = board.symbol(self.wrt), board.symbol(self.output)
        taken = {*board.subject.taken, *(v.name for v in named.values())}
        self.entries = Entries(self.wrt, taken)
        # A scalar is derived by the entries jk of a matrix, by those of a tensor as its answer has them.
        first = self.output.rank if self.wrt.rank > 2 else max(self.output.rank, 1)
        free = self.entries.letters(first + self.wrt.rank)
        self.rows: Letters = free[: self.output.rank]
        self.columns: Letters = free[first:]
        self.normal = Normaliser()
        self.taken = frozenset(taken)

    # ------------------------------------------------------------ factors

    @cached_property
    def terms(self) -> tuple[Product, ...]:
        """The derivative as a sum of products."""
        value: Expr = self.value
        front = ONE
        if isinstance(value, Einsum) and len(value.operands) == 1 and value.labels[0] == value.output:
            if isinstance(value.operands[0], Sum):
                front, value = value.coefficient, value.operands[0]
        parts = value.terms if isinstance(value, Sum) else (value,)
        return tuple(replace(p, coefficient=front * p.coefficient) for p in map(product_of, parts))

    @property
    def only(self) -> Product | None:
        """The product that the derivative is; None for a sum."""
        return self.terms[0] if len(self.terms) == 1 else None

    @property
    def line(self) -> str:
        """What the entries of one output stand in, as a Jacobian is written: a row in numerator layout."""
        return "column" if self.board.subject.layout == "denominator" else "row"

    @cached_property
    def is_paired(self) -> bool:
        """Whether an axis is written by two indices, as those of a Kronecker product are."""
        return any(len(letter) > 1 for letter in self.board.present(self.value).indices)

    def is_moving(self, expr: Expr) -> bool:
        """Whether an expression changes when the variable does."""
        return self.wrt in variables(expr)

    def is_positive(self, expr: Expr) -> bool:
        """Whether every entry is > 0 wherever it has a value, as far as the form shows."""
        return self.normal.is_positive(expr) or _is_slope_of_tanh(expr)

    # ------------------------------------------------------------ trees

    def tree(self, expr: Expr, turned: bool = False) -> Tree:
        """An expression as it is written, with the names of the page."""
        return self.board.tree(self._called(expr), turned)

    def at(self, expr: Expr, letters: Letters) -> Tree:
        """The entry of an expression at letters: relu(zᵢ) − yᵢ, ((A + Aᵀ)x)ⱼ."""
        packed: dict[Tree, Tree] = {}
        called = self._called(expr)
        if called.rank > 2:
            written = self.board.present(called)
            if written.form == "index" and tuple(written.indices) == letters:
                return written.tree
        shown = self._packed(called, packed)
        return m.replace_leaves(self.entries.tree(shown, letters), packed)

    def _called(self, expr: Expr) -> Expr:
        """The expression with the named parts as variables, −z too."""
        if not self.named:
            return expr
        return transform(expr, self._call, dict(self.named))

    def _call(self, node: Expr) -> Expr:
        if not isinstance(node, Einsum) or node.coefficient.is_one:
            return node
        bare = Einsum(ONE, node.operands, node.labels, node.output, dict(enumerate(node.sizes)))
        return scale(node.coefficient, self.named[bare]) if bare in self.named else node

    def _packed(self, expr: Expr, packed: dict[Tree, Tree]) -> Expr:
        """The expression with every part that mixes entries as a variable, which is written as that part."""
        if isinstance(expr, Variable) or constant_of(expr) is not None:
            return expr
        match expr:
            case Sum():
                return Sum([self._packed(t, packed) for t in expr.terms])
            case Einsum() if not expr.coefficient.is_one and not _is_plain(expr):
                bare = Einsum(ONE, expr.operands, expr.labels, expr.output, dict(enumerate(expr.sizes)))
                return scale(expr.coefficient, self._packed(bare, packed))
            case Einsum() if _is_plain(expr):
                parts = [self._packed(o, packed) for o in expr.operands]
                return Einsum(expr.coefficient, parts, expr.labels, expr.output, dict(enumerate(expr.sizes)))
            case Apply() if isinstance(expr.function, Elementwise):
                arguments = [self._packed(a, packed) for a in expr.arguments]
                return Apply(expr.function, arguments, expr.parameters)
        written = self.board.tree(expr)
        mark = Variable(f"{written.key[:8]}\N{END OF PROOF}r{len(packed)}", expr.shape)
        packed[m.name(mark.name)] = written
        return mark

    def entry(self, variable: Variable, letters: Letters) -> Tree:
        """x_j, or a scalar by its name."""
        return self.entries.entry_of(variable, letters)

    def row_name(self, matrix: Variable) -> Tree:
        """What row i of a matrix is called: x of X."""
        low = matrix.name.lower()
        free = len(matrix.name) == 1 and low != matrix.name and (low not in self.taken)
        return m.name(low if free else matrix.name)

    @property
    def delta(self) -> Tree:
        """The small change."""
        return m.name(next(c for c in ("Delta", "h", "eps", "epsilon1") if c not in self.taken))

    # ------------------------------------------------------------ claims

    def shifted(self, by: Expr) -> Expr:
        """What the formula changes by when the variable changes by `by`, however much that is."""
        expr = self.board.subject.expr
        return substitute(expr, {self.wrt: self.wrt + by}) - expr

    @cached_property
    def shift(self) -> Variable:
        """Any change of the variable, of its shape."""
        return Variable("shift\N{END OF PROOF}", self.wrt.shape)

    @cached_property
    def amount(self) -> Variable:
        """Any positive number."""
        return Variable("amount\N{END OF PROOF}", (), ("positive",))

    @cached_property
    def is_smooth(self) -> bool:
        """Whether no jump or kink of the formula moves with the variable."""
        nodes = topological([self.board.subject.expr])
        moving = [n.function for n in nodes if isinstance(n, Apply) and self.is_moving(n)]
        kinked = {row for row in moving if isinstance(row, Row) and row.at_kink}
        return kinked <= set(without_kinks([self.value]))

    def exactly(self) -> Claim:
        """That the derivative tells the whole change, not only that to first order."""
        axes = tuple(range(self.value.rank))
        output = axes[: self.output.rank]
        told = Einsum(ONE, (self.value, self.shift), (axes, axes[self.output.rank :]), output)
        return Claim("the whole change", told, self.shifted(self.shift))

    def equals(self, value: Expr, name: str) -> Claim:
        """That the derivative is `value`."""
        return Claim(name, value, self.value)

    def always(self, condition: Expr, name: str) -> Claim:
        """That a condition holds in every entry."""
        return Claim(name, condition, number(1, condition.shape))


def _is_plain(expr: Einsum) -> bool:
    """Whether nothing is summed in a product."""
    return all(set(axes) <= set(expr.output) for axes in expr.labels)


def _is_slope_of_tanh(expr: Expr) -> bool:
    """Whether it is 1 − tanh(u)², which is > 0."""
    if not isinstance(expr, Sum) or len(expr.terms) != 2:
        return False
    ones = [t for t in expr.terms if (c := constant_of(t)) is not None and c.is_one]
    squares = [t for t in expr.terms if isinstance(t, Einsum) and t.operands and (-t.coefficient).is_one]
    if len(ones) != 1 or len(squares) != 1:
        return False
    return all(isinstance(o, Apply) and _is_square_of_tanh(o) for o in squares[0].operands)


def _is_square_of_tanh(node: Apply) -> bool:
    exponent = constant_of(node.arguments[1]) if node.function is power else None
    inner = node.arguments[0]
    two = exponent is not None and exponent.rational == 2 and not exponent.powers
    return two and isinstance(inner, Apply) and inner.function is tanh


def product_of(expr: Expr) -> Product:
    """An expression as a product, of one factor if it is none."""
    if isinstance(expr, Einsum):
        return flatten(expr)
    axes = tuple(range(expr.rank))
    return Product(ONE, ((expr, axes),), axes, dict(enumerate(expr.shape)))


def built(product: Product, output: Labels | None = None) -> Expr:
    """A product as an expression again, perhaps with other axes."""
    return Einsum(
        product.coefficient,
        [o for o, _ in product.operands],
        [axes for _, axes in product.operands],
        product.output if output is None else output,
        product.sizes,
    )


def without(product: Product, *dropped: tuple[Expr, Labels]) -> Product:
    """A product without some of its factors, each dropped once."""
    left = list(product.operands)
    for factor in dropped:
        left.remove(factor)
    return replace(product, operands=tuple(left))


def absolute(coefficient: Coefficient) -> Coefficient:
    """|coefficient|; sizes are positive."""
    return -coefficient if coefficient.rational < 0 else coefficient


def condition_of(expr: Expr) -> tuple[Expr, str] | None:
    """Z and ">" of the indicator 1[z > 0], "≥" of 1[z ≥ 0]; 1[0 > z] is that of −z."""
    if not isinstance(expr, Apply) or expr.function not in (greater, greater_equal):
        return None
    sign = ">" if expr.function is greater else "≥"
    left, right = expr.arguments
    constant = constant_of(right)
    if constant is not None and constant.is_zero:
        return left, sign
    constant = constant_of(left)
    if constant is not None and constant.is_zero:
        return simplify(-right), sign
    return None


def opposite(sign: str) -> str:
    """What holds where the condition does not."""
    return "≤" if sign == ">" else "<"
