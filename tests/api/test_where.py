"""Names that a person gives to parts of the answer: used, negated, scaled, in other words; or refused."""

from __future__ import annotations

import json
import re

import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, OptionError, ShapeMismatch, UnknownName
from chainrule.verify.compare import equal

DATA = "X[N,n] w[n] b y[N]"
NEURON = "mean((y - relu(X @ w + b))**2)"
LINEAR = "mean((X @ w + b - y)**2)"


def one(formula: str, wrt: str, where: object, shapes: str = DATA, **options: object) -> cr.Derivative:
    d = cr.derive(formula, wrt=wrt, shapes=shapes, where=where, **options)
    assert isinstance(d, cr.Derivative)
    return d


@pytest.mark.parametrize(
    ("formula", "wrt", "where", "text"),
    [
        (NEURON, "w", "e = relu(X @ w + b) - y",
         "(2/N) (e ⊙ 1[z > 0])ᵀ X where z = Xw + b, e = relu(z) − y"),
        (NEURON, "w", "v = y - relu(X @ w + b)",
         "−(2/N) (v ⊙ 1[z > 0])ᵀ X where z = Xw + b, v = y − relu(z)"),
        (NEURON, "w", "a = relu(X @ w + b); v = a - y",
         "(2/N) (v ⊙ 1[z > 0])ᵀ X where z = Xw + b, a = relu(z), v = a − y"),
        (LINEAR, "w", "e = X @ w + b - y", "(2/N) eᵀX where e = Xw − y + b"),
        (LINEAR, "w", "e = y - X @ w - b", "−(2/N) eᵀX where e = y − Xw − b"),
        (LINEAR, "w", "e = 2*(X @ w + b - y)", "(1/N) eᵀX where e = 2(Xw − y + b)"),
        (LINEAR, "b", "e = X @ w + b - y", "2 sum(e)/N where e = Xw − y + b"),
        (LINEAR, "w", "r = X @ w - y", "(2/N) (rᵀ + b)X where r = Xw − y"),
        ("z = X @ w + b; mean((y - relu(z))**2)", "b", "e = relu(z) - y",
         "(2/N) eᵀ 1[z > 0] where z = Xw + b, e = relu(z) − y"),
        (NEURON, "w", "e = X @ w + b - y",
         "(2/N) (e ⊙ 1[z > 0])ᵀ X where z = Xw + b, e = Xw − y + b"),
        (NEURON, "b", "e = y - X @ w - b",
         "−(2/N) eᵀ 1[z > 0] where z = Xw + b, e = y − Xw − b"),
        ("z = X @ w + b; mean((y - relu(z))**2)", "w", "e = z - y",
         "(2/N) (e ⊙ 1[z > 0])ᵀ X where z = Xw + b, e = Xw − y + b"),
    ],
)  # fmt: skip
def test_a_name_is_used(formula, wrt, where, text) -> None:
    d = one(formula, wrt, where)
    assert d.text == text
    assert cr.equal(d.text, d.expression, shapes=DATA), "what is written has the value of the derivative"
    assert d.sheet.unused == []
    wrong = text.replace("−(", "(", 1) if text.startswith("−") else re.sub("[12]", "3", text, count=1)
    assert not cr.equal(wrong, d.expression, shapes=DATA), "and a sign or a factor would be noticed"


@pytest.mark.parametrize("notation", ["sums", "index", "map"])
def test_a_name_is_used_in_every_notation(notation) -> None:
    d = one(NEURON, "w", "v = y - relu(X @ w + b)", notation=notation)
    assert d.sheet.unused == []
    assert "v" in d.text and "= y" in d.text


def test_the_rows_of_an_abbreviation() -> None:
    assert one(LINEAR, "w", "e = y - X @ w - b", notation="sums").text == (
        "−(2/N) Σᵢ eᵢ xᵢᵀ where eᵢ = yᵢ − w·xᵢ − b"
    )


