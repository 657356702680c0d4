"""The search for the matrix expression of a product that costs a reader least.

In: vectors and matrices (trees, each in both orientations) on labels, and the labels of the result. Out:
the tree of the result in both orientations, and the scalars that split off. Expressions are not known here.

A product is a graph: vectors sit on its labels, matrices join two of them. Parts on the same labels
merge by ⊙; then dynamic programming over the connected subsets of the parts (exact up to LARGEST_SEARCH,
greedy beyond) joins two parts at a time by product, dot, trace, diag or ⊙. Both orientations of every
subset are kept, so transposes are never pushed anywhere: the cheaper orientation of a part is taken
where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chainrule.notation import matform as m
from chainrule.notation.matform import Tree

Forms = tuple[Tree, Tree]  # column and row of a vector; a matrix and its transpose; a scalar twice
LARGEST_SEARCH = 9


@dataclass(frozen=True, slots=True)
class Factor:
    """A vector or matrix as it stands in a product; `below` if it divides."""

    forms: Forms
    below: bool = False


@dataclass(slots=True)
class Graph:
    """The parts of a product by their labels (the smaller one of a matrix first), and the result's."""

    output: tuple[int, ...]
    vectors: dict[int, list[Factor]] = field(default_factory=dict)
    matrices: dict[tuple[int, int], list[Factor]] = field(default_factory=dict)

    def add(self, labels: Sequence[int], factor: Factor) -> None:
        """One more part, on one label or on two different ones."""
        if len(labels) == 1:
            self.vectors.setdefault(labels[0], []).append(factor)
        elif labels[0] < labels[1]:
            self.matrices.setdefault((labels[0], labels[1]), []).append(factor)
        else:
            turned = Factor((factor.forms[1], factor.forms[0]), factor.below)
            self.matrices.setdefault((labels[1], labels[0]), []).append(turned)


