"""The form that reads best.

Common factors outside sums, products multiplied out only where terms then cancel, fractions over one
denominator where that is shorter.

In: any expression. Out: an equal one whose written-out tree is no larger: a fixed point, so doing it twice
changes nothing. Every candidate is made by the normaliser's own doors, so the result stays canonical up to
the last pass, which takes a common number out of a sum: 2(Ax + λx).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations
from operator import itemgetter
from typing import NamedTuple, TypeVar

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels, Stack, Sum, Variable, constant_of, number
from chainrule.expr.walk import transform
from chainrule.rules.elementwise import power
from chainrule.rules.unknown import Unknown
from chainrule.simplify.collected import bases, collected
from chainrule.simplify.normal import Normaliser, scaled, split

Part = TypeVar("Part")
# Products are multiplied out on trial up to this many terms, in trees of at most this size.
TRIAL_TERMS = 24
TRIAL_SIZE = 400
# The calculus of scalars makes polynomials of polynomials, whose terms merge only when all are written out.
SCALAR_TERMS = 120
SCALAR_SIZE = 1500
# So many factors are tried on a sum, those first that would save most.
TRIAL_FACTORS = 8
# Longer sums are left as they are.
FACTORED_TERMS = 64
# Terms of longer sums are not compared in pairs.
COLLECTED_TERMS = 12
# So many terms are multiplied out on trial in one expression; what is longer stays as it is.
TRIAL_BUDGET = 6000
UNPOWERED = Fraction(1)
# A fixed point is reached in two or three rounds; the bound only guards against an endless exchange.
ROUNDS = 6


def simplify(expr: Expr, keep: Iterable[str] = ()) -> Expr:
    """The canonical form of `expr`, factored or multiplied out, whichever is shorter.

    >>> from chainrule.expr.dims import Dim
    >>> n = Dim.of("n")
    >>> A, x = Variable("A", (n, n)), Variable("x", (n,))
    >>> simplify(A @ x - A @ x + 2 * (x / 2))
    x
    """
    return simplify_many([expr], keep)[0]


def simplify_many(
    exprs: Sequence[Expr],
    keep: Iterable[str] = (),
    *,
    most: int = 2,
    normal: Normaliser | None = None,
    collect: int = 3,
) -> list[Expr]:
    """Several expressions at their simplest, parts that they share handled once.

    `most` is how many axes a sum may have that a common factor leaves behind where axes are contracted: with
    1, Av + Bv stays so, for (A + B)v. `normal`, if given, is what has normalised the expressions, and knows
    what to keep. In sums of at least `collect` axes all that two terms share is taken out at once; with fewer
    matrices and vectors read better, and it takes longer.
    """
    shortener = Shortener(normal or Normaliser(keep), most, collect)
    return [shortener(expr) for expr in exprs]


def _any_sum(operand: Expr) -> bool:
    return True


class _Place(NamedTuple):
    """Where a factor stands in a term: for each of its axes the output position, or −1 where it is summed."""

    base: Expr
    axes: tuple[int, ...]


class _Member(NamedTuple):
    """A term with one factor singled out."""

    term: int
    operand: int
    exponent: Fraction


class Shortener:
    """The search for the shortest form; `cost` says what is short."""

    def __init__(self, normal: Normaliser, most: int = 2, collect: int = 3) -> None:
        self.normal, self.most, self.collect = normal, most, collect
        self.costs: dict[Expr, int] = {}
        self.best: dict[Expr, Expr] = {}
        self.short_sums: dict[Expr, Expr] = {}
        self.last: dict[Expr, Expr] = {}
        self.places: dict[Einsum, list[tuple[_Place | None, Fraction]]] = {}
        self.pairs: dict[tuple[Expr, Expr], Expr | None] = {}
        self.budget = TRIAL_BUDGET

    def __call__(self, expr: Expr) -> Expr:
        current = self.normal(expr)
        for _ in range(ROUNDS):
            following = self.normal(transform(current, self.shorter, self.best))
            if following is current:
                break
            current = following
        return transform(self.normal.explicit(current), self._common_number, self.last)

    def cost(self, expr: Expr) -> int:
        """What the written-out tree costs a reader: operands, functions and operators; saturates."""
        known = self.costs.get(expr)
        if known is not None:
            return known
        pending = [expr]
        while pending:
            node = pending[-1]
            unknown = [c for c in node.children if c not in self.costs]
            if unknown:
                pending.extend(unknown)
                continue
            pending.pop()
            inner = sum(self.costs[c] for c in node.children)
            weight = 2 if node.rank > 1 else 1
            match node:
                case Variable():
                    total = weight
                case Einsum():
                    # A sign, a number, a transpose and I are read in passing; repeated along an axis is 𝟏.
                    inside = sum(node.labels, ())
                    moved = len(node.operands) <= 1 and sorted(inside) == sorted(set(node.output))
                    carried = {a for axes in node.labels for a in axes}
                    repeated = node.rank > 1 and bool(node.operands) and not set(node.output) <= carried
                    total = inner + (0 if (moved and node.operands) or _is_identity(node) else 1) + repeated
                case Apply() if node.function is power and constant_of(node.arguments[1]) is not None:
                    total = self.costs[node.arguments[0]] + 1
                case Apply():
                    # A function of something long gets a name when it stands more than once.
                    total = min(inner + 1, weight + 1)
                case Sum() | Stack():
                    total = inner + 1
                case _:
                    raise AssertionError(type(node))
            self.costs[node] = min(total, 10**9)
        return self.costs[expr]

    def shorter(self, node: Expr) -> Expr:
        """The best of a node over shortened children: as it is, factored, multiplied out."""
        node = self.normal(node)
        if isinstance(node, Einsum) and any(map(_is_tensor, node.operands)):
            # No matrix can be factored out of what is no matrix: a sum of products of entries reads best.
            chosen = _is_tensor if node.rank >= self.collect else _any_sum
            expanded = self._multiplied_out(node, chosen)
            return self._best([node if expanded is None else expanded])
        if isinstance(node, Sum):
            # Where it costs the same, one fraction reads better than a fraction in a fraction.
            candidates = [*self._over_denominators(node), self.factored(node)]
            expanded = self._multiplied_out(node)
            if expanded is not None:
                candidates.append(self.factored(expanded) if isinstance(expanded, Sum) else expanded)
        elif isinstance(node, Einsum):
            candidates = [node]
            if any(isinstance(o, Sum) for o in node.operands):
                expanded = self._multiplied_out(node)
                if expanded is not None:
                    candidates.append(self.factored(expanded) if isinstance(expanded, Sum) else expanded)
            candidates += self._without_inner_fractions(node)
        else:
            return node
        return self._best(candidates)

    def _best(self, candidates: Sequence[Expr]) -> Expr:
        best = min(candidates, key=self.cost)
        return self._collected(best) if best.rank >= self.collect else best

    # ------------------------------------------------------------ common denominators

    def _over_denominators(self, node: Sum) -> list[Expr]:
        """1/g − x/g² as (g − x)/g² with the numerator multiplied out, one result for each denominator."""
        found = self._denominators(node)
        return [
            fraction for base, lowest in found.items() for fraction in self._fractions(node, base, lowest)
        ]

    def _denominators(self, node: Sum) -> dict[Expr, Fraction]:
        """What the terms are divided by, with the lowest exponent."""
        found: dict[Expr, Fraction] = {}
        if node.rank > 1 or len(node.terms) > TRIAL_FACTORS:
            return found
        for parts in map(self._parts, node.terms):
            for place, exponent in self._places(parts) if parts is not None else ():
                if place is None or exponent >= 0 or exponent.denominator > 2:
                    continue
                if place.axes == tuple(range(node.rank)):
                    found[place.base] = min(exponent, found.get(place.base, exponent))
        return dict(list(found.items())[:TRIAL_FACTORS])

    def _fractions(self, node: Sum, base: Expr, lowest: Fraction) -> list[Expr]:
        """All terms over the power of the base, and only those that are divided by it, where these differ."""
        divided: list[Expr] = []
        rest: list[Expr] = []
        for term in node.terms:
            (divided if self._exponent(term, base) < 0 else rest).append(term)
        results = []
        splits: list[tuple[Sequence[Expr], Sequence[Expr]]] = [(node.terms, ())]
        if rest and len(divided) > 1:
            splits.append((divided, rest))
        for chosen, others in splits:
            numerator = self.normal.sum([self._times(t, base, -lowest) for t in chosen])
            expanded = self._multiplied_out(numerator)
            numerator = numerator if expanded is None else expanded
            numerator = self.factored(numerator) if isinstance(numerator, Sum) else numerator
            results.append(self.normal.sum([self._times(numerator, base, lowest), *others]))
        return results

    def _exponent(self, term: Expr, base: Expr) -> Fraction:
        """The exponent of the base as a factor of a term, entry by entry."""
        parts = self._parts(term)
        for place, exponent in self._places(parts) if parts is not None else ():
            if place is not None and place.base is base and place.axes == tuple(range(term.rank)):
                return exponent
        return Fraction(0)

    def _times(self, expr: Expr, base: Expr, exponent: Fraction) -> Expr:
        """The product with a power of the base, entry by entry."""
        axes = tuple(range(expr.rank))
        factor = self.normal.apply(power, (base, number(exponent, base.shape)))
        return self.normal.product(ONE, (expr, factor), (axes, axes), axes, dict(enumerate(expr.shape)))

    def _without_inner_fractions(self, node: Einsum) -> list[Expr]:
        """1/(x²(y²/x² + 1)) as 1/(y² + x²): a divisor that is a sum of fractions over another factor."""
        results: list[Expr] = []
        for k, operand in enumerate(node.operands):
            if not isinstance(operand, Apply) or operand.function is not power:
                continue
            inside, exponent = operand.arguments[0], constant_of(operand.arguments[1])
            if not isinstance(inside, Sum) or exponent is None or exponent.powers or exponent.rational >= 0:
                continue
            for base, lowest in self._denominators(inside).items():
                numerator = self.normal.sum([self._times(t, base, -lowest) for t in inside.terms])
                whole = self._times(numerator, base, lowest)
                factor = self.normal.apply(power, (whole, operand.arguments[1]))
                operands = (*node.operands[:k], factor, *node.operands[k + 1 :])
                sizes = dict(enumerate(node.sizes))
                results.append(
                    self.normal.product(node.coefficient, operands, node.labels, node.output, sizes)
                )
        return results

    # ------------------------------------------------------------ multiply out

    def _multiplied_out(self, node: Expr, chosen: Callable[[Expr], bool] = _any_sum) -> Expr | None:
        """Every product over a sum written as a sum of products.

        None where there is nothing to do or too much.
        """
        scalar = _is_scalar_calculus(node)
        if self.cost(node) > (SCALAR_SIZE if scalar else TRIAL_SIZE):
            return None
        most = SCALAR_TERMS if scalar else TRIAL_TERMS
        pending = list(node.terms) if isinstance(node, Sum) else [node]
        count = sum(map(_expanded_count, pending))
        if count > min(most, self.budget):
            return None
        self.budget -= count
        done: list[Expr] = []
        changed = False
        while pending:
            if len(pending) + len(done) > most:
                return None
            term = pending.pop()
            parts = self._distributed(term, chosen)
            if parts is None:
                done.append(term)
            else:
                changed = True
                pending.extend(parts)
        return self.normal.sum(done) if changed else None

    def _distributed(self, term: Expr, chosen: Callable[[Expr], bool]) -> list[Expr] | None:
        """One factor of a term that is a sum, or a small power of one, distributed."""
        if isinstance(term, Apply):
            axes = tuple(range(term.rank))
            term = Einsum(ONE, (term,), (axes,), axes)
        if not isinstance(term, Einsum):
            return None
        operands, labels, output = term.operands, term.labels, term.output
        coefficient, sizes = term.coefficient, dict(enumerate(term.sizes))
        for k, operand in enumerate(operands):
            inside, copies = _small_power(operand)
            if not isinstance(inside, Sum) or not chosen(inside) or (copies == 1 and _only_moved(term)):
                continue
            rest = operands[:k] + operands[k + 1 :] + (inside,) * (copies - 1)
            places = labels[:k] + labels[k + 1 :] + (labels[k],) * (copies - 1)
            return [
                self.normal.product(coefficient, (*rest, t), (*places, labels[k]), output, sizes)
                for t in inside.terms
            ]
        return None

    # ------------------------------------------------------------ factor

    def factored(self, node: Sum) -> Expr:
        """The sum with common factors taken out of groups of terms, the largest saving first."""
        known = self.short_sums.get(node)
        if known is not None:
            return known
        # One factor after the other does not reach into diagonals.
        diagonals = sum(map(_is_diagonal, node.terms)) if node.rank > 1 else 0
        mostly = diagonals < len(node.terms) < 2 * diagonals
        current: Expr = self._collected(node) if mostly else node
        while isinstance(current, Sum):
            improved = self._one_factor_out(current)
            if improved is None:
                break
            current = improved
        if len(node.terms) == 2 and current is not node and _shares_a_sum(*node.terms):
            # ((B − A)x ⊙ g)ᵀ (B − A): without g, what two terms share of it has too many axes to leave.
            whole = self._joined(*node.terms)
            current = current if whole is None or self.cost(whole) >= self.cost(current) else whole
        self.short_sums[node] = current
        return current

    def _collected(self, node: Expr) -> Expr:
        """Pairs of terms of a sum joined by all that they share, the largest saving first."""
        current = node
        while isinstance(current, Sum) and len(current.terms) <= COLLECTED_TERMS:
            found = [
                (-self._shared(first, second), i, j)
                for (i, first), (j, second) in combinations(enumerate(current.terms), 2)
            ]
            for saving, i, j in sorted(found):
                terms = current.terms
                whole = self._joined(terms[i], terms[j]) if saving else None
                if whole is not None:
                    rest = [term for k, term in enumerate(terms) if k not in (i, j)]
                    current = self.normal.sum([whole, *rest]) if rest else whole
                    break
            else:
                break
        return current

    def _shared(self, first: Expr, second: Expr) -> int:
        """At most what one product of two terms costs less, where this is not found otherwise."""
        common = bases(first) & bases(second)
        return sum(map(self.cost, common)) if len(common) > (first.rank == 2) else 0

    def _joined(self, first: Expr, second: Expr) -> Expr | None:
        """Two terms as one product, if that is shorter."""
        key = (first, second)
        if key not in self.pairs:
            whole = collected(first, second, self.normal)
            longer = whole is None or self.cost(whole) >= self.cost(first) + self.cost(second)
            self.pairs[key] = None if longer or isinstance(whole, Sum) else whole
        return self.pairs[key]

    def _one_factor_out(self, node: Sum) -> Expr | None:
        if len(node.terms) > FACTORED_TERMS:
            return None
        terms = [self._parts(t) for t in node.terms]
        groups: dict[_Place, list[_Member]] = {}
        for t, parts in enumerate(terms):
            if parts is None:
                continue
            seen: set[_Place] = set()
            for k, (place, exponent) in enumerate(self._places(parts)):
                if place is not None and place not in seen:
                    seen.add(place)
                    groups.setdefault(place, []).append(_Member(t, k, exponent))
        ranked: list[tuple[int, bytes, _Place, list[_Member]]] = []
        for place, members in groups.items():
            if len(members) < 2:
                continue
            negative = [m for m in members if m.exponent is not UNPOWERED and m.exponent.numerator < 0]
            positive = [m for m in members if m.exponent is UNPOWERED or m.exponent.numerator > 0]
            for side in (positive, negative):
                if len(side) > 1:
                    saving = (len(side) - 1) * self.cost(place.base)
                    ranked.append((-saving, place.base.digest + repr(place.axes).encode(), place, side))
        cost = self.cost(node)
        for _, _, place, side in sorted(ranked, key=itemgetter(0, 1))[:TRIAL_FACTORS]:
            result = self._take_out(node, terms, place, side)
            if result is None:
                continue
            # A common scalar stands outside even where that saves nothing: a divisor of the whole sum; and so
            # does a vector that all else only scales.
            everywhere = len(side) == len(node.terms) and (
                _beside_scalars(terms, side) if place.axes else not isinstance(place.base, Variable)
            )
            if self.cost(result) < cost + (everywhere and not isinstance(result, Sum | Apply)):
                return result
        return None

    def _parts(self, term: Expr) -> Einsum | None:
        """A term as a product; None for a constant."""
        if not isinstance(term, Einsum):
            axes = tuple(range(term.rank))
            return Einsum(ONE, (term,), (axes,), axes)
        return term if term.operands else None

    def _places(self, parts: Einsum) -> list[tuple[_Place | None, Fraction]]:
        """Where the operands of a term stand, and their exponents."""
        known = self.places.get(parts)
        if known is None:
            known = self.places[parts] = _places(parts)
        return known

    def _take_out(
        self, node: Sum, terms: list[Einsum | None], place: _Place, members: list[_Member]
    ) -> Expr | None:
        """base^e · (sum of what remains) + the other terms."""
        least = members[0].exponent
        alike = all([m.exponent is least for m in members])
        if not alike:
            least = min((m.exponent for m in members), key=abs)
            alike = all(m.exponent == least for m in members)
        if not alike and place.base.rank == 0 and _is_symbol(place.base):
            return None  # a polynomial in one scalar reads better as it is
        rank, shape = node.rank, place.base.shape
        needed: set[int] = set(range(rank)).difference(place.axes)
        chosen: list[tuple[Einsum, int, Fraction | None]] = []
        for m in members:
            parts = terms[m.term]
            assert parts is not None
            left = None if alike or m.exponent == least else m.exponent - least
            chosen.append((parts, m.operand, left))
            labels = parts.labels if left is not None else _without(parts.labels, m.operand)
            others = set(sum(labels, ()))
            needed.update([p for p, a in enumerate(parts.output) if a in others])
        kept = sorted(needed)
        summed = [k for k, p in enumerate(place.axes) if p < 0]
        if len(kept) + len(summed) > (self.most if summed else 2):
            return None
        outputs: list[Labels] = []
        for parts, operand, _ in chosen:
            axes = parts.labels[operand]
            output = (*[parts.output[p] for p in kept], *[axes[k] for k in summed])
            if axes and len(set(output)) != len(output):
                return None
            outputs.append(output)
        remainders = []
        for (parts, operand, left), output in zip(chosen, outputs, strict=True):
            operands, labels = _without(parts.operands, operand), _without(parts.labels, operand)
            if left is not None:
                operands += (self.normal.apply(power, (place.base, number(left, shape))),)
                labels += (parts.labels[operand],)
            sizes = dict(enumerate(parts.sizes))
            remainders.append(self.normal.product(parts.coefficient, operands, labels, output, sizes))
        inside = self.normal.sum(remainders)
        if isinstance(inside, Sum):
            inside = self.factored(inside)
        # Labels of the new product: output positions first, then one for each summed axis of the factor.
        outer = tuple(range(rank))
        factor_labels = tuple(p if p >= 0 else rank + k for k, p in enumerate(place.axes))
        inside_labels = (*kept, *(rank + k for k in summed))
        factor = place.base
        if least is not UNPOWERED:
            factor = self.normal.apply(power, (factor, number(least, shape)))
        sizes = dict(enumerate(node.shape)) | {rank + k: shape[k] for k in summed}
        product = self.normal.product(ONE, (factor, inside), (factor_labels, inside_labels), outer, sizes)
        taken = {m.term for m in members}
        rest = [t for k, t in enumerate(node.terms) if k not in taken]
        return self.normal.sum([product, *rest]) if rest else product

    # ------------------------------------------------------------ numbers in front

    def _common_number(self, node: Expr) -> Expr:
        """2Ax + 2λx as 2(Ax + λx): a number or size that all terms share goes in front."""
        if not isinstance(node, Sum):
            return node
        parts = [self.normal.split(t)[:2] for t in node.terms]
        if any(constant_of(body) is not None for _, body in parts):
            return node
        common = _shared([c for c, _ in parts])
        if common.is_one or (-common).is_one:
            return node
        axes = tuple(range(node.rank))
        return Einsum(common, (Sum([scaled(c * common**-1, body) for c, body in parts]),), (axes,), axes)


def _without(parts: tuple[Part, ...], k: int) -> tuple[Part, ...]:
    return parts[:k] + parts[k + 1 :]


def _beside_scalars(terms: Sequence[Einsum | None], members: Sequence[_Member]) -> bool:
    """Whether all other factors of the members are scalars."""
    for member in members:
        parts = terms[member.term]
        assert parts is not None
        if any(axes for k, axes in enumerate(parts.labels) if k != member.operand):
            return False
    return True


def _is_symbol(base: Expr) -> bool:
    """A variable, or a function left unknown, which is a name with an argument."""
    return isinstance(base, Variable) or (isinstance(base, Apply) and isinstance(base.function, Unknown))


def _is_diagonal(term: Expr) -> bool:
    return isinstance(term, Einsum) and len(set(term.output)) < len(term.output)


def _is_identity(node: Einsum) -> bool:
    return not node.operands and len(set(node.output)) < len(node.output)


def _only_moved(term: Expr) -> bool:
    """Whether a product is one factor that is repeated or permuted, not summed: its sum stays inside."""
    if not isinstance(term, Einsum) or len(term.operands) != 1:
        return False
    axes = term.labels[0]
    return len(set(axes)) == len(axes) and set(axes) <= set(term.output)


def _small_power(factor: Expr) -> tuple[Expr, int]:
    """A factor as a base and the 1, 2 or 3 copies of it that it stands for."""
    if isinstance(factor, Apply) and factor.function is power:
        exponent = constant_of(factor.arguments[1])
        if exponent is not None and not exponent.powers and exponent.rational in (2, 3):
            return factor.arguments[0], int(exponent.rational)
    return factor, 1


def _expanded_count(term: Expr) -> int:
    """How many terms a product makes when its sums, and their small powers, are multiplied out; at least."""
    count = 1
    for operand in term.operands if isinstance(term, Einsum) else (term,):
        inside, copies = _small_power(operand)
        if isinstance(inside, Sum):
            count *= len(inside.terms) ** copies
    return count


def _is_scalar_calculus(node: Expr) -> bool:
    """Whether a sum or a product has only scalars in it, down to its factors."""
    parts = node.terms if isinstance(node, Sum) else (node,)
    return not node.rank and not any(
        o.rank for part in parts if isinstance(part, Einsum) for o in part.operands
    )


def _shared(coefficients: list[Coefficient]) -> Coefficient:
    """The number, negative if all are, and the sizes that all the coefficients share.

    1 if the numbers differ.
    """
    rational = abs(coefficients[0].rational)
    if any(abs(c.rational) != rational for c in coefficients):
        return ONE
    if all(c.rational < 0 for c in coefficients):
        rational = -rational
    powers = []
    for dim, _ in coefficients[0].powers:
        exponents = [dict(c.powers).get(dim, 0) for c in coefficients]
        if min(exponents) * max(exponents) > 0:
            powers.append((dim, min(exponents, key=abs)))
    return Coefficient(rational, tuple(powers))


def _shares_a_sum(first: Expr, second: Expr) -> bool:
    """Whether a sum is one of three or more factors that two terms share."""
    shared = bases(first) & bases(second)
    return len(shared) > 2 and any(isinstance(base, Sum) for base in shared)


def _places(parts: Einsum) -> list[tuple[_Place | None, Fraction]]:
    """The base of each operand with its place in the term, and its exponent."""
    found: list[tuple[_Place | None, Fraction]] = []
    whole = len(set(parts.output)) == len(parts.output)
    position = {a: p for p, a in enumerate(parts.output)}
    every = [a for axes in parts.labels for a in axes]
    for operand, axes in zip(parts.operands, parts.labels, strict=True):
        base, exponent = operand, UNPOWERED
        if isinstance(operand, Apply) and operand.function is power:
            constant = constant_of(operand.arguments[1])
            if constant is not None and not constant.powers:
                base, exponent = operand.arguments[0], constant.rational
        place = None
        if len(set(axes)) == len(axes) and (whole or not axes):
            # A power can only leave elementwise: not from a sum over a label that stands in it alone.
            if all([a in position or every.count(a) > 1 for a in axes]):
                place = _Place(base, tuple([position.get(a, -1) for a in axes]))
        found.append((place, exponent))
    return found


def _is_tensor(operand: Expr) -> bool:
    """A sum of more than two axes, unless it is data less something of it: X − mean(X)."""
    if not isinstance(operand, Sum) or operand.rank < 3:
        return False
    bodies = [split(term)[1] for term in operand.terms]
    distinct = all(len(set(b.output)) == b.rank for b in bodies if isinstance(b, Einsum))
    return not (distinct and any(not isinstance(body, Einsum | Sum | Stack) for body in bodies))
