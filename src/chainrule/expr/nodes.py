"""The five node types and the abstract Function: an immutable, shared graph of tensors with named sizes.

In: operands with shapes. Out: nodes; structurally equal nodes are one object, so `is` is structural equality.
Nothing here simplifies: a node is what was written. Axis labels of an Einsum are local to it.
Python operators on expressions mean what they mean in NumPy, broadcasting included.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from numbers import Integral, Rational, Real
from typing import Any, ClassVar, NoReturn, TypeVar
from weakref import ref

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import ONE, Coefficient, Dim

Shape = tuple[Dim, ...]
Labels = tuple[int, ...]
Parameter = Any  # int, str, Fraction, Dim, or a tuple of these: hashable, with a repr that names its value


class Function:
    """What an Apply node applies: a row of a table in `rules`.

    This room asks it only for its name and shape. No ABC, since nodes are asked for the kind of their
    function all the time, and of an ABC that takes ten times as long.
    """

    name: str

    def result_shape(self, shapes: Sequence[Shape], parameters: tuple[Parameter, ...]) -> Shape:
        """The shape of the result; raises ShapeMismatch with the reason when there is none."""
        raise NotImplementedError


class Expr:
    """A tensor. `shape` is its axes' sizes, `rank` their number, `children` what it is made from."""

    __slots__ = ("__weakref__", "_digest", "children", "rank", "shape")
    shape: Shape
    rank: int
    children: tuple[Expr, ...]
    _digest: bytes
    # Rows that Python operators need (power, comparisons); `rules` fills them in, since rows live above
    # this room.
    rows: ClassVar[dict[str, Function]] = {}
    # NumPy must leave `array * expression` to the expression instead of making an object array of it.
    __array_ufunc__ = None

    @property
    def digest(self) -> bytes:
        """A name for its structure that is the same in every process; found when it is asked for first."""
        return self._digest or _digested(self)

    def _text(self) -> str:
        """What the digest is made of, beside the digests of the children."""
        raise NotImplementedError

    @property
    def T(self) -> Expr:  # noqa: N802 (NumPy's name)
        """Its axes reversed, as in NumPy: a vector is its own transpose."""
        return permute(self, tuple(reversed(range(self.rank))))

    def sum(self, axis: int | None = None) -> Expr:
        """The sum of all entries, or along one axis."""
        return reduce_sum(self, axis)

    def mean(self, axis: int | None = None) -> Expr:
        """The mean of all entries, or along one axis."""
        summed = reduce_sum(self, axis)
        count = ONE
        for dim in self.shape if axis is None else (self.shape[axis],):
            count = count * Coefficient.of(dim)
        return scale(count**-1, summed)

    def dot(self, other: Expr) -> Expr:
        """Its matrix product with `other`."""
        return matmul(self, other)

    def __array__(self, *_: object) -> NoReturn:
        raise TypeError("an expression is not an array; derive it, then call .compile()")

    def __bool__(self) -> NoReturn:
        raise TypeError("an expression has no truth value; where(condition, a, b) chooses entry by entry")

    def __add__(self, other: Any) -> Expr:
        return add(self, as_expr(other))

    def __radd__(self, other: Any) -> Expr:
        return add(as_expr(other), self)

    def __sub__(self, other: Any) -> Expr:
        return add(self, negate(as_expr(other)))

    def __rsub__(self, other: Any) -> Expr:
        return add(as_expr(other), negate(self))

    def __mul__(self, other: Any) -> Expr:
        return multiply(self, as_expr(other))

    def __rmul__(self, other: Any) -> Expr:
        return multiply(as_expr(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return divide(self, as_expr(other))

    def __rtruediv__(self, other: Any) -> Expr:
        return divide(as_expr(other), self)

    def __pow__(self, other: Any) -> Expr:
        return elementwise(Expr.rows["power"], self, as_expr(other))

    def __rpow__(self, other: Any) -> Expr:
        return elementwise(Expr.rows["power"], as_expr(other), self)

    def __matmul__(self, other: Any) -> Expr:
        return matmul(self, as_expr(other))

    def __neg__(self) -> Expr:
        return negate(self)

    def __gt__(self, other: Any) -> Expr:
        return elementwise(Expr.rows["greater"], self, as_expr(other))

    def __ge__(self, other: Any) -> Expr:
        return elementwise(Expr.rows["greater_equal"], self, as_expr(other))

    def __lt__(self, other: Any) -> Expr:
        return elementwise(Expr.rows["greater"], as_expr(other), self)

    def __le__(self, other: Any) -> Expr:
        return elementwise(Expr.rows["greater_equal"], as_expr(other), self)

    def __repr__(self) -> str:
        return plain(self)


class Variable(Expr):
    """A named input; `structure` is the sorted tuple of assumptions on its value, such as symmetric."""

    __slots__ = ("name", "structure")
    name: str
    structure: tuple[str, ...]

    @property
    def bound(self) -> Dim | None:
        """V for a variable declared integer(V), whose entries are whole numbers from 0 to V − 1."""
        for word in self.structure:
            if word.startswith("integer("):
                text = word[len("integer(") : -1]
                return Dim.of(int(text) if text.isdigit() else text)
        return None

    def __new__(cls, name: str, shape: Sequence[Dim] = (), structure: Sequence[str] = ()) -> Variable:
        shape, structure = tuple(shape), tuple(sorted(set(structure)))
        key = (cls, name, shape, structure)
        found = _known(cls, key)
        if found is None:
            node = object.__new__(cls)
            node.name, node.structure = name, structure
            found = _interned(key, node, shape, ())
        return found

    def _text(self) -> str:
        return repr(("variable", self.name, self.shape, self.structure))

    def __reduce__(self) -> tuple[type[Variable], tuple[str, Shape, tuple[str, ...]]]:
        return Variable, (self.name, self.shape, self.structure)


class Einsum(Expr):
    """coefficient · Σ over labels not in `output` of the product of the operands.

    labels[k] are operand k's axis labels, sizes[label] their sizes. A label repeated in `output` is a
    diagonal, a label in `output` that no operand carries is a broadcast: a number, an identity and a vector
    of ones have no operands at all.
    """

    __slots__ = ("coefficient", "labels", "operands", "output", "sizes")
    coefficient: Coefficient
    operands: tuple[Expr, ...]
    labels: tuple[Labels, ...]
    output: Labels
    sizes: Shape

    def __new__(
        cls,
        coefficient: Coefficient,
        operands: Sequence[Expr],
        labels: Sequence[Sequence[int]],
        output: Sequence[int],
        sizes: dict[int, Dim] | None = None,
    ) -> Einsum:
        """`sizes` is needed for labels that only the output carries.

        Labels are renumbered by first appearance.
        """
        operands, output = tuple(operands), tuple(output)
        places = tuple(map(tuple, labels))
        given = None if sizes is None else tuple(map(sizes.get, output))
        asked = (coefficient, operands, places, output, given)
        found = _known(cls, asked)
        if found is None:
            found = cls._made(asked, coefficient, operands, places, output, sizes)
        return found

    @classmethod
    def _made(
        cls,
        asked: tuple[object, ...],
        coefficient: Coefficient,
        operands: tuple[Expr, ...],
        labels: tuple[tuple[int, ...], ...],
        output: tuple[int, ...],
        sizes: dict[int, Dim] | None,
    ) -> Einsum:
        known: dict[int, Dim] = {}
        for operand, axes in zip(operands, labels, strict=True):
            dims = operand.shape
            assert len(axes) == len(dims), "one label for each axis"
            for label, dim in zip(axes, dims):  # noqa: B905 (of one length)
                first = known.setdefault(label, dim)
                assert first is dim, f"label {label} has two sizes, {first} and {dim}"
        for label in output:
            if label not in known:
                assert sizes is not None, "the size of a broadcast label must be given"
                known[label] = sizes[label]
        shape = tuple([known[label] for label in output])
        if [*known] != [*range(len(known))]:
            number = {label: k for k, label in enumerate(known)}
            labels = tuple([tuple([number[label] for label in axes]) for axes in labels])
            output = tuple([number[label] for label in output])
        key = (coefficient, operands, labels, output, shape)
        node = None if key == asked else _known(cls, key)
        if node is None:
            node = object.__new__(cls)
            node.coefficient, node.operands = coefficient, operands
            node.labels, node.output, node.sizes = labels, output, tuple(known.values())
            node = _interned(key, node, shape, operands)
        if key != asked:
            # Most products are asked for again, with the same labels, while their expression is simplified.
            _remember(asked, node)
        return node

    def _text(self) -> str:
        shape = _shape_text(self.shape)
        return f"('einsum', {self.coefficient!r}, {self.labels!r}, {self.output!r}, {shape})"

    def __reduce__(self) -> tuple[type[Einsum], tuple[Any, ...]]:
        sizes = dict(enumerate(self.sizes))
        return Einsum, (self.coefficient, self.operands, self.labels, self.output, sizes)


class Sum(Expr):
    """The sum of terms of one shape."""

    __slots__ = ("terms",)
    terms: tuple[Expr, ...]

    def __new__(cls, terms: Sequence[Expr]) -> Sum:
        terms = tuple(terms)
        key = (cls, terms)
        found = _known(cls, key)
        if found is None:
            assert terms and all([t.shape == terms[0].shape for t in terms]), "terms of one shape"
            node = object.__new__(cls)
            node.terms = terms
            found = _interned(key, node, terms[0].shape, terms)
        return found

    def _text(self) -> str:
        return "('sum',)"

    def __reduce__(self) -> tuple[type[Sum], tuple[Any, ...]]:
        return Sum, (self.terms,)


class Apply(Expr):
    """A function, a row of a table, applied to its arguments, with parameters such as an axis or a count."""

    __slots__ = ("arguments", "function", "parameters")
    function: Function
    arguments: tuple[Expr, ...]
    parameters: tuple[Parameter, ...]

    def __new__(
        cls, function: Function, arguments: Sequence[Expr] = (), parameters: Sequence[Parameter] = ()
    ) -> Apply:
        arguments, parameters = tuple(arguments), tuple(parameters)
        # Parameters by what they print: 1 and True are equal.
        key = (cls, function.name, arguments, repr(parameters) if parameters else "")
        found = _known(cls, key)
        if found is None:
            shape = function.result_shape([a.shape for a in arguments], parameters)
            node = object.__new__(cls)
            node.function, node.arguments, node.parameters = function, arguments, parameters
            found = _interned(key, node, shape, arguments)
        return found

    def _text(self) -> str:
        return repr(("apply", self.function.name, self.parameters))

    def __reduce__(self) -> tuple[type[Apply], tuple[Any, ...]]:
        return Apply, (self.function, self.arguments, self.parameters)


class Stack(Expr):
    """Entries of one shape, written out one by one along a new first axis.

    A matrix is a stack of stacked rows.
    """

    __slots__ = ("entries",)
    entries: tuple[Expr, ...]

    def __new__(cls, entries: Sequence[Expr]) -> Stack:
        entries = tuple(entries)
        key = (cls, entries)
        found = _known(cls, key)
        if found is None:
            assert entries and all([e.shape == entries[0].shape for e in entries]), "entries of one shape"
            node = object.__new__(cls)
            node.entries = entries
            found = _interned(key, node, (Dim.of(len(entries)), *entries[0].shape), entries)
        return found

    def _text(self) -> str:
        return "('stack',)"

    def __reduce__(self) -> tuple[type[Stack], tuple[Any, ...]]:
        return Stack, (self.entries,)


# ---------------------------------------------------------------- one object for one structure


class _Entry(ref[Expr]):
    """A node as the table of nodes holds it: as long as something else does."""

    __slots__ = ("key",)
    key: tuple[object, ...]


Node = TypeVar("Node", bound=Expr)
_nodes: dict[tuple[object, ...], _Entry] = {}


def _known(kind: type[Node], key: tuple[object, ...]) -> Node | None:
    """The node that was made of this, if there is one."""
    entry = _nodes.get(key)
    return None if entry is None else entry()  # type: ignore[return-value]


def _remember(key: tuple[object, ...], node: Node) -> Node:
    """The node under this key: another one, if that was made in the meantime."""
    entry: Any = _Entry(node, _forget)
    entry.key = key
    other = _nodes.setdefault(key, entry)
    if other is not entry:
        found = other()
        if found is not None:
            return found  # type: ignore[return-value]
        _nodes[key] = entry
    return node


def _forget(entry: Any, nodes: dict[tuple[object, ...], _Entry] = _nodes) -> None:
    key = entry.key
    if nodes.get(key) is entry:
        del nodes[key]


def _interned(key: tuple[object, ...], node: Node, shape: Shape, children: tuple[Expr, ...]) -> Node:
    node.shape, node.rank, node.children, node._digest = shape, len(shape), children, b""
    return _remember(key, node)


def _digested(root: Expr) -> bytes:
    pending = [root]
    while pending:
        node = pending[-1]
        below = [child for child in node.children if not child._digest]
        if below:
            pending += below
            continue
        pending.pop()
        if not node._digest:
            parts = [node._text().encode(), *[child._digest for child in node.children]]
            node._digest = blake2b(b"".join(parts), digest_size=16).digest()
    return root._digest


@lru_cache(maxsize=4096)
def _shape_text(shape: Shape) -> str:
    return repr(shape)


# ---------------------------------------------------------------- arithmetic with NumPy's meaning


def require_same(a: Dim, b: Dim, problem: str) -> None:
    """Raises ShapeMismatch, with the two sizes as data, unless they are equal."""
    if a != b:
        raise ShapeMismatch(f"{a} and {b} {problem}", dims=(a, b))


def as_expr(value: Any) -> Expr:
    """`value` itself, or the exact number it stands for: a float is read as the decimal that it prints as."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, Dim | Coefficient):
        return number(value)
    if isinstance(value, Integral):
        return number(int(value))
    if isinstance(value, Rational):
        return number(Fraction(value))
    if isinstance(value, Real) and isfinite(value):
        return number(Fraction(str(value)))
    raise TypeError(f"{type(value).__name__} is neither an expression nor a number")


def number(value: int | Fraction | Dim | Coefficient, shape: Sequence[Dim] = ()) -> Einsum:
    """A constant, the same in every entry of `shape`."""
    axes = tuple(range(len(shape)))
    return Einsum(Coefficient.of(value), (), (), axes, dict(enumerate(shape)))


def zeros(shape: Sequence[Dim]) -> Einsum:
    """0 in every entry."""
    return number(0, shape)


def identity(dims: Sequence[Dim]) -> Einsum:
    """The identity from tensors of shape `dims` to themselves: axes dims + dims."""
    axes = tuple(range(len(dims)))
    return Einsum(ONE, (), (), axes + axes, dict(enumerate(dims)))


def constant_of(expr: Expr) -> Coefficient | None:
    """The number that fills `expr`, if it is a constant (broadcast or not)."""
    if isinstance(expr, Einsum) and not expr.operands and len(set(expr.output)) == len(expr.output):
        return expr.coefficient
    return None


def einsum(
    spec: str, *operands: Expr, coefficient: Coefficient = ONE, sizes: dict[str, Dim] | None = None
) -> Einsum:
    """The product written with letters: einsum("ij,j->i", A, x).

    `sizes` for letters that only the output has.
    """
    inputs, output = spec.split("->")
    labels = [tuple(map(ord, part)) for part in inputs.split(",")] if operands else []
    given = {ord(letter): dim for letter, dim in (sizes or {}).items()}
    return Einsum(coefficient, operands, labels, tuple(map(ord, output)), given)


def scale(coefficient: Coefficient, expr: Expr) -> Expr:
    """A number times `expr`."""
    axes = tuple(range(expr.rank))
    return Einsum(coefficient, (expr,), (axes,), axes)


def negate(expr: Expr) -> Expr:
    """−expr."""
    constant = constant_of(expr)
    return number(-constant, expr.shape) if constant else scale(-ONE, expr)


def permute(expr: Expr, order: Sequence[int]) -> Expr:
    """Its axes in another order: axis k of the result is axis order[k] of `expr`."""
    if tuple(order) == tuple(range(expr.rank)):
        return expr
    return Einsum(ONE, (expr,), (tuple(range(expr.rank)),), tuple(order))


def reduce_sum(expr: Expr, axis: int | None = None) -> Expr:
    """The sum of all entries, or along one axis."""
    axes = tuple(range(expr.rank))
    if axis is not None and not -expr.rank <= axis < expr.rank:
        raise ShapeMismatch(f"axis {axis} does not exist: there are {expr.rank} axes")
    kept = () if axis is None else tuple(a for a in axes if a != axis % expr.rank)
    return Einsum(ONE, (expr,), (axes,), kept) if axes else expr


def broadcast_shape(shapes: Sequence[Shape]) -> Shape:
    """NumPy's broadcasting rule over symbolic sizes; raises ShapeMismatch."""
    rank = max((len(s) for s in shapes), default=0)
    result: list[Dim] = []
    for axis in range(-rank, 0):
        size: Dim = Dim.of(1)
        for shape in shapes:
            if len(shape) < -axis or shape[axis].constant == 1:
                continue
            if size.constant == 1:
                size = shape[axis]
                continue
            require_same(size, shape[axis], "do not broadcast together")
        result.append(size)
    return tuple(result)


def broadcast_to(expr: Expr, shape: Sequence[Dim]) -> Expr:
    """`expr` repeated along the axes that it lacks (or has with size 1)."""
    if expr.shape == tuple(shape):
        return expr
    constant = constant_of(expr)
    if constant is not None:
        return number(constant, shape)
    lead = len(shape) - expr.rank
    axes = tuple(range(lead, len(shape)))
    # An axis of size 1 gets a label of its own, which is summed: the entry repeats along the new axis.
    kept = [
        a if expr.shape[a - lead].constant != 1 or shape[a].constant == 1 else a + len(shape) for a in axes
    ]
    return Einsum(ONE, (expr,), (kept,), tuple(range(len(shape))), dict(enumerate(shape)))


def broadcast(exprs: Sequence[Expr]) -> tuple[Expr, ...]:
    """All of them, in their common shape."""
    shape = broadcast_shape([e.shape for e in exprs])
    return tuple(broadcast_to(e, shape) for e in exprs)


def add(*terms: Expr) -> Expr:
    """The sum, with broadcasting; sums are not nested."""
    flat: list[Expr] = []
    for term in broadcast(terms):
        flat.extend(term.terms if isinstance(term, Sum) else (term,))
    return Sum(flat) if len(flat) > 1 else flat[0]


def multiply(a: Expr, b: Expr) -> Expr:
    """The entrywise product, with broadcasting: only labels, no operand of ones."""
    shape = broadcast_shape([a.shape, b.shape])
    rank = len(shape)
    coefficient, operands, labels = ONE, [], []
    for part in (a, b):
        constant = constant_of(part)
        if constant is not None:
            coefficient = coefficient * constant
            continue
        lead = rank - part.rank
        one = [part.shape[k].constant == 1 and shape[k + lead].constant != 1 for k in range(part.rank)]
        operands.append(part)
        labels.append([k + lead + (2 * rank if one[k] else 0) for k in range(part.rank)])
    return Einsum(coefficient, operands, labels, tuple(range(rank)), dict(enumerate(shape)))


def divide(a: Expr, b: Expr) -> Expr:
    """The entrywise quotient: a times the power −1 of b."""
    constant = constant_of(b)
    if constant is not None and not constant.is_zero:
        return multiply(a, number(constant**-1, b.shape))
    return multiply(a, elementwise(Expr.rows["power"], b, number(-1)))


def matmul(a: Expr, b: Expr) -> Expr:
    """NumPy's matmul: vectors contract, leading axes are batches and broadcast."""
    if not a.rank or not b.rank:
        raise ShapeMismatch("@ needs vectors or matrices; * multiplies by a scalar")
    inner_a, inner_b = a.shape[-1], b.shape[-2 if b.rank > 1 else 0]
    require_same(inner_a, inner_b, "are the inner sizes of @ and differ")
    batch = broadcast_shape([a.shape[:-2], b.shape[:-2]])
    lead, (i, j, k) = len(batch), (len(batch), len(batch) + 1, len(batch) + 2)

    def batch_labels(part: Expr) -> list[int]:
        dims = part.shape[:-2]
        offset = lead - len(dims)
        return [
            offset + p if d.constant != 1 or batch[offset + p].constant == 1 else k + 1 + offset + p
            for p, d in enumerate(dims)
        ]

    left = [*batch_labels(a), i, j] if a.rank > 1 else [j]
    right = [*batch_labels(b), j, k] if b.rank > 1 else [j]
    output = [*range(lead), *([i] if a.rank > 1 else []), *([k] if b.rank > 1 else [])]
    return Einsum(ONE, (a, b), (left, right), output)


def elementwise(function: Function, *arguments: Expr) -> Apply:
    """An elementwise row applied to arguments that are first broadcast to one shape."""
    return Apply(function, broadcast(arguments))


def plain(expr: Expr) -> str:
    """A compact repr for debugging; `notation` writes what people read."""
    match expr:
        case Variable():
            return expr.name
        case Einsum():
            letters = "ijklmnopqrstuvwxyzabcdefgh"
            spec = ",".join("".join(letters[a % 26] for a in axes) for axes in expr.labels)
            target = "".join(letters[a % 26] for a in expr.output)
            scalars = [str(expr.coefficient.rational)] if expr.coefficient.rational != 1 else []
            scalars += [f"({d})^{e}" for d, e in expr.coefficient.powers]
            return f"<{'·'.join(scalars)} {spec}->{target} {', '.join(map(plain, expr.operands))}>".replace(
                "< ", "<"
            )
        case Sum():
            return "(" + " + ".join(map(plain, expr.terms)) + ")"
        case Apply():
            inside = [plain(a) for a in expr.arguments] + [str(p) for p in expr.parameters]
            return f"{expr.function.name}({', '.join(inside)})"
        case Stack():
            return "[" + ", ".join(map(plain, expr.entries)) + "]"
        case _:
            raise AssertionError(type(expr))
