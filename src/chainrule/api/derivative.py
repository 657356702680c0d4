"""derive(): a formula and a variable in, its derivative out: data that can be printed, checked and compiled.

Deriving is all that `derive` does; the numeric check runs once, at the first print or when it is asked for,
and NumPy is loaded only then. Arrays have output axes followed by input axes; layouts concern notation only.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

from chainrule.api.abbreviations import Where, read_abbreviations
from chainrule.api.backward import backward
from chainrule.api.blocks import JoinedFunction
from chainrule.api.chain import Chains, Target
from chainrule.api.compiling import (
    ValueAndDerivatives,
    compiled,
    structured_function,
    structured_functions,
    with_value,
    written_for,
)
from chainrule.api.document import document
from chainrule.api.formulas import Functions, Shapes, latex_where, read, size, text_where
from chainrule.api.layouts import is_turned, matrix_shape
from chainrule.api.notated import written
from chainrule.api.options import LAYOUTS, Options, read_at_kink, read_notation
from chainrule.api.point import Point, evaluate
from chainrule.api.products import along as along_times
from chainrule.api.products import check_along, directed, pulled, refuse_products
from chainrule.api.questions import as_markdown, as_text
from chainrule.api.sheet import Sheet
from chainrule.api.sizes import Sizes
from chainrule.api.structured import names_of_sets, sets_of
from chainrule.api.targets import Wrt, parse_targets
from chainrule.codegen.formula import numpy_formula, numpy_formulas
from chainrule.errors import CheckFailed, DomainProblem, LimitExceeded, NoDerivative, OptionError, Span
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable
from chainrule.language import Formula
from chainrule.notation.abbreviate import Introduced, introduced
from chainrule.notation.piecewise import Cases, by_cases
from chainrule.notation.recursion import Recursion
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import matrix_free, simplify_many

if TYPE_CHECKING:
    from chainrule.api.answers import Said
    from chainrule.api.augmented import Augmented
    from chainrule.api.convexity import Convexity
    from chainrule.api.explanation import Explanation
    from chainrule.api.gauss_newton import GaussNewton
    from chainrule.api.stationary import Stationary
    from chainrule.api.taylor import Taylor
    from chainrule.api.why_shape import WhyShape
    from chainrule.codegen.compiled import CompiledFunction
    from chainrule.codegen.structured import StructuredFunction, StructuredFunctions
    from chainrule.draw import Drawing
    from chainrule.notation.written import Written
    from chainrule.verify.compare import Report

DIALECTS = ("numpy", "matlab")
NONE: Mapping[str, Said] = MappingProxyType({})
HIGHEST_ORDER = 8
MOST_BLOCKS = 256
MOST_GRADIENTS = 2048
# NumPy's own limit; letters for the labels of einsum end not far beyond.
MOST_AXES = 32
POINTS = 20  # at which a derivative is checked before it is printed
EACH = 8  # so many derivatives are checked one by one; more of them all together


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
    derivatives = [
        Derivative(parsed, key, options, chain, expression)
        for key, chain, expression in zip(keys, found, simplest, strict=True)
    ]
    return Derivatives(parsed, options, derivatives) if several else derivatives[0]


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


class Printable(ABC):
    """What one derivative and a mapping of them share: being printed, which runs the check once.

    formula  what was differentiated, as it was read
    options  the layout and what else was asked for
    """

    formula: Formula
    options: Options

    @property
    @abstractmethod
    def recursion(self) -> Recursion | None:
        """The names and δ's of a program of layers; None where the answer is one formula."""

    @property
    def layout(self) -> str:
        """How it is written: "numerator", "denominator" or "shape"."""
        return self.options.layout

    @abstractmethod
    def parts(self) -> Sequence[Derivative]:
        """The derivatives that are printed."""

    @abstractmethod
    def check(self, points: int | None = None, *, seed: int = 0) -> Report:
        """Compare with an independent numeric derivative at random points.

        Raises: CheckFailed if they differ; DomainProblem if no point was found where both exist.

        >>> derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]").check(points=5).points
        5
        """

    @cached_property
    def report(self) -> Report | str:
        """What the check found, made once; where there is no point to check at, the reason.

        Raises: CheckFailed.
        """
        try:
            return self.check()
        except DomainProblem as problem:
            return problem.message

    @cached_property
    def sheet(self) -> Sheet:
        """How everything is written, with names for repeated parts."""
        return Sheet(self)

    def at(self, point: Mapping[str, Any] | str) -> Point:
        """The values of the formula and of its derivatives at a point.

        The point is a mapping, a text "x=1,y=[2, 3]", or the path of an npz file.

        >>> derive("x**2 * y", wrt="x").at("x=3,y=2").derivatives
        {('x',): np.float64(12.0)}
        """
        return evaluate(self.formula, {d.names: d.expression for d in self.parts()}, point)

    def explain(
        self,
        style: str | None = None,
        *,
        open: str | Sequence[str] = (),
        at: Mapping[str, Any] | str | None = None,
        units: str | Mapping[str, str] = "",
    ) -> Explanation:
        """How it is derived, step by step, each step with its rule and checked.

        style  "operator" (d/dx is pushed inward), "variables" (intermediate variables and a chain rule),
               "components" (one entry, then all), "differentials" or "layers" (a network by all its
               parameters on one page); chosen from the problem if left out
        open   names of steps whose derivatives are shown entry by entry too, or "all"
        at     a point, "x=1,y=[2, 3]": what the derivative predicts there, and what happens
        units  "y=mile, u=gallon", or a mapping: the units of every factor of the chain rule
        Raises: OptionError for a style that cannot show this derivative.

        >>> page = derive("log(x**2)", wrt="x").explain("variables")
        >>> [phase.title for phase in page.phases]
        ['Introduce intermediate variables', 'Differentiate each', 'Combine', 'Substitute back']
        """
        from chainrule.api.explanation import explanation

        if len(self.parts()) > 1 or self.parts()[0].wrt[-1].joint:
            refuse_products(self.options.times, "a derivation by several variables is")
        opened = [name.strip() for name in open.split(",")] if isinstance(open, str) else list(open)
        return explanation(self, style, opened=[ascii_name(n) for n in opened if n], at=at, units=units)

    def graph(
        self,
        *,
        operators: bool = False,
        entries: bool = False,
        theme: str = "auto",
        direction: str = "auto",
        constants: bool = True,
    ) -> Drawing:
        """The dataflow graph: steps with their formulas and shapes, local derivatives on the edges.

        operators  each step as two nodes, what it does and the variable that it makes: x → (·)² → u
        entries    vectors as columns of their entries x₁, x₂, …, xₙ
        theme      light, dark, or auto: as the reader's system is set
        direction  right, down, or auto; constants: whether what is not differentiated by is drawn too
        A notebook shows it; `.svg`, `.dot` and `.alt` are its texts, `.save(path)` writes it to a file.

        >>> derive("sin(x**2)", wrt="x").graph(operators=True).alt.splitlines()[1].split(". ")[-2]
        'One path leads from x to y: x → (·)² → u → sin → y'
        """
        from chainrule.api.pictures import picture

        refuse_products(self.options.times, "a graph is")
        kind = "entries" if entries else "operators" if operators else "graph"
        return picture(self, kind, theme=theme, direction=direction, constants=constants)

    def boxes(self, *, theme: str = "auto") -> Drawing:
        """The factors of the chain rule as boxes in proportion to their sizes, a line for each path.

        Raises: OptionError for several derivatives at once; LimitExceeded if there are too many paths.

        >>> derive("sum(exp(A @ x))", wrt="x", shapes="A[m,n] x[n]").boxes().alt.splitlines()[0]
        'Boxes of ∂f/∂x = ∂f/∂u₂ · ∂u₂/∂u₁ · ∂u₁/∂x: 1 × m · m × m · m × n = 1 × n'
        """
        from chainrule.api.pictures import picture

        refuse_products(self.options.times, "boxes are")
        return picture(self, "boxes", theme=theme)

    def stationary(self) -> Stationary:
        """Where all derivatives vanish together, when that is a linear system: the equations, solved.

        Raises: OptionError for a formula with axes; CheckFailed.

        >>> print(derive("norm(X @ w - y)**2", wrt="w", shapes="X[N,n] w[n] y[N]").stationary().text)
        w = (XᵀX)⁻¹Xᵀy
        """
        from chainrule.api.stationary import stationary

        return stationary(self)

    def is_convex(self) -> Convexity:
        """Whether the formula is convex in its variables together, by its form; true only if that is shown.

        Raises: OptionError for a formula with axes; CheckFailed.

        >>> derive("logsumexp(A @ x)", wrt="x", shapes="A[m,n] x[n]").is_convex().curvature
        'positive semidefinite'
        """
        from chainrule.api.convexity import convexity

        return convexity(self)

    def taylor(self, order: object = 2, *, at: Mapping[str, Any] | str | None = None) -> Taylor:
        """The expansion f(x + d) ≈ f + gᵀd + ½ dᵀHd to an order, its rest measured; at a point too.

        Raises: OptionError for an order that is not 1 to 4; CheckFailed.

        >>> print(derive("x @ A @ x", wrt="x", shapes="A[n,n]:symmetric x[n]").taylor(2).text)
        f(x + d) = xᵀAx + 2dᵀAx + dᵀAd
        """
        from chainrule.api.taylor import taylor

        return taylor(self, order, at)

    def gauss_newton(self, inner: str | None = None) -> GaussNewton:
        """Jᵀ H J of a loss ℓ(f(θ)): the Hessian without the second derivatives of f; `inner` names f.

        Raises: OptionError where no named part can be f, or several can; CheckFailed.

        >>> d = derive("z = X @ w; sum(log(1 + exp(-y * z)))", wrt="w", shapes="X[N,n] w[n] y[N]")
        >>> d.gauss_newton().said.data["blocks"][0]["text"]
        'Xᵀ diag(y² ⊙ σ(m) ⊙ σ(−m)) X'
        """
        from chainrule.api.gauss_newton import gauss_newton

        return gauss_newton(self, inner)

    def fisher(self, inner: str | None = None) -> GaussNewton:
        """The Fisher information of a softmax, logistic, Gaussian or Poisson loss, f its natural parameter.

        Raises: OptionError for a loss that is no such likelihood; CheckFailed.
        """
        from chainrule.api.gauss_newton import gauss_newton

        return gauss_newton(self, inner, fisher=True)

    def augmented(self) -> Augmented:
        """The form Xw + b = X̂ŵ with ŵ = [w; b] and X̂ = [X, 𝟏], and the proof that it is the same.

        Raises: OptionError for a formula that has no such part; CheckFailed.

        >>> d = derive("mean((y - X @ w - b)**2)", wrt="w,b", shapes="X[N,n] w[n] b y[N]", layout="shape")
        >>> d.augmented().said.data["derivative"]["text"]
        '(2/N) X̂ᵀ e'
        """
        from chainrule.api.augmented import augmented

        return augmented(self)

    def why_shape(self) -> WhyShape:
        """Why each derivative has its shape: from the shapes of formula and variables, and the layout.

        >>> print(derive("sum(x)", wrt="x", shapes="x[n]").why_shape().reasons[0][1].split(": ")[1])
        a row, 1 × n. So df = (∂f/∂x) dx is a row times a column.
        """
        from chainrule.api.why_shape import why_shape

        return why_shape(self)

    def to_text(self, point: Point | None = None, answers: Mapping[str, Said] = NONE) -> str:
        """Everything that is printed: the formula, the derivative, what the check found, other answers."""
        return self.sheet.text(self.report, point) + as_text(answers)

    def to_markdown(self, point: Point | None = None, answers: Mapping[str, Said] = NONE) -> str:
        """The same for a notebook or a page, with formulas in LaTeX."""
        return self.sheet.markdown(self.report, point) + as_markdown(answers)

    def to_json(self, point: Point | None = None, answers: Mapping[str, Said] = NONE) -> str:
        """The same for other programs; docs/json.md describes the format."""
        return document(self.sheet, self.report, point, answers)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return self.sheet.notebook(self.report)


