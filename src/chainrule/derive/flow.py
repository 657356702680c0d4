"""Intermediate variables: the formula as a program of small steps, and the paths that lead through it.

In: a formula as it was written, the parts that a person named, what it is differentiated by. Out: a Flow:
one variable for each operator that a derivation differentiates by itself, innermost first. Affine
expressions stay whole (z = Xw + b), signs, transposes and broadcasts are never steps of their own.
Source: Parr and Howard 2018, section 4.5.1 (one operator for each equation) and 4.5.2 (paths).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of
from chainrule.expr.walk import depends_on, rebuild, topological, transform, variables
from chainrule.rules.elementwise import power, relu, sigmoid, softplus
from chainrule.rules.elementwise import tanh as tanh_row
from chainrule.rules.factors import cholesky
from chainrule.rules.table import Elementwise
from chainrule.rules.tensorial import norm, softmax
from chainrule.rules.unknown import Unknown, orders_of, unknown_in

ACTIVATIONS = frozenset((relu.name, sigmoid.name, softplus.name, tanh_row.name, softmax.name, "maximum"))
# Letters for parts whose own letter is taken.
INSTEAD = "tsqhbcd"
# Paths are listed one by one up to this many.
MOST_PATHS = 64


@dataclass(frozen=True, slots=True)
class Part:
    """One intermediate variable: symbol = value.

    value  in terms of the formula's variables and the symbols before it
    whole  the same written out in the formula's variables
    given  whether the person named it
    """

    symbol: Variable
    value: Expr
    whole: Expr
    given: bool = False

    @property
    def name(self) -> str:
        """How it is called."""
        return self.symbol.name


@dataclass(frozen=True)
class Flow:
    """A formula in steps. The last part is the formula itself.

    wrt     the variables that it is differentiated by
    parts   every part that depends on them, and those that the person named; each after what it uses
    """

    wrt: tuple[Variable, ...]
    parts: tuple[Part, ...]

    @property
    def output(self) -> Part:
        """The formula itself."""
        return self.parts[-1]

    @cached_property
    def by_symbol(self) -> dict[Variable, Part]:
        """The parts by their symbols."""
        return {part.symbol: part for part in self.parts}

    @cached_property
    def active(self) -> frozenset[Variable]:
        """The variables and symbols that change when what it is differentiated by changes."""
        found = set(self.wrt)
        for part in self.parts:
            if any(v in found for v in self._read[part.symbol]):
                found.add(part.symbol)
        return frozenset(found)

    @cached_property
    def _read(self) -> dict[Variable, tuple[Variable, ...]]:
        """What each part reads otherwise than in a condition; where that is nothing, all that it reads."""
        read = {part.symbol: variables_that_count(part.value) for part in self.parts}
        found = set(self.wrt)
        for symbol, names in read.items():
            if found & set(names):
                found.add(symbol)
        counted = self.output.symbol in found
        return read if counted else {part.symbol: variables(part.value) for part in self.parts}

    def arguments(self, part: Part) -> tuple[Variable, ...]:
        """What the part reads that changes: the sources of its edges, in the order of the parts."""
        return self._edges[0][part.symbol]

    def users(self, symbol: Variable) -> tuple[Part, ...]:
        """The parts that read a variable or symbol."""
        return tuple(self._edges[1].get(symbol, ()))

    @cached_property
    def _edges(self) -> tuple[dict[Variable, tuple[Variable, ...]], dict[Variable, list[Part]]]:
        """What each part reads, and which parts read each symbol."""
        order = {v: k for k, v in enumerate([*self.wrt, *(p.symbol for p in self.parts)])}
        reads: dict[Variable, tuple[Variable, ...]] = {}
        users: dict[Variable, list[Part]] = {}
        for part in self.parts:
            moving = [v for v in self._read[part.symbol] if v in self.active]
            reads[part.symbol] = tuple(sorted(moving, key=order.__getitem__))
            for symbol in reads[part.symbol]:
                users.setdefault(symbol, []).append(part)
        return reads, users

    def count_paths(self, source: Variable) -> int:
        """How many paths lead from a variable to the output."""
        return self._counts.get(source, 0)

    @cached_property
    def _counts(self) -> dict[Variable, int]:
        count: dict[Variable, int] = {self.output.symbol: 1}
        for part in reversed(self.parts):
            for argument in self.arguments(part):
                count[argument] = count.get(argument, 0) + count.get(part.symbol, 0)
        return count

    def paths(self, source: Variable) -> list[tuple[Variable, ...]]:
        """The paths from a variable to the output, each from the variable on; at most MOST_PATHS."""
        found: list[tuple[Variable, ...]] = []
        for path in self._paths(source):
            found.append(path)
            if len(found) == MOST_PATHS:
                break
        return found

    def _paths(self, source: Variable) -> Iterator[tuple[Variable, ...]]:
        pending: list[tuple[Variable, ...]] = [(source,)]
        while pending:
            path = pending.pop()
            if path[-1] is self.output.symbol:
                yield path
                continue
            pending.extend((*path, part.symbol) for part in reversed(self.users(path[-1])))


def flow(
    expr: Expr,
    wrt: Sequence[Variable],
    names: Mapping[str, Expr] | None = None,
    *,
    output: str = "y",
    taken: Iterable[str] = (),
    layers: bool = False,
) -> Flow:
    """The formula in steps; `names` are the parts that a person named, `output` names the whole.

    `layers`: W h + b is one step where W moves as well as h.

    >>> x = Variable("x")
    >>> [(part.name, part.value.children[0]) for part in flow(x**2 + x, [x]).parts]
    [('u', x), ('y', u)]
    """
    expr, kept = regrouped(expr, names or {}, affine=layers)
    given = {part: name for name, part in kept.items() if part.children}
    given.pop(expr, None)
    active = _active(expr, wrt)
    weights = frozenset(wrt) if layers else frozenset[Variable]()
    cuts = _cuts(expr, active, given, weights)
    used = {*taken, output, *(v.name for v in variables(expr)), *(names or {})}
    namer = _Namer(expr, cuts, given, active, used, layers)
    symbols: dict[Expr, Variable] = {}
    parts: list[Part] = []
    done: dict[Expr, Expr] = {}
    for node in cuts:
        value = rebuild(node, [transform(child, lambda n: n, done) for child in node.children])
        value = _opened(value)
        symbol = Variable(output if node is expr else namer(node, value), node.shape)
        symbols[node] = symbol
        done[node] = symbol
        parts.append(Part(symbol, value, node, node in given))
    return Flow(tuple(wrt), tuple(parts))


def regrouped(expr: Expr, names: Mapping[str, Expr], *, affine: bool = False) -> tuple[Expr, dict[str, Expr]]:
    """The formula and its named parts, with named sums inside larger sums again.

    Sums are not nested, so (a + b) − y has lost a + b, and a person's name for it with it. `affine`: so has
    XW + b − logsumexp(XW + b); sums with a product of matrices are put together wherever they stand.
    """
    sums: list[Sum] = []
    order = _smallest_first([expr, *names.values()]) if affine else [*names.values()]
    inside = {c for n in order if not isinstance(n, Sum) for c in n.children} if affine else set()
    named = set(names.values())

    def change(node: Expr) -> Expr:
        if not isinstance(node, Sum):
            return node
        terms = list(node.terms)
        for inner in sorted(sums, key=lambda s: -len(s.terms)):
            if len(inner.terms) < len(terms) and not Counter(inner.terms) - Counter(terms):
                place = min(terms.index(term) for term in inner.terms)
                for term in inner.terms:
                    terms.remove(term)
                terms.insert(place, inner)
        return node if len(terms) == len(node.terms) else Sum(terms)

    done: dict[Expr, Expr] = {}
    found: dict[str, Expr] = {}
    for part in order:
        if part in named or (part in inside and isinstance(part, Sum) and any(map(_contracts, part.terms))):
            whole = transform(part, change, done)
            if isinstance(whole, Sum) and whole not in sums:
                sums.append(whole)
    for name, part in names.items():
        found[name] = transform(part, change, done)
    return transform(expr, change, done), found


def _smallest_first(roots: Sequence[Expr]) -> list[Expr]:
    """All parts, each after what it is made of, and sums after the sums whose terms they have."""
    height: dict[Expr, int] = {}
    for node in topological(roots):
        height[node] = 1 + max((height[c] for c in node.children), default=0)
    return sorted(height, key=lambda n: (height[n], len(n.children) if isinstance(n, Sum) else 0))


def _contracts(term: Expr) -> bool:
    """Whether it is a product in which something is summed."""
    term = _bare(term)
    return isinstance(term, Einsum) and len(term.operands) > 1 and len(term.sizes) > len(set(term.output))


def _opened(value: Expr) -> Expr:
    """A sum of one term without its brackets."""
    return value.terms[0] if isinstance(value, Sum) and len(value.terms) == 1 else value


def _is_condition(node: Expr) -> bool:
    """Whether it is a comparison: constant but for its jumps, so no derivative passes through it."""
    return isinstance(node, Apply) and isinstance(node.function, Elementwise) and node.function.indicator


def _active(root: Expr, wrt: Sequence[Variable]) -> set[Expr]:
    """The nodes that move when the variables do, as far as a derivative sees it."""
    found: set[Expr] = set(wrt)
    for node in topological([root]):
        if not _is_condition(node) and any(child in found for child in node.children):
            found.add(node)
    return found if root in found else depends_on([root], wrt)


def variables_that_count(value: Expr) -> tuple[Variable, ...]:
    """The variables of an expression outside conditions, in the order of `variables`."""
    found: set[Expr] = set()
    pending = [value]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(child for child in node.children if not _is_condition(child))
    return tuple(v for v in variables(value) if v in found)


# ---------------------------------------------------------------- where a formula is cut


def _cuts(
    root: Expr, active: set[Expr], given: Mapping[Expr, str], weights: frozenset[Variable]
) -> list[Expr]:
    """The nodes that become variables, children before parents, the root last."""
    order = topological([root])
    wanted: set[Expr] = {root} | {node for node in order if node in given}
    uses = Counter(child for node in order for child in node.children)
    for node in order:
        if node is not root and node in active and node.children and uses[node] > 1 and not _is_light(node):
            wanted.add(node)
    for node in reversed(order):
        if node in active:
            wanted.update(_cut_below(node, active, wanted, weights))
    return [node for node in order if node in wanted]


def _cut_below(node: Expr, active: set[Expr], wanted: set[Expr], weights: frozenset[Variable]) -> list[Expr]:
    """Which parts of a node that is differentiated in one go are variables of their own."""
    found: list[Expr] = []
    pending = [part for part in _parts_of(_whole(node, wanted)) if part in active and part.children]
    while pending:
        part = pending.pop(0)
        if part not in wanted and _stays(part, node, active, weights):
            pending[:0] = [p for p in _parts_of(part) if p in active and p.children]
        else:
            found.append(part)
    return found


def _parts_of(node: Expr) -> list[Expr]:
    return [_bare(child) for child in node.children]


def _whole(node: Expr, wanted: set[Expr]) -> Expr:
    """The node itself without the signs and numbers in front of it: (1/N) Σ v² is a sum."""
    core = _bare(node)
    return node if core in wanted or not core.children else core


def _stays(part: Expr, node: Expr, active: set[Expr], weights: frozenset[Variable]) -> bool:
    """Whether a part is differentiated together with what it is a part of."""
    core = _bare(node)
    match core:
        case Sum():
            return _is_affine(part, active, weights)
        case Einsum():
            # Σ v² is one step, and so is a quotient.
            return _is_power(part) if len(core.operands) == 1 else _is_reciprocal(part)
        case Stack():
            return isinstance(part, Stack)
        case Apply() if is_squared_norm(core):
            return part is core.arguments[0]
        case _:
            return False


def is_squared_norm(node: Expr) -> bool:
    """Whether it is ‖v‖², which has no kink and is differentiated in one go."""
    if not isinstance(node, Apply) or node.function is not power:
        return False
    inner, exponent = node.arguments[0], constant_of(node.arguments[1])
    square = exponent is not None and exponent.rational == 2 and not exponent.powers
    return square and isinstance(inner, Apply) and inner.function is norm


def _bare(node: Expr) -> Expr:
    """What a sign, a number, a transpose or a broadcast is applied to."""
    while _is_light(node):
        node = node.children[0]
    return node


def _is_light(node: Expr) -> bool:
    """A sign, a number, a transpose, a broadcast, a diagonal: nothing that needs a step of its own."""
    if not isinstance(node, Einsum) or len(node.operands) != 1:
        return False
    return set(node.labels[0]) <= set(node.output)


def _is_affine(node: Expr, active: set[Expr], weights: frozenset[Variable]) -> bool:
    """A matrix product with one factor that moves, the Xw of Xw + b; `weights` may move beside it."""
    if not isinstance(node, Einsum) or len(node.operands) != 2:
        return False
    summed = {a for axes in node.labels for a in axes} - set(node.output)
    beside = [o for o in node.operands if _bare(o) in weights]
    moving = sum(o in active and o not in beside for o in node.operands)
    return bool(summed or beside) and moving <= 1


def _is_power(node: Expr) -> bool:
    return isinstance(node, Apply) and node.function is power and constant_of(node.arguments[1]) is not None


def _is_reciprocal(node: Expr) -> bool:
    if not isinstance(node, Apply) or node.function is not power:
        return False
    exponent = constant_of(node.arguments[1])
    return exponent is not None and exponent.rational < 0


# ---------------------------------------------------------------- what the parts are called


class _Namer:
    """Letters by use: z before an activation, a after it, v for an error, u else; numbered if several."""

    def __init__(
        self,
        root: Expr,
        cuts: Sequence[Expr],
        given: Mapping[Expr, str],
        active: set[Expr],
        taken: Iterable[str],
        layers: bool,
    ) -> None:
        self.given, self.active, self.layers = given, active, layers
        self.taken = {*taken, *given.values()}
        self.functions = frozenset(unknown_in(root))
        users: dict[Expr, list[Expr]] = {}
        for node in topological([root]):
            for child in node.children:
                users.setdefault(_bare(child), []).append(node)
        self.users = users
        self.contracting = _contracting(root)
        self.inputs = frozenset(self.taken)
        letters = [self._letter(node) for node in cuts if node is not root and node not in given]
        self.several = {letter for letter in letters if letters.count(letter) > 1}
        self.count: dict[str, int] = {}

    def __call__(self, node: Expr, value: Expr) -> str:
        if node in self.given:
            return self.given[node]
        letter = self._letter(node)
        own = _function_of(node)
        if own.startswith(letter) and own not in self.taken:
            self.taken.add(own)
            return own
        while True:
            self.count[letter] = self.count.get(letter, 0) + 1
            name = f"{letter}{self.count[letter]}" if letter in self.several else letter
            if not {name, pretty(name)} & (self.taken | self.functions):
                self.taken.add(name)
                return name
            if letter not in self.several:
                self.several.add(letter)
                self.count[letter] = 0

    def _letter(self, node: Expr) -> str:
        above = self.users.get(node, [])
        activated = any(isinstance(u, Apply) and u.function.name in ACTIVATIONS for u in above)
        contracts = node in self.contracting
        if isinstance(node, Apply) and node.function.name in ACTIVATIONS and contracts:
            letter = "p" if node.function is softmax else "a"
        elif activated and contracts:
            letter = "z"
        elif isinstance(node, Sum) and len(node.terms) == 2 and _has_sign(node) and node.rank:
            letter = self._of_difference(node)
        elif self.layers and isinstance(node, Sum) and any(map(_contracts, node.terms)):
            letter = "z"
        elif isinstance(node, Apply) and node.function is cholesky:
            letter = "c"  # a lower factor is no U, and L is the loss
        else:
            letter = "u"
        return self._free(letter.upper() if node.rank == 2 else letter)

    def _of_difference(self, node: Sum) -> str:
        """R for a residual or a distance, v or e for the error of a prediction, u for other differences."""
        if not any(isinstance(n, Apply) for n in topological([node])):
            return "r"
        given = [k for k, t in enumerate(node.terms) if is_given(_bare(t), self.active)]
        if not given:
            return "u"
        return "v" if _has_sign(node.terms[1]) or given != [1] else "e"

    def _free(self, letter: str) -> str:
        """Another letter where this one is a name: beside a matrix U, U₁ would read as a part of it."""
        capital = letter.isupper()
        others = [c.upper() if capital else c for c in INSTEAD]
        return next((c for c in (letter, *others) if c not in self.inputs), letter)


def _function_of(node: Expr) -> str:
    """The name of the function left unknown that a node applies: u₁ = u₁(x) may be called so."""
    if isinstance(node, Apply) and isinstance(node.function, Unknown) and not any(orders_of(node)):
        return node.function.symbol
    return ""


def _has_sign(node: Expr) -> bool:
    if isinstance(node, Sum):
        return any(map(_has_sign, node.terms))
    return isinstance(node, Einsum) and node.coefficient.rational < 0


def is_given(node: Expr, active: Container[Expr]) -> bool:
    """Whether it is a variable that does not move: the y of y − a."""
    return isinstance(node, Variable) and node not in active


def _contracting(root: Expr) -> set[Expr]:
    """The nodes below which something is summed in a product."""
    found: set[Expr] = set()
    for node in topological([root]):
        own = (
            isinstance(node, Einsum)
            and len(node.operands) > 1
            and any(a not in node.output for axes in node.labels for a in axes)
        )
        if own or any(child in found for child in node.children):
            found.add(node)
    return found
