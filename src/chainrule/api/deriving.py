"""derive(): a formula and a variable in, its derivative out.

Deriving is all that `derive` does; the numeric check runs once, at the first print or when it is asked for,
and NumPy is loaded only then. Arrays have output axes followed by input axes; layouts concern notation only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

from chainrule.api.abbreviations import Where, read_abbreviations
from chainrule.api.backward import backward
from chainrule.api.chain import Chains
from chainrule.api.derivative import Derivative, Derivatives
from chainrule.api.formulas import Functions, Shapes, read
from chainrule.api.options import LAYOUTS, Options, read_at_kink, read_notation
from chainrule.api.products import along as along_times
from chainrule.api.products import directed, pulled
from chainrule.api.structured import sets_of
from chainrule.api.targets import Wrt, parse_targets
from chainrule.errors import DomainProblem, LimitExceeded, NoDerivative, OptionError, Span
from chainrule.expr.nodes import Apply, Expr, constant_of
from chainrule.expr.walk import topological
from chainrule.language import Formula
from chainrule.notation.places import is_zero
from chainrule.notation.present import present
from chainrule.rules.elementwise import power
from chainrule.simplify import matrix_free, simplify, simplify_many

DIALECTS = ("numpy", "matlab")
HIGHEST_ORDER = 8
MOST_BLOCKS = 256
MOST_GRADIENTS = 2048
# NumPy's own limit; letters for the labels of einsum end not far beyond.
MOST_AXES = 32


def derive(
    formula: str | Expr,
    wrt: Wrt | None = None,
    shapes: Shapes = None,
    *,
    order: int = 1,
    layout: str = "numerator",
    dialect: str = "numpy",
    profile: str | None = None,
    at_kink: float | str = 0,
    functions: Functions = None,
    notation: str = "matrix",
    where: Where = None,
    structured: bool = False,
    upstream: str | None = None,
    times: str | Sequence[str] | None = None,
) -> Derivative | Derivatives:
    """The derivative of a formula in closed form.

    `wrt` is a name or a variable, several of them ("w,b", [w, b]: a mapping with one derivative for each),
    or scalars in brackets ("[x, y]": one Jacobian, its last axis over them). `order` 2 is the Hessian; with
    several variables the blocks, keyed by pairs of names. `at_kink` (0, 1 or 0.5) is the derivative taken at
    the kink of relu, and of a maximum or minimum with a constant. `functions` declares those left unknown:
    "f: scalar, g: elementwise, h: n->m". `notation` is how the answer is written: "matrix", "sums" (per
    instance), "index" (by entries), "kron" (on stacked columns) or "map" (dX ↦ A dX B). `where` names parts
    of the answer, "e = X @ w - y". `structured`: a variable declared symmetric, orthogonal and so on moves
    along such arrays, where its entries count as independent otherwise.
    `upstream` ("G") names ∂L/∂Y, Y being the formula: the answer is ∂L/∂X for every variable in wrt (left
    out: for all). `times` ("v", or "u,v" or ["u", "v"], a name for each variable) is the direction of the
    last order: Jv, or Hv.
    Shapes: output axes, then those of wrt once for each order. Raises: ChainruleError with the place in the
    text and a way out.

    >>> d = derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]", layout="shape")
    >>> d.shape
    ('n',)
    >>> derive("x**2 * y", wrt="x,y", order=2)["x", "y"].numpy_source
    '2 * x'
    """
    _validate(order, layout, dialect)
    kink, written_as = read_at_kink(at_kink), read_notation(notation)
    parsed = read(formula, shapes, dialect, profile, functions)
    options = Options(layout, kink, written_as, read_abbreviations(where, parsed), bool(structured))
    everything = upstream is not None and wrt is None and len(parsed.variables) > 1
    targets, several = parse_targets(list(parsed.variables) if everything else wrt, parsed)
    if upstream is not None:
        parsed, pullback = pulled(parsed, upstream)
        options = replace(options, pullback=pullback)
    if times is not None:
        if structured or options.notation != "matrix":
            other = "structured" if structured else f"notation {options.notation}"
            raise OptionError(f"times and {other} do not go together", hint="leave out one of them")
        parsed, directions = directed(parsed, times, targets)
        options = replace(options, times=directions)
    along = sets_of(targets, order, options) if structured else {}
    most = MOST_GRADIENTS if order == 1 else MOST_BLOCKS
    if len(targets) ** order > most:
        raise LimitExceeded(
            f"{len(targets)} variables to order {order} make {len(targets) ** order:,} blocks; "
            f"at most {most} are derived at once",
            hint="ask for fewer variables, or for each block by itself",
        )
    axes = parsed.expr.rank + order * max(len(target.shape) for target in targets)
    if axes > MOST_AXES:
        raise LimitExceeded(
            f"this derivative has {axes} axes; at most {MOST_AXES} are allowed",
            hint="lower the order, or derive by a part with fewer axes",
        )
    keys = list(product(targets, repeat=order))
    try:
        layers = backward(parsed, options, targets) if order == 1 and not along else None
        if layers is not None:
            own = [(key, layers.wholes[key[0].variables[0]]) for key in keys]
            parts = [Derivative(parsed, key, options, (whole,), whole, layers) for key, whole in own]
            return Derivatives(parsed, options, parts, layers) if several else parts[0]
        chains = Chains(parsed.expr, targets, options.at_kink, along)
        if options.times is not None:
            products = [
                Derivative(parsed, key, options, chain, value)
                for key, chain, value in along_times(targets, order, chains, options.times)
            ]
            return Derivatives(parsed, options, products) if len(products) > 1 else products[0]
        found = [chains(key) for key in keys]
    except NoDerivative as problem:
        raise _locate(problem, parsed) from None
    raw = [chain[-1] for chain in found]
    if options.pullback is not None and order == 1:
        simplest = matrix_free(raw, options.pullback.value.rank or 2)
    else:
        # With no structure kept, what the chains know of products serves here too.
        simplest = simplify_many(raw, normal=None if chains.normal.keep else chains.normal)
    if any(v.structure for v in parsed.variables.values()):
        _refuse_zero_below(parsed, simplest)
    derivatives = [
        Derivative(parsed, key, options, chain, expression)
        for key, chain, expression in zip(keys, found, simplest, strict=True)
    ]
    return Derivatives(parsed, options, derivatives) if several else derivatives[0]


def _refuse_zero_below(formula: Formula, found: Iterable[Expr]) -> None:
    """The error of a formula that divides by 0 for all that is declared, as by tr(X) of a skew X."""
    if not any(_divides_by_zero(node) for node in topological(list(found))):
        return
    below = [
        n.arguments[0] for n in topological([formula.expr]) if isinstance(n, Apply) and n.function is power
    ]
    zero = [part for part in below if is_zero(simplify(part))]
    name = present(zero[0], profile=formula.profile).text if zero else "a part"
    raise DomainProblem(
        f"the formula has no value: {name}, by which it divides, is 0 for all that is declared",
        hint="declare less of the variables, or leave the part out",
    )


def _divides_by_zero(node: Expr) -> bool:
    if not isinstance(node, Apply) or node.function is not power or not is_zero(node.arguments[0]):
        return False
    exponent = constant_of(node.arguments[1])
    return exponent is not None and exponent.rational < 0


def _validate(order: object, layout: object, dialect: object) -> None:
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= HIGHEST_ORDER:
        raise OptionError(
            f"the order is a whole number from 1 to {HIGHEST_ORDER}, not {order!r}",
            hint="1 is the first derivative, 2 the Hessian",
            source=f"order={order!r}",
            spans=(Span(6, 6 + len(repr(order))),),
        )
    for name, value, allowed in (("layout", layout, LAYOUTS), ("dialect", dialect, DIALECTS)):
        if value not in allowed:
            raise OptionError(f"the {name} is {', '.join(allowed[:-1])} or {allowed[-1]}, not {value!r}")


def _locate(problem: NoDerivative, formula: Formula) -> NoDerivative:
    """The error with the place of the function that it names."""
    function = re.search(r"`(\w+)`", problem.message)
    place = re.search(rf"\b{function[1]}\b", formula.source) if function else None
    if place:
        problem.located(formula.source, Span(*place.span()))
    return problem