class Derivative(Printable):
    """A derivative in closed form; made by `derive`.

    wrt         by what, one target for each order
    expression  its closed form, at its simplest
    chain       the derivatives of each order, canonical, with no structure used
    """

    def __init__(
        self,
        formula: Formula,
        wrt: tuple[Target, ...],
        options: Options,
        chain: tuple[Expr, ...],
        expression: Expr,
        recursion: Recursion | None = None,
    ) -> None:
        self.formula = formula
        self._layers = recursion
        self.wrt = wrt
        self.options = options
        self.expression = expression
        self.chain = chain

    def parts(self) -> Sequence[Derivative]:
        """Itself."""
        return [self]

    @cached_property
    def abbreviated(self) -> Introduced:
        """Its closed form with the parts standing out that a person named."""
        return introduced(self.expression, self.options.abbreviations)

    @cached_property
    def recursion(self) -> Recursion | None:
        """The names and δ's that it needs, in a program of layers."""
        return self._layers and self._layers.only(self.wrt[0].variables)

    @property
    def order(self) -> int:
        """How many times it was differentiated."""
        return len(self.wrt)

    @property
    def below(self) -> Expr:
        """What the last order differentiates: the formula as written, or the derivative before."""
        return self.formula.expr if self.order == 1 else self.chain[-2]

    @property
    def kind(self) -> str:
        """What it is called: derivative, gradient (of one function), Jacobian (of several), Hessian.

        >>> [derive(f, wrt="x", shapes="x[n]").kind for f in ("sum(x)", "exp(x)")]
        ['gradient', 'Jacobian']
        """
        if self.options.times is not None:
            return "directional derivative" if self.order == 1 else "product with a direction"
        several = any(target.shape for target in self.wrt)
        if self.order > 1:
            hessian = self.order == 2 and not self.formula.expr.rank and several
            return "Hessian" if hessian else f"derivative of order {self.order}"
        if self.formula.expr.rank:
            return "Jacobian"
        return "gradient" if several else "derivative"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what it is by, one for each order but one along directions."""
        kept = self.wrt[:-1] if self.options.times is not None and self.order > 1 else self.wrt
        return tuple(target.name for target in kept)

    @property
    def shape(self) -> tuple[str | int, ...]:
        """The sizes of its array: output axes, then input axes.

        >>> derive("A @ x", wrt="x", shapes="A[m,n] x[n]").shape
        ('m', 'n')
        """
        return tuple(map(size, self.expression.shape))

    @property
    def layout_shape(self) -> tuple[str | int, ...] | None:
        """The rows and columns that it is written with; () for a number, None if it has more than two axes.

        >>> derive("norm(A @ x)**2", wrt="x", shapes="A[m,n] x[n]").layout_shape
        (1, 'n')
        """
        shape = matrix_shape(self, self.layout)
        return None if shape is None else tuple(map(size, shape))

    @property
    def text(self) -> str:
        """The derivative alone, on one line of Unicode text that can be read back.

        >>> derive("softmax(x)", wrt="x", shapes="x[n]").text
        'diag(p) − ppᵀ where p = softmax(x)'
        """
        if self.options.notation != "matrix":
            return self.written(self.options.notation).text
        answer = self.sheet.answers[0]
        # Entries say nothing without the letters that they are the entries at.
        label = f"{answer.label} = " if answer.written.form == "index" else ""
        return label + text_where(answer.written, self.sheet.where)

    @property
    def latex(self) -> str:
        """The derivative alone in LaTeX."""
        if self.options.notation != "matrix":
            return self.written(self.options.notation).latex
        return latex_where(self.sheet.answers[0].written, self.sheet.where)

    @cached_property
    def cases(self) -> Cases | None:
        """The derivative by cases, where a scalar condition decides about it; else None.

        >>> print(derive("relu(w @ x + b)", wrt="w", shapes="w[n] x[n] b").cases.text)
        {𝟎ᵀ if w·x + b ≤ 0; xᵀ if w·x + b > 0}
        """
        if self._layers is not None:
            return None
        turned = is_turned(self, self.layout)
        return by_cases(self.expression, turned=turned, profile=self.formula.profile)

    def written(self, notation: str) -> Written:
        """The derivative in a notation: "matrix", "sums", "index", "kron" or "map", with its text and LaTeX.

        Raises: OptionError if it has no such form; the hint says which ones it has.

        >>> d = derive("mean((y - relu(X @ w + b))**2)", wrt="w", shapes="X[N,n] w[n] b y[N]")
        >>> print(d.written("sums").text)
        (2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0] where eᵢ = relu(w·xᵢ + b) − yᵢ
        """
        return written(self.sheet, self.sheet.answers[0], read_notation(notation))

    @cached_property
    def numpy_source(self) -> str:
        """A formula in the NumPy dialect whose value is the array that the compiled function returns.

        >>> derive("sum(exp(A @ x))", wrt="x", shapes="A[m,n] x[n]").numpy_source
        'exp(A @ x) @ A'
        """
        return numpy_formula(self.expression, self.sheet.names)

    def source(self, backend: str = "numpy", *, sizes: Sizes = None) -> str:
        """The source of what `compile` gives, for numpy, numba, jax or torch; no library is needed for it.

        >>> d = derive("sum(exp(A @ x))", wrt="x", shapes="A[m,n] x[n]")
        >>> print(d.source("jax").splitlines()[-1].strip())
        return jnp.exp(A @ x) @ A
        """
        return written_for(backend, self, sizes)

    @overload
    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: Literal[False] = False,
        sizes: Sizes = None,
    ) -> CompiledFunction: ...

    @overload
    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: Literal[True],
        sizes: Sizes = None,
    ) -> StructuredFunction: ...

    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: bool = False,
        sizes: Sizes = None,
    ) -> CompiledFunction | StructuredFunction:
        """A function of the variables by keyword; axes of its result: output axes, then input axes.

        `backend` is the library that it computes with: numpy, numba, jax or torch. `check_finite` makes NaN
        and infinity in the input an error, with NumPy. `memory` "low" adds up sums over rows in small blocks.
        `parallel` runs the loops of the numba backend on several cores. `structured`: the function returns a
        matrix that is kept by its structure (diagonal, Kronecker, low rank, sums), with @, T, solve, todense.
        `sizes`, {"N": 1000} or "N=1000", is what the order of products is chosen for; others work as well.

        >>> f = derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]").compile()
        >>> f(A=[[1, 2], [3, 4]], x=[1, 1])
        array([ 7., 13.])
        """
        if structured:
            return structured_function(self, check_finite, backend, memory, parallel, sizes)
        return compiled(
            self, sizes, check_finite=check_finite, backend=backend, memory=memory, parallel=parallel
        )

    def value_and_derivatives(
        self, *, backend: str = "numpy", sizes: Sizes = None
    ) -> ValueAndDerivatives:
        """A function that returns the value of the formula and the derivative, what they share computed once.

        >>> f = derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]").value_and_derivatives()
        >>> f(A=[[1, 2], [3, 4]], x=[1, 1])
        (np.float64(10.0), array([ 7., 13.]))
        """
        return with_value(self, backend, sizes)

    def check(self, points: int | None = None, *, seed: int = 0) -> Report:
        """Compare with an independent numeric derivative at random points."""
        from chainrule.verify.compare import check_derivative
        from chainrule.verify.structured import check_structured

        if self.options.times is not None:
            report = check_along(self, self.options.times, _points(points, POINTS), seed)
            if not report.passed:
                raise CheckFailed(f"the product with a direction: {report}")
            return report
        compare = check_derivative
        if self.options.structured:
            compare = partial(check_structured, sets=names_of_sets(self.wrt))
        report = compare(
            self.formula.expr,
            self.chain,
            [target.moving for target in self.wrt],
            points=_points(points, POINTS),
            seed=seed,
            variables=list(self.formula.variables.values()),
            same=list(dict.fromkeys((self.expression, self.abbreviated.expr))),
            code=None if unknown_in(self.expression) else self.compile(),
        )
        if not report.passed:
            raise CheckFailed(f"∂/∂{' ∂'.join(self.names)} {report}")
        return report


class Derivatives(Printable, Mapping[Any, Derivative]):
    """Derivatives by several variables, keyed by name; from order 2 on blocks, keyed by tuples of names."""

    def __init__(
        self,
        formula: Formula,
        options: Options,
        derivatives: Sequence[Derivative],
        recursion: Recursion | None = None,
    ) -> None:
        self.formula = formula
        self._layers = recursion
        self.options = options
        self._derivatives = {d.names if len(d.names) > 1 else d.names[0]: d for d in derivatives}

    def parts(self) -> Sequence[Derivative]:
        """Every derivative, in the order in which the variables were named."""
        return list(self._derivatives.values())

    @property
    def recursion(self) -> Recursion | None:
        """The names and δ's of all of them, in a program of layers."""
        return self._layers

    def __getitem__(self, key: Any) -> Derivative:
        if key not in self._derivatives and isinstance(key, Variable):
            key = key.name
        return self._derivatives[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._derivatives)

    def __len__(self) -> int:
        return len(self._derivatives)

    @property
    def text(self) -> str:
        """All of them, a line each, and the names of their parts."""
        return "\n".join(self.sheet.answer_lines())

    @property
    def latex(self) -> str:
        """All of them in LaTeX, as aligned equations."""
        return self.sheet.equations()

    @cached_property
    def numpy_source(self) -> str:
        """A program in the NumPy dialect: shared parts first, then one statement for each derivative."""
        labels = {f"d_{'_'.join(d.names)}": d.expression for d in self.parts()}
        return numpy_formulas(labels, self.sheet.names)

    def source(self, backend: str = "numpy", *, sizes: Sizes = None) -> str:
        """The source of what `compile` gives, for numpy, numba, jax or torch; no library is needed for it."""
        return written_for(backend, self, sizes)

    @overload
    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: Literal[False] = False,
        sizes: Sizes = None,
    ) -> CompiledFunction: ...

    @overload
    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: Literal[True],
        sizes: Sizes = None,
    ) -> StructuredFunctions: ...

    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: bool = False,
        sizes: Sizes = None,
    ) -> CompiledFunction | StructuredFunctions:
        """One function that returns a dict of arrays with the keys of this mapping.

        `structured`: those that are matrices are kept by their structure, as `compile` of one of them does.

        >>> f = derive("x**2 * y", wrt="x,y").compile()
        >>> f(x=3, y=2)
        {'x': np.float64(12.0), 'y': np.float64(9.0)}
        """
        if structured:
            return structured_functions(self, check_finite, backend, memory, parallel, sizes)
        return compiled(
            self, sizes, check_finite=check_finite, backend=backend, memory=memory, parallel=parallel
        )

    def value_and_derivatives(
        self, *, backend: str = "numpy", sizes: Sizes = None
    ) -> ValueAndDerivatives:
        """A function that returns the value of the formula and a dict of the derivatives.

        >>> f = derive("x**2 * y", wrt="x,y").value_and_derivatives()
        >>> f(x=3, y=2)
        (np.float64(18.0), {'x': np.float64(12.0), 'y': np.float64(9.0)})
        """
        return with_value(self, backend, sizes)

    def compile_joined(self, check_finite: bool = False) -> JoinedFunction:
        """One NumPy function that returns the blocks of a second derivative as one matrix.

        Rows and columns run through the variables in their order, and through their entries row by row.
        Raises: OptionError for what is not of order 2.

        >>> f = derive("x**2 * y", wrt="x,y", order=2).compile_joined()
        >>> f(x=3, y=2)
        array([[4., 6.],
               [6., 0.]])
        """
        first = self.parts()[0]
        if first.order != 2 or self.formula.expr.rank or self.options.times is not None:
            raise OptionError(
                "only the blocks of a second derivative of one number are joined into a matrix",
                hint="compile() returns the arrays by name",
            )
        ranks = {d.wrt[0].name: len(d.wrt[0].shape) for d in self.parts()}
        return JoinedFunction(self.compile(check_finite), list(ranks), ranks)

    def check(self, points: int | None = None, *, seed: int = 0) -> Report:
        """Compare each with an independent numeric derivative at random points; very many all together."""
        from chainrule.verify.gradients import check_gradients

        parts = self.parts()
        alone = parts[0].order > 1 or self.options.structured or any(d.wrt[0].joint for d in parts)
        if len(parts) <= EACH or alone:
            few = _points(points, POINTS if len(parts) <= EACH else 3)
            return joined([d.check(few, seed=seed) for d in parts])
        report = check_gradients(
            self.formula.expr,
            {d.wrt[0].variables[0]: d.expression for d in parts},
            points=_points(points, 3),
            seed=seed,
            variables=list(self.formula.variables.values()),
        )
        if not report.passed:
            raise CheckFailed(f"the gradients by {', '.join(self)}: {report}")
        return report


def _points(asked: int | None, usual: int) -> int:
    """At how many points a derivative is checked: at least one."""
    if asked is None:
        return usual
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise OptionError(f"a derivative is checked at one point or more, not {asked!r}")
    return asked


def joined(reports: Sequence[Report]) -> Report:
    """One report for several derivatives of one formula."""
    worst = max(reports, key=lambda report: report.worst)
    methods = dict.fromkeys(method for report in reports for method in report.method.split(" and "))
    return replace(
        worst,
        points=min(report.points for report in reports),
        compared=sum(report.compared for report in reports),
        method=" and ".join(methods),
    )
