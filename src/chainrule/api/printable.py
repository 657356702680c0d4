"""What one derivative and a mapping of them share: being printed, explained, and asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from chainrule.api.document import document
from chainrule.api.options import Options
from chainrule.api.point import Point, evaluate
from chainrule.api.products import refuse_products
from chainrule.api.questions import as_markdown, as_text
from chainrule.api.sheet import Sheet
from chainrule.errors import DomainProblem
from chainrule.expr.names import ascii_name
from chainrule.language import Formula
from chainrule.notation.recursion import Recursion

if TYPE_CHECKING:
    from chainrule.api.answers import Said
    from chainrule.api.augmented import Augmented
    from chainrule.api.convexity import Convexity
    from chainrule.api.derivative import Derivative
    from chainrule.api.explanation import Explanation
    from chainrule.api.gauss_newton import GaussNewton
    from chainrule.api.stationary import Stationary
    from chainrule.api.taylor import Taylor
    from chainrule.api.why_shape import WhyShape
    from chainrule.draw import Drawing
    from chainrule.verify.compare import Report

NONE: Mapping[str, Said] = MappingProxyType({})


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

        >>> from chainrule import derive
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

        >>> from chainrule import derive
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

        >>> from chainrule import derive
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

        >>> from chainrule import derive
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

        >>> from chainrule import derive
        >>> derive("sum(exp(A @ x))", wrt="x", shapes="A[m,n] x[n]").boxes().alt.splitlines()[0]
        'Boxes of ∂f/∂x = ∂f/∂u₂ · ∂u₂/∂u₁ · ∂u₁/∂x: 1 × m · m × m · m × n = 1 × n'
        """
        from chainrule.api.pictures import picture

        refuse_products(self.options.times, "boxes are")
        return picture(self, "boxes", theme=theme)

    def stationary(self) -> Stationary:
        """Where all derivatives vanish together, when that is a linear system: the equations, solved.

        Raises: OptionError for a formula with axes; CheckFailed.

        >>> from chainrule import derive
        >>> print(derive("norm(X @ w - y)**2", wrt="w", shapes="X[N,n] w[n] y[N]").stationary().text)
        w = (XᵀX)⁻¹Xᵀy
        """
        from chainrule.api.stationary import stationary

        return stationary(self)

    def is_convex(self) -> Convexity:
        """Whether the formula is convex in its variables together, by its form; true only if that is shown.

        Raises: OptionError for a formula with axes; CheckFailed.

        >>> from chainrule import derive
        >>> derive("logsumexp(A @ x)", wrt="x", shapes="A[m,n] x[n]").is_convex().curvature
        'positive semidefinite'
        """
        from chainrule.api.convexity import convexity

        return convexity(self)

    def taylor(self, order: object = 2, *, at: Mapping[str, Any] | str | None = None) -> Taylor:
        """The expansion f(x + d) ≈ f + gᵀd + ½ dᵀHd to an order, its rest measured; at a point too.

        Raises: OptionError for an order that is not 1 to 4; CheckFailed.

        >>> from chainrule import derive
        >>> print(derive("x @ A @ x", wrt="x", shapes="A[n,n]:symmetric x[n]").taylor(2).text)
        f(x + d) = xᵀAx + 2dᵀAx + dᵀAd
        """
        from chainrule.api.taylor import taylor

        return taylor(self, order, at)

    def gauss_newton(self, inner: str | None = None) -> GaussNewton:
        """Jᵀ H J of a loss ℓ(f(θ)): the Hessian without the second derivatives of f; `inner` names f.

        Raises: OptionError where no named part can be f, or several can; CheckFailed.

        >>> from chainrule import derive
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

        >>> from chainrule import derive
        >>> d = derive("mean((y - X @ w - b)**2)", wrt="w,b", shapes="X[N,n] w[n] b y[N]", layout="shape")
        >>> d.augmented().said.data["derivative"]["text"]
        '(2/N) X̂ᵀ e'
        """
        from chainrule.api.augmented import augmented

        return augmented(self)

    def why_shape(self) -> WhyShape:
        """Why each derivative has its shape: from the shapes of formula and variables, and the layout.

        >>> from chainrule import derive
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
