"""MathML of presentation trees: well-formed, every operator of the tree has a writer, and exact examples."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from chainrule.expr.dims import Coefficient, Dim
from chainrule.notation import latex, mathml, text
from chainrule.notation import matform as m
from chainrule.notation.mathml import NAMESPACE, element, to_mathml
from chainrule.notation.tex import from_tex
from chainrule.rules.table import ROWS

A, B, x, y, s, t = (m.name(name) for name in ("A", "B", "x", "y", "s", "t"))
N = Dim.of("N")
# How many children an element takes; the others take as many as there are.
ARITY = {"mfrac": 2, "msup": 2, "msub": 2, "msubsup": 3, "mover": 2, "munder": 2}
TOKENS = {"mi", "mn", "mo", "mtext"}
OTHERS = {"math", "mrow", "msqrt", "mtable", "mtr", "mtd", "mspace"}
one_of_each = {
    "name": m.name("x_hat1"),
    "symbol": m.sized(m.IDENTITY, N),
    "number": m.number(Coefficient.of(2) * Coefficient.of(N) ** -1),
    "transpose": m.transpose(m.signed_sum([(1, A), (1, B)])),
    "inverse": m.inverse(m.chain(A, B)),
    "inverse_transpose": m.transpose(m.inverse(A)),
    "matrix_power": m.matrix_power(A, -2),
    "power": m.power(A, m.number(2), True),
    "root": m.tree("root", (s,)),
    "chain": m.chain(A, B, x),
    "scale": m.scale(m.number(2), m.call("sin", s), x),
    "times": m.times(x, m.signed_sum([(1, x), (-1, y)])),
    "kron": m.tree("kron", (A, B)),
    "divide": m.divide(x, y),
    "over": m.over(x, m.signed_sum([(1, s), (1, t)])),
    "sum": m.signed_sum([(-1, x), (1, y), (-1, x)]),
    "call": m.call("softmax", A, options="axis=1"),
    "diagonal": m.tree("diagonal", (A,)),
    "norm": m.tree("norm", (x,)),
    "abs": m.tree("abs", (s,)),
    "compare": m.tree("compare", (s, m.number(0)), ("≥",)),
    "array": m.tree("array", (s, t), (False,)),
    "basis": m.tree("basis", (), (Dim.of(0), N)),
    "select": m.tree("select", (), (Dim.of(0), 2, N, N)),
    "tuple": m.tree("tuple", (s, t)),
    "subscript": m.tree("subscript", (x, s), (("array", 1), ("all",), ("at", N), ("slice", N, 2, N))),
    "slice": m.tree("slice", (x,), (Dim.of(1), 1, N)),
    "entry": m.tree("entry", (m.name("W1"),), ("i", "j")),
    "delta": m.tree("delta", (), ("i", "j")),
    "sigma": m.tree("sigma", (x,), ("i1", "i2")),
    "derivative": m.tree("derivative", (y, x, x), ("d",)),
    "product": m.product(A, m.negative(x)),
    "dot": m.tree("dot", (x, y)),
    "condition": m.tree("condition", (s, t), ("≤",)),
    "all": m.tree("all", (m.tree("condition", (s, t), ("<",)), m.tree("condition", (t, s), ("≥",)))),
    "cases": m.tree(
        "cases", (s, m.tree("condition", (s, t), ("<",)), t, m.tree("condition", (s, t), ("≥",)))
    ),
    "stacked": m.stacked(x, m.number(0)),
    "beside": m.tree("beside", (A, A)),
    "place": m.place("k", "=", {"i": 2}, Dim.of("n") - Dim.of(1)),
    "operator": m.operator(m.signed_sum([(1, s), (1, t)]), s, "d"),
    "differential": m.differential(m.chain(A, x)),
    "grid": m.grid([[s, m.DOTS], [m.DOTS_DOWN, m.number(0)]]),
}


def check_mathml(source: str) -> ElementTree.Element:
    """Raise AssertionError unless the elements are those of presentation MathML, with their children."""
    root = ElementTree.fromstring(source)
    for part in root.iter():
        tag = part.tag.removeprefix(f"{{{NAMESPACE}}}")
        assert tag in TOKENS | OTHERS | set(ARITY), tag
        assert len(part) == ARITY.get(tag, len(part)), source
        if tag in TOKENS:
            assert part.text and not len(part), source
        else:
            assert not (part.text or "").strip() and not (part.tail or "").strip(), source
        if tag == "mtable":
            assert len({len(line) for line in part}) == 1, source
    return root


def test_every_printer_knows_every_operator() -> None:
    assert set(text.WRITERS) == set(latex.WRITERS) == set(mathml.WRITERS)
    assert set(one_of_each) == set(mathml.WRITERS)


@pytest.mark.parametrize("op", one_of_each)
@pytest.mark.parametrize("profile", [None, "notes"])
def test_every_operator_is_well_formed(op: str, profile: str | None) -> None:
    tree = one_of_each[op]
    assert tree.op == op
    root = check_mathml(to_mathml(tree, profile, display=True))
    assert root.get("alttext") == text.to_text(tree, profile, lowered=True)


# Rows with parameters in their templates are never written as calls.
@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if "$" not in row.latex], ids=lambda row: row.name
)
def test_every_function_is_well_formed(row: object) -> None:
    inside = m.over(s, m.signed_sum([(1, t), (-1, m.number(1))]))
    arity = getattr(row, "arity", None) or 1
    condition = m.tree("compare", (s, t), (">",))
    for argument in (x, m.negative(x), inside, condition):
        check_mathml(to_mathml(m.call(row.name, *[argument] * arity)))  # type: ignore[attr-defined]


@pytest.mark.parametrize("function", ["f", "f₁″", "∂₁²∂₂f", "∇h", "f⁽³⁾", "vec", "my_function", ""])
def test_functions_left_unknown_are_well_formed(function: str) -> None:
    check_mathml(to_mathml(m.call(function, x, y)))


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (m.chain(m.transpose(A), x), "<mrow><msup><mi>A</mi>UPRIGHT</msup>TIMES<mi>x</mi></mrow>"),
        (m.call("ln", s), "<mrow><mi>ln</mi>APPLY<mrow>(<mi>s</mi>)</mrow></mrow>"),
        (m.over(m.number(1), s), "<mfrac><mn>1</mn><mi>s</mi></mfrac>"),
        (m.derivative(y, x, "d"), "<mfrac><mrow>D<mi>y</mi></mrow><mrow>D<mi>x</mi></mrow></mfrac>"),
        (m.negative(x), "<mrow>NEGATIVE<mi>x</mi></mrow>"),
        (m.name("lam"), "<mi>λ</mi>"),
        (m.tree("entry", (x,), ("i", "j")), "<msub><mi>x</mi><mrow><mi>i</mi>COMMA<mi>j</mi></mrow></msub>"),
        (m.call("where", m.tree("compare", (s, t), (">",)), s, t),
         '<mrow>{<mtable><mtr>L<mi>s</mi></mtd>L<mrow><mi>s</mi><mo>&gt;</mo><mi>t</mi></mrow></mtd></mtr>'
         "<mtr>L<mi>t</mi></mtd>L<mtext>otherwise</mtext></mtd></mtr></mtable></mrow>"),
    ],
)  # fmt: skip
def test_exact(tree: m.Tree, expected: str) -> None:
    spelled = {
        "NEGATIVE": '<mo form="prefix">−</mo>', "TIMES": "<mo>\u2062</mo>", "APPLY": "<mo>\u2061</mo>",
        "UPRIGHT": '<mi mathvariant="normal">T</mi>',
        "COMMA": "<mo>\u2063</mo>", "D<": '<mi mathvariant="normal">d</mi><', 
        "L<": '<mtd style="text-align: left"><',
        "(": '<mo form="prefix" stretchy="false">(</mo>',
        ")": '<mo form="postfix" stretchy="false">)</mo>', "{": '<mo form="prefix">{</mo>',
    }  # fmt: skip
    for short, long in spelled.items():
        expected = re.sub(rf'(?<!"prefix">){re.escape(short)}', lambda _, long=long: long, expected)
    assert element(tree) == expected


def test_names_are_escaped() -> None:
    root = check_mathml(to_mathml(m.call("f<g", x)))
    assert "f<g" in str(root.get("alttext"))


def test_a_command_without_mathml_is_a_fault() -> None:
    with pytest.raises(AssertionError, match=r"unheard"):
        from_tex(r"\unheard{x}")


@pytest.mark.parametrize(
    "wrong",
    ["<math><mfrac><mi>x</mi></mfrac></math>", "<math><mi/></math>", "<math>x</math>", "<math><a/></math>"],
)
def test_the_check_finds_mistakes(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_mathml(wrong)
