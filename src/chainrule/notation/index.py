"""Tensors of any rank: index notation, and the matrix ∂vec(Y)/∂vec(X)ᵀ in Kronecker products.

In: an expression and a Reader for its parts of at most two axes. Out: trees, in which X_ij is an entry,
δ_ij an identity, Σ_k a sum; what can be said as a matrix product is, (AB)_ik. Every expression has an
index form; a vec form only those whose terms are products of matrices on two axes each.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from types import MappingProxyType

from chainrule.expr.dims import ONE, ZERO, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Function, Stack, Sum, Variable, constant_of
from chainrule.expr.walk import topological
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.paired import Pieces, is_merge, joined, pieces_of, singles, sizes_of
from chainrule.notation.places import CHOOSING, condition, is_plain, is_scattered, is_zero, shift, sizes_in
from chainrule.notation.products import ONES_MATRIX
from chainrule.notation.recover import (
    COMPARISONS,
    Product,
    Reader,
    Reading,
    core_rank,
    flatten,
    gain,
    number,
    parts,
    shown_parameters,
    signed,
    split,
    swapped,
    whole,
)
from chainrule.notation.shifted import Shift, shifts_of, unbounded, unfolded
from chainrule.notation.views import size as size_tree
from chainrule.notation.views import view_tree
from chainrule.rules import constants, views
from chainrule.rules.constants import BASIS, MERGE
from chainrule.rules.linear_maps import copied
from chainrule.rules.reductions import masked_softmax
from chainrule.rules.table import Elementwise
from chainrule.rules.unknown import Unknown, unknown_in
from chainrule.rules.views import FOR_INDICES, Fold, Parts, View, double_reshape, fold, fold_parts

Letters = tuple[str, ...]
# Products of at most two open labels, single operands, and the labels summed outside.
Grouped = tuple[list[Product | tuple[Expr, tuple[int, ...]]], list[int]]
# The letters that the language reads as indices, the clearest first.
ALPHABET = "ijklmnpqrsto"
# What a term may hold besides its own axes before the letters run out.
SUMMED = 3
MOST_TERMS = 16
# A single regrouping of axes needs no view here: its index is a pair.
FOR_PAIRS = {**FOR_INDICES, MERGE: (double_reshape,)}


# ---------------------------------------------------------------- index notation


def index_form(expr: Expr, reader: Reader, *, opened: bool = False) -> tuple[Tree, Letters]:
    """The entry of `expr` at letters, and the letters, one for each axis.

    `opened`: matrix products are written as sums of products of entries, Σ_k A_ik x_k for (Ax)_i.

    >>> from chainrule.expr.nodes import Variable, einsum
    >>> from chainrule.notation.text import to_text
    >>> n = Dim.of("n")
    >>> A, B = Variable("A", (n, n)), Variable("B", (n, n))
    >>> tree, letters = index_form(einsum("ik,lj->ijkl", A, B), Reader())
    >>> to_text(tree), "".join(letters)
    ('A_ik B_lj', 'ijkl')
    """
    expr = reader.folded(expr)
    sizes = [sizes_of(expr, axis) for axis in range(expr.rank)]
    count = sum(map(len, sizes))
    alphabet = _alphabet(expr, count)
    own = alphabet[:count]
    kind = _Opened if opened else _Indexed
    entries = kind(reader, alphabet, dict(zip(own, (dim for axis in sizes for dim in axis), strict=True)))
    rest = iter(own)
    letters = tuple(joined(next(rest) for _ in axis) for axis in sizes)
    return signed(parts(_run(entries.entry(expr, letters, tuple(own))), 0)), letters


def derivative(output: tuple[str, int], inputs: Sequence[tuple[str, int]], letters: Letters) -> Tree:
    """The left side of an index form: ∂Y_ij/∂X_kl for ("Y", 2), [("X", 2)].

    >>> from chainrule.notation.text import to_text
    >>> to_text(derivative(("f", 0), [("X", 2), ("X", 2)], ("i", "j", "k", "l")))
    '∂²f/∂X_ij∂X_kl'
    """
    rest = list(letters)

    def indexed(name: str, rank: int) -> Tree:
        mine, rest[:] = tuple(rest[:rank]), rest[rank:]
        return m.tree("entry", (m.name(name),), mine) if mine else m.name(name)

    return m.tree("derivative", [indexed(*source) for source in (output, *inputs)])


def vec_derivative(output: tuple[str, int], inputs: Sequence[tuple[str, int]]) -> Tree:
    """The left side of a vec form: ∂vec(Y)/∂vec(X)ᵀ, ∂²f/∂vec(X)∂vec(X)ᵀ."""
    column = [m.call("vec", m.name(n)) if rank == 2 else m.name(n) for n, rank in (output, *inputs)]
    return m.tree("derivative", [*column[:-1], m.transpose(column[-1])])


def _alphabet(expr: Expr, axes: int) -> list[str]:
    """Letters for the axes, and then for sums: clear of the names in the formula where there are enough."""
    count = axes + SUMMED
    nodes = topological([expr])
    used = {n.name for n in nodes if isinstance(n, Variable)} | sizes_in(expr)
    used |= {name for n in nodes if isinstance(n, Einsum) for name in n.coefficient.names}
    used.update(unknown_in(expr))
    letters = [c for c in ALPHABET if c not in used] + [c for c in ALPHABET if c in used]
    if count > len(letters):
        return [f"i{k}" for k in range(1, count + 1)]
    return sorted(letters[:count], key=ALPHABET.index) + letters[count:]


# The entry of a part needs the entries of its parts: generators that yield what they wait for, so that
# depth costs memory and not recursion.
Waiting = Generator["Waiting", Reading, Reading]


def _run(waiting: Waiting) -> Reading:
    stack = [waiting]
    result: Reading | None = None
    while stack:
        try:
            stack.append(stack[-1].send(result) if result is not None else next(stack[-1]))
            result = None
        except StopIteration as finished:
            stack.pop()
            result = finished.value
    assert result is not None
    return result


class _Indexed:
    """Entries of expressions at letters, as scalar readings."""

    def __init__(self, reader: Reader, alphabet: Sequence[str], sizes: dict[str, Dim]) -> None:
        self.reader, self.alphabet, self.sizes = reader, alphabet, sizes

    def entry(self, node: Expr, letters: Letters, used: Letters) -> Waiting:
        """The entry of `node` at `letters`; `used` are the letters that sums inside it must not take."""
        if (chosen := condition(node, letters)) is not None:
            return Reading(above=(chosen,))
        match node:
            case Apply(function=constants.MERGE):
                product, pieces = pieces_of(_alone(node))
                if self.stand(product, pieces, letters):
                    return (yield self.product(product, pieces, letters, used))
            case Einsum():
                product = flatten(node)
                viewed, pieces = pieces_of(_slid(_viewed(product, FOR_PAIRS)))
                if not self.stand(viewed, pieces, letters):
                    viewed, pieces = _viewed(product, FOR_INDICES), {}
                viewed, shifts = shifts_of(viewed, set(pieces))
                return (yield self.product(viewed, pieces, letters, used, shifts))
            case Apply(function=views.WINDOWS | views.OVERLAP):
                product = unfolded(_alone(node))
                if len(product.operands) > 1:
                    return (yield self.entry(_einsum_of(product), letters, used))
            case Stack() if is_scattered(node) and is_plain(letters[0]):
                return (yield self.scattered(node, letters, used))
            case Sum() if self.opens(node):
                readings = []
                for term in node.terms:
                    readings.append((yield self.entry(term, letters, used)))
                return self.sum(readings)
            case Apply() if isinstance(node.function, Elementwise):
                readings = []
                for argument in node.arguments:
                    readings.append((yield self.entry(argument, letters, used)))
                if node.function.name == "power":
                    return self.reader.power_of(0, constant_of(node.arguments[1]), readings)
                return Reading(above=(self.reader.call(node, readings, 0),))
        if node.rank <= 2 and (reading := self.reader.read(node)) is not None:
            return at(reading, letters)
        return Reading(above=(_whole_entry(node, letters, self.reader),))

    def scattered(self, node: Stack, letters: Letters, used: Letters) -> Waiting:
        """The entries that are not zero, each at its place along the first axis."""
        readings = []
        for k, part in enumerate(node.entries):
            if not is_zero(part):
                found = yield self.entry(part, letters[1:], used)
                here = m.place(letters[0], "=", {}, Dim.of(k + 1))
                readings.append(replace(found, above=(*found.above, here), opposite=None))
        if len(readings) < 2:
            return readings[0] if readings else Reading(coefficient=ZERO)
        return self.sum(readings)

    def opens(self, node: Sum) -> bool:
        """Whether a sum is written term by term, not as an entry of a matrix."""
        return node.rank > 2 or self.reader.read(node) is None

    def sum(self, readings: list[Reading]) -> Reading:
        """The sum, with the factors that all terms share in front."""
        above, below = (_common([r.above for r in readings]), _common([r.below for r in readings]))
        inner = [replace(r, above=_without(r.above, above), below=_without(r.below, below)) for r in readings]
        total = self.reader.sum(inner, ())
        return replace(
            total, above=(*above, *total.above), below=below, opposite=None if above else total.opposite
        )

    def stand(self, product: Product, pieces: Pieces, letters: Letters) -> bool:
        """Whether the axes that are made of others stand at letters that are made so."""
        for label, letter in zip(product.output, letters, strict=True):
            sizes = [product.sizes[piece] for piece in pieces.get(label, ())]
            if label in pieces and [self.sizes.get(c) for c in singles(letter)] != sizes:
                return False
        return True

    def product(
        self,
        product: Product,
        pieces: Pieces,
        letters: Letters,
        used: Letters,
        shifts: Mapping[int, Shift] = MappingProxyType({}),
    ) -> Waiting:
        """Parts of at most two axes are contracted as matrix products, other sums written Σ."""
        if product.coefficient.is_zero:
            return Reading(coefficient=product.coefficient)
        name: dict[int, str] = {}
        above: list[Tree] = []
        below: list[Tree] = []
        for label, letter in zip(product.output, letters, strict=True):
            inside = singles(letter) if label in pieces else (letter,)
            for piece, own in zip(pieces.get(label, (label,)), inside, strict=True):
                if name.setdefault(piece, own) != own:
                    above += self.deltas(name[piece], own)
        product = product if pieces or shifts else _at_one_place(product)
        parted = [*pieces.values(), *(shift.parts for shift in shifts.values())]
        opened = dict.fromkeys(p for own in parted for p in own if p not in name)
        groups, explicit = self.groups(product, {*name, *pieces, *shifts}, list(opened))
        wanted = [self.made_of(product, label) for label in explicit]
        free = self.fresh([size for sizes in wanted for size in sizes], used)
        rest = iter(free)
        name |= {
            label: joined(next(rest) for _ in sizes) for label, sizes in zip(explicit, wanted, strict=True)
        }
        name |= {flat: joined(name[piece] for piece in own) for flat, own in pieces.items()}
        name |= {label: shift.spelled([name[p] for p in shift.parts]) for label, shift in shifts.items()}
        used = (*used, *free)
        limits = unbounded(product, shifts)
        above += [m.place(name[k], "≤", {}, product.sizes[k]) for k in explicit if k in limits]
        coefficient = product.coefficient
        for group in groups:
            if isinstance(group, Product) and _is_entrywise(group):
                group = group.operands[0]
            if isinstance(group, Product) and (step := _shift(group)) is not None:
                row, column = (name[label] for label in group.output)
                if is_plain(row) and is_plain(column):
                    coefficient = coefficient * group.coefficient
                    above.append(m.place(column, "=", {row: 1}, step))
                    continue
            if isinstance(group, Product):
                reading = self.reader.product(group)
                assert reading is not None
                indices = tuple(name[label] for label in group.output)
                reading = at(reading if all(map(is_plain, indices)) else _with_sizes(reading), indices)
            else:
                operand, labels = group
                reading = yield self.entry(operand, tuple(name[label] for label in labels), used)
                if coefficient.rational < 0 and reading.opposite is not None and gain(reading) < 2:
                    coefficient, reading = -coefficient, swapped(reading)
            coefficient = coefficient * reading.coefficient
            above += reading.above
            below += reading.below
        summed = [t for t in above if not set(free).isdisjoint(t.indices)]
        divisors = [t for t in below if not set(free).isdisjoint(t.indices)]
        if free:
            body = signed(parts(Reading(above=tuple(summed), below=tuple(divisors)), 0))
            above = [t for t in above if t not in summed] + [m.tree("sigma", (body,), free)]
            below = [t for t in below if t not in divisors]
        return Reading(coefficient, tuple(above), tuple(below))

    def made_of(self, product: Product, label: int) -> tuple[Dim, ...]:
        """The sizes of the axes that a summed label is made of inside the operands."""
        for operand, labels in product.operands:
            for axis, own in enumerate(labels):
                if own == label and len(sizes := sizes_of(operand, axis)) > 1:
                    return sizes
        return (product.sizes[label],)

    def fresh(self, sizes: Sequence[Dim], used: Letters) -> Letters:
        """Letters to sum over; one letter has one size in all the terms, so that they can be read back."""
        found: list[str] = []
        for size in sizes:
            free = (c for c in self.letters() if c not in used and c not in found)
            found.append(next(c for c in free if self.sizes.setdefault(c, size) == size))
        return tuple(found)

    def letters(self) -> Iterable[str]:
        """All letters, without end."""
        yield from self.alphabet
        number = 0
        while True:
            number += 1
            if f"i{number}" not in self.alphabet:
                yield f"i{number}"

    def deltas(self, a: str, b: str) -> list[Tree]:
        """δ_ij; of pairs made in the same way one for each of their letters."""
        first, second = singles(a), singles(b)
        if [self.sizes.get(c) for c in first] == [self.sizes.get(c) for c in second]:
            return [self.delta(c, d) for c, d in zip(first, second, strict=True)]
        return [m.tree("entry", (m.IDENTITY,), (a, b))]

    def delta(self, a: str, b: str) -> Tree:
        return (
            m.tree("entry", (m.IDENTITY,), (a, b))
            if "delta" in self.reader.taken
            else m.tree("delta", (), (a, b))
        )

    def groups(self, product: Product, named: set[int], outside: list[int]) -> Grouped:
        """Products of at most two open labels, single operands, and the labels summed outside.

        `named` labels have their letters from elsewhere; `outside` are summed outside at any rate.
        """
        explicit: dict[int, None] = dict.fromkeys(outside)
        single: list[tuple[Expr, tuple[int, ...]]] = []
        matrices: list[tuple[Expr, tuple[int, ...]]] = []
        for operand, labels in product.operands:
            alone = is_scattered(operand) and set(labels) <= set(product.output)
            if alone or operand.rank > 2 or self.reader.read(operand) is None:
                single.append((operand, labels))
                explicit |= dict.fromkeys(label for label in labels if label not in named)
            else:
                matrices.append((operand, labels))
        while True:
            kept = {*named, *explicit}
            found: list[Product] = []
            for members in _components(matrices, kept):
                operands = tuple(matrices[k] for k in members)
                opened = tuple(sorted({label for _, labels in operands for label in labels if label in kept}))
                group = Product(ONE, operands, opened, product.sizes)
                if len(opened) > 2 or self.reader.product(group) is None:
                    explicit[_busiest(operands, kept)] = None
                    break
                found.append(group)
            else:
                return [*found, *single], list(explicit)


class _Opened(_Indexed):
    """Entries down to the variables: no product of matrices is left."""

    def opens(self, node: Sum) -> bool:
        return True

    def groups(self, product: Product, named: set[int], outside: list[int]) -> Grouped:
        explicit = dict.fromkeys((*outside, *(label for _, labels in product.operands for label in labels)))
        return list(product.operands), [label for label in explicit if label not in named]


def _alone(node: Expr) -> Product:
    """A node as a product of itself alone."""
    axes: tuple[int, ...] = tuple(range(node.rank))
    return Product(ONE, ((node, axes),), axes, dict(enumerate(node.shape)))


def _whole_entry(node: Expr, letters: Letters, reader: Reader) -> Tree:
    """The entry of an array; a function of a transpose is told by its axes, softmax(T, axis=1)_ikj."""
    inside = node.children[0] if isinstance(node, Apply) and len(node.children) == 1 else node
    moved = isinstance(inside, Einsum) and inside.rank > 2 and inside.coefficient.is_one and _is_moved(inside)
    if not moved or not isinstance(node, Apply) or isinstance(node.function, View | Elementwise):
        return _entry(array(node, reader), letters)
    assert isinstance(inside, Einsum)
    place = [inside.labels[0].index(label) for label in inside.output]  # where each axis was before
    core = core_rank(node)
    axes = place[inside.rank - core :]
    kept = place if node.rank == inside.rank else place[: inside.rank - core]
    on_axes = node.function.name != "matrix_power" and (core == 1 or bool(node.parameters))
    if len(kept) != len(letters) or not on_axes:
        return _entry(array(node, reader), letters)
    order = sorted(range(len(kept)), key=kept.__getitem__)
    tree = _tensorial(node, [array(inside.operands[0], reader)], axes)
    return _entry(tree, tuple(letters[k] for k in order))


def _is_moved(node: Einsum) -> bool:
    """Whether it is a transpose of an array."""
    return len(node.operands) == 1 and sorted(node.labels[0]) == sorted(node.output) == sorted({*node.output})


def _slid(product: Product) -> Product:
    """The product with windows as the tensors that slide them, where that opens other products too."""
    opened = unfolded(product)
    if opened is product or len(opened.operands) == len(product.operands):
        return product
    return flatten(_einsum_of(opened))


def _einsum_of(product: Product) -> Einsum:
    operands, labels = zip(*product.operands, strict=True)
    return Einsum(product.coefficient, operands, labels, product.output, product.sizes)


def _viewed(product: Product, folds: dict[Function, Sequence[Fold]]) -> Product:
    """The product with views in the place of its tensors of zeros and ones."""
    found = Parts(list(product.operands), product.output, product.sizes, folds)
    if not fold_parts(found, folds):
        return product
    return replace(product, operands=tuple(found.factors), sizes=found.sizes)


def _is_entrywise(group: Product) -> bool:
    """One function of entries, none of which is summed, or one tensor that picks places."""
    if len(group.operands) != 1:
        return False
    operand, labels = group.operands[0]
    if not isinstance(operand, Apply) or set(labels) != set(group.output):
        return False
    return isinstance(operand.function, Elementwise) or (
        operand.function in CHOOSING and len(set(labels)) == len(labels)
    )


def _with_sizes(reading: Reading) -> Reading:
    """I_9[1:] in place of blocks, whose size an index that is a pair does not tell."""
    if reading.body is None:
        return reading
    first, second = (m.rewritten(form, m.sliced_identity) for form in reading.body)
    return replace(reading, body=(first, second))


def _shift(group: Product) -> Dim | None:
    """d, where a product of two selections is [l = j + d] at its two axes j and l."""
    if len(group.operands) != 2 or len(group.output) != 2:
        return None
    (a, (rows, first)), (b, (others, second)) = (
        (o, labels if len(labels) == 2 else (-1, -1)) for o, labels in group.operands
    )
    if rows != others or rows in group.output or {first, second} != set(group.output):
        return None
    return shift(a, b) if (first, second) == group.output else shift(b, a)


def _at_one_place(product: Product) -> Product:
    """X_ij [i = 2] for Σ_k X_kj [k = 2] beside [i = 2]: the first axis at a place serves all others."""
    shown = [(o, labels[0]) for o, labels in product.operands if _is_basis(o)]
    first: dict[Expr, int] = {}
    for label in product.output:
        first |= {o: label for o, own in shown if own == label and o not in first}
    same = {own: first[o] for o, own in shown if o in first and own != first[o]}
    operands = [
        (o, labels if _is_basis(o) else tuple(same.get(a, a) for a in labels))
        for o, labels in product.operands
        if not (_is_basis(o) and labels[0] in same and labels[0] not in product.output)
    ]
    return replace(product, operands=tuple(operands)) if same else product


def _is_basis(operand: Expr) -> bool:
    return isinstance(operand, Apply) and operand.function is BASIS


def _components(operands: Sequence[tuple[Expr, tuple[int, ...]]], kept: set[int]) -> list[list[int]]:
    """The operands that are connected by labels not in `kept`."""
    groups: list[tuple[list[int], set[int]]] = []
    for k, (_, labels) in enumerate(operands):
        members, inner = [k], {label for label in labels if label not in kept}
        apart = []
        for group in groups:
            if inner.isdisjoint(group[1]):
                apart.append(group)
            else:
                members, inner = group[0] + members, inner | group[1]
        groups = [*apart, (members, inner)]
    return [members for members, _ in sorted(groups, key=lambda group: group[0])]


def _busiest(operands: Sequence[tuple[Expr, tuple[int, ...]]], kept: set[int]) -> int:
    """The summed label that most operands carry."""
    count: dict[int, int] = {}
    for _, labels in operands:
        for label in dict.fromkeys(labels):
            if label not in kept:
                count[label] = count.get(label, 0) + 1
    return max(count, key=lambda label: (count[label], -label))


def at(reading: Reading, letters: Letters) -> Reading:
    """A scalar, or a vector or matrix with its letters below it: in the cheaper orientation of a matrix."""
    if reading.body is None or reading.ones:
        return replace(reading, body=None, ones=False)
    forms = reading.reciprocal or reading.body
    tree = _entry(forms[0], letters)
    if len(letters) == 2:
        tree = m.cheapest(tree, _entry(forms[1], letters[::-1]))
    if reading.reciprocal:
        return Reading(reading.coefficient, reading.above, (*reading.below, tree))
    return Reading(reading.coefficient, (*reading.above, tree), reading.below)


def _entry(base: Tree, letters: Letters) -> Tree:
    return m.tree("entry", (base,), letters) if letters else base


def _common(terms: Sequence[tuple[Tree, ...]]) -> tuple[Tree, ...]:
    """The factors that stand in every one of the terms."""

    def both(a: tuple[Tree, ...], b: tuple[Tree, ...]) -> tuple[Tree, ...]:
        rest = list(b)
        shared = []
        for factor in a:
            if factor in rest:
                rest.remove(factor)
                shared.append(factor)
        return tuple(shared)

    return reduce(both, terms)


def _without(factors: tuple[Tree, ...], common: tuple[Tree, ...]) -> tuple[Tree, ...]:
    rest = list(factors)
    for factor in common:
        rest.remove(factor)
    return tuple(rest)


# ---------------------------------------------------------------- arrays that have no other form


def array(root: Expr, reader: Reader) -> Tree:
    """A tensor as a formula of the NumPy dialect, for parts that neither matrices nor entries can say."""
    root = fold(root, FOR_INDICES, {})
    done: dict[Expr, Tree] = {}
    stack = [root]
    while stack:
        node = stack[-1]
        constant = constant_of(node)
        known = reader.tree(node) if node.rank <= 2 else None
        known = None if known is None else m.sliced_identity(known)
        if constant is not None and node.rank > 2:
            known = _repeated(node, constant)
        children = _arguments(node)
        missing = [c for c in children if c not in done] if known is None else []
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        done[node] = known if known is not None else _array(node, [done[c] for c in children], reader)
    return done[root]


def needs_code(expr: Expr, reader: Reader) -> bool:
    """Whether an array is written with einsum, which only code can read."""
    pending = [array(expr, reader)]
    while pending:
        tree = pending.pop()
        if tree.op == "call" and tree.data[0] == "einsum":
            return True
        pending.extend(tree.args)
    return False


def _arguments(node: Expr) -> Sequence[Expr]:
    """The children; of a map of many directions at one matrix, the matrix once; masks without batches."""
    if isinstance(node, Apply) and node.function is masked_softmax:
        return [node.arguments[0], _within_batches(node.arguments[1])]
    if not isinstance(node, Apply) or not getattr(node.function, "back", ()):
        return node.children
    once = [(a, copied(a)) for a in node.arguments]
    return [a if matrix is None else matrix for a, matrix in once]


def _within_batches(mask: Expr) -> Expr:
    """What is repeated along the first axes, which broadcasting does as well."""
    if not isinstance(mask, Einsum) or not mask.coefficient.is_one or len(mask.operands) != 1:
        return mask
    (labels,) = mask.labels
    first = mask.output[: mask.rank - len(labels)]
    plain = len(set(mask.output)) == mask.rank and not set(first) & set(labels)
    return mask.operands[0] if labels and plain and (*first, *labels) == mask.output else mask


def _array(node: Expr, inside: list[Tree], reader: Reader) -> Tree:
    match node:
        case Variable():
            return m.name(node.name)
        case Sum():
            return m.signed_sum([(1, part) for part in inside])
        case Stack():
            return m.call("stack", *inside)
        case Einsum():
            return _einsum(node, inside)
        case Apply():
            name = node.function.name
            if isinstance(node.function, View):
                return view_tree(node, inside)
            if isinstance(node.function, Unknown):
                return m.call(node.function.written(node.parameters), *inside)
            if isinstance(node.function, Elementwise):
                if name in COMPARISONS:
                    return m.compare(COMPARISONS[name], *inside)
                if name == "power":
                    constant = constant_of(node.arguments[1])
                    return m.power(inside[0], inside[1] if constant is None else number(constant), True)
                return m.call(name, *inside)
            if not inside:
                return m.call(name, *(size_tree(Dim.of(p)) for p in node.parameters))
            if name == "one_hot":
                return m.call(name, inside[0], size_tree(node.parameters[0]))
            return _tensorial(node, inside)
        case _:
            raise AssertionError(type(node))


def _repeated(node: Expr, constant: Coefficient) -> Tree:
    """A number in every entry."""
    ones = m.call("ones", *map(size_tree, node.shape))
    return ones if constant.is_one else m.scale(number(constant), ones)


def _tensorial(node: Apply, inside: Sequence[Tree], on: Sequence[int] = ()) -> Tree:
    """A function on the last axes, or on the axes `on`, which are told by number."""
    name = (
        node.function.name.removeprefix("a") if node.function.name in ("amax", "amin") else node.function.name
    )
    if core_rank(node) > 1 and not node.parameters:
        return m.call(name, *inside)
    if name == "matrix_power":
        return m.call(name, *inside, m.number(node.parameters[0]))
    rank = node.arguments[0].rank
    core = core_rank(node)
    axes = [str(k) for k in on or range(rank - core, rank)]
    extra = [m.number(p) for p in shown_parameters(node)]
    return m.call(name, *inside, *extra, options="axis=" + (axes[0] if core == 1 else f"({', '.join(axes)})"))


def _einsum(node: Einsum, inside: list[Tree]) -> Tree:
    """einsum('ij,jkl->ikl', A, T), with identities and ones for the labels that no operand carries."""
    plain = len(set(node.output)) == node.rank and all(labels == node.output for labels in node.labels)
    if plain and inside and node.rank > 2:
        up, down = split(node.coefficient if node.coefficient.rational > 0 else -node.coefficient)
        body = inside[0] if len(inside) == 1 else m.times(*inside)
        scaled = body if up.is_one else m.scale(number(up), body)
        made = scaled if down.is_one else m.over(scaled, number(down))
        return m.signed_sum([(1 if node.coefficient.rational > 0 else -1, made)])
    alphabet = "ijklmnopqrstuvwxyzabcdefgh"
    operands = [(labels, tree) for labels, tree in zip(node.labels, inside, strict=True) if tree is not None]
    output: list[int] = []
    fresh = len(node.sizes)
    carried = {label for labels in node.labels for label in labels}
    for label in node.output:
        size = m.number(Coefficient.of(node.sizes[label]))
        if label in output:
            operands.append(((label, fresh), m.call("eye", size)))
            output.append(fresh)
            fresh += 1
            continue
        if label not in carried and node.output.count(label) == 1:
            operands.append(((label,), m.call("ones", size)))
        output.append(label)
    spec = ",".join("".join(alphabet[k] for k in labels) for labels, _ in operands)
    text = f"'{spec}->{''.join(alphabet[k] for k in output)}'"
    symbol = m.tree("symbol", (), (text, rf"\text{{{text}}}"))
    product = m.call("einsum", symbol, *(tree for _, tree in operands))
    coefficient = node.coefficient
    if coefficient.is_one:
        return product
    sign = -1 if coefficient.rational < 0 else 1
    return m.signed_sum([(sign, m.scale(m.number(coefficient if sign > 0 else -coefficient), product))])


# ---------------------------------------------------------------- ∂vec(Y)/∂vec(X)ᵀ


def vec_form(expr: Expr, output_rank: int, reader: Reader) -> Tree | None:
    """The matrix ∂vec(Y)/∂vec(X)ᵀ, for Y and X of one or two axes each; None if there is none.

    vec stacks columns, so a product T_ijkl = P_jl Q_ik is P ⊗ Q; T_ijkl = P_jk Q_il is (P ⊗ Q)K, where
    K vec(X) = vec(Xᵀ); factors on the axes of Y or of X alone are diagonal matrices on either side.

    >>> from chainrule.expr.nodes import Variable, einsum
    >>> from chainrule.notation.text import to_text
    >>> n = Dim.of("n")
    >>> A, B = Variable("A", (n, n)), Variable("B", (n, n))
    >>> to_text(vec_form(einsum("ik,lj->ijkl", A, B), 2, Reader()))
    'Bᵀ ⊗ A'
    """
    if not (1 <= output_rank <= 2 and 1 <= expr.rank - output_rank <= 2 and expr.rank > 2):
        return None
    products = _terms(expr)
    if products is None:
        return None
    written: list[tuple[int, Tree]] = []
    for product in products:
        rank = output_rank
        if output_rank == 1 and any(is_merge(operand) for operand, _ in product.operands):
            stacked = _unstacked(product)
            if stacked is None:
                return None
            product, rank = stacked, 2
        found = _Kronecker(product, rank, reader).term()
        if found is None:
            return None
        written.append(found)
    written.sort(key=lambda term: (term[0] < 0, _commutes(term[1]), -term[1].leaves, term[1].key))
    return m.signed_sum(written)


def _terms(expr: Expr) -> list[Product] | None:
    """Its terms as products, with sums of tensors inside them multiplied out; None if there are too many."""
    done: list[Product] = []
    waiting = list(expr.terms if isinstance(expr, Sum) else (expr,))[::-1]
    while waiting:
        term = waiting.pop()
        if not isinstance(term, Einsum) or len(done) + len(waiting) >= MOST_TERMS:
            return None
        product = flatten(term)
        operands = [operand for operand, _ in product.operands]
        labels = [axes for _, axes in product.operands]
        inner = next((k for k, o in enumerate(operands) if isinstance(o, Sum) and o.rank > 2), None)
        if inner is None:
            done.append(product)
            continue
        total = operands[inner]
        assert isinstance(total, Sum)
        for part in reversed(total.terms):
            operands[inner] = part
            waiting.append(Einsum(product.coefficient, operands, labels, product.output, product.sizes))
    return done


def _unstacked(product: Product) -> Product | None:
    """The product with Y in place of vec(Y), if its first axis, and nothing else, is stacked from two."""
    for k, (operand, labels) in enumerate(product.operands):
        if is_merge(operand) and len(labels) == 3 and labels[0] == product.output[0]:
            operands = product.operands[:k] + product.operands[k + 1 :]
            if any(labels[0] in axes for _, axes in operands) or labels[0] in product.output[1:]:
                return None
            return replace(product, operands=operands, output=(labels[2], labels[1], *product.output[1:]))
    return None


def _commutes(tree: Tree) -> bool:
    factors = tree.args if tree.op in ("chain", "scale") else (tree,)
    return m.COMMUTATION in factors or m.BOLD_COMMUTATION in factors


class _Kronecker:
    """One product on the axes i, j of Y and k, l of X; a vector has no j or no l."""

    def __init__(self, product: Product, output_rank: int, reader: Reader) -> None:
        self.product, self.reader = product, reader
        self.axes = "ij"[:output_rank] + "kl"[: len(product.output) - output_rank]
        self.label = dict(zip(self.axes, product.output, strict=True))
        self.scalars = Reading(product.coefficient)
        self.matrices: dict[str, list[tuple[Product, bool]]] = {}  # by two axes; True if it stands turned
        self.vectors: dict[str, list[Product]] = {}

    def term(self) -> tuple[int, Tree] | None:
        """Sign and matrix, or None."""
        if self.product.coefficient.is_zero:
            return 1, m.ZEROS
        if not self.place():
            return None
        straight, crossed = ("ik", "jl"), ("il", "jk")
        body = self.matrix(straight) if not any(p in self.matrices for p in crossed) else None
        if body is None and not any(p in self.matrices for p in straight):
            body = self.matrix(crossed)
        return None if body is None else parts(replace(self.scalars, body=(body, body)), 0)

    def place(self) -> bool:
        """Puts every connected part on the axes that it joins; I joins two axes of one label."""
        where: dict[int, str] = {}
        for axis, label in self.label.items():
            where[label] = where.get(label, "") + axis
        kept = set(self.product.output)
        for label, axes in where.items():
            for first, second in pairwise(axes):
                eye = Product(ONE, (), (label, label), self.product.sizes)
                self.matrices.setdefault(first + second, []).append((eye, False))
        for members in _components(self.product.operands, kept):
            operands = tuple(self.product.operands[k] for k in members)
            opened = tuple(sorted({label for _, labels in operands for label in labels if label in kept}))
            group = Product(ONE, operands, opened, self.product.sizes)
            if len(opened) > 2 or (reading := self.reader.product(group)) is None:
                return False
            if not opened:
                scalars = self.scalars
                self.scalars = Reading(
                    scalars.coefficient * reading.coefficient,
                    scalars.above + reading.above,
                    scalars.below + reading.below,
                )
            elif len(opened) == 1:
                self.vectors.setdefault(where[opened[0]][0], []).append(group)
            else:
                pairs = sorted((a, b) for a in where[opened[0]] for b in where[opened[1]])
                first, second = next((p for p in pairs if sorted(p) in (["i", "j"], ["k", "l"])), pairs[0])
                turned = first > second
                self.matrices.setdefault(min(first, second) + max(first, second), []).append((group, turned))
        return True

    def matrix(self, pairing: tuple[str, str]) -> Tree | None:
        """diag(vec(D)) (P ⊗ Q) diag(vec(E)), with K behind if Q is on il and P on jk."""
        if self.matrices.keys() - {*pairing, "ij", "kl"}:
            return None
        if not any(p in self.matrices for p in pairing):
            return self.outer()
        left, right = self.diagonal("ij"), self.diagonal("kl")
        # The slow axis comes first: j of Y if it has two axes, else l of X.
        turn = "j" not in self.axes and pairing[0][1] == "l"
        first, second = pairing if turn else pairing[::-1]
        large, small = self.block(first[0], first[1]), self.block(second[0], second[1])
        if small is m.IDENTITY and large is m.IDENTITY:
            kron = m.IDENTITY
        else:
            kron = self.kron((large, first), (small, second))
        crossed = pairing[0] == "il" and len(self.axes) == 4
        return m.chain(*left, kron, *([self.commutation()] if crossed else []), *right)

    def commutation(self) -> Tree:
        """K, in bold where K is a variable."""
        return m.BOLD_COMMUTATION if "K" in self.reader.taken else m.COMMUTATION

    def kron(self, *factors: tuple[Tree | None, str]) -> Tree:
        """P ⊗ Q."""
        present = [self.sized(part, axes) for part, axes in factors if part is not None]
        if sum(m.takes_any_size(part) for part in present) > 1:
            present = [m.sliced_identity(part) for part in present]
        return present[0] if len(present) == 1 else m.tree("kron", present)

    def sized(self, part: Tree, axes: str) -> Tree:
        """I and 𝟏 with their sizes, which nothing else shows in a Kronecker product or a vec."""
        sizes = [self.product.sizes[self.label[axis]] for axis in axes if axis in self.label]
        if part is ONES_MATRIX:
            return m.chain(m.sized(m.ONES, sizes[0]), m.transpose(m.sized(m.ONES, sizes[1])))
        return m.sized(part, sizes[0]) if sizes else part

    def outer(self) -> Tree:
        """vec(P) vec(Q)ᵀ."""
        rows, columns = self.side("ij"), self.side("kl")
        return m.chain(rows, m.transpose(columns))

    def side(self, axes: str) -> Tree:
        """The vec of all that stands on the axes of Y, or of X."""
        present = [a for a in axes if a in self.label]
        product = self.joined("".join(present), [axes] if len(present) == 2 else [])
        tree = self.sized(whole(self.reading(product), 0), axes)
        return m.call("vec", tree) if len(present) == 2 else tree

    def diagonal(self, axes: str) -> list[Tree]:
        """[diag(vec(D))], or nothing."""
        if axes not in self.matrices:
            return []
        product = self.joined(axes, [axes], vectors=False)
        return [m.diag(m.call("vec", self.sized(whole(self.reading(product), 0), axes)))]

    def block(self, row: str, column: str) -> Tree | None:
        """What stands on a row axis and a column axis; a column or a row if one of them is missing."""
        axes = "".join(a for a in (row, column) if a in self.label)
        if not axes:
            return None
        tree = whole(self.reading(self.joined(axes, [row + column])), 0)
        return m.transpose(tree) if axes == column else tree

    def joined(self, axes: str, pairs: Sequence[str], vectors: bool = True) -> Product:
        """The product of all parts on these axes."""
        label = {axis: k for k, axis in enumerate(axes)}
        sizes = {k: self.product.sizes[self.label[axis]] for axis, k in label.items()}
        operands: list[tuple[Expr, tuple[int, ...]]] = []
        same = False
        groups = [(pair, found) for pair in pairs for found in self.matrices.get(pair, ())]
        for pair, (group, turned) in groups:
            same = same or not group.operands
            inner = (
                dict(zip(group.output, pair[::-1] if turned else pair, strict=True)) if group.operands else {}
            )
            operands += self.renamed(group, {own: label[axis] for own, axis in inner.items()}, sizes)
        for axis in axes if vectors else "":
            for group in self.vectors.get(axis, ()):
                operands += self.renamed(group, {group.output[0]: label[axis]}, sizes)
        output = tuple(range(len(axes)))
        if same:
            operands = [(o, tuple(0 if k == 1 else k for k in labels)) for o, labels in operands]
            output = (0, 0)
        return Product(ONE, tuple(operands), output, sizes)

    def renamed(
        self, group: Product, known: dict[int, int], sizes: dict[int, Dim]
    ) -> list[tuple[Expr, tuple[int, ...]]]:
        """The operands with labels of their own, but for the axes."""
        fresh = dict(known)
        for _, labels in group.operands:
            for label in labels:
                if label not in fresh:
                    fresh[label] = 2 + len(sizes)
                    sizes[fresh[label]] = self.product.sizes[label]
        return [(operand, tuple(fresh[label] for label in labels)) for operand, labels in group.operands]

    def reading(self, product: Product) -> Reading:
        """Its reading; its scalars and sign go to the front."""
        found = self.reader.product(product)
        assert found is not None
        scalars = self.scalars
        self.scalars = Reading(
            scalars.coefficient * found.coefficient, scalars.above + found.above, scalars.below + found.below
        )
        return replace(found, coefficient=ONE, above=(), below=())
