"""Gauss-Newton and Fisher matrices of losses ℓ(f(θ)): Jᵀ H J, without the second derivatives of f.

In: derivatives of a scalar formula, and which named part is f. Out: the blocks Jᵀ H J, with J = ∂f/∂θ and
H = ∂²ℓ/∂f²; for Fisher with H the information of a likelihood, where the loss is recognised as one. J and H
are checked numerically, and their product against the blocks.
Source: Schraudolph 2002; Martens 2020, sections 8 and 9 (Fisher is Gauss-Newton for natural parameters).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

from chainrule.api.answers import Said, shown
from chainrule.api.chain import Chains, Target
from chainrule.api.formulas import size
from chainrule.derive.flow import regrouped
from chainrule.errors import CheckFailed, OptionError
from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.names import ascii_name, pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, constant_of, elementwise, number, scale
from chainrule.expr.walk import depends_on, substitute, variables
from chainrule.notation.latex import name_latex
from chainrule.notation.present import Presentation
from chainrule.notation.text import sizes_text
from chainrule.rules.elementwise import exp, softplus
from chainrule.rules.indexing import one_hot
from chainrule.rules.tensorial import logsumexp
from chainrule.simplify import Normaliser, simplify
from chainrule.simplify.normal import split

if TYPE_CHECKING:
    from chainrule.api.printable import Printable
    from chainrule.codegen.compiled import CompiledFunction
    from chainrule.language import Formula


@dataclass(frozen=True)
class Likelihood:
    """A family of distributions whose −log p(y | f), up to what is constant in f, is A(f) − y·f."""

    name: str
    says: str


GAUSSIAN = Likelihood("Gaussian", "each y is normal with mean {f} and variance {variance}")
POISSON = Likelihood("Poisson", "each y is a Poisson count with the rate exp({f})")
BERNOULLI = Likelihood("logistic", "each label is 1 with probability σ({f}), and {labels}")
CATEGORICAL = Likelihood("softmax", "{y} is one-hot, drawn with the probabilities softmax({f})")
LABELLED = "each {y} is the number of a class, drawn with the probabilities softmax({f})"


@dataclass(frozen=True)
class GaussNewton:
    """The blocks of Jᵀ H J, keyed by pairs of names; each has the axes of the one variable, then the other's.

    inner   the name of f
    family  for Fisher the likelihood that the loss is
    """

    blocks: Mapping[tuple[str, str], Expr]
    inner: str
    family: Likelihood | None
    said: Said
    formula: Formula

    def __str__(self) -> str:
        return self.said.text

    __repr__ = __str__

    def compile(self) -> CompiledFunction:
        """A NumPy function that returns the blocks by pairs of names; the block itself if it is one."""
        from chainrule.codegen.load import compile_expressions

        one = next(iter(self.blocks.values()))
        outputs = one if len(self.blocks) == 1 else dict(self.blocks)
        return compile_expressions(outputs, list(self.formula.variables.values()))


def gauss_newton(about: Printable, inner: str | None = None, *, fisher: bool = False) -> GaussNewton:
    """Jᵀ H J for the loss ℓ(f(θ)), θ being what the derivatives are by; `inner` names f.

    Raises: OptionError if the formula is no such loss, or for Fisher no known likelihood; CheckFailed.
    """
    title = "Fisher" if fisher else "Gauss-Newton"
    formula = about.formula
    if formula.expr.rank or about.options.structured or about.options.times or about.options.pullback:
        raise OptionError(
            f"{title} is about one loss, a number, and its variables",
            hint="leave out structured, times and upstream; take a sum or a mean of what has axes",
        )
    targets = list(dict.fromkeys(target for d in about.parts() for target in d.wrt))
    if any(target.joint for target in targets):
        raise OptionError(f"{title} takes variables one by one", hint='wrt="x,y", not "[x, y]"')
    moving = [t.variables[0] for t in targets]
    return _Asked(formula, about.options.at_kink, moving, inner, title, fisher).answer()


def blocks_of(
    formula: Formula, moving: Sequence[Variable], part: Expr, at_kink: Fraction
) -> Mapping[tuple[str, str], Expr]:
    """The blocks Jᵀ H J with this part as f, whatever is named. Raises: OptionError, CheckFailed."""
    name = "f"
    while name in formula.variables:
        name += "_"
    named = replace(formula, names={name: part})
    return _Asked(named, at_kink, moving, name, "Gauss-Newton", False).answer().blocks


class _Asked:
    def __init__(
        self,
        formula: Formula,
        at_kink: Fraction,
        moving: Sequence[Variable],
        inner: str | None,
        title: str,
        fisher: bool,
    ) -> None:
        self.formula, self.moving, self.title, self.fisher = formula, list(moving), title, fisher
        self.at_kink = at_kink
        self.normal = Normaliser()
        self.expr, self.names = regrouped(self.formula.expr, self.formula.names)
        self.name = self._inner(inner)
        self.part = self.names[self.name]
        self.symbol = Variable(self.name, self.part.shape)
        self.loss = substitute(self.expr, {self.part: self.symbol})

    # ---------------------------------------------------------- which part is f

    def _inner(self, given: str | None) -> str:
        fitting = [name for name, part in self.names.items() if self._fits(part)]
        known = ", ".join(pretty(n) for n in fitting)
        if given is not None:
            name = ascii_name(given.strip())
            if name not in self.names:
                raise OptionError(
                    f"the formula has no part named {given}",
                    hint=f"parts that fit: {known}" if fitting else "name it in the formula: f = X @ w; ...",
                )
            if name not in fitting:
                raise OptionError(
                    f"the loss is no function of {pretty(name)} alone: {self._theirs()} act on it otherwise",
                    hint=f"parts that fit: {known}" if fitting else "name a part that all of it goes through",
                )
            return name
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise OptionError(
                f"{self.title} depends on which part is f in ℓ(f(θ)), and several fit: {known}",
                hint=f"inner={fitting[0]!r} says which",
            )
        raise OptionError(
            f"{self.title} needs a loss ℓ(f(θ)) with a named part f that {self._theirs()} act through",
            hint="name it in the formula: f = X @ w; sum((f - y)**2)",
        )

    def _theirs(self) -> str:
        return " and ".join(pretty(v.name) for v in self.moving)

    def _fits(self, part: Expr) -> bool:
        """Whether all that moves acts on the loss through this part."""
        if part is self.expr or not part.children or not depends_on([part], self.moving) & {part}:
            return False
        hidden = substitute(self.expr, {part: Variable("inner part", part.shape)})
        return not set(self.moving) & set(variables(hidden))

    # ---------------------------------------------------------- the answer

    def answer(self) -> GaussNewton:
        by = Target((self.symbol,))
        slope, curvature = Chains(self.loss, [by], self.at_kink)((by, by))
        family: Likelihood | None = None
        used, factor, assumed = curvature, ONE, list[str]()
        if self.fisher:
            found = _likelihood(self.loss, self.symbol, self.moving, slope, curvature, self.normal)
            family, used, factor, assumed = found
        whole = self.normal(self.part)
        inner = Chains(self.part, [Target((v,)) for v in self.moving], self.at_kink)
        jacobians = {v: inner((Target((v,)),))[0] for v in self.moving}
        outer = substitute(used, {self.symbol: whole})
        raw = {
            (v, w): self._block(jacobians[v], outer, jacobians[w]) for v, w in product(self.moving, repeat=2)
        }
        blocks = {key: simplify(block) for key, block in raw.items()}
        checked = self._check((slope, curvature), jacobians, raw, blocks, used)
        said = self._said(jacobians, used, blocks, family, assumed, factor, checked)
        named = {(v.name, w.name): block for (v, w), block in blocks.items()}
        return GaussNewton(named, self.name, family, said, self.formula)

    def _block(self, left: Expr, middle: Expr, right: Expr) -> Expr:
        """Σ J_f·v H_f·g J_g·w."""
        rank = self.part.rank
        f, g = tuple(range(rank)), tuple(range(rank, 2 * rank))
        v = tuple(range(2 * rank, 2 * rank + left.rank - rank))
        w = tuple(range(100, 100 + right.rank - rank))
        return self.normal(Einsum(ONE, (left, middle, right), (f + v, f + g, g + w), v + w))

    def _check(
        self,
        chain: tuple[Expr, Expr],
        jacobians: Mapping[Variable, Expr],
        raw: Mapping[tuple[Variable, Variable], Expr],
        blocks: Mapping[tuple[Variable, Variable], Expr],
        used: Expr,
    ) -> float:
        """The worst error of J, of H and of the products.

        Raises: CheckFailed.
        """
        from chainrule.verify.compare import check_derivative, equal

        known = list(self.formula.variables.values())
        reports = [
            check_derivative(self.loss, chain, self.symbol, points=5, variables=[*known, self.symbol]),
            *(
                check_derivative(self.part, [jacobian], v, points=5, variables=known)
                for v, jacobian in jacobians.items()
            ),
        ]
        worst = max(report.worst for report in reports)
        failed = next((report for report in reports if not report.passed), None)
        if failed is not None:
            raise CheckFailed(f"{self.title}: {failed}")
        for key, block in blocks.items():
            compared = equal(raw[key], block, known)
            if not compared.equal:
                raise CheckFailed(f"{self.title}: a block differs from the product Jᵀ H J")
            worst = max(worst, compared.worst)
        return worst

    def _said(
        self,
        jacobians: Mapping[Variable, Expr],
        used: Expr,
        blocks: Mapping[tuple[Variable, Variable], Expr],
        family: Likelihood | None,
        assumed: Sequence[str],
        factor: Coefficient,
        worst: float,
    ) -> Said:
        outer = simplify(used)
        every = [*map(simplify, jacobians.values()), outer, *blocks.values()]
        taken = [*self.formula.variables, *self.formula.names, "J", "H"]
        written, names, names_latex = shown(every, taken=taken, profile=self.formula.profile)
        f, count = pretty(self.name), len(jacobians)
        letter = "F" if family is not None else "GN"
        what = "J and H" if count == 1 else "the J and H"
        lines = [
            f"the loss as ℓ({f}), {f} = {f}({', '.join(pretty(v.name) for v in self.moving)}); "
            f"{letter} = Jᵀ H J has no second derivatives of {f}",
            *assumed,
        ]
        latex: list[str] = []
        labels = [f"∂{f}/∂{pretty(v.name)}" for v in self.moving]
        for label, item in zip(labels, written, strict=False):
            lines.append(
                f"  J{_entry(item)} = {label} = {item.text}    {sizes_text(every[len(latex)].shape)}"
            )
            latex.append(f"J &= {item.latex}")
        information = "the information of one f" if family is not None else f"∂²ℓ/∂{f}²"
        middle = written[count]
        lines.append(f"  H{_entry(middle)} = {information} = {middle.text}    {sizes_text(outer.shape)}")
        latex.append(f"H &= {middle.latex}")
        data: list[dict[str, Any]] = []
        for (v, w), block, item in zip(blocks, blocks.values(), written[count + 1 :], strict=True):
            own = f"{letter}[{pretty(v.name)}, {pretty(w.name)}]" if count > 1 else letter
            lines.append(f"  {own}{_entry(item)} = {item.text}    {sizes_text(block.shape)}")
            sign = rf"{letter}_{{{name_latex(v.name)} {name_latex(w.name)}}}" if count > 1 else letter
            latex.append(f"{sign} &= {item.latex}")
            sizes = [size(dim) for dim in block.shape]
            data.append({"wrt": [v.name, w.name], "shape": sizes, "text": item.text, "latex": item.latex})
        if names:
            lines.append("  where " + ", ".join(names))
        if self._is_linear(jacobians) and family is None:
            lines.append(f"{f} is linear in {self._theirs()}, so this is the Hessian itself.")
        if not factor.is_one:
            lines.append(
                f"The loss is {_number(factor)} times −log p, and F is that of the loss as it stands."
            )
        lines.append(f"checked: {what} numerically, the products at random points, largest error {worst:.1e}")
        content = {
            "inner": self.name,
            "family": family.name if family else None,
            "assumed": list(assumed),
            "blocks": data,
            "where": names,
        }
        return Said(f"{self.title}:", tuple(lines), (*latex, *names_latex), content)

    def _is_linear(self, jacobians: Mapping[Variable, Expr]) -> bool:
        return not any(set(self.moving) & set(variables(jacobian)) for jacobian in jacobians.values())


def _entry(item: Presentation) -> str:
    """The letters of its axes, where it is written by entries."""
    return f"_{''.join(item.indices)}" if item.indices else ""


def _number(factor: Coefficient) -> str:
    return shown([number(factor)])[0][0].text


# ---------------------------------------------------------------- which likelihood a loss is

Found = tuple[Likelihood, Expr, Coefficient, list[str]]


def _likelihood(
    loss: Expr,
    symbol: Variable,
    moving: Sequence[Variable],
    slope: Expr,
    curvature: Expr,
    normal: Normaliser,
) -> Found:
    """The family, the information of its natural parameter, the factor in front, and what is assumed.

    Raises: OptionError for a loss that is no such likelihood.
    """
    f = pretty(symbol.name)
    data = [v for v in variables(loss) if v is not symbol and v not in moving and v.shape == symbol.shape]
    half = scale(Coefficient(Fraction(1, 2)), _total(symbol * symbol))
    tried: list[tuple[Likelihood, Expr, Variable | None, Expr]] = [(GAUSSIAN, half, None, half)]
    counts = _total(elementwise(exp, symbol))
    labels = _total(elementwise(softplus, symbol))
    tried += [(POISSON, counts, None, counts), (BERNOULLI, labels, None, labels)]
    for y in data:
        if "sign" in y.structure:
            tried.append((BERNOULLI, _total(elementwise(softplus, -(y * symbol))), y, labels))
    if symbol.rank in (1, 2):
        axis = symbol.rank - 1
        whole = _total(Apply(logsumexp, (symbol,)))
        tried.append((CATEGORICAL, whole, None, whole))
        for y in data:
            rows = Einsum(ONE, (y,), (tuple(range(y.rank)),), tuple(range(axis)))
            tried.append((CATEGORICAL, _total(rows * Apply(logsumexp, (symbol,))), y, whole))
    by = Target((symbol,))
    for family, potential, label_of, plain in tried:
        own_slope, own = Chains(potential, [by])((by, by))
        factor = _ratio(curvature, own, normal)
        if factor is None or factor.rational <= 0:
            continue
        rest = normal.sum([normal(scale(factor**-1, slope)), normal(scale(-ONE, own_slope))])
        datum = _datum(rest, symbol, data)
        numbered = datum is not None and datum.shape != symbol.shape
        if numbered and family is not CATEGORICAL:
            datum, numbered = None, False
        if datum is None and family is not GAUSSIAN and label_of is None:
            continue
        if set(variables(rest)) & {symbol}:
            continue
        known = label_of if datum is None else datum
        label = "y" if known is None else pretty(known.name)
        variance = _number(factor**-1) if family is GAUSSIAN else ""
        kinds = (
            f"{label} is 1 or −1" if family is BERNOULLI and label_of is not None else f"{label} is 1 or 0"
        )
        words = LABELLED if numbered else family.says
        says = words.format(f=f, y=label, variance=variance, labels=kinds)
        each, several = (f"each {label} ", symbol.rank > 1) if numbered else ("each y ", symbol.rank > 0)
        says = says.replace(each, f"each entry of {label} " if several else f"{label} ", 1)
        information = (
            normal(scale(factor, Chains(plain, [by])((by, by))[1])) if label_of is not None else curvature
        )
        assumed = [f"assumed: {says} ({family.name} likelihood, {f} its natural parameter)"]
        return family, information, ONE if family is GAUSSIAN else factor, assumed
    raise OptionError(
        f"Fisher is defined here where the loss is −log p(y | {f}) of a softmax, logistic, Gaussian or "
        f"Poisson likelihood with natural parameter {f}, and this loss is none as a function of {f}",
        hint=f"name the linear predictor or the logits as {f}; Gauss-Newton asks for no likelihood",
    )


def _total(expr: Expr) -> Expr:
    return Einsum(ONE, (expr,), (tuple(range(expr.rank)),), ())


def _ratio(expr: Expr, other: Expr, normal: Normaliser) -> Coefficient | None:
    """The number c with expr = c · other, as far as their canonical forms show."""
    a, b = normal(expr), normal(other)
    first, second = _leading(a), _leading(b)
    for coefficient, body in first:
        for own, match in second:
            if match is body:
                factor = coefficient * own**-1
                total = normal.sum([a, normal(scale(-factor, b))])
                return factor if _is_zero(total) else None
    return None


def _leading(expr: Expr) -> list[tuple[Coefficient, Expr]]:
    """The terms of an expression as numbers and the rest; of a sum that is only repeated, those inside."""
    if isinstance(expr, Einsum) and len(expr.operands) == 1 and isinstance(expr.operands[0], Sum):
        sizes = dict(enumerate(expr.sizes))
        return [
            (expr.coefficient * c, Einsum(ONE, (body,), expr.labels, expr.output, sizes))
            for c, body in map(split, expr.operands[0].terms)
        ]
    return [split(t) for t in (expr.terms if isinstance(expr, Sum) else (expr,))]


def _is_zero(expr: Expr) -> bool:
    constant = constant_of(expr)
    return constant is not None and constant.is_zero


def _datum(rest: Expr, symbol: Variable, data: Sequence[Variable]) -> Variable | None:
    """The y of a slope A′(f) − y, or the numbers c of its entries that are 1, y = one_hot(c)."""
    coefficient, body = split(rest)
    if isinstance(body, Apply) and body.function is one_hot and (-coefficient).is_one:
        numbers = body.arguments[0]
        return numbers if isinstance(numbers, Variable) and body.shape == symbol.shape else None
    return body if isinstance(body, Variable) and body in data and (-coefficient).is_one else None
