"""The form of an expression that costs least to compute, which need not be the one that reads best.

A factor that is a sum with an identity or a diagonal in one term (P_ij P_ik − δ_jk P_ij) is multiplied out,
since that term then costs no more than the others; other sums stay as they are, so that a product with them
is made once. What terms then share is taken out again where that saves operations. Costs are counted in
multiplications for given or assumed sizes.

In: expressions in canonical form. Out: equal ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from chainrule.codegen.order import Tree, assumed_size, contraction_tree
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable
from chainrule.expr.walk import topological
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.elementwise import power
from chainrule.rules.table import Elementwise, Tensorial
from chainrule.simplify.normal import Normaliser
from chainrule.simplify.shorten import Shortener

# What one number costs in multiplications of a matrix product, which are the cheapest.
PASS = 8.0  # read and written by an operation entry by entry
CALL = 60.0  # put through an elementary function, such as exp
TERMS = 24  # a product is multiplied out into at most so many terms
NODES = 400  # larger programs are compiled as they are
CLEARLY = 0.75  # what prints is compiled where it costs at most so much of what was derived


def cheaper(printed: Sequence[Expr], derived: Sequence[Expr], sizes: Mapping[str, int]) -> list[Expr]:
    """Fast forms of expressions as derived; the equal ones as they print where those cost clearly less.

    What is multiplied out for a reader may cancel: Σx² − (Σx)²/n has lost all digits where x varies little.
    """
    if len(topological([*printed, *derived])) > NODES:
        return list(printed)
    search = _Cheaper(sizes)
    fast = [search(expr) for expr in derived]

    def total(exprs: Sequence[Expr]) -> float:
        return sum(search.own(node) for node in topological(exprs))

    return list(printed) if total(printed) < CLEARLY * total(fast) else fast


class _Cheaper(Shortener):
    """The shortener with costs of computing in the place of costs of reading."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__(Normaliser())
        self.sizes = sizes
        self.whole: dict[Expr, float] = {}
        self.alone: dict[Expr, float] = {}
        self.lengths: dict[Dim, float] = {}

    def shorter(self, node: Expr) -> Expr:
        """A node over cheap children: as it is, multiplied out where identities are, factored."""
        node = self.normal(node)
        if isinstance(node, Sum):
            return min([node, self.factored(node)], key=self.cost)
        if isinstance(node, Einsum):
            expanded = self._spread(node)
            if expanded is not node:
                other = self.factored(expanded) if isinstance(expanded, Sum) else expanded
                return min([node, other], key=self.cost)
        return node

    def _spread(self, node: Einsum) -> Expr:
        """The product with those of its sums multiplied out that have an identity or a diagonal in them."""
        pending, done = [node], list[Expr]()
        while pending:
            if len(pending) + len(done) > TERMS:
                return node
            term = pending.pop()
            k = next((k for k, o in enumerate(term.operands) if _has_identity(o)), None)
            if k is None:
                done.append(term)
                continue
            inside = term.operands[k]
            assert isinstance(inside, Sum)
            rest = term.operands[:k] + term.operands[k + 1 :]
            places = term.labels[:k] + term.labels[k + 1 :]
            sizes = dict(enumerate(term.sizes))
            for part in inside.terms:
                labels = (*places, term.labels[k])
                made = self.normal.product(term.coefficient, (*rest, part), labels, term.output, sizes)
                if isinstance(made, Einsum) and made is not term:
                    pending.append(made)
                else:
                    done.append(made)
        return node if done == [node] else self.normal.sum(done)

    # ------------------------------------------------------------ costs

    def cost(self, expr: Expr) -> float:  # type: ignore[override]
        """What a tree costs to compute."""
        known = self.whole.get(expr)
        if known is None:
            for node in topological([expr], self.whole):
                known = self.whole[node] = self.own(node) + sum([self.whole[c] for c in node.children])
            assert known is not None
        return known

    def own(self, node: Expr) -> float:
        """What a node costs when its children are there."""
        known = self.alone.get(node)
        if known is None:
            known = self.alone[node] = self._own(node)
        return known

    def _own(self, node: Expr) -> float:
        volume = prod(map(self._length, node.shape))
        match node:
            case Variable():
                return 0.0
            case Sum():
                return PASS * sum(volume if not _is_sparse(term) else 0.0 for term in node.terms)
            case Stack():
                return PASS * volume
            case Einsum():
                return self._product(node)
            case Apply() if node.function is power:
                return PASS * volume
            case Apply() if isinstance(node.function, Elementwise):
                return CALL * volume
            case Apply() if isinstance(node.function, Tensorial):
                # A factorisation: the cube of the last axis for every matrix.
                entries = [prod(map(self._length, a.shape)) for a in node.arguments]
                last = max((self._length(a.shape[-1]) for a in node.arguments if a.rank > 1), default=1.0)
                return sum(entries) * (last if node.function.name in CUBIC else CALL)
            case _:
                return PASS * volume

    def _length(self, dim: Dim) -> float:
        known = self.lengths.get(dim)
        if known is None:
            known = self.lengths[dim] = assumed_size(dim, self.sizes)
        return known

    def _product(self, node: Einsum) -> float:
        lengths = [self._length(d) for d in node.sizes]
        labels = [
            tuple(dict.fromkeys(axes))
            for operand, axes in zip(node.operands, node.labels, strict=True)
            if not (isinstance(operand, Apply) and operand.function in (BASIS, SELECT, MERGE))
        ]
        labels = [axes for axes in labels if axes]
        wanted = tuple(dict.fromkeys(node.output))
        if len(labels) < 2:
            return PASS * prod(lengths[a] for axes in labels for a in axes)
        found = 0.0
        tree = contraction_tree(labels, wanted, lengths.__getitem__)
        pending: list[tuple[Tree, frozenset[int]]] = [(tree, frozenset(wanted))]
        while pending:
            part, asked = pending.pop()
            if isinstance(part, int):
                continue
            left, right = (_labels(side, labels) for side in part)
            carried = ((left & (right | asked)), (right & (left | asked)))
            together = prod(lengths[a] for a in carried[0] | carried[1])
            kept = prod(lengths[a] for a in (carried[0] | carried[1]) & asked)
            found += PASS * kept + (together if together > kept else 0.0)
            pending += [(part[0], carried[0]), (part[1], carried[1])]
        return found


CUBIC = frozenset({"inv", "solve", "det", "logdet", "cholesky", "expm", "pinv"})


def _labels(tree: Tree, labels: Sequence[tuple[int, ...]]) -> frozenset[int]:
    if isinstance(tree, int):
        return frozenset(labels[tree])
    return _labels(tree[0], labels) | _labels(tree[1], labels)


def _is_sparse(term: Expr) -> bool:
    """Whether a term is 0 off a diagonal: an axis of its output repeats another."""
    return isinstance(term, Einsum) and len(set(term.output)) < len(term.output)


def _has_identity(operand: Expr) -> bool:
    return isinstance(operand, Sum) and any(map(_is_sparse, operand.terms))
