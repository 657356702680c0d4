"""Derivatives in closed form, one or several, as data; `derive` makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from chainrule.api.blocks import JoinedFunction
from chainrule.api.chain import Target
from chainrule.api.compilable import Compilable
from chainrule.api.compiling import structured_function, structured_functions
from chainrule.api.formulas import latex_where, size, text_where
from chainrule.api.layouts import is_turned, matrix_shape
from chainrule.api.notated import written
from chainrule.api.options import Options, read_notation
from chainrule.api.products import check_along
from chainrule.api.sizes import Sizes
from chainrule.api.structured import names_of_sets
from chainrule.codegen.formula import numpy_formula, numpy_formulas
from chainrule.errors import CheckFailed, OptionError
from chainrule.expr.nodes import Expr, Variable
from chainrule.language import Formula
from chainrule.notation.abbreviate import Introduced, introduced
from chainrule.notation.piecewise import Cases, by_cases
from chainrule.notation.recursion import Recursion
from chainrule.rules.unknown import unknown_in

if TYPE_CHECKING:
    from chainrule.codegen.structured import StructuredFunction, StructuredFunctions
    from chainrule.notation.written import Written
    from chainrule.verify.compare import Report

POINTS = 20  # at which a derivative is checked before it is printed
EACH = 8  # so many derivatives are checked one by one; more of them all together


class Derivative(Compilable["StructuredFunction"]):
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

        >>> from chainrule import derive
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

        >>> from chainrule import derive
        >>> derive("A @ x", wrt="x", shapes="A[m,n] x[n]").shape
        ('m', 'n')
        """
        return tuple(map(size, self.expression.shape))

    @property
    def layout_shape(self) -> tuple[str | int, ...] | None:
        """The rows and columns that it is written with; () for a number, None if it has more than two axes.

        >>> from chainrule import derive
        >>> derive("norm(A @ x)**2", wrt="x", shapes="A[m,n] x[n]").layout_shape
        (1, 'n')
        """
        shape = matrix_shape(self, self.layout)
        return None if shape is None else tuple(map(size, shape))

    @property
    def text(self) -> str:
        """The derivative alone, on one line of Unicode text that can be read back.

        >>> from chainrule import derive
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

        >>> from chainrule import derive
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

        >>> from chainrule import derive
        >>> d = derive("mean((y - relu(X @ w + b))**2)", wrt="w", shapes="X[N,n] w[n] b y[N]")
        >>> print(d.written("sums").text)
        (2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0] where eᵢ = relu(w·xᵢ + b) − yᵢ
        """
        return written(self.sheet, self.sheet.answers[0], read_notation(notation))

    @cached_property
    def numpy_source(self) -> str:
        """A formula in the NumPy dialect whose value is the array that the compiled function returns.

        >>> from chainrule import derive
        >>> derive("sum(exp(A @ x))", wrt="x", shapes="A[m,n] x[n]").numpy_source
        'exp(A @ x) @ A'
        """
        return numpy_formula(self.expression, self.sheet.names)

    def _compile_structured(
        self, check_finite: bool, backend: str, memory: str, parallel: bool, sizes: Sizes
    ) -> StructuredFunction:
        return structured_function(self, check_finite, backend, memory, parallel, sizes)

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


class Derivatives(Compilable["StructuredFunctions"], Mapping[Any, Derivative]):
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

    def _compile_structured(
        self, check_finite: bool, backend: str, memory: str, parallel: bool, sizes: Sizes
    ) -> StructuredFunctions:
        return structured_functions(self, check_finite, backend, memory, parallel, sizes)

    def compile_joined(self, check_finite: bool = False) -> JoinedFunction:
        """One NumPy function that returns the blocks of a second derivative as one matrix.

        Rows and columns run through the variables in their order, and through their entries row by row.
        Raises: OptionError for what is not of order 2.

        >>> from chainrule import derive
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
