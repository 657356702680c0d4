"""Parts that several products contain are made once.

In: the products of a program, each with the tree in which it is contracted. Out: new nodes for parts, the
subtrees of one product whose factors another has too, with the same sums over them; and the products with
these nodes in the place of the factors. In a network the gradients by the bias and by the weights of a layer
so share their δ. A part is taken where that saves multiplications at the sizes given or assumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from chainrule.codegen.flatten import Factor, Product
from chainrule.codegen.order import Tree, contraction_tree
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr
from chainrule.rules.constants import BASIS, MERGE, SELECT

# Labels of the factors with axes, labels that are kept, all sizes.
Key = tuple[tuple[tuple[int, ...], ...], tuple[int, ...], tuple[tuple[int, Dim], ...]]
WORTH = 0.999  # a part is shared if all then costs less than this part of what it did
MOST = 400  # of more products none are compared


def shared_parts(products: Mapping[Expr, Product], length: Callable[[Dim], float]) -> Sharing:
    """The parts that are worth sharing, with all products that change."""
    sharing = Sharing(dict(products), length)
    if len(products) <= MOST:
        sharing.run()
    return sharing


@dataclass(slots=True)
class Sharing:
    """`products` as they are now, `parts` the nodes that are new, `changed` those with others.

    A part may be in later parts, and comes before them.
    """

    products: dict[Expr, Product]
    length: Callable[[Dim], float]
    parts: list[Expr] = field(default_factory=list)
    changed: set[Expr] = field(default_factory=set)
    costs: dict[Key, tuple[float, Tree | None]] = field(default_factory=dict)

    def run(self) -> None:
        """Shares parts, those that save most first, until none saves anything."""
        nodes = {node: None for node in self.products if self._plain(node)}
        active = list(nodes)
        while active:
            containing: dict[Expr, dict[Expr, None]] = {}
            for node in nodes:
                for factor in self.products[node].factors:
                    containing.setdefault(factor.source, {})[node] = None
            found = {
                part: self._using(part, made, users)
                for node in active
                for part, made, users in self._subtrees(node, containing)
            }
            touched: dict[Expr, None] = {}
            for part, (saved, users) in sorted(found.items(), key=lambda item: -item[1][0]):
                if saved <= 0 or touched.keys() & users.keys():
                    continue
                if part not in self.products:
                    self.products[part] = _as_product(part)
                    self.parts.append(part)
                    nodes[part] = None
                self.products.update(users)
                touched |= dict.fromkeys((*users, part))
            self.changed.update(touched)
            active = [node for node in touched if node in nodes]

    def _plain(self, node: Expr) -> bool:
        """Whether a product has at least two factors with axes, and no identities in it."""
        factors = self.products[node].factors
        rows = (f.source.function for f in factors if isinstance(f.source, Apply))
        constant = any(row in (BASIS, MERGE, SELECT) for row in rows)
        return not constant and sum(1 for f in factors if f.labels) > 1

    # ---------------------------------------------------------- parts

    def _subtrees(
        self, node: Expr, containing: Mapping[Expr, Mapping[Expr, None]]
    ) -> Iterator[tuple[Expr, Product, list[Expr]]]:
        """The parts that contracting a product makes, all of it too, with others that may have them."""
        product = self.products[node]
        near = Counter(other for f in product.factors for other in containing[f.source])
        if all(count < 2 for other, count in near.items() if other is not node):
            return
        tree = self._cost(product)[1]
        trees = [tree] if tree is not None else []
        arrays = [k for k, f in enumerate(product.factors) if f.labels]
        while trees:
            tree = trees.pop()
            if isinstance(tree, int):
                continue
            trees += tree
            inside = sorted(arrays[k] for k in _leaves(tree))
            factors = [product.factors[k] for k in inside]
            users = [n for n in containing[factors[0].source] if _all_in(n, factors, containing)]
            if len(users) < 2 or any(f.inverted or f.adjugate or f.exponent != 1 for f in factors):
                continue
            outside = set(product.output)
            outside.update(a for k, f in enumerate(product.factors) if k not in inside for a in f.labels)
            labels = [a for f in factors for a in f.labels]
            kept = set(labels) & outside
            # An outer product is as large as what is made of it, which takes its factors in one pass.
            outer = kept == set(labels) and len(labels) == len(kept)
            if kept and not outer:
                order = self._as_there(factors, _laid_out(factors, kept), users)
                part = _part(factors, order)
                yield part, _as_product(part), [user for user in users if user is not part]

    def _as_there(self, factors: Sequence[Factor], order: list[int], users: Sequence[Expr]) -> list[int]:
        """The axes of a part in the order of a product that is this part and no more, if there is one."""
        for user in users:
            product = self.products[user]
            if len(product.factors) != len(factors) or len(set(product.output)) != len(order):
                continue
            part = _part(factors, order)
            found = next(_matches(product, _as_product(part)), None)
            if found is not None and set(map(found[1].get, part.output)) == set(product.output):
                names = dict(zip(map(found[1].get, part.output), order, strict=True))
                return [names[a] for a in dict.fromkeys(product.output)]
        return order

    def _using(self, part: Expr, made: Product, users: Sequence[Expr]) -> tuple[float, dict[Expr, Product]]:
        """How much is saved where the part is used, and the products that use it."""
        there = part in self.products
        before, after = 0.0, 0.0 if there else self._cost(made)[0]
        changed: dict[Expr, Product] = {}
        for node in users:
            product = self.products[node]
            other = _replaced(product, part, made)
            if other is not product:
                costs = self._cost(product)[0], self._cost(other)[0]
                if costs[1] <= costs[0]:
                    changed[node] = other
                    before, after = before + costs[0], after + costs[1]
        worth = len(changed) + there > 1 and after < WORTH * before
        return before - after if worth else 0.0, changed

    # ---------------------------------------------------------- costs

    def _cost(self, product: Product) -> tuple[float, Tree | None]:
        """What contracting a product costs, in multiplications, and its tree."""
        axes = tuple(tuple(dict.fromkeys(f.labels)) for f in product.factors if f.labels)
        wanted = tuple(dict.fromkeys(product.output))
        key = (axes, wanted, tuple(product.sizes.items()))
        if key not in self.costs:
            lengths = {a: self.length(dim) for a, dim in product.sizes.items()}
            tree = contraction_tree(axes, wanted, lengths.__getitem__) if axes else None
            self.costs[key] = (_cost_of(tree, axes, wanted, lengths) if tree is not None else 0.0, tree)
        return self.costs[key]


def _laid_out(factors: Sequence[Factor], kept: set[int]) -> list[int]:
    """The axes of a part in the order of a factor that has them all, if there is one."""
    whole = [f.labels for f in factors if kept <= set(f.labels)]
    return [a for a in dict.fromkeys(a for labels in (*whole, *(f.labels for f in factors)) for a in labels)
            if a in kept]  # fmt: skip


def _all_in(node: Expr, factors: Sequence[Factor], containing: Mapping[Expr, Mapping[Expr, None]]) -> bool:
    return all(node in containing[f.source] for f in factors)


def _part(factors: Sequence[Factor], order: Sequence[int]) -> Einsum:
    return Einsum(ONE, [f.source for f in factors], [f.labels for f in factors], order)


def _as_product(part: Expr) -> Product:
    assert isinstance(part, Einsum)
    factors = tuple(Factor(o, labels) for o, labels in zip(part.operands, part.labels, strict=True))
    return Product(ONE, factors, part.output, dict(enumerate(part.sizes)))


def _cost_of(
    tree: Tree, axes: Sequence[Sequence[int]], wanted: Sequence[int], lengths: Mapping[int, float]
) -> float:
    total = 0.0

    def carried(node: Tree, outside: frozenset[int]) -> frozenset[int]:
        nonlocal total
        if isinstance(node, int):
            own = frozenset(axes[node])
            if not own <= outside:
                total += prod(lengths[a] for a in own)
            return own & outside
        below = [frozenset(a for k in _leaves(side) for a in axes[k]) for side in node]
        both = carried(node[0], outside | below[1]) | carried(node[1], outside | below[0])
        total += prod(lengths[a] for a in both) + 0.5 * prod(lengths[a] for a in both & outside)
        return both & outside

    carried(tree, frozenset(wanted))
    return total


def _leaves(tree: Tree) -> list[int]:
    return [tree] if isinstance(tree, int) else [*_leaves(tree[0]), *_leaves(tree[1])]


# ---------------------------------------------------------------- the same factors in another product


def _replaced(product: Product, part: Expr, made: Product) -> Product:
    """The product with the part in the place of its factors, as often as it has them; itself if never."""
    while True:
        found = next(_matches(product, made), None)
        if found is None:
            return product
        places, labels = found
        first = min(places)
        new = Factor(part, tuple(labels[a] for a in made.output))
        factors = list(product.factors)
        factors[first] = new
        factors = [f for k, f in enumerate(factors) if k == first or k not in places]
        carried = {*product.output, *(a for f in factors for a in f.labels)}
        sizes = {a: dim for a, dim in product.sizes.items() if a in carried}
        product = replace(product, factors=tuple(factors), sizes=sizes)


def _matches(product: Product, made: Product) -> Iterator[tuple[set[int], dict[int, int]]]:
    """Which factors of the product are those of the part, and what its labels are called there."""
    summed = {a for f in made.factors for a in f.labels} - set(made.output)

    def search(
        k: int, places: list[int], labels: dict[int, int]
    ) -> Iterator[tuple[set[int], dict[int, int]]]:
        if k == len(made.factors):
            hidden = {labels[a] for a in summed}
            others = {a for j, f in enumerate(product.factors) if j not in places for a in f.labels}
            if not hidden & (others | set(product.output)):
                yield set(places), labels
            return
        wanted = made.factors[k]
        for j, factor in enumerate(product.factors):
            same = factor.source is wanted.source and not factor.inverted and not factor.adjugate
            if j in places or not same or factor.exponent != 1:
                continue
            trial = dict(labels)
            if all(trial.setdefault(a, b) == b for a, b in zip(wanted.labels, factor.labels, strict=True)):
                if len(set(trial.values())) == len(trial):
                    yield from search(k + 1, [*places, j], trial)

    yield from search(0, [], {})
