"""Derivations put together by hand: the examples that fix what a good derivation looks like.

They hold trees and words alone, for those who only write derivations down.
"""

from __future__ import annotations

from chainrule.explain.derivation import Checked, Derivation, Figure, Line, Phase, Sentence
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Variable
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.steps import Step


def names(text: str) -> list[Tree]:
    return [m.name(name) for name in text.split()]


def n(value: int) -> Tree:
    return m.number(value)


def add(*terms: Tree) -> Tree:
    return m.signed_sum([(1, term) for term in terms])


def minus(a: Tree, b: Tree) -> Tree:
    return m.signed_sum([(1, a), (-1, b)])


def square(base: Tree) -> Tree:
    return m.power(base, n(2))


def entry(base: Tree, *indices: str) -> Tree:
    return m.tree("entry", (base,), indices)


def sigma(body: Tree, *indices: str) -> Tree:
    return m.tree("sigma", (body,), indices)


def positive(part: Tree) -> Tree:
    return m.tree("compare", (part, n(0)), (">",))


def line(left: Tree | None, right: Tree, *reason: str | Tree, sizes: str = "", relation: str = "=") -> Line:
    return Line(left, right, reason, sizes, relation)


CHECKED = Checked(4, 20, 3e-16, "complex step")
x, y, z, w, b, a, v, X, W, Y, R, C, L, e, i, j = names("x y z w b a v X W Y R C L e i j")
N = m.number(Coefficient.of(Dim.of("N")))
TWO_N = m.number(Coefficient.of(2) * Coefficient.of(Dim.of("N")) ** -1)
ONE_N = m.number(Coefficient.of(Dim.of("N")) ** -1)


def operator() -> Derivation:
    """9(x + x²), the derivative pushed inward."""

    def d(body: Tree) -> Tree:
        return m.operator(body, x, "d")

    whole = m.scale(n(9), add(x, square(x)))
    return Derivation(
        style="operator",
        layout="numerator",
        heading=(line(y, whole),),
        sizes=(("x: scalar",), ("y: scalar",)),
        phases=(
            Phase(
                "",
                (
                    line(d(whole), m.product(n(9), d(add(x, square(x)))), "constant multiple rule"),
                    line(None, m.product(n(9), add(d(x), d(square(x)))), "sum rule"),
                    line(None, m.product(n(9), add(n(1), d(square(x)))), m.derivative(x, x, "d"), " = 1"),
                    line(None, m.product(n(9), add(n(1), m.scale(n(2), x))), "power rule"),
                    line(None, add(n(9), m.scale(n(18), x)), "expand"),
                ),
            ),
        ),
        answer=(line(m.derivative(y, x, "d"), add(n(9), m.scale(n(18), x))),),
        checked=CHECKED,
        start=Variable("x") * 2,
        steps=(Step("sum rule", (), Variable("x") * 2, Variable("x") + Variable("x"), "2 x is x + x"),),
    )


def one_path() -> Derivation:
    """ln(sin(x³)²): the single-variable chain rule along one path."""
    u1, u2, u3 = names("u1 u2 u3")
    cube = m.power(x, n(3))
    d = m.derivative
    inner = m.call("sin", cube)
    return Derivation(
        style="variables",
        layout="numerator",
        heading=(line(y, m.call("ln", square(inner))),),
        sizes=(("x: scalar",), ("y: scalar",)),
        phases=(
            Phase(
                "Introduce intermediate variables",
                (
                    line(u1, cube),
                    line(u2, m.call("sin", u1)),
                    line(u3, square(u2)),
                    line(y, m.call("ln", u3)),
                    Sentence(
                        (
                            "One path leads from ", x, " to ", y, ":  ", x, " → ", u1, " → ", u2, " → ", u3,
                            " → ", y, ",  so the single-variable chain rule applies.",
                        )
                    ),
                ),
                1,
            ),
            Phase(
                "Differentiate each with respect to its argument",
                (
                    line(d(u1, x, "d"), m.scale(n(3), square(x)), "power rule"),
                    line(d(u2, u1, "d"), m.call("cos", u1), "derivative of sin"),
                    line(d(u3, u2, "d"), m.scale(n(2), u2), "power rule"),
                    line(d(y, u3, "d"), m.over(n(1), u3), "derivative of ln"),
                ),
                2,
            ),
            Phase(
                "Combine",
                (
                    line(
                        d(y, x, "d"),
                        m.product(d(y, u3, "d"), d(u3, u2, "d"), d(u2, u1, "d"), d(u1, x, "d")),
                        "single-variable chain rule",
                    ),
                    line(
                        None,
                        m.product(
                            m.over(n(1), u3), m.scale(n(2), u2), m.call("cos", u1), m.scale(n(3), square(x))
                        ),
                    ),
                ),
                3,
            ),
            Phase(
                "Substitute back",
                (
                    line(
                        None,
                        m.product(
                            m.over(n(1), square(inner)),
                            m.scale(n(2), inner),
                            m.call("cos", cube),
                            m.scale(n(3), square(x)),
                        ),
                    ),
                    line(
                        None,
                        m.over(m.scale(n(6), square(x), m.call("cos", cube)), inner),
                        "cancel ", inner,
                    ),
                ),
                4,
            ),
        ),
        answer=(line(d(y, x, "d"), m.over(m.scale(n(6), square(x), m.call("cos", cube)), inner)),),
        checked=CHECKED,
        kinks=("not differentiable where sin(x³) = 0",),
    )  # fmt: skip