@dataclass(frozen=True, slots=True)
class Result:
    """body (None for a scalar) times scalars; `ones` if the body is 𝟏."""

    body: Forms | None
    scalars: tuple[Tree, ...]
    ones: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A joined subset: its open labels, ascending, and its forms for that order and the reverse."""

    labels: tuple[int, ...]
    forms: Forms


def settle(first: Tree, second: Tree) -> Forms:
    """Both orientations, each as the transpose of the other where that is cheaper."""
    return m.cheapest(first, m.transpose(second)), m.cheapest(second, m.transpose(first))


def turned(column: Tree) -> Forms:
    """A tree and its transpose."""
    return column, m.transpose(column)


ALL_ONES = (m.ONES, m.transpose(m.ONES))
ONES_MATRIX = m.chain(m.ONES, m.transpose(m.ONES))


def contract(graph: Graph) -> Result | None:
    """The cheapest tree found, or None if matrix language cannot say it."""
    _sum_lonely_labels(graph)
    scalars: list[Tree] = []
    open_parts: list[Part] = []
    for labels in _components(graph):
        part = _component(graph, labels)
        if part is None:
            return None
        if part.labels:
            open_parts.append(part)
        else:
            scalars.append(part.forms[0])
    wanted = graph.output
    if not wanted:
        return Result(None, tuple(scalars))
    if len(set(wanted)) == 1:
        vector = open_parts[0].forms if open_parts else ALL_ONES
        if len(wanted) == 2:
            diagonal = m.diag(vector[0])
            if vector[0].op == "diagonal":
                diagonal = m.cheapest(m.times(vector[0].args[0], m.IDENTITY), diagonal)
            return Result((diagonal, diagonal), tuple(scalars))
        return Result(vector, tuple(scalars), ones=not open_parts)
    if not open_parts:
        return Result((ONES_MATRIX, ONES_MATRIX), tuple(scalars), ones=True)
    if len(open_parts[0].labels) == 2:
        forms = open_parts[0].forms
        return Result(forms if wanted[0] < wanted[1] else (forms[1], forms[0]), tuple(scalars))
    sides = {part.labels[0]: part.forms for part in open_parts}
    a, b = sides.get(wanted[0], ALL_ONES), sides.get(wanted[1], ALL_ONES)
    return Result(settle(m.chain(a[0], b[1]), m.chain(b[0], a[1])), tuple(scalars))


def _sum_lonely_labels(graph: Graph) -> None:
    """A summed label that nothing but matrices on one pair of labels carries is a product with 𝟏."""
    pairs: dict[int, int] = {}
    for pair in graph.matrices:
        for label in pair:
            pairs[label] = pairs.get(label, 0) + 1
    lonely = {
        a for a, count in pairs.items() if count == 1 and a not in graph.output and a not in graph.vectors
    }
    for pair in graph.matrices:
        if lonely.issuperset(pair):
            continue  # an inner product of matrices, or all entries of one
        for label in pair:
            if label in lonely:
                graph.vectors[label] = [Factor(ALL_ONES)]


def _components(graph: Graph) -> list[list[int]]:
    root: dict[int, int] = {}

    def find(label: int) -> int:
        while root.setdefault(label, label) != label:
            label = root[label]
        return label

    for a, b in graph.matrices:
        root[find(a)] = find(b)
    for label in graph.vectors:
        find(label)
    groups: dict[int, list[int]] = {}
    for label in root:
        groups.setdefault(find(label), []).append(label)
    return list(groups.values())


# ---------------------------------------------------------------- parts on the same labels


def order(part: Tree) -> tuple[int, str]:
    """How factors stand beside each other: names, products, sums, functions, indicators."""
    inner = part
    while inner.op in ("power", "transpose", "matrix_power", "inverse", "root") and inner.op != "name":
        inner = inner.args[0]
    rank = {
        "name": 0,
        "entry": 0,
        "symbol": 0,
        "chain": 1,
        "sum": 2,
        "call": 3,
        "norm": 3,
        "abs": 3,
        "compare": 4,
    }
    key = part.key
    if inner.op == "call" and inner.args and inner.args[0].op == "sum" and len(inner.args[0].args) == 1:
        key = f"call({inner.args[0].args[0].key}~"  # σ(x) before σ(−x)
    elif inner.op == "call":
        key = inner.key
    return rank.get(inner.op, 2), key


def entrywise(factors: Sequence[Factor], side: int) -> Tree:
    """The entrywise product and quotient of parts, in one orientation."""
    above = sorted((f.forms[side] for f in factors if not f.below), key=order)
    below = sorted((f.forms[side] for f in factors if f.below), key=order)
    numerator = m.times(*above) if above else m.ONE
    return m.divide(numerator, m.times(*below)) if below else numerator


def _vector(factors: Sequence[Factor]) -> Forms:
    if len(factors) == 1 and not factors[0].below:
        return factors[0].forms
    return turned(entrywise(factors, 0))


def _matrix(factors: Sequence[Factor]) -> Forms:
    if len(factors) == 1 and not factors[0].below:
        return factors[0].forms
    return settle(entrywise(factors, 0), entrywise(factors, 1))


def _square_of(part: Tree) -> Tree | None:
    """v, if the part is v² entry by entry."""
    if part.op == "power" and part.args[1] is TWO:
        return part.args[0]
    return None


TWO = m.number(2)


def _inner_product(factors: Sequence[Factor], matrices: bool) -> Tree:
    """The sum of all entries of the entrywise product."""
    above = [f for f in factors if not f.below]
    if len(factors) == 1 and above:
        roots = [t for t in map(_square_of, factors[0].forms) if t is not None]
        if roots:
            return m.power(m.tree("norm", (m.cheapest(*roots),)), TWO)
        return total(m.cheapest(*factors[0].forms) if matrices else factors[0].forms[0])
    candidates = [total(entrywise(factors, side)) for side in ((0, 1) if matrices else (0,))]
    for factor in above if len(above) > 1 else ():
        rest = [f for f in factors if f is not factor]
        forms = _matrix(rest) if matrices else _vector(rest)
        if matrices:
            candidates += [m.call("tr", m.chain(factor.forms[1 - s], forms[s])) for s in (0, 1)]
        else:
            candidates += [m.chain(factor.forms[1], forms[0])]
    return m.cheapest(*candidates)


def total(part: Tree) -> Tree:
    """The sum of all entries: sum(Ax), and sum(A) for sum(A𝟏)."""
    if part.op == "chain" and part.args[-1] is m.ONES:
        part = m.chain(*part.args[:-1])
    return m.call("sum", part)


# ---------------------------------------------------------------- one connected component


def _component(graph: Graph, labels: Iterable[int]) -> Part | None:
    inside = set(labels)
    parts: list[Part] = []
    matrices = [(pair, factors) for pair, factors in graph.matrices.items() if pair[0] in inside]
    vectors = [(label, factors) for label, factors in graph.vectors.items() if label in inside]
    closed = not any(label in inside for label in graph.output)
    if closed and not vectors and len(matrices) == 1:
        scalar = _inner_product(matrices[0][1], matrices=True)
        return Part((), (scalar, scalar))
    if closed and not matrices:
        scalar = _inner_product(vectors[0][1], matrices=False)
        return Part((), (scalar, scalar))
    parts += [Part((label,), _vector(factors)) for label, factors in vectors]
    parts += [Part(pair, _matrix(factors)) for pair, factors in matrices]
    if len(parts) > LARGEST_SEARCH:
        return _greedy(parts, set(graph.output))
    return _search(parts, set(graph.output))


def _search(parts: list[Part], output: set[int]) -> Part | None:
    """The cheapest join of all parts, over all ways to join connected subsets."""
    everything = (1 << len(parts)) - 1
    carriers: dict[int, int] = {}
    for k, part in enumerate(parts):
        for label in part.labels:
            carriers[label] = carriers.get(label, 0) | 1 << k
    best: dict[int, Part | None] = {1 << k: part for k, part in enumerate(parts)}
    masks = {part.labels for part in parts if part.forms[0].op in ENTRYWISE}

    def joined(mask: int) -> Part | None:
        if mask in best:
            return best[mask]
        labels = tuple(
            sorted(
                a for a, who in carriers.items() if who & mask and (a in output or who & ~mask & everything)
            )
        )
        result: Part | None = None
        if len(labels) <= 2:
            low = mask & -mask
            rest = mask ^ low
            sub = rest
            while sub:
                sub = (sub - 1) & rest
                left, right = low | sub, rest ^ sub
                p = joined(left)
                q = joined(right) if p is not None else None
                if p is not None and q is not None:
                    result = _better(result, _join(p, q, labels) or _outer(p, q, masks))
                if not sub:
                    break
        best[mask] = result
        return result

    return joined(everything)


def _greedy(parts: list[Part], output: set[int]) -> Part | None:
    """Joins the pair that leaves the fewest labels open and costs least, until one part is left."""
    parts = list(parts)
    # Joins of pairs; what is joined elsewhere leaves a pair's open labels as they are.
    known: dict[tuple[Part, Part], Part | None] = {}
    while len(parts) > 1:
        found: tuple[tuple[int, int, int, int], Part] | None = None
        carriers: dict[int, list[int]] = {}
        for k, p in enumerate(parts):
            for label in p.labels:
                carriers.setdefault(label, []).append(k)
        pairs = {(a, b) for who in carriers.values() for a in who for b in who if a < b}
        for a, b in sorted(pairs):
            key = parts[a], parts[b]
            if key not in known:
                both = {*parts[a].labels, *parts[b].labels}
                labels = tuple(sorted(c for c in both if c in output or not {a, b}.issuperset(carriers[c])))
                known[key] = _join(parts[a], parts[b], labels) if len(labels) <= 2 else None
            part = known[key]
            if part is not None:
                rank = (len(part.labels), sum(f.cost for f in part.forms), a, b)
                if found is None or rank < found[0]:
                    found = rank, part
        if found is None:
            return None
        (_, _, a, b), part = found
        parts = [p for k, p in enumerate(parts) if k not in (a, b)] + [part]
    return parts[0]


def _better(old: Part | None, new: Part | None) -> Part | None:
    if old is None or new is None:
        return new or old
    return Part(old.labels, (m.cheapest(old.forms[0], new.forms[0]), m.cheapest(old.forms[1], new.forms[1])))


def _join(p: Part, q: Part, labels: tuple[int, ...]) -> Part | None:
    """Two parts that share a label, joined into one with the given open labels; None if they share none."""
    shared = [label for label in p.labels if label in q.labels]
    if not shared:
        return None
    if len(p.labels) > len(q.labels):
        p, q = q, p
    match len(p.labels), len(q.labels):
        case 1, 1:
            if labels:
                return Part(labels, turned(m.times(*sorted((p.forms[0], q.forms[0]), key=order))))
            scalar = _dot(p.forms, q.forms)
            return Part((), (scalar, scalar))
        case 1, 2:
            at = q.labels.index(shared[0])
            matrix = q.forms if at == 0 else (q.forms[1], q.forms[0])  # rows on the shared label
            if len(labels) == 1:
                return Part(labels, settle(m.chain(matrix[1], p.forms[0]), m.chain(p.forms[1], matrix[0])))
            diagonal = m.diag(p.forms[0])
            forms = settle(m.chain(diagonal, matrix[0]), m.chain(matrix[1], diagonal))
            return Part(labels, forms if at == 0 else (forms[1], forms[0]))
        case 2, 2 if len(shared) == 1:
            left = p.forms if p.labels[1] == shared[0] else (p.forms[1], p.forms[0])
            right = q.forms if q.labels[0] == shared[0] else (q.forms[1], q.forms[0])
            forms = settle(m.chain(left[0], right[0]), m.chain(right[1], left[1]))
            first = p.labels[0] if p.labels[1] == shared[0] else p.labels[1]
            return Part(labels, forms if first == labels[0] else (forms[1], forms[0]))
        case _:
            if len(labels) == 2:
                both = [m.times(*sorted((p.forms[s], q.forms[s]), key=order)) for s in (0, 1)]
                return Part(labels, settle(both[0], both[1]))
            if not labels:
                scalar = _inner_product([Factor(p.forms), Factor(q.forms)], matrices=True)
                return Part((), (scalar, scalar))
            rows = 0 if p.labels[0] == labels[0] else 1  # the orientation with the open label first
            a, b = (p.forms[rows], p.forms[1 - rows]), (q.forms[rows], q.forms[1 - rows])
            candidates = [m.tree("diagonal", (m.chain(*pair),)) for pair in ((a[0], b[1]), (b[0], a[1]))]
            candidates.append(m.chain(m.times(*sorted((a[0], b[0]), key=order)), m.ONES))
            return Part(labels, turned(m.cheapest(*candidates)))


# A matrix made entry by entry: between two vectors it is multiplied by their outer product, where a linear
# map would be scaled from both sides: rwᵀ ⊙ 1[Z > 0], but diag(u) A diag(v).
ENTRYWISE = frozenset(("compare", "call", "times", "divide", "power", "root", "abs"))


def _outer(p: Part, q: Part, masks: set[tuple[int, ...]]) -> Part | None:
    """The outer product of two vectors that sit on the two sides of a matrix made entry by entry."""
    if len(p.labels) != 1 or len(q.labels) != 1 or (*sorted(p.labels + q.labels),) not in masks:
        return None
    if p.forms[0] is m.ONES or q.forms[0] is m.ONES:
        return None
    a, b = (p.forms, q.forms) if p.labels < q.labels else (q.forms, p.forms)
    return Part((*sorted(p.labels + q.labels),), settle(m.chain(a[0], b[1]), m.chain(b[0], a[1])))


def _dot(a: Forms, b: Forms) -> Tree:
    if a[0] is m.ONES or b[0] is m.ONES:
        return total(b[0] if a[0] is m.ONES else a[0])
    return m.cheapest(m.chain(a[1], b[0]), m.chain(b[1], a[0]))
