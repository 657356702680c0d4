"""The derivatives of a program of layers as the recursion that a textbook writes.

In: the intermediate variables of a formula (a Flow). Out: a Recursion: a δ for each layer, from the output
back, each in terms of the one above it; the derivative by every variable in terms of the δ's; and all of that
written out as one graph, in which each δ is one node. Each step is derived and simplified by itself, so the
work and the length of the answer grow linearly with the number of layers. A δ has the shape of what it is
the gradient by. Source: Nielsen 2015, chapter 2, equations BP1 to BP4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from chainrule.derive import pulled_back
from chainrule.derive.flow import ACTIVATIONS, Flow, Part, flow
from chainrule.derive.merged import merged
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, number, zeros
from chainrule.expr.walk import substitute, topological, variables
from chainrule.rules.elementwise import sigmoid
from chainrule.simplify import Normaliser, matrix_free
from chainrule.simplify.normal import split

# So many layers make a recursion; fewer are written in one formula.
LAYERS = 2


@dataclass(frozen=True, slots=True)
class Delta:
    """One gradient with a name: symbol = ∂output/∂of = value, in the shape of `of`.

    value  in terms of other δ's, the parts and the variables
    whole  the same written out
    """

    symbol: Variable
    of: Variable
    value: Expr
    whole: Expr


@dataclass(frozen=True)
class Recursion:
    """Derivatives of a scalar with names for the parts of the formula and for the δ's.

    forward    the parts that are read, each after what it uses
    deltas     from the output back
    gradients  by each variable, in symbols
    wholes     the same written out, with every part and every δ one node
    steps      the formula in steps, as it was gone through
    """

    forward: tuple[Part, ...]
    deltas: tuple[Delta, ...]
    gradients: Mapping[Variable, Expr]
    wholes: Mapping[Variable, Expr]
    steps: Flow

    def only(self, wrt: Iterable[Variable]) -> Recursion:
        """What some of the variables need of it."""
        wanted = list(wrt)
        return _needed(self, {v: self.gradients[v] for v in wanted}, {v: self.wholes[v] for v in wanted})

    @property
    def definitions(self) -> list[tuple[str, Expr, Expr]]:
        """Every name, what it stands for as it is printed, and the same written out."""
        found = [(part.name, part.value, part.whole) for part in self.forward]
        return found + [(d.symbol.name, self.shown(d.value), d.whole) for d in self.deltas]

    def shown(self, expr: Expr) -> Expr:
        """An expression as it is printed: 1 − a for σ(−z) where a = σ(z) is a part."""
        return substitute(expr, self._opposites) if self._opposites else expr

    @cached_property
    def _opposites(self) -> dict[Expr, Expr]:
        found: dict[Expr, Expr] = {}
        normal = Normaliser()
        for part in self.forward:
            value = part.value
            if isinstance(value, Apply) and value.function is sigmoid:
                opposite = normal(Apply(sigmoid, (-value.arguments[0],)))
                found[opposite] = Sum((number(1, part.symbol.shape), -part.symbol))
        return found

    def in_symbols(self, expr: Expr) -> Expr:
        """A canonical expression in the variables of the formula with its parts by their names."""
        return substitute(expr, {part.whole: part.symbol for part in self.forward})


def recursion(
    expr: Expr,
    wrt: Sequence[Variable],
    names: Mapping[str, Expr],
    *,
    taken: Iterable[str] = (),
    output: str = "_",
    at_kink: Fraction = Fraction(0),
) -> Recursion | None:
    """The derivatives of a program of layers; None for what is no such program.

    `names` are the parts that a person named; there must be one on the way, a layer (an affine part with
    axes, or one that an activation is applied to), and at least two δ's.
    Raises: NoDerivative.
    """
    if expr.rank or not names:
        return None
    written = flow(expr, wrt, names, output=output, taken=taken, layers=True)
    steps, starts = merged(written, lambda part: _is_affine(part.value))
    moving = _moving(steps)
    activated = {p for p in moving[:-1] if p.symbol in starts or _feeds_activation(p, steps)}
    layers = [p for p in moving[:-1] if p in activated or len(steps.arguments(p)) > 1]
    layers = [p for p in layers if _is_affine(p.value)]
    states = set() if layers else _states(moving)
    deep = states or any(part.symbol.rank or part in activated for part in layers)
    if not any(part.given for part in moving) or not deep:
        return None
    hubs = [p for p in moving[:-1] if p in layers or p in states or len(steps.arguments(p)) > 1]
    if len(hubs) < LAYERS:
        return None
    found = _Backward(steps, moving, layers, hubs, activated, taken, at_kink).run()
    return found if len(found.deltas) >= LAYERS else None


class _Backward:
    """One sweep from the output back."""

    def __init__(
        self,
        steps: Flow,
        moving: Sequence[Part],
        layers: Sequence[Part],
        hubs: Sequence[Part],
        activated: set[Part],
        taken: Iterable[str],
        at_kink: Fraction,
    ) -> None:
        self.steps, self.moving, self.at_kink = steps, moving, at_kink
        self.activated = activated
        self.layers, self.hubs = set(layers), set(hubs)
        self.names = _names(steps, layers, hubs, taken)
        self.normal = Normaliser()
        self.wholes: dict[Expr, Expr] = {p.symbol: self.normal(p.whole) for p in steps.parts}

    def run(self) -> Recursion:
        received: dict[Variable, list[Expr]] = {self.steps.output.symbol: [number(1)]}
        deltas: list[Delta] = []
        for part in reversed(self.moving):
            upstream = _added(received.pop(part.symbol))
            if part in self.hubs:
                value = _simplest(upstream)
                upstream = value
                named = part in self.layers and (part.given or part in self.activated)
                if named or not _is_short(value):
                    symbol = Variable(self.names[part], part.symbol.shape)
                    self.wholes[symbol] = substitute(value, self.wholes)
                    deltas.append(Delta(symbol, part.symbol, value, self.wholes[symbol]))
                    upstream = symbol
            arguments = self.steps.arguments(part)
            found = pulled_back(part.value, upstream, arguments, self.at_kink)
            for argument in arguments:
                # What a function gives is known by its name: 1 − h² for 1 − tanh(z)².
                own = substitute(found[argument], {part.value: part.symbol})
                received.setdefault(argument, []).append(own)
        gradients = {
            v: _simplest(_added(received[v])) if v in received else zeros(v.shape) for v in self.steps.wrt
        }
        forward = tuple(
            Part(p.symbol, p.value, self.wholes[p.symbol], p.given) for p in self.steps.parts[:-1]
        )
        wholes = {v: substitute(gradient, self.wholes) for v, gradient in gradients.items()}
        return _needed(Recursion(forward, tuple(deltas), gradients, wholes, self.steps), gradients, wholes)


def _needed(
    everything: Recursion, gradients: Mapping[Variable, Expr], wholes: Mapping[Variable, Expr]
) -> Recursion:
    """The recursion without the names that these gradients do not read."""
    read = Counter(v for gradient in gradients.values() for v in variables(gradient))
    deltas = []
    for delta in reversed(everything.deltas):
        if delta.symbol in read:
            deltas.append(delta)
            read.update([delta.of, *variables(delta.value)])
    forward = []
    for part in reversed(everything.forward):
        if part.symbol in read:
            forward.append(part)
            read.update(variables(part.value))
    deltas.reverse()
    forward.reverse()
    kept = {delta.of for delta in deltas}
    once = {p.symbol: p for p in forward if read[p.symbol] == 1 and not p.given and p.symbol not in kept}
    values: dict[Expr, Expr] = {}
    for part in once.values():
        values[part.symbol] = substitute(part.value, values)

    def put_in(expr: Expr) -> Expr:
        return _simplest(substitute(expr, values)) if once.keys() & set(variables(expr)) else expr

    return Recursion(
        tuple(
            Part(p.symbol, substitute(p.value, values), p.whole, p.given)
            for p in forward
            if p.symbol not in once
        ),
        tuple(Delta(d.symbol, d.of, put_in(d.value), d.whole) for d in deltas),
        {v: put_in(gradient) for v, gradient in gradients.items()},
        wholes,
        everything.steps,
    )


def _moving(steps: Flow) -> list[Part]:
    """The parts on a path from a variable to the output."""
    reach = {steps.output.symbol}
    for part in reversed(steps.parts):
        if part.symbol in reach:
            reach.update(steps.arguments(part))
    return [p for p in steps.parts if p.symbol in reach and steps.arguments(p)]


def _states(moving: Sequence[Part]) -> set[Part]:
    """The states x₁, x₂, x₃ ... of a recurrence, at least as many as make a recursion and one more."""
    series: dict[str, list[Part]] = {}
    for part in moving[:-1]:
        found = re.fullmatch(r"(.*?[^\W\d_])_?(\d+)", part.name) if part.given else None
        if found is not None and int(found[2]) == len(series.get(found[1], ())) + 1:
            series.setdefault(found[1], []).append(part)
    return {part for parts in series.values() if len(parts) > LAYERS for part in parts}


def _simplest(expr: Expr) -> Expr:
    return matrix_free([expr])[0]


def _added(terms: Sequence[Expr]) -> Expr:
    return terms[0] if len(terms) == 1 else Sum(terms)


def _is_short(value: Expr) -> bool:
    """A name, perhaps times a number: nothing that a name of its own makes shorter."""
    inside = split(value)[1]
    factors = inside.operands if isinstance(inside, Einsum) else (inside,)
    own = [factor for factor in factors if factor.rank]
    plain = all(isinstance(factor, Variable) or not variables(factor) for factor in factors)
    return len(own) <= 1 and plain


# ---------------------------------------------------------------- which parts are layers


def _feeds_activation(part: Part, steps: Flow) -> bool:
    return any(
        isinstance(node, Apply) and node.function.name in ACTIVATIONS and part.symbol in variables(node)
        for user in steps.users(part.symbol)
        for node in topological([user.value])
    )


def _is_affine(value: Expr) -> bool:
    """A sum of products and names with a product among them, no function but of what does not move."""
    terms = value.terms if isinstance(value, Sum) else (value,)
    return any(isinstance(t, Einsum) and len(t.operands) > 1 for t in map(_inside, terms)) and not any(
        isinstance(t, Stack) for t in terms
    )


def _inside(term: Expr) -> Expr:
    """What a sign, a number or a broadcast is applied to."""
    while isinstance(term, Einsum) and len(term.operands) == 1:
        term = term.operands[0]
    return term


# ---------------------------------------------------------------- what the δ's are called


def _names(
    steps: Flow, layers: Sequence[Part], hubs: Sequence[Part], taken: Iterable[str]
) -> dict[Part, str]:
    """δ₂ for the layer z₂, or for the one whose activation is h₂; S̄ for another part S."""
    numbers = [_number(part, steps) for part in layers]
    known = [n for n in numbers[:-1] if n is not None]
    counts = len(known) == len(numbers) - 1 and all(b == a + 1 for a, b in pairwise(known))
    if numbers and numbers[-1] is None and known and counts:
        # The output layer, whose name has no number, is the next one.
        numbers[-1] = known[-1] + 1
    used = {*taken, *(part.name for part in steps.parts), *(v.name for v in variables(steps.output.whole))}
    found: dict[Part, str] = {}
    for part, layer in zip(layers, numbers, strict=True):
        if layer is not None:
            found[part] = f"{'Delta' if part.symbol.rank > 1 else 'delta'}{layer}"
    for part in hubs:
        name = found.get(part)
        if name is None or name in used:
            name = barred(part.name)
        while name in used:
            name += "_"
        used.add(name)
        found[part] = name
    return found


def barred(name: str) -> str:
    """What the gradient by a part is called.

    >>> barred("h"), barred("h1")
    ('h_bar', 'h_bar1')
    """
    digits = re.fullmatch(r"([^\W\d_]+)(\d+)", name)
    return f"{digits[1]}_bar{digits[2]}" if digits else f"{name}_bar"


def _number(part: Part, steps: Flow) -> int | None:
    """The number of a layer: that of its name, or of the only part that reads it."""
    users = steps.users(part.symbol)
    for candidate in (part, *users[: len(users) == 1]):
        digits = _digits(candidate)
        if digits and (candidate.given or not any(u.given and _digits(u) for u in users)):
            return int(digits[1])
    return None


def _digits(part: Part) -> re.Match[str] | None:
    return re.search(r"(?<=[^\W\d_])_?(\d{1,4})$", part.name)
