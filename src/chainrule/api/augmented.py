"""The augmented form of an affine part: Xw + b = X̂ŵ with ŵ = [w; b] and X̂ = [X, 𝟏].

In: derivatives of a formula with a weight vector and its bias. Out: the formula and its derivative in ŵ and
X̂. That the affine parts are the same is proved: their difference simplifies to 0. The formula, and the
derivative, which is [∂f/∂w, ∂f/∂b], are compared by numbers too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainrule.api.answers import Said, shown
from chainrule.api.chain import Chains, Target
from chainrule.errors import CheckFailed, OptionError
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable, constant_of, negate
from chainrule.expr.walk import substitute, topological, variables
from chainrule.language import Declarations, parse_formula
from chainrule.notation.latex import name_latex
from chainrule.notation.layout import is_turned
from chainrule.notation.present import present
from chainrule.notation.text import sizes_text
from chainrule.simplify import simplify
from chainrule.simplify.normal import split

if TYPE_CHECKING:
    from chainrule.api.printable import Printable


@dataclass(frozen=True)
class Augmented:
    """A formula in ŵ = [w; b] and X̂ = [X, 𝟏].

    formula     in the variables `weights` and `data`
    derivative  by `weights`, its last axis
    """

    formula: Expr
    derivative: Expr
    weights: Variable
    data: Variable
    said: Said

    def __str__(self) -> str:
        return self.said.text

    __repr__ = __str__


@dataclass(frozen=True)
class _Affine:
    """The sum that holds Xw and b, and the places of the two in it."""

    whole: Sum
    product: Einsum
    terms: tuple[Expr, Expr]
    data: Expr
    weights: Variable
    bias: Variable


def augmented(about: Printable) -> Augmented:
    """The augmented form of the affine part of a formula.

    Raises: OptionError if there is no such part, or w or b stand elsewhere too; CheckFailed.
    """
    formula = about.formula
    if about.options.times is not None or about.options.pullback is not None:
        raise OptionError("the augmented form is that of a formula", hint="leave out times and upstream")
    found = [a for n in topological([formula.expr]) if isinstance(n, Sum) and (a := _affine(n)) is not None]
    if len(found) != 1:
        many = "no part" if not found else "more than one part"
        raise OptionError(
            f"the formula has {many} X @ w + b or w @ x + b with a vector w and a scalar b as variables",
            hint="the augmented form is offered for one neuron: its weights and its bias",
        )
    part = found[0]
    used = {*formula.variables, *formula.names}
    weights = Variable(_hat(part.weights.name, used), (part.weights.shape[0] + Dim.of(1),))
    name = part.data.name if isinstance(part.data, Variable) else "X" if part.data.rank > 1 else "x"
    data = Variable(_hat(name, used), (*part.data.shape[:-1], weights.shape[0]))
    labels = list(part.product.labels)
    place = part.product.operands.index(part.weights)
    operands = [data, weights] if place else [weights, data]
    rest = [term for term in part.whole.terms if term not in part.terms]
    product = Einsum(part.product.coefficient, operands, labels, part.product.output)
    inside = substitute(formula.expr, {part.whole: Sum([product, *rest]) if rest else product})
    left = [pretty(v.name) for v in (part.weights, part.bias) if v in variables(inside)]
    if left:
        raise OptionError(
            f"{' and '.join(left)} stand{'s' * (len(left) == 1)} in the formula outside the affine part too",
            hint="the augmented form needs every w and b inside X @ w + b",
        )
    derivative = Chains(inside, [Target((weights,))], about.options.at_kink)([Target((weights,))])[-1]
    return _answer(about, part, product, inside, simplify(derivative), weights, data)


def _affine(node: Sum) -> _Affine | None:
    """The Xw and the b of a sum: a product with a vector, and a scalar that is repeated, with one factor."""
    for term in node.terms:
        outer, body = split(term)
        if not isinstance(body, Einsum) or len(body.operands) != 2:
            continue
        product = Einsum(outer * body.coefficient, body.operands, body.labels, body.output)
        for k, weights in enumerate(product.operands):
            data, own = product.operands[1 - k], product.labels[k]
            if not isinstance(weights, Variable) or weights.rank != 1 or own[0] in product.output:
                continue
            if product.labels[1 - k] != (*product.output, own[0]) or weights in variables(data):
                continue
            for other in node.terms:
                bias, factor = _repeated(other)
                if bias is not None and factor == product.coefficient:
                    return _Affine(node, product, (term, other), data, weights, bias)
    return None


def _repeated(term: Expr) -> tuple[Variable | None, Coefficient]:
    """A scalar variable, perhaps with a number in front, repeated along axes."""
    factor = ONE
    while isinstance(term, Einsum) and len(term.operands) == 1 and len(set(term.output)) == len(term.output):
        if not set(term.labels[0]) <= set(term.output):
            break
        factor, term = factor * term.coefficient, term.operands[0]
    return (term if isinstance(term, Variable) and not term.rank else None), factor


def _hat(name: str, used: set[str]) -> str:
    """A name with a hat, or another that is free."""
    hatted = f"{name}_hat"
    while hatted in used:
        hatted += "_"
    used.add(hatted)
    return hatted


def _answer(
    about: Printable,
    part: _Affine,
    product: Expr,
    inside: Expr,
    derivative: Expr,
    weights: Variable,
    data: Variable,
) -> Augmented:
    from chainrule.verify.compare import equal

    formula, known = about.formula, list(about.formula.variables.values())
    joined = _parsed(f"concat({part.weights.name}, {part.bias.name})", part.weights, part.bias)
    column = Variable("data_part", part.data.shape)
    size = str(part.data.shape[0])
    text = f"concat(data_part, ones({size}, 1), axis=1)" if data.rank > 1 else "concat(data_part, 1)"
    meant: dict[Expr, Expr] = {weights: joined, data: substitute(_parsed(text, column), {column: part.data})}
    back = substitute(inside, meant)
    same = _is_same(substitute(product, meant), Sum(part.terms))
    parts = [Target((v,)) for v in (part.weights, part.bias)]
    chains = Chains(formula.expr, parts, about.options.at_kink)
    slopes = [chains([target])[-1] for target in parts]
    rank = formula.expr.rank
    axes = tuple(range(rank))
    n, one = part.weights.shape[0], Dim.of(1)
    whole = substitute(derivative, meant)
    pieces = [
        Einsum(ONE, (whole, _select(0, n, n + one)), ((*axes, rank), (rank + 1, rank)), (*axes, rank + 1)),
        Einsum(ONE, (whole, _select(n, one, n + one)), ((*axes, rank), (rank + 1, rank)), axes),
    ]
    results = [equal(back, formula.expr, known)]
    results += [equal(piece, slope, known) for piece, slope in zip(pieces, slopes, strict=True)]
    if not all(result.equal for result in results):
        raise CheckFailed("the augmented form differs from the formula")
    worst = max(result.worst for result in results)
    said = _said(about, part, inside, derivative, weights, data, same, worst)
    return Augmented(inside, derivative, weights, data, said)


def _is_same(left: Expr, right: Expr) -> bool:
    """Whether the difference of two expressions simplifies to 0."""
    difference = constant_of(simplify(Sum([left, negate(right)])))
    return difference is not None and difference.is_zero


def _select(start: Dim | int, count: Dim, size: Dim) -> Expr:
    """The matrix that picks `count` entries from `start` on."""
    picked = parse_formula(f"eye({size})[{start}:{_plus(start, count)}]", Declarations("", {}, size.names))
    return picked.expr


def _plus(start: Dim | int, count: Dim) -> Dim:
    return (Dim.of(start) if isinstance(start, int) else start) + count


def _parsed(text: str, *known: Variable) -> Expr:
    sizes = dict.fromkeys(name for v in known for dim in v.shape for name in dim.names)
    return parse_formula(text, Declarations("", {v.name: v for v in known}, tuple(sizes))).expr


def _said(
    about: Printable,
    part: _Affine,
    inside: Expr,
    derivative: Expr,
    weights: Variable,
    data: Variable,
    same: bool,
    worst: float,
) -> Said:
    sheet = about.sheet
    w, b, w_hat, x_hat = (pretty(v.name) for v in (part.weights, part.bias, weights, data))
    x = present(part.data).text
    layout = about.options.layout
    turned = is_turned(derivative.rank - 1, 1, layout)
    taken = [*about.formula.variables, *about.formula.names, weights.name, data.name, sheet.letter]
    (form, slope), names, rows = shown(
        [inside, derivative], turned=[False, turned], taken=taken, profile=about.formula.profile
    )
    f = sheet.letter
    shape = derivative.shape if derivative.rank > 1 else (Dim.of(1), *derivative.shape)
    size = sizes_text(shape if turned == (derivative.rank == 1) else shape[::-1])
    product = f"{x_hat}{w_hat}" if data.rank > 1 else f"{w_hat}·{x_hat}"
    affine = f"{x} {w} + {b}" if data.rank > 1 else f"{w}·{x} + {b}"
    data_is = f"[{x}, 𝟏]" if data.rank > 1 else f"[{x}; 1]"
    proof = "their difference simplifies to 0" if same else "they agree at random points"
    lines = [
        f"{w_hat} = [{w}; {b}] and {x_hat} = {data_is}, so {affine} = {product}",
        f"  {f} = {form.text}",
        f"  ∂{f}/∂{w_hat} = {slope.text}    {size}, {layout} layout",
        *(["  where " + ", ".join(names)] if names else []),
        f"It is [∂{f}/∂{w}, ∂{f}/∂{b}], side by side: one array for both updates.",
        f"checked: {affine} and {product} are equal ({proof}), and so are formulas and derivatives, entry by "
        f"entry, at random points, largest error {worst:.1e}",
    ]
    data_out = {
        "weights": {"name": weights.name, "of": [part.weights.name, part.bias.name]},
        "data": {"name": data.name, "of": [x, "1"]},
        "formula": {"text": form.text, "latex": form.latex},
        "derivative": {"text": slope.text, "latex": slope.latex},
        "where": names,
        "proved": same,
    }
    latex = (
        f"{f} &= {form.latex}",
        rf"\frac{{\partial {f}}}{{\partial {name_latex(weights.name)}}} &= {slope.latex}",
        *rows,
    )
    return Said("Augmented:", tuple(lines), latex, data_out)
