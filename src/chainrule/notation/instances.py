"""Per-instance notation: Xᵀ(Xw − y) as Σᵢ (w·xᵢ − yᵢ) xᵢ, where xᵢ is row i of X.

In: an expression, the variables that it is differentiated by, names for parts. Out: the expression with every
sum over instances as one variable, a hole, and what is summed in it: a formula for one instance. The instance
axis is the first axis of data, a size that the result and the variables that move do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.names import row_name
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, number, reduce_sum
from chainrule.expr.walk import dim_names, substitute, topological, variables
from chainrule.notation.recover import Reader, parts
from chainrule.rules.elementwise import power
from chainrule.rules.instances import lifted, sliced, without_label
from chainrule.rules.table import Constant
from chainrule.rules.tensorial import norm
from chainrule.simplify import Normaliser, simplify
from chainrule.simplify.normal import scaled, split
from chainrule.simplify.powers import primitive

# The letters of instances, the clearest first.
LETTERS = "ijklmpqrst"
# What a variable is declared as holds for each of its entries.
ENTRYWISE = frozenset(("positive", "nonnegative", "probability", "sign", "integer"))


@dataclass(frozen=True, slots=True)
class Instance:
    """A variable that stands for one instance: entry or row `letter` of an array along an axis.

    base  the name that it is written with, below which the letter stands
    """

    symbol: Variable
    base: str
    letter: str
    array: Expr
    axis: int


@dataclass(frozen=True, slots=True)
class Hole:
    """A variable that stands for a sum over instances."""

    symbol: Variable
    letter: str
    body: Expr


@dataclass(slots=True)
class Summed:
    """An expression with sums over instances taken out.

    expr       with a hole for each sum
    size       the size of the instance axis
    letter     the letter of the outer sums
    """

    expr: Expr
    size: Dim
    letter: str
    holes: dict[Expr, Hole] = field(default_factory=dict)
    instances: dict[Expr, Instance] = field(default_factory=dict)


def over_instances(expr: Expr, moving: Iterable[Expr], taken: Iterable[str] = ()) -> list[Summed]:
    """`expr` with its sums over instances taken out, once for each size that may count the instances.

    >>> n, N = Dim.of("n"), Dim.of("N")
    >>> X, w, y = Variable("X", (N, n)), Variable("w", (n,)), Variable("y", (N,))
    >>> (found,) = over_instances(simplify(X.T @ (X @ w - y)), [w])
    >>> [hole.letter for hole in found.holes.values()], sorted(i.base for i in found.instances.values())
    (['i'], ['x', 'y'])
    """
    fixed = {dim for v in moving for dim in v.shape} | set(expr.shape)
    data = [v for v in variables(expr) if v.rank and v.shape[0] not in fixed]
    # Instances are counted by a size that nothing has as a later axis: rows of data, not of a weight matrix.
    later = {dim for v in variables(expr) for dim in v.shape[1:]}
    sizes = dict.fromkeys(v.shape[0] for v in sorted(data, key=lambda v: (v.shape[0] in later, -v.rank)))
    results = []
    for size in sizes:
        taker = _Taker(size, {*taken, *dim_names(expr), *(v.name for v in variables(expr))})
        found = taker.taken_out(expr, 0)
        rows = any(v.rank > 1 and v.shape[0] == size for v in data)
        if taker.result.holes and (rows or _at_top(found, taker.result.holes)):
            taker.result.expr = found
            results.append(taker.result)
    return results


def _at_top(expr: Expr, holes: Mapping[Expr, Hole]) -> bool:
    """Whether a sum is a factor or a term of the expression, not an argument in it."""
    pending = [expr]
    while pending:
        node = pending.pop()
        if node in holes:
            return True
        pending += node.children if isinstance(node, Einsum | Sum) else ()
    return False


class _Taker:
    """Takes the sums over one size out of expressions."""

    def __init__(self, size: Dim, used: set[str]) -> None:
        self.size, self.used = size, used
        self.letters = [c for c in LETTERS if c not in used]
        self.normal = Normaliser()
        self.result = Summed(number(0), size, self.letters[0] if self.letters else "")
        self.bases: dict[Expr, str] = {}

    def taken_out(self, expr: Expr, depth: int) -> Expr:
        """The expression with a hole for each sum; `depth` sums stand around it."""
        if depth >= len(self.letters):
            return expr
        found: dict[Expr, Expr] = {}
        seen: set[Expr] = set()
        pending = [expr]
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            made = self.sum_in(node, depth)
            if made is None:
                pending.extend(node.children)
            else:
                found[node] = made
        return substitute(expr, found) if found else expr

    def sum_in(self, node: Expr, depth: int) -> Expr | None:
        """The node with its sum over instances as a hole; None if it is none at its top."""
        match node:
            case Sum():
                return self.sum_of(node, depth)
            case Einsum():
                inside = self.summand(node, depth)
                return None if inside is None else self.hole(inside, depth)
            case Apply() if node.function is norm and node.arguments[0].shape[-1] == self.size:
                if node.arguments[0].rank != 1:
                    return None
                squares = Einsum(ONE, (node.arguments[0],) * 2, ((0,), (0,)), ())
                inside = self.summand(squares, depth)
                return (
                    None
                    if inside is None
                    else Apply(power, (self.hole(inside, depth), number(Fraction(1, 2))))
                )
            case _:
                return None

    def sum_of(self, node: Sum, depth: int) -> Expr | None:
        """All terms that are sums over instances under one Σ, Nb = Σᵢ b beside them too."""
        inside: list[Expr] = []
        rest: list[Expr] = []
        for term in node.terms:
            made = self.summand(term, depth) if isinstance(term, Einsum) else None
            (rest if made is None else inside).append(term if made is None else made)
        if not inside:
            return None
        front, _ = split(inside[0])
        size = Coefficient.of(self.size)
        for term in list(rest):
            coefficient, body = split(term)
            ratio = coefficient * front**-1 * size**-1
            counted = not body.rank or (self.size, 1) in coefficient.powers
            if isinstance(body, Variable) and counted and not ratio.powers:
                rest.remove(term)
                inside.append(scaled(coefficient * size**-1, body))
        hole = self.hole(inside[0] if len(inside) == 1 else simplify(Sum(inside)), depth)
        return Sum([hole, *(self.taken_out(term, depth) for term in rest)]) if rest else hole

    def times(self, coefficient: Coefficient, expr: Expr) -> Expr:
        axes = tuple(range(expr.rank))
        return self.normal.product(coefficient, (expr,), (axes,), axes, dict(enumerate(expr.shape)))

    def content(self, expr: Expr) -> tuple[Coefficient, Expr]:
        """A canonical expression as a number times the rest; of a sum, what its terms share."""
        content, body = split(self.normal(expr))
        if isinstance(body, Sum):
            shared, body = primitive(body, self.normal)
            content = content * shared
        return content, body

    def hole(self, inside: Expr, depth: int) -> Expr:
        """Σ of what stands inside, with the factors that all instances share in front."""
        coefficient, body = self.content(inside)
        letter = self.letters[depth]
        mine = {i.symbol for i in self.result.instances.values() if i.letter == letter}
        shared: list[Expr] = []
        if isinstance(body, Einsum):
            factors = list(zip(body.operands, body.labels, strict=True))
            own = [f for f in factors if f[0].rank or not mine.isdisjoint(topological([f[0]]))]
            shared = [o for o, _ in factors if not o.rank and mine.isdisjoint(topological([o]))]
            product = self.normal.product(
                ONE, [o for o, _ in own], [a for _, a in own], body.output, dict(enumerate(body.sizes))
            )
            content, body = split(product)
            coefficient = coefficient * content
        negative = self.times(-ONE, body)
        if _sign(negative if coefficient.rational < 0 else body) != (coefficient.rational > 0) * 2 - 1:
            coefficient, body = -coefficient, negative
        body = self.taken_out(body, depth + 1)
        holes = self.result.holes
        known = next((h for h in holes.values() if h.body is body and h.letter == letter), None)
        if known is None:
            known = Hole(Variable(f"Σ{len(holes) + 1}", body.shape), letter, body)
            holes[known.symbol] = known
        axes = tuple(range(body.rank))
        outside = [self.taken_out(o, depth) for o in shared]
        if not outside and coefficient.is_one:
            return known.symbol
        return Einsum(coefficient, (*outside, known.symbol), (*((),) * len(outside), axes), axes)

    def summand(self, node: Einsum, depth: int) -> Expr | None:
        """What is summed over instances in a product, for one of them; None if it is no such sum."""
        if not node.rank and len(node.operands) == 1 and isinstance(node.operands[0], Einsum):
            inside = self.summand(node.operands[0], depth)  # a number times a closed product
            return None if inside is None else self.times(node.coefficient, inside)
        for label, size in enumerate(node.sizes):
            if size != self.size or label in node.output:
                continue
            entries: list[Expr] = []
            carriers = [(o, a) for o, a in zip(node.operands, node.labels, strict=True) if label in a]
            for operand, labels in carriers:
                part = None
                if labels.count(label) == 1:
                    part = sliced(operand, labels.index(label), lambda p, axis: self.instance(p, axis, depth))
                if part is None:
                    break
                entries.append(part)
            if carriers and len(entries) == len(carriers):
                return self.normal(without_label(node, label, entries))
        return None

    def instance(self, part: Expr, axis: int, depth: int) -> Expr | None:
        """The variable for one instance of an array, or of a vector that is made from all instances."""
        if part in self.result.instances:
            return None  # a row is a vector, and its entries have no name of their own
        closed = not isinstance(part, Variable)
        if closed and (part.rank != 1 or (isinstance(part, Apply) and isinstance(part.function, Constant))):
            return None
        if closed and isinstance(part, Einsum):
            return None
        letter = self.letters[depth]
        base = self.base(part)
        structure = set(part.structure) & ENTRYWISE if isinstance(part, Variable) else ()
        shape = tuple(dim for k, dim in enumerate(part.shape) if k != axis)
        symbol = Variable(f"{base}#{letter}{axis or ''}", shape, sorted(structure))
        self.result.instances[symbol] = Instance(symbol, base, letter, part, axis)
        return symbol

    def base(self, part: Expr) -> str:
        """X for the rows of X, the name itself for a vector; the name too where x is another variable."""
        if part not in self.bases:
            name = part.name if isinstance(part, Variable) else ""
            small = row_name(name)
            if part.rank > 1 and small is not None and small not in self.used:
                name = small
                self.used.add(name)
            self.bases[part] = name or f"({len(self.bases) + 1})"
        return self.bases[part]


def _sign(expr: Expr) -> int:
    """The sign that stands in front of it in print."""
    reading = Reader().read(expr) if expr.rank <= 2 else None
    return 1 if reading is None else parts(reading, 0)[0]


def slices(found: Summed, part: Expr, letter: str) -> Expr | None:
    """The instance of a part that has the instance axis first: of z = Xw + b, w·xᵢ + b."""
    known = {(i.array, i.axis): i.symbol for i in found.instances.values() if i.letter == letter}
    if not part.rank or part.shape[0] != found.size:
        return None
    return sliced(part, 0, lambda p, axis: known.get((p, axis)))


def restored(found: Summed) -> Expr:
    """What was taken apart, put together again: the value of the sums, for a check.

    >>> N = Dim.of("N")
    >>> x, w = Variable("x", (N,)), Variable("w")
    >>> (found,) = over_instances(simplify((w * x * x).sum()), [w])
    >>> simplify(restored(found)) is simplify((w * x * x).sum())
    True
    """

    def filled(expr: Expr) -> Expr:
        inside: dict[Expr, Expr] = {n: whole(found.holes[n]) for n in variables(expr) if n in found.holes}
        return substitute(expr, inside) if inside else expr

    def whole(hole: Hole) -> Expr:
        mine: dict[Expr, tuple[Expr, int]] = {
            i.symbol: (i.array, i.axis) for i in found.instances.values() if i.letter == hole.letter
        }
        return reduce_sum(lifted(filled(hole.body), mine, found.size), 0)

    return filled(found.expr)
