"""Whether the Hessian of a formula is positive semidefinite by its form, and what follows from it.

In: derivatives of a scalar formula. Out: a Convexity. It says "convex" only where every part of the Hessian,
or of the second derivative along a line, is proved nowhere negative, and eigenvalues at random points agree;
"neither" only with a point at hand. Else it says what is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chainrule.api.answers import Said, shown
from chainrule.api.chain import Chains, Target
from chainrule.derive.forward import directional
from chainrule.derive.kinks import kinks
from chainrule.errors import CheckFailed, DomainProblem, OptionError
from chainrule.expr.dims import ONE
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Expr, Sum, Variable, constant_of, scale
from chainrule.expr.walk import depends_on, substitute, topological
from chainrule.notation.present import present
from chainrule.rules.elementwise import stop
from chainrule.rules.structures import structure_of
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import Normaliser, simplify
from chainrule.simplify.composed import curvature
from chainrule.simplify.definite import Definite, Doubt, Part, Proof
from chainrule.simplify.moves import joined_moves, multiplied_out

if TYPE_CHECKING:
    from chainrule.api.printable import Printable
    from chainrule.language import Formula
    from chainrule.verify.definite import Spectrum

LEGIBLE = 12
CLEAR = 1e-6  # of the largest eigenvalue: a sign that is no rounding


@dataclass(frozen=True)
class Convexity:
    """What is known of the curvature of a formula in some variables; true if it is shown to be convex.

    verdict   "convex", "concave", "affine", "neither", or "" where nothing is shown
    curvature "positive semidefinite", "negative definite", ... of the second derivative, or ""
    reasons   sentences
    said      everything as text and data
    """

    verdict: str
    curvature: str
    reasons: tuple[str, ...]
    said: Said

    def __bool__(self) -> bool:
        return self.verdict in ("convex", "affine")

    def __str__(self) -> str:
        return self.said.text

    __repr__ = __str__


def convexity(about: Printable) -> Convexity:
    """The curvature of a scalar formula in all variables that it was differentiated by, taken together.

    Raises: OptionError for a formula with axes; CheckFailed if a proved claim does not hold at random points.
    """
    formula = about.formula
    if formula.expr.rank:
        raise OptionError(
            "convexity is asked of one number, and this formula has axes",
            hint="ask it of one entry, or of a sum of entries",
        )
    if about.options.structured:
        raise OptionError("convexity is not looked at along a structured set", hint="leave out structured")
    targets = list(dict.fromkeys(target for d in about.parts() for target in d.wrt))
    return _Asked(formula, targets, about.options.at_kink, about.sheet.letter).answer()


class _Asked:
    def __init__(self, formula: Formula, targets: Sequence[Target], at_kink: Any, letter: str) -> None:
        self.letter = letter
        self.formula, self.targets = formula, targets
        self.moving = list(dict.fromkeys(v for target in targets for v in target.variables))
        self.names = " and ".join(pretty(v.name) for v in self.moving)
        self.single = targets[0] if len(targets) == 1 else None
        self.normal = Normaliser()
        sizes = {n for v in formula.variables.values() for dim in v.shape for n in dim.names}
        self.taken = sorted({*formula.variables, *sizes, *unknown_in(formula.expr)})
        self.chains = Chains(formula.expr, targets, at_kink)
        self.kinks = kinks(self.chains.formula, self.moving, self.write, 2, at_kink)

    def write(self, expr: Expr) -> str:
        return present(expr, profile=self.formula.profile).text

    def answer(self) -> Convexity:
        for variable in self.moving:
            structure = structure_of(variable)
            if isinstance(structure, str) or (structure is not None and structure.kind == "tangent"):
                words = " and ".join(variable.structure)
                name = pretty(variable.name)
                return self._said("", "", [f"{name} is declared {words}, and such values are no convex set."])
        held = depends_on([self.formula.expr], self.moving)
        if any(
            isinstance(n, Apply) and n.function is stop and n in held
            for n in topological([self.formula.expr])
        ):
            return self._said(
                "", "", ["stop(...) holds a part of the formula fixed, so its derivative is not its own."]
            )
        if self.kinks:
            composed = self._composed()
            if composed is not None:
                return composed
        forms = self._forms()
        joined = self._joined(forms)
        doubts: list[Doubt] = []
        for sign, word, verdict in ((1, "positive", "convex"), (-1, "negative", "concave")):
            for form, rows in forms:
                matrix = self.normal(form if sign > 0 else scale(-ONE, form))
                axes = tuple(range(rows))
                proof = Definite(self.normal).prove(matrix, axes, tuple(range(rows, 2 * rows)))
                if isinstance(proof, Proof):
                    return self._proved(proof, sign, word, verdict, matrix, rows)
                doubts.append(proof) if sign > 0 else None
            parts = self._parts_of(joined, sign) if joined is not None else ()
            if parts:
                return self._proved(Proof(parts), sign, word, verdict, matrix, rows)
        return self._open(doubts)

    def _joined(self, forms: Sequence[tuple[Expr, int]]) -> tuple[list[Expr], dict[Expr, Expr]] | None:
        """Forms along a line with what moves together as one variable; None where that is nothing new."""
        directions = [self.direction(v) for v in self.moving]
        joined, sums = joined_moves(forms[-2][0], directions)
        if not sums or len(self.moving) == 1:
            return None
        terms = [self.normal(term) for term in multiplied_out(self.normal(joined))]
        return [simplify(joined), self.normal.sum(terms)], sums

    def _parts_of(self, joined: tuple[list[Expr], dict[Expr, Expr]], sign: int) -> tuple[Part, ...]:
        """The parts of a proof for whatever the joined moves are, written in the moves; empty without one."""
        forms, sums = joined
        for form in forms:
            signed = form if sign > 0 else self.normal(scale(-ONE, form))
            found = Definite(self.normal).prove(signed, (), ())
            if isinstance(found, Proof):
                return tuple(
                    replace(p, term=substitute(p.term, sums), weight=p.weight and substitute(p.weight, sums))
                    for p in found.parts
                )
        return ()

    def _composed(self) -> Convexity | None:
        """What composition shows of a formula with kinks; its smooth terms by their second derivatives."""
        definite = Definite(self.normal)
        whole = self.normal(self.formula.expr)
        terms = whole.terms if isinstance(whole, Sum) else (whole,)
        found: list[str] = []
        for term in terms:
            word = curvature(term, self.moving, definite) or self._smooth_term(term, definite)
            if word is None:
                return None
            found.append(word)
        for verdict in ("convex", "concave"):
            if all(word in ("constant", "affine", verdict) for word in found):
                named = [self.write(t) for t, word in zip(terms, found, strict=True) if word == verdict]
                kind = f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} {verdict}"
                reasons = [
                    f"{kind}: sums with weights ≥ 0, norms, maxima and rising {verdict} functions of affine "
                    "parts are. This needs no derivative, so it holds at the kinks too.",
                ]
                self._check_chords(1 if verdict == "convex" else -1)
                return self._said(verdict, "", reasons)
        return None

    def _check_chords(self, sign: int) -> None:
        from chainrule.verify.definite import ROUNDING, chord_excess

        signed = self.normal(scale(ONE if sign > 0 else -ONE, self.formula.expr))
        try:
            excess = chord_excess(signed, self.moving, list(self.formula.variables.values()))
        except DomainProblem:
            return
        if excess > ROUNDING:
            word = "convex" if sign > 0 else "concave"
            raise CheckFailed(f"a formula that composition shows to be {word} crosses a chord")

    def _smooth_term(self, term: Expr, definite: Definite) -> str | None:
        if kinks(term, self.moving, self.write, 2, self.chains.at_kink):
            return None
        directions: dict[Expr, Expr] = {v: self.direction(v) for v in self.moving}
        second = directional(directional(term, directions), directions)
        for sign, word in ((ONE, "convex"), (-ONE, "concave")):
            for form in (second, simplify(second)):
                if isinstance(definite.prove(self.normal(scale(sign, form)), (), ()), Proof):
                    return word
        return None

    def _forms(self) -> list[tuple[Expr, int]]:
        """Forms of the second derivative with their numbers of row axes; the last ones along a line."""
        found: list[tuple[Expr, int]] = []
        if self.single is not None:
            target = self.single
            raw = self.chains((target, target))[-1]
            rows = len(target.shape)
            found = [(self.normal(raw), rows), (self.normal(simplify(raw)), rows)]
        along = self._along_a_line()
        return [*found, (self.normal(along), 0), (self.normal(simplify(along)), 0)]

    def _along_a_line(self) -> Expr:
        """The second derivative of f(x + t d) by t at t = 0, with a direction d for each variable."""
        directions: dict[Expr, Expr] = {v: self.direction(v) for v in self.moving}
        first = self.chains.normal(directional(self.chains.formula, directions, self.chains.at_kink))
        return directional(first, directions, self.chains.at_kink)

    def direction(self, variable: Variable) -> Variable:
        """The direction in which a variable moves, symmetric if that is; by name, d or d_x."""
        taken = {*self.formula.variables, *unknown_in(self.formula.expr)}
        symmetric = ("symmetric",) if self.normal.is_symmetric(variable) else ()
        letter = "D" if symmetric and "D" not in taken else "d"  # dX⁻¹ would be read as a differential
        name = letter if len(self.moving) == 1 else f"{letter}_{variable.name}"
        return Variable(name + "_" * (name in taken), variable.shape, symmetric)

    # ------------------------------------------------------------ what is said

    def _proved(self, proof: Proof, sign: int, word: str, verdict: str, matrix: Expr, rows: int) -> Convexity:
        zero = all(not part.strict and _is_zero(part.term) for part in proof.parts)
        self._check(matrix, rows)
        strict = proof.strict
        curvature = "zero" if zero else f"{word} {'definite' if strict else 'semidefinite'}"
        reasons = [] if zero else list(dict.fromkeys(self._reason(part, sign) for part in proof.parts))
        if self.kinks:
            reasons.append(f"{self.letter} is {self.kinks[0]}.")
            follows = f"it does not follow that {self.letter} is {verdict}"
            reasons.append(f"There a second derivative says nothing, so {follows}.")
            return self._said("", curvature, reasons)
        if zero:
            return self._said("affine", curvature, [f"The gradient does not depend on {self.names}."])
        strictly = "strictly " if strict else ""
        curve = f"{strictly}{verdict} in {self.names}"
        reasons.append(f"So {self.letter} is {curve}, on every convex set where it is defined.")
        return self._said(verdict, curvature, reasons)

    def _reason(self, part: Part, sign: int) -> str:
        exprs = [part.term] if part.weight is None else [part.term, part.weight]
        written, names, _ = shown(exprs, taken=self.taken, profile=self.formula.profile)
        term, weight = written[0].text, written[-1].text if part.weight is not None else None
        minus = "" if sign > 0 else "minus it: "
        match part.form:
            case "gram":
                says = "is of the form BᵀB" if part.term.rank else "is a square"
            case "weighted" if part.term.rank:
                says = f"is of the form BᵀDB with a diagonal D ≥ 0, since {weight} is nowhere negative"
            case "weighted":
                says = f"is a sum of squares with weights {weight}, which are nowhere negative"
            case "diagonal" if part.term.rank:
                sign_word = "positive" if part.strict else "not negative"
                says = f"is diagonal, and its entries are {sign_word}"
            case "diagonal":
                says = "is positive" if part.strict else "is nowhere negative"
            case "kernel":
                says = "is of the form BᵀPB" + (
                    f", and P = {weight} is positive semidefinite" if weight else ""
                )
                says += self._inner(part)
            case "multiple":
                kind = "definite" if part.strict else "semidefinite"
                says = f"is positive {kind}" + (f", since {weight} is" if weight and weight != term else "")
                says += self._inner(part)
            case "covariance":
                says = (
                    "is the covariance of the rows that the probabilities weight: Σ p b bᵀ − (Σ p b)(Σ p b)ᵀ "
                    "with p ≥ 0 and Σ p = 1"
                )
            case "projection":
                says = (
                    "is of the form ‖x‖²BᵀB − (Bᵀx)(Bᵀx)ᵀ, which Cauchy and Schwarz keep from being negative"
                )
            case "inverse":
                says = f"is the inverse of {weight}, which is positive definite"
            case "schur":
                says = f"is an entrywise power series of {weight}, which is positive semidefinite (Schur)"
            case "determinant":
                says = f"has a diagonal ≥ 0 and the determinant {weight} ≥ 0"
            case "pivots":
                says = "has pivots that are not negative"
            case "power":
                says = f"is a power of the symmetric {weight}"
            case _:
                says = (
                    "is declared so"
                    if part.strict
                    else "is declared diagonal, with entries that are not negative"
                )
        where = f", where {', '.join(names)}" if names else ""
        return f"{minus}{term} {says}{where}."

    def _inner(self, part: Part) -> str:
        """Why the matrix in the middle is positive semidefinite, where it is a difference."""
        if part.weight is None or part.weight.rank != 2:
            return ""
        found = Definite(self.normal).prove(part.weight)
        if not isinstance(found, Proof):
            return ""
        words = {
            "covariance": "a covariance, diag(p) − ppᵀ with p ≥ 0 and Σ p = 1",
            "projection": "a projection, I − uuᵀ with ‖u‖ = 1",
        }
        told = [words[p.form] for p in found.parts if p.form in words]
        return f": {told[0]}" if told else ""

    def _open(self, doubts: Sequence[Doubt]) -> Convexity:
        """Nothing was proved: what stands in the way, or a point with eigenvalues of both signs."""
        signs = [d.about for d in doubts if isinstance(d.about, Variable) and d.about in self.parameters]
        if signs:
            return self._said("", "", [_unknown(doubts, signs[0])])
        found = self._counterexample()
        if found:
            number = not self.single or not self.single.shape
            reasons = (
                [f"At {_point(s)} it is {s.low:.4g}." for s in found]
                if number
                else [
                    f"At {_point(s)} its eigenvalues range from {s.low:.4g} to {s.high:.4g}." for s in found
                ]
            )
            return self._said("neither", "indefinite", reasons)
        about = doubts[0]
        return self._said("", "", [f"{self.write(about.about)}: {about.why}."])

    @property
    def parameters(self) -> list[Variable]:
        """The variables that stay fixed."""
        return [v for v in self.formula.variables.values() if v not in self.moving]

    def _counterexample(self) -> list[Spectrum]:
        """A point with eigenvalues of both signs, or two with one each; empty if none was found."""
        from chainrule.verify.definite import spectra

        if self.single is None or self.kinks or any(v.structure for v in self.moving):
            return []
        hessian = self.chains((self.single, self.single))[-1]
        try:
            found = spectra(hessian, len(self.single.shape), list(self.formula.variables.values()), points=24)
        except DomainProblem:
            return []
        both = [s for s in found if s.low < -CLEAR * s.size and s.high > CLEAR * s.size]
        if both:
            return both[:1]
        # Without parameters all points are about one function.
        down = [s for s in found if s.low < -CLEAR * s.size and not self.parameters]
        up = [s for s in found if s.high > CLEAR * s.size and not self.parameters]
        return [down[0], up[0]] if down and up else []

    def _check(self, matrix: Expr, rows: int) -> None:
        from chainrule.verify.definite import spectra

        directions = [self.direction(v) for v in self.moving]
        try:
            found = spectra(matrix, rows, [*self.formula.variables.values(), *directions])
        except DomainProblem:
            return
        for spectrum in found:
            if not spectrum.is_nonnegative:
                raise CheckFailed(
                    f"a matrix that was proved positive semidefinite has the eigenvalue {spectrum.low:.4g} "
                    f"at {_point(spectrum)}"
                )

    def _said(self, verdict: str, curvature: str, reasons: Sequence[str]) -> Convexity:
        what = "the second derivative" if self.single is None or not self.single.shape else "the Hessian"
        title = f"convexity in {self.names}: "
        title += {
            "": "not shown",
            "affine": f"{self.letter} is affine",
            "neither": f"{self.letter} is neither convex nor concave" + " in general" * bool(self.parameters),
        }.get(verdict, f"{self.letter} is {verdict}")
        known = (
            []
            if not curvature
            else [f"{what[0].upper()}{what[1:]} is {curvature}{' where it exists' * bool(self.kinks)}."]
        )
        data = {"verdict": verdict or None, "curvature": curvature or None, "reasons": [*known, *reasons]}
        said = Said(title, (*known, *reasons), (), data)
        return Convexity(verdict, curvature, tuple(reasons), said)


def _unknown(doubts: Sequence[Doubt], parameter: Variable) -> str:
    """What is not known of a parameter, and how it is declared."""
    name = parameter.name
    why = next(d.why for d in doubts if d.about is parameter)
    if "sign" not in why:
        return f"It is not known whether {pretty(name)} is positive semidefinite; declare {name}:spd."
    return f"The sign of {pretty(name)} is not known; declare {name}:nonnegative, or :positive."


def _is_zero(expr: Expr) -> bool:
    constant = constant_of(expr)
    return constant is not None and constant.is_zero


def _point(spectrum: Spectrum) -> str:
    values = spectrum.point.values
    if sum(v.size for v in values.values()) > LEGIBLE:
        return "a random point"
    return ", ".join(f"{name} = {_rounded(value)}" for name, value in values.items())


def _rounded(value: Any) -> str:
    if value.ndim:
        return "[" + ", ".join(map(_rounded, value)) + "]"
    return f"{float(value):.4g}"