def test_several_as_a_mapping_or_with_commas() -> None:
    wanted = one(NEURON, "w", "a = relu(X @ w + b); e = a - y").text
    assert one(NEURON, "w", "a = relu(X @ w + b), e = a - y").text == wanted
    assert one(NEURON, "w", "a = relu(X @ w + b)\ne = a - y").text == wanted
    assert one(NEURON, "w", {"a": "relu(X @ w + b)", "e": "a - y"}).text == wanted
    assert one("sum(maximum(x, y))", "x", "m = maximum(x, y), s = x + y", "x[n] y[n]").sheet.unused == [
        "m",
        "s",
    ]


def test_what_is_not_used_is_told() -> None:
    d = one(LINEAR, "w", "e = X @ w + b - y; q = exp(y)")
    assert "q does not occur in the answer" in d.to_text()
    assert "e does not occur" not in d.to_text()
    found = json.loads(d.to_json())["abbreviations"]
    assert [(a["name"], a["used"]) for a in found] == [("e", True), ("q", False)]


def test_a_part_that_a_person_named_keeps_its_sign() -> None:
    d = one("v = y - X @ w; sum(v**3)", "w", None)
    assert d.text == "−3(v²)ᵀX where v = y − Xw"
    scaled = one("v = 2*(y - X @ w); sum(exp(v)*v)", "w", None)
    assert "v = 2(y − Xw)" in scaled.text
    for found in (d, scaled):
        assert equal(cr.simplify(found.text, shapes=DATA).expression, found.expression).equal


@pytest.mark.parametrize(
    ("where", "error", "message", "mark"),
    [
        ("w = X @ w", OptionError, "w is a variable of the formula", (0, 1)),
        ("e = y; n = y", OptionError, "n is a size of the formula", (7, 8)),
        ("z = y", OptionError, "z is a part of the formula", (0, 1)),
        ("e = y, e = 2*y", OptionError, "e is given twice", (7, 8)),
        ("e", OptionError, "a name and = are missing here", (0, 1)),
        ("e == y", OptionError, "a name and = are missing here", (0, 6)),
        ("e = y; 3", OptionError, "a name and = are missing here", (6, 8)),
        ("", OptionError, "no abbreviation is given", (0, 1)),
        ("e = q + y", UnknownName, "q is no variable and no part of the formula", (4, 5)),
        ("e = X @ y", ShapeMismatch, "X is N×n and y has size N", (4, 5)),
        ("e = y +", ChainruleError, "the formula ends where a value should stand", (7, 8)),
    ],
)
def test_mistakes_are_refused_with_their_place(where, error, message, mark) -> None:
    with pytest.raises(error) as problem:
        one("z = X @ w + b; sum((z - y)**2)", "w", where)
    assert message in problem.value.message
    assert (problem.value.spans[0].start, problem.value.spans[0].end) == mark
    assert problem.value.source


def test_the_errors_of_active_examples_may_be_those_before_the_activation() -> None:
    """relu(z) is z wherever 1[z > 0] is not 0, so e = z − y is right; that is said and checked."""
    options: dict[str, object] = {"shapes": DATA, "where": "e = X @ w + b - y", "notation": "sums"}
    d = cr.derive(NEURON, wrt="w", **options)
    assert d.text == "(2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0] where eᵢ = w·xᵢ + b − yᵢ"
    said = "under the mask 1[Xw + b > 0], relu(Xw + b) is Xw + b"
    assert said in d.to_text() and said.replace("under", "Under") in d.to_markdown()
    page = d.explain()
    assert "(2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0]" in str(page)
    assert "under the mask 1[z > 0], relu(z) is z" in str(page)
    assert "The weights are the errors eᵢ of the active examples" in " ".join(str(page).split())
    assert not page.checked.failed


@pytest.mark.parametrize("wrt", ["w", "w,b", "b"])
def test_an_explanation_says_which_names_do_not_occur(wrt) -> None:
    page = cr.explain(NEURON, wrt=wrt, shapes=DATA, where="q = X @ X.T; e = X @ w + b - y")
    assert "the name q does not occur in the answer" in str(page)
    assert "e does not occur" not in str(page)
    assert "name q does not occur" in page.to_json()
