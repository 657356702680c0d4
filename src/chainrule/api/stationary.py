"""Where the gradient of a formula vanishes, when that is a linear system: the equations and their solution.

In: first derivatives of a scalar formula. Out: a Stationary, with the normal equations, the solution and the
condition for it, checked by the slopes of the formula there; or the reason why it is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainrule.api.answers import Said, shown
from chainrule.api.chain import Chains, Target
from chainrule.api.convexity import Convexity, convexity
from chainrule.api.linear import Solved, Unsolved, solve
from chainrule.derive.kinks import kinks
from chainrule.errors import CheckFailed, DomainProblem, OptionError
from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, add, constant_of, negate, scale, zeros
from chainrule.expr.walk import depends_on, substitute, topological
from chainrule.expr.walk import variables as variables_of
from chainrule.notation.latex import name_latex
from chainrule.notation.present import Request, present, present_many
from chainrule.notation.text import to_text
from chainrule.rules.elementwise import stop
from chainrule.rules.identities import content
from chainrule.rules.tensorial import inv
from chainrule.simplify import Normaliser, simplify
from chainrule.simplify.definite import Definite, Proof

if TYPE_CHECKING:
    from chainrule.api.printable import Printable
    from chainrule.codegen.compiled import CompiledFunction
    from chainrule.language import Formula
    from chainrule.verify.compare import Report


@dataclass(frozen=True)
class Stationary:
    """Where all derivatives vanish; true if that is solved.

    equations  left and right side for each variable, ready to be read as A w = b
    solution   each variable in closed form, in the order in which they are solved for
    reason     why it is not shown, "" if it is
    """

    equations: tuple[tuple[Expr, Expr], ...]
    solution: tuple[Solved, ...]
    reason: str
    said: Said
    formula: Formula

    def __bool__(self) -> bool:
        return bool(self.solution)

    def __str__(self) -> str:
        return self.said.text

    __repr__ = __str__

    @property
    def text(self) -> str:
        """The solution alone, `w = (XᵀX)⁻¹Xᵀy`; the reason if there is none."""
        return (
            "; ".join(self.said.data["solution"][k]["text"] for k in range(len(self.solution))) or self.reason
        )

    def compile(self) -> CompiledFunction:
        """A NumPy function of the other variables that returns the solution by name.

        Raises: OptionError if it is not solved.
        """
        from chainrule.codegen.load import compile_expressions

        if not self.solution:
            raise OptionError(f"there is no solution to compile: {self.reason}")
        solved = {s.variable.name for s in self.solution}
        others = [v for v in self.formula.variables.values() if v.name not in solved]
        return compile_expressions({s.variable.name: s.full for s in self.solution}, others)


def stationary(about: Printable) -> Stationary:
    """Where the derivatives of a scalar formula by all its variables vanish together.

    Raises: OptionError for a formula with axes; CheckFailed if a slope at the solution is not 0.
    """
    if about.formula.expr.rank:
        raise OptionError(
            "where a gradient vanishes is asked of one number, and this formula has axes",
            hint="ask it of one entry, or of a sum of squares",
        )
    if about.options.structured:
        raise OptionError("this is not looked at along a structured set", hint="leave out structured")
    return _Asked(about).answer()


class _Asked:
    def __init__(self, about: Printable) -> None:
        self.about, self.formula = about, about.formula
        targets = [target for d in about.parts() for target in d.wrt]
        self.moving = list(dict.fromkeys(v for target in targets for v in target.variables))
        self.names = ", ".join(pretty(v.name) for v in self.moving)
        self.at_kink = about.options.at_kink
        self.normal = Normaliser()
        self.equations: list[tuple[Expr, Expr]] = []
        self.block: Expr = zeros(())

    def write(self, expr: Expr) -> str:
        return present(expr, profile=self.formula.profile).text

    def answer(self) -> Stationary:
        bound = next((v for v in self.moving if set(v.structure) - {"positive"}), None)
        if bound is not None:
            words = " and ".join(bound.structure)
            return self._open(
                f"{pretty(bound.name)} is declared {words}: along such values a formula may be stationary "
                "where its gradient is not 0"
            )
        held = depends_on([self.formula.expr], self.moving)
        if any(
            isinstance(n, Apply) and n.function is stop and n in held
            for n in topological([self.formula.expr])
        ):
            return self._open("stop(...) holds a part of the formula fixed, so its gradient is not its own")
        found = kinks(self.normal(self.formula.expr), self.moving, self.write, 1, self.at_kink)
        if found:
            return self._open(f"the formula is {found[0]}, so its gradient is not linear in {self.names}")
        try:
            return self._solved()
        except Unsolved as problem:
            return self._open(f"{problem}{self._stacked()}")

    def _stacked(self) -> str:
        """The equation for one unknown matrix on stacked columns, K vec(X) = vec(R)."""
        if len(self.moving) != 1 or self.moving[0].rank != 2 or not self.equations:
            return ""
        variable, (_, right) = self.moving[0], self.equations[0]
        (written,), _ = present_many([Request(self.block, False, (2, 2))], profile=self.formula.profile)
        if written.vec is None:
            return ""
        matrix = to_text(written.vec, self.formula.profile)
        return (
            f"; on stacked columns it is ({matrix}) vec({pretty(variable.name)}) = vec({self.write(right)})"
        )

    def _solved(self) -> Stationary:
        chains = Chains(self.formula.expr, [Target((v,)) for v in self.moving], self.at_kink)
        targets = {v: Target((v,)) for v in self.moving}
        gradients = {v: simplify(chains([targets[v]])[0]) for v in self.moving}
        blocks: dict[tuple[Variable, Variable], Expr] = {}
        for v in self.moving:
            for w in self.moving:
                block = simplify(chains([targets[v], targets[w]])[-1])
                within = [u for u in variables_of(block) if u in self.moving]
                if within:
                    raise Unsolved(
                        f"the gradient by {pretty(v.name)} is not linear in {self.names}: its derivative by "
                        f"{pretty(w.name)} still holds {pretty(within[0].name)}"
                    )
                blocks[v, w] = block
        at_zero: dict[Expr, Expr] = {v: zeros(v.shape) for v in self.moving}
        sides = {v: simplify(negate(substitute(gradients[v], at_zero))) for v in self.moving}
        for v in self.moving:
            left = simplify(add(gradients[v], sides[v]))
            factor = self._number_of(left)
            self.equations.append((simplify(scale(factor, left)), simplify(scale(factor, sides[v]))))
            self.block = simplify(scale(factor, blocks[v, v]))
        if all(_is_zero(block) for block in blocks.values()):
            self.equations.clear()
            raise Unsolved(f"the gradient does not depend on {self.names}")
        solution = solve(blocks, sides, self.moving)
        report = self._checked(gradients, solution)
        return self._found(solution, report)

    def _number_of(self, left: Expr) -> Coefficient:
        """What frees the left side from the number that it carries."""
        if isinstance(left, Sum):
            return content(left) ** -1
        return left.coefficient**-1 if isinstance(left, Einsum) and not left.coefficient.is_zero else ONE

    def _checked(self, gradients: dict[Variable, Expr], solution: Sequence[Solved]) -> Report:
        from chainrule.verify.stationary import check_stationary

        variables = [v for v in self.formula.variables.values() if v not in self.moving]
        try:
            report = check_stationary(
                self.formula.expr,
                gradients,
                {s.variable: s.full for s in solution},
                variables=variables,
                exist=[inverse for s in solution for inverse, _ in s.inverted],
            )
        except DomainProblem:
            pivots = " and ".join(self.write(s.pivot) for s in solution)
            raise Unsolved(
                f"{pivots} has no inverse at any point that was tried: there are many solutions, or none"
            ) from None
        if not report.passed:
            raise CheckFailed(f"the stationary point by {self.names} {report}")
        return report

    # ------------------------------------------------------------ what is said

    def _found(self, solution: Sequence[Solved], report: Report) -> Stationary:
        exprs = [e for pair in self.equations for e in pair] + [s.step for s in solution]
        taken = [
            *self.formula.variables,
            *(n for v in self.formula.variables.values() for d in v.shape for n in d.names),
        ]
        written, names, names_latex = shown(exprs, taken=taken, profile=self.formula.profile)
        count = 2 * len(self.equations)
        lines = ["The gradient vanishes where"]
        latex: list[str] = []
        for left, right in zip(written[:count:2], written[1:count:2], strict=True):
            lines.append(f"    {left.text} = {right.text}")
            latex.append(f"{left.latex} &= {right.latex}")
        lines.append("so" if not names else "so, with " + ", ".join(names) + ",")
        data: list[dict[str, Any]] = []
        for s, step in zip(solution, written[count:], strict=True):
            lines.append(f"    {pretty(s.variable.name)} = {step.text}")
            latex.append(f"{name_latex(s.variable.name)} &= {step.latex}")
            data.append(
                {
                    "name": s.variable.name,
                    "text": f"{pretty(s.variable.name)} = {step.text}",
                    "latex": step.latex,
                }
            )
        conditions = self._conditions(solution)
        lines += conditions
        kind, curved = self._kind(solution)
        lines.append(kind)
        lines.append(
            f"checked: the slopes of the formula there vanish at {report.points} random points "
            f"({report.method}), largest relative error {report.worst:.1e}"
        )
        said = Said(
            f"stationary in {self.names}",
            tuple(lines),
            (*latex, *names_latex),
            {
                "solved": True,
                "equations": [
                    {"left": a.text, "right": b.text}
                    for a, b in zip(written[:count:2], written[1:count:2], strict=True)
                ],
                "solution": data,
                "where": names,
                "conditions": conditions,
                "kind": curved.verdict or None,
            },
        )
        return Stationary(tuple(self.equations), tuple(solution), "", said, self.formula)

    def _conditions(self, solution: Sequence[Solved]) -> list[str]:
        """What must hold for the inverses in the solution to exist."""
        definite = Definite(self.normal)
        lines: dict[str, None] = {}
        for s in solution:
            for inverse, matrix in s.inverted:
                bare = self._bare(matrix)
                entries = self._entries(bare) if matrix.rank else bare
                if entries is not None:
                    lines |= self._divided(entries, definite)
                elif any(
                    isinstance(n, Apply) and n.function is inv for n in topological([simplify(inverse)])
                ):
                    proof = definite.prove(self.normal(matrix))
                    if not (isinstance(proof, Proof) and proof.strict):
                        lines[f"if {self.write(bare)} is invertible{self._rank(bare)}."] = None
            if "positive" in s.variable.structure:
                lines[f"if it is positive, as {pretty(s.variable.name)} is declared."] = None
        return list(lines)

    def _bare(self, matrix: Expr) -> Expr:
        """A matrix without its number; signs stay."""
        form = simplify(matrix)
        number = form.coefficient if isinstance(form, Einsum) else ONE
        number = content(form) if isinstance(form, Sum) else number
        size = number if number.rational >= 0 else -number
        return form if size.is_zero else simplify(scale(size**-1, form))

    def _entries(self, matrix: Expr) -> Expr | None:
        """The entries of a diagonal matrix, one number of a multiple of I."""
        if isinstance(matrix, Einsum) and matrix.rank == 2 and matrix.output[0] == matrix.output[1]:
            carried = any(matrix.output[0] in axes for axes in matrix.labels)
            output = matrix.output[:1] if carried else ()
            sizes = dict(enumerate(matrix.sizes))
            return simplify(Einsum(ONE, matrix.operands, matrix.labels, output, sizes))
        return None

    def _divided(self, entries: Expr, definite: Definite) -> dict[str, None]:
        """What is divided by must not be 0."""
        if any(definite.is_positive(self.normal(e)) for e in (entries, negate(entries))):
            return {}
        which = "no entry of " if entries.rank else ""
        return {f"if {which}{self.write(entries)} is {'' if which else 'not '}0.": None}

    def _rank(self, matrix: Expr) -> str:
        """For XᵀX: the columns of X are independent."""
        if (
            isinstance(matrix, Einsum)
            and len(matrix.operands) == 2
            and matrix.operands[0] is matrix.operands[1]
        ):
            factor, (labels, others) = matrix.operands[0], matrix.labels
            if isinstance(factor, Variable) and factor.rank == 2:
                shared = [k for k in (0, 1) if labels[k] == others[k] and labels[k] not in matrix.output]
                if len(shared) == 1:
                    which = "columns" if shared == [0] else "rows"
                    return f": the {which} of {pretty(factor.name)} are independent"
        return ""

    def _kind(self, solution: Sequence[Solved]) -> tuple[str, Convexity]:
        """Minimum, maximum or saddle, as far as the curvature is shown."""
        found, letter = convexity(self.about), self.about.sheet.letter

        match found.verdict:
            case "convex":
                text = f"{letter} is convex in {self.names}, so this is its only minimum."
            case "concave":
                text = f"{letter} is concave in {self.names}, so this is its only maximum."
            case "neither":
                text = f"{letter} is neither convex nor concave in general: a minimum, a maximum or a saddle."
            case _:
                text = "Whether this is a minimum, a maximum or a saddle is not shown."
        return text, found

    def _open(self, reason: str) -> Stationary:
        lines = [f"not shown: {reason}."]
        data: dict[str, Any] = {"solved": False, "reason": reason, "equations": []}
        latex: list[str] = []
        if self.equations:
            lines.insert(0, "The gradient vanishes where")
            for k, (left, right) in enumerate(self.equations):
                a, b = (present(e, profile=self.formula.profile) for e in (left, right))
                lines.insert(1 + k, f"    {a.text} = {b.text}")
                latex.append(f"{a.latex} &= {b.latex}")
                data["equations"].append({"left": a.text, "right": b.text})
        said = Said(f"stationary in {self.names}", tuple(lines), tuple(latex), data)
        return Stationary(tuple(self.equations), (), reason, said, self.formula)


def _is_zero(expr: Expr) -> bool:
    constant = constant_of(expr)
    return constant is not None and constant.is_zero
