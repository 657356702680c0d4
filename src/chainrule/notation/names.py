"""Names for parts: which parts of some expressions deserve one, and with which letter.

In: expressions that are printed together, the names that a person gave to parts. Out: the expressions with
named parts replaced by variables, and the definitions, each before it is used.

A part gets a name when a person gave it one, when it is the argument of an activation that reads data
through a matrix product (z = Xw + b), or when naming it makes everything together shorter. A part counts
wherever it stands times a number: −m is an occurrence of m.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of, number
from chainrule.expr.walk import dim_names, rebuild, topological, transform, variables
from chainrule.notation.grouping import grouped
from chainrule.notation.index import index_form, needs_code
from chainrule.notation.matform import Tree
from chainrule.notation.recover import Reader
from chainrule.notation.standardised import standardised
from chainrule.rules.elementwise import power, sigmoid
from chainrule.rules.table import Elementwise
from chainrule.rules.unknown import unknown_in
from chainrule.rules.views import OVERLAP
from chainrule.simplify import Normaliser, simplify_many
from chainrule.simplify.definite import AT_MOST_ONE
from chainrule.simplify.normal import scaled, split
from chainrule.simplify.powers import primitive

# What " where z = " and the comma between definitions cost, in characters.
OVERHEAD = 11
ACTIVATIONS = frozenset(("relu", "sigmoid", "softplus", "tanh", "greater", "greater_equal"))
# An activation's argument with fewer names than this reads well where it stands.
ARGUMENT_LEAVES = 3
# Letters that everyone uses for the value of a function, which gets a name wherever it stands in something.
USUAL = {
    "cholesky": "L", "eigvecsh": "V", "svd_left": "U", "svd_right": "V", "top_left": "u", "top_right": "v",
}  # fmt: skip
# Letters by use, then by rank.
LETTERS = {"a": "", "z": "zZ", "m": "mM", "p": "pP", "e": "erER", "s": "sS", "": ""}
BY_RANK = ("stcqk", "uvqhg", "MKSGH")


@dataclass(frozen=True)
class Named:
    """Expressions with names in them, and what the names stand for, each defined before it is used.

    definitions  in terms of the names before
    parts        the same parts written out
    """

    exprs: tuple[Expr, ...]
    definitions: tuple[tuple[str, Expr], ...]
    parts: tuple[Expr, ...]


def name_parts(
    exprs: Sequence[Expr], given: Mapping[str, Expr], taken: Iterable[str] = (), *, errors: bool = False
) -> Named:
    """`exprs` with the parts named that deserve it; `taken` are names that must not be used.

    A name in `given` stands for exactly what it was given to; of two names for one part the first is taken.
    `errors`: a prediction minus data gets a name where a condition stands beside it, e ⊙ 1[z > 0].

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.rules.tensorial import softmax
    >>> p = Apply(softmax, (Variable("x", (Dim.of("n"),)),))
    >>> name_parts([p * p - p + p**3 * p.sum()], {}).definitions
    (('p', softmax(x)),)
    """
    return (_ErrorNamer if errors else Namer)(exprs, given, taken).named()


class Namer:
    """Chooses names for the parts of some expressions; `deserves` and `letter` are its policy."""

    def __init__(self, exprs: Sequence[Expr], given: Mapping[str, Expr], taken: Iterable[str]) -> None:
        self.normal = Normaliser()
        simplest = dict(zip(given, simplify_many(list(given.values())), strict=True))
        named = {name: expr for name, expr in simplest.items() if not is_leaf(split(expr)[1])}
        # A person's part is a number times the part that is looked for: y − a is −1 times a − y.
        meant = {name: self._content(expr) for name, expr in named.items()}
        self.given: dict[Expr, tuple[str, Coefficient]] = {}
        for name, (coefficient, part) in meant.items():
            self.given.setdefault(part, (name, coefficient))
        by_values, self.normalised = standardised(exprs)
        self.exprs = grouped(by_values, list(self.given))
        self.order = topological(self.exprs)
        self.parts = {node: self._part(node) for node in self.order}
        self.taken = {*taken, *dim_names(*exprs), *given, *(v.name for v in variables(*exprs))}
        self.taken.update(unknown_in(*exprs))
        self.names: dict[Expr, str] = {}

    def _part(self, node: Expr) -> tuple[Coefficient, Expr]:
        """A node as a number times the part that it is an occurrence of."""
        if isinstance(node, Sum):
            content, inside = primitive(node, self.normal)
            if isinstance(inside, Sum) and _reads_better_negated(inside):
                axes = tuple(range(inside.rank))
                flipped = self.normal.product(-ONE, (inside,), (axes,), axes, dict(enumerate(inside.shape)))
                return -content, flipped
            return content, inside
        return split(node)

    def _content(self, expr: Expr) -> tuple[Coefficient, Expr]:
        """The same of a part that a person named, which may be a number times a sum."""
        outer, inside = split(expr)
        coefficient, part = self._part(inside)
        return outer * coefficient, part

    def named(self) -> Named:
        self._choose()
        if not self.names:
            return Named(tuple(self.exprs), (), ())
        symbols = {
            part: Variable(name, part.shape, ("symmetric",) if self.normal.is_symmetric(part) else ())
            for part, name in self.names.items()
        }
        values: dict[Expr, Expr] = {}
        for node in self.order:
            coefficient, part = self.parts[node]
            if part in symbols:
                values[node] = scaled(coefficient * self._meant(part) ** -1, symbols[part])
        # A definition is written in terms of the others, so a part may only become visible inside another
        # one.
        definitions: dict[Expr, Expr] = {}
        memo = dict(values)
        opposites = self._opposites(symbols)
        for part in sorted(symbols, key=lambda p: (self._depth(p), p in opposites, self.names[p])):
            if part in opposites:
                definitions[part] = Sum((number(1, part.shape), -symbols[opposites[part]]))
                continue
            own = [child for child in part.children if child in values and self.parts[child][1] is part]
            done = {n: v for n, v in values.items() if n not in own} if own else memo
            inside = rebuild(part, [transform(child, self._signs_out, done) for child in part.children])
            definitions[part] = _times(self._meant(part), inside)
        exprs = tuple(transform(e, self._signs_out, memo) for e in self.exprs)
        wanted = {v.name for e in (*exprs, *definitions.values()) for v in variables(e)}
        used = [p for p in definitions if self.names[p] in wanted]
        written_out = tuple(self.normal(_times(self._meant(p), p)) for p in used)
        return Named(exprs, tuple((self.names[p], definitions[p]) for p in used), written_out)

    def _opposites(self, parts: Iterable[Expr]) -> dict[Expr, Expr]:
        """Of σ(−z), the part σ(z) that a person named h: it is 1 − h."""
        found: dict[Expr, Expr] = {}
        for part in parts:
            if part in self.given and isinstance(part, Apply) and part.function is sigmoid:
                opposite = self.normal.apply(sigmoid, (self.normal(-part.arguments[0]),))
                if opposite not in self.given:
                    found[opposite] = part
        return found

    def _signs_out(self, node: Expr) -> Expr:
        """v² for (−v)², where a part became a number times a name."""
        if isinstance(node, Apply) and len(node.arguments) <= 2:
            coefficient, inside = split(node.arguments[0]) if node.arguments else (ONE, node)
            if not coefficient.is_one and isinstance(inside, Variable):
                return self.normal.apply(node.function, node.arguments, node.parameters)
        return node

    def _meant(self, part: Expr) -> Coefficient:
        """What the part is multiplied by in what its name stands for."""
        return self.given[part][1] if part in self.given else ONE

    def _depth(self, part: Expr) -> int:
        """Definitions with fewer nodes below come first: what a definition uses is below it."""
        return len(topological([part]))

    # ------------------------------------------------------------ choosing

    def _choose(self) -> None:
        """From the roots down: how often a part would be printed depends only on what stands above it."""
        reader = Reader(self.taken)
        for expr in self.exprs:
            reader.read(expr)
        arguments = self._array_arguments(reader) | self._activation_arguments()
        printed: dict[Expr, int] = dict.fromkeys(self.order, 0)
        # A gradient printed a second time, in the shape of its variable, asks for no more names.
        for expr in dict.fromkeys(self.exprs):
            printed[expr] += 1
        seen: dict[Expr, int] = {}
        for node in reversed(self.order):
            part = self.parts[node][1]
            times = printed[node]
            if not times:
                continue
            if part not in node.children:  # else it is counted when its own node comes
                seen[part] = seen.get(part, 0) + times
            fresh = part not in self.names
            if fresh and self.deserves(part, node, seen.get(part, 0), reader, arguments):
                self.names[part] = self.letter(part, arguments)
            down = times if part not in self.names else (1 if fresh else 0)
            for child in node.children:
                printed[child] += down

    def deserves(
        self, part: Expr, node: Expr, count: int, reader: Reader, arguments: Mapping[Expr, str]
    ) -> bool:
        """Whether a part, printed `count` times, gets a name; `node` is where it was met first."""
        if part in self.given:
            return True
        if part in self.normalised and node not in self.exprs:
            return True
        if is_leaf(part) or node in self.exprs or not (is_array(part) and variables(part)):
            return False
        if isinstance(part, Apply) and (part.function.name in USUAL or _scores(part) is not None):
            return part.rank > 2 or reader.readings.get(node) is not None
        if count < 2 and part not in arguments:
            return False
        tree = self._tree(node, reader)
        if part in arguments:
            return arguments[part] in ("s", "a") or (tree.leaves >= ARGUMENT_LEAVES and has_contraction(part))
        length = tree.cost // 2
        return count > 1 and count * (length - 1) > length + OVERHEAD

    def _tree(self, node: Expr, reader: Reader) -> Tree:
        """How a part is written, by entries where matrices cannot say it."""
        tree = reader.tree(node) if node.rank <= 2 else None
        return index_form(node, reader)[0] if tree is None else tree

    def _array_arguments(self, reader: Reader) -> dict[Expr, str]:
        """The parts of more than two axes that a function of a whole array would hold as code."""
        found: dict[Expr, str] = {}
        for node in self.order:
            if not isinstance(node, Apply) or isinstance(node.function, Elementwise):
                continue
            if node.function is OVERLAP and node.rank > 2:
                continue  # written by entries
            for argument in node.arguments:
                part = self.parts[argument][1]
                if part.rank > 2 and not is_leaf(part) and is_array(part) and needs_code(argument, reader):
                    found[part] = "a"
        return found

    def _activation_arguments(self) -> dict[Expr, str]:
        """The parts that are arguments of activations inside something larger.

        With the use that their letter tells.
        """
        found: dict[Expr, str] = {}
        for node in self.order:
            scores = _scores(node)
            if scores is not None and node not in self.exprs:
                found[self.parts[scores][1]] = "s"
            if isinstance(node, Apply) and node.function.name in ACTIVATIONS and node not in self.exprs:
                part = self.parts[node.arguments[0]][1]
                found[part] = "m" if isinstance(part, Einsum) and _is_weighted(part) else "z"
        return found

    def letter(self, part: Expr, arguments: Mapping[Expr, str]) -> str:
        """A name for a part, one that a person gave it or a free letter."""
        if part in self.given:
            return self.given[part][0]
        use = arguments.get(part, "")
        if not use and isinstance(part, Apply):
            use = "p" if part.function.name in ("softmax", "sigmoid", "masked_softmax") else ""
        if not use and isinstance(part, Sum) and any(_sign(t) < 0 for t in part.terms):
            use = "e"
        if part in self.normalised:
            return self._hat(self.normalised[part])
        usual = USUAL.get(part.function.name, "") if isinstance(part, Apply) else ""
        by_use = (c for c in LETTERS[use] if c.isupper() == (part.rank > 1))
        letters = [*usual, *by_use, *BY_RANK[min(part.rank, 2)]]
        spelled = {pretty(t) for t in self.taken} | {*self.taken, *self.names.values()}
        free = next((c for c in letters if c not in spelled), None)
        if free is None:
            free = next(f"{letters[0]}{k}" for k in range(1, 10**6) if f"{letters[0]}{k}" not in spelled)
        return free

    def _hat(self, deviations: Expr) -> str:
        """The name x̂ of what is x − mean(x), or x, over the root of its spread."""
        terms = deviations.terms if isinstance(deviations, Sum) else (deviations,)
        data = [body.name for _, body in map(split, terms) if isinstance(body, Variable)]
        letters = [*(name for name in data if len(name) == 1), "X" if deviations.rank > 1 else "x", *"zZ"]
        taken = {*self.taken, *self.names.values()}
        return next(n for c in letters for k in ("", *"123456789") if (n := f"{c}_hat{k}") not in taken)


class _ErrorNamer(Namer):
    """Names errors too, which a derivation speaks about."""

    def deserves(
        self, part: Expr, node: Expr, count: int, reader: Reader, arguments: Mapping[Expr, str]
    ) -> bool:
        if super().deserves(part, node, count, reader, arguments):
            return True
        return _is_error(part) and node not in self.exprs and any(map(_is_masked(node), self.order))


def _is_error(part: Expr) -> bool:
    """A vector or matrix of predictions minus data."""
    if not isinstance(part, Sum) or len(part.terms) != 2 or not part.rank:
        return False
    bodies = [split(t)[1] for t in part.terms]
    signs = {_sign(t) for t in part.terms}
    return (
        len(signs) == 2
        and {isinstance(b, Apply) for b in bodies} == {True, False}
        and any(isinstance(b, Variable) for b in bodies)
    )


def _is_masked(node: Expr) -> Callable[[Expr], bool]:
    """Whether a product holds the node and an indicator on the same labels."""

    def found(product: Expr) -> bool:
        if not isinstance(product, Einsum) or node not in product.operands:
            return False
        own = product.labels[product.operands.index(node)]
        return any(
            isinstance(o, Apply) and isinstance(o.function, Elementwise) and o.function.indicator and a == own
            for o, a in zip(product.operands, product.labels, strict=True)
        )

    return found


def _scores(part: Expr) -> Expr | None:
    """The argument of a softmax, if it is one of attention: a matrix product over the root of a size."""
    if not isinstance(part, Apply) or part.function.name not in ("softmax", "masked_softmax"):
        return None
    scores = part.arguments[0]
    terms = scores.terms if isinstance(scores, Sum) else (scores,)
    scaled_down = any(
        isinstance(t, Einsum) and _contracts(t) and any(not o.rank and not variables(o) for o in t.operands)
        for t in terms
    )
    return scores if scaled_down and part.rank > 1 else None


def _times(coefficient: Coefficient, part: Expr) -> Expr:
    """A number times a part; −1 times a difference is the difference turned round."""
    if isinstance(part, Sum) and (-coefficient).is_one:
        return Sum([scaled(-c, body) for c, body in map(split, part.terms)])
    return scaled(coefficient, part)


def is_leaf(part: Expr) -> bool:
    """Whether naming it would only rename something: a variable, a constant, a component, a transpose."""
    if isinstance(part, Variable):
        return True
    if isinstance(part, Einsum):
        return len(part.operands) <= 1 and len(part.labels[0] if part.labels else ()) <= len(part.output)
    return isinstance(part, Stack) or not part.children


def _sign(term: Expr) -> int:
    return -1 if isinstance(term, Einsum) and term.coefficient.rational < 0 else 1


def _reads_better_negated(expr: Sum) -> bool:
    """More minus signs than plus; at a tie 1 − h², diag(p) − ppᵀ, and what is computed before a variable."""
    signs = [_sign(t) for t in expr.terms]
    if sum(signs):
        return sum(signs) < 0
    leading = [s for s, t in zip(signs, expr.terms, strict=True) if _leads(t, expr)]
    if len(leading) == 1:
        return leading[0] < 0
    plain = [s for s, t in zip(signs, expr.terms, strict=True) if isinstance(split(t)[1], Variable)]
    others = [t for t in expr.terms if not isinstance(split(t)[1], Variable)]
    computed = any(not isinstance(t, Einsum) or _carries_all(t) for t in others)
    return bool(others) and (sum(plain) > 0 if computed else sum(plain) < 0)


def _leads(term: Expr, total: Sum) -> bool:
    """What the rest is taken from: a diagonal, or 1 where all else is an activation or its square."""
    if isinstance(term, Einsum) and len(set(term.output)) < term.rank:
        return True
    others = (split(t)[1] for t in total.terms if t is not term)
    return constant_of(term) is not None and all(map(_is_bounded, others))


def _is_bounded(part: Expr) -> bool:
    while isinstance(part, Apply) and part.function is power:
        part = part.arguments[0]
    return isinstance(part, Apply) and part.function in AT_MOST_ONE


def _carries_all(term: Einsum) -> bool:
    """Whether it is no scalar repeated along an axis: x − mean(x) reads better than its negative."""
    return set(term.output) <= {a for axes in term.labels for a in axes}


def is_array(part: Expr) -> bool:
    """Whether it is data and no derivative by it: none of its axes stands twice, in any of its terms."""
    terms = part.terms if isinstance(part, Sum) else (part,)
    bodies = [split(term)[1] for term in terms]
    return part.rank < 3 or all(len(set(b.output)) == b.rank for b in bodies if isinstance(b, Einsum))


def has_contraction(part: Expr) -> bool:
    """Whether data is summed somewhere inside: a matrix product, a dot product."""
    return any(isinstance(n, Einsum) and _contracts(n) for n in topological([part]))


def _contracts(node: Einsum) -> bool:
    return len(node.operands) > 1 and any(a not in node.output for axes in node.labels for a in axes)


def _is_weighted(part: Einsum) -> bool:
    """A product with an entrywise factor: y ⊙ Xw."""
    kept = [axes for axes in part.labels if axes and set(axes) <= set(part.output)]
    return len(part.operands) > 1 and bool(kept) and has_contraction(part)