def two_paths() -> Derivation:
    """x + x²: the total derivative along two paths."""
    (u1,) = names("u1")
    d = m.derivative
    paths: tuple[str | Tree, ...] = (
        "Two paths lead from ", x, " to ", y, ":  ", x, " → ", y, "  and  ", x, " → ", u1, " → ", y,
        ".  Multiplying along one path alone would give ", m.scale(n(2), x), " and lose the other: every "
        "path counts, so the total-derivative chain rule applies.",
    )  # fmt: skip
    return Derivation(
        style="variables",
        layout="numerator",
        heading=(line(y, add(x, square(x))),),
        sizes=(("x: scalar",), ("y: scalar",)),
        phases=(
            Phase(
                "Introduce intermediate variables",
                (line(u1, square(x)), line(y, add(x, u1)), Sentence(paths)),
                1,
            ),
            Phase(
                "Differentiate each with respect to its arguments",
                (
                    line(d(y, x), n(1), u1, " held fixed"),
                    line(d(y, u1), n(1), x, " held fixed"),
                    line(d(u1, x, "d"), m.scale(n(2), x), "power rule"),
                ),
                2,
            ),
            Phase(
                "Combine",
                (
                    line(
                        d(y, x, "d"),
                        add(d(y, x), m.product(d(y, u1), d(u1, x, "d"))),
                        "single-variable total-derivative chain rule",
                    ),
                    line(None, add(n(1), m.product(n(1), m.scale(n(2), x)))),
                    Line(None, m.scale(n(2), x), ("one path alone",), relation="≠"),
                ),
                3,
            ),
            Phase("Substitute back", (line(None, add(n(1), m.scale(n(2), x))),), 4),
        ),
        answer=(line(d(y, x, "d"), add(n(1), m.scale(n(2), x))),),
        checked=CHECKED,
    )


def components() -> Derivation:
    """w ⊙ x, entry by entry, then assembled."""
    d = m.derivative
    w_i, x_i, x_j, y_i = entry(w, "i"), entry(x, "i"), entry(x, "j"), entry(y, "i")
    w1, w2, wn = entry(w, "1"), entry(w, "2"), entry(w, "n")
    dots = m.grid(
        [
            [w1, n(0), m.DOTS, n(0)],
            [n(0), w2, m.DOTS, n(0)],
            [m.DOTS_DOWN, m.DOTS_DOWN, m.DOTS_ACROSS, m.DOTS_DOWN],
            [n(0), n(0), m.DOTS, wn],
        ]
    )
    return Derivation(
        style="components",
        layout="numerator",
        heading=(line(y, m.times(w, x)), line(y_i, m.tree("scale", (w_i, x_i)))),
        sizes=(("y: n",), ("x: n",), ("so ", d(y, x), ": n × n")),
        phases=(
            Phase(
                "",
                (
                    line(
                        d(y_i, x_j), m.product(w_i, d(x_i, x_j)),
                        "constant multiple rule: ", w_i, " does not depend on ", x,
                    ),
                    line(
                        None, m.product(w_i, m.tree("compare", (i, j), ("=",))),
                        d(x_i, x_j), " is 1 if ", i, " = ", j, ", else 0",
                    ),
                    Sentence(
                        (
                            "Entry ", i, " of ", y, " reads only entry ", i, " of ", x, " (the element-wise "
                            "diagonal condition), so everything off the diagonal is 0:",
                        )
                    ),
                    line(d(y, x), dots, "assembled", sizes="n × n"),
                    line(None, m.diag(w)),
                ),
            ),
        ),
        answer=(line(d(y, x), m.diag(w)),),
        reading=(
            Sentence(
                ("wiggle ", x_j, " by Δ and ", entry(y, "j"), " moves by ", entry(w, "j"), "Δ; nothing "
                 "else moves.")
            ),
        ),
        checked=CHECKED,
    )  # fmt: skip


def neuron() -> Derivation:
    """The loss of a neuron by its weights: the vector chain rule."""
    d = m.derivative
    affine = add(m.chain(X, w), b)
    half = m.scale(ONE_N, sigma(square(v)))
    mask = positive(z)
    errors = m.times(minus(m.call("relu", affine), y), positive(affine))
    product = m.product(m.scale(TWO_N, m.transpose(v)), m.negative(m.IDENTITY), m.diag(mask), X)
    last = m.scale(TWO_N, m.chain(m.transpose(errors), X))
    short = m.scale(TWO_N, m.chain(m.transpose(m.times(e, mask)), X))
    step = minus(w, m.scale(m.name("eta"), TWO_N, m.chain(m.transpose(X), m.times(e, mask))))
    return Derivation(
        style="variables",
        layout="numerator",
        heading=(line(C, m.scale(ONE_N, sigma(square(minus(y, m.call("relu", affine)))))),),
        sizes=(
            ("X: N × n",), ("w: n",), ("b: scalar",), ("y: N",), ("C: scalar",), ("so ", d(C, w), ": 1 × n"),
        ),
        phases=(
            Phase(
                "Introduce intermediate variables",
                (
                    line(z, affine, "affine", sizes="N"),
                    line(a, m.call("relu", z), "activation", sizes="N"),
                    line(v, minus(y, a), "error", sizes="N"),
                    line(C, half, sizes="scalar"),
                    Sentence(("One path leads from ", w, " to ", C, ":  w → z → a → v → C.")),
                ),
                1,
            ),
            Phase(
                "Differentiate each (numerator layout)",
                (
                    line(d(z, w), X, "matrix-vector product; ", b, " does not depend on ", w, sizes="N × n"),
                    line(
                        d(a, z), m.diag(mask), "element-wise, so diagonal; relu′(0) is taken as 0",
                        sizes="N × N",
                    ),
                    line(d(v, a), m.negative(m.IDENTITY), "difference rule", sizes="N × N"),
                    line(
                        d(C, v), m.scale(TWO_N, m.transpose(v)), "sum of element-wise squares", sizes="1 × N"
                    ),
                ),
                2,
            ),
            Phase(
                "Combine",
                (
                    line(d(C, w), m.product(d(C, v), d(v, a), d(a, z), d(z, w)), "vector chain rule"),
                    line(None, product, sizes="1 × N · N × N · N × N · N × n = 1 × n"),
                    line(
                        None,
                        m.negative(m.scale(TWO_N, m.chain(m.transpose(m.times(v, mask)), X))),
                        "vᵀ diag(d) = (v ⊙ d)ᵀ",
                    ),
                ),
                3,
            ),
            Phase("Substitute back", (line(None, last),), 4),
        ),
        answer=(
            line(d(C, w), short),
            line(w, step, "gradient-descent step", relation="←"),
        ),
        where=(line(z, affine), line(e, minus(m.call("relu", z), y))),
        reading=(
            Sentence(
                (
                    "a weighted sum of the rows ", entry(x, "i"), " of ", X, ". The weights are the errors ",
                    entry(e, "i"), " of the active examples (", entry(z, "i"), " > 0): a large positive "
                    "error pushes ", w, " against ", entry(x, "i"), ", a negative one towards it; "
                    "examples with ",
                    entry(z, "i"), " ≤ 0 do not count.",
                )
            ),
        ),
        kinks=("not differentiable where z = 0; relu′(0) is taken as 0",),
        checked=CHECKED,
        figures=(Figure(SVG, "The dataflow: w to z to a to v to C"),),
    )  # fmt: skip


def differentials() -> Derivation:
    """A sum of squares by a matrix: differentials, read off as a gradient."""
    dL, dR, dW = (m.differential(part) for part in (L, R, W))

    def tr(*factors: Tree) -> Tree:
        return m.call("tr", m.chain(*factors))

    return Derivation(
        style="differentials",
        layout="shape",
        heading=(line(R, minus(m.chain(X, W), Y)), line(L, sigma(m.power(R, n(2), True)))),
        sizes=(("X: N × n",), ("W: n × k",), ("Y: N × k",), ("L: scalar",)),
        phases=(
            Phase(
                "",
                (
                    line(
                        dL, sigma(m.times(m.scale(n(2), R), dR)),
                        "differential of an element-wise square, summed",
                    ),
                    line(None, m.scale(n(2), tr(m.transpose(R), dR)), "Σ A ⊙ B = tr(AᵀB)"),
                    line(
                        None, m.scale(n(2), tr(m.transpose(R), X, dW)),
                        dR, " = ", m.chain(X, dW), ", since ", X, " and ", Y, " are constant",
                    ),
                    line(
                        None,
                        tr(m.transpose(m.scale(n(2), m.chain(m.transpose(X), R))), dW),
                        "read off the gradient: dL = tr(Gᵀ dW)",
                    ),
                ),
            ),
        ),
        answer=(
            line(
                m.derivative(L, W), m.scale(n(2), m.chain(m.transpose(X), minus(m.chain(X, W), Y))),
                "the shape of ", W, " (its transpose in numerator layout)", sizes="n × k",
            ),
        ),
        checked=CHECKED,
    )  # fmt: skip


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 60" width="320" height="60" role="img">'
    '<g fill="none" stroke="currentColor"><circle cx="30" cy="30" r="18"/><circle cx="150" cy="30" r="18"/>'
    '<path d="M48 30H132"/></g></svg>'
)
ALL = {
    f.__name__: f for f in (operator, one_path, two_paths, components, neuron, differentials)
}  # fmt: skip
