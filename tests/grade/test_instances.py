"""Lines about one instance: eᵢ = w·xᵢ + b − yᵢ holds for every i; a condition on one is no factor."""

from __future__ import annotations

import pytest

import chainrule as cr

DATA = "X[N,n] w[n] b y[N]"
COST = "mean((y - relu(X @ w + b))**2)"
PARTS = "zᵢ = w·xᵢ + b\naᵢ = max(0, zᵢ)\nvᵢ = yᵢ − aᵢ\nC = (1/N) Σᵢ vᵢ²\n"
WHOLE = "C = (1/N) Σᵢ (yᵢ − max(0, w·xᵢ + b))²\n"


def graded(text: str, wrt: str = "w") -> list[str]:
    return [line.diagnosis or line.status for line in cr.check_derivation(text, shapes=DATA, wrt=wrt).lines]


@pytest.mark.parametrize(
    "text",
    [
        WHOLE + "eᵢ = w·xᵢ + b − yᵢ\n∂C/∂w = (2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0]",
        WHOLE + "∂C/∂w = (2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0] where eᵢ = w·xᵢ + b − yᵢ",
        WHOLE + "∂C/∂w = (1/N) Σᵢ ∂/∂w (yᵢ − max(0, w·xᵢ + b))²\n"
        "= −(2/N) Xᵀ((y − relu(Xw + b)) ⊙ 1[Xw + b > 0])",
        PARTS + "∂C/∂w = (1/N) Σᵢ ∂(vᵢ²)/∂w\n= (1/N) Σᵢ 2 vᵢ ∂vᵢ/∂w\n= −(2/N) Σᵢ vᵢ 1[zᵢ > 0] xᵢᵀ",
        PARTS + "∂C/∂w = Σᵢ ∂C/∂vᵢ ∂vᵢ/∂aᵢ ∂aᵢ/∂zᵢ ∂zᵢ/∂w\n= −(2/N) Σᵢ vᵢ 1[zᵢ > 0] xᵢ",
        PARTS + "∂zᵢ/∂w = xᵢᵀ\n∂aᵢ/∂zᵢ = 1[zᵢ > 0]\n∂vᵢ/∂w = −1[zᵢ > 0] xᵢᵀ\n∂C/∂vᵢ = (2/N) vᵢ\n"
        "∂C/∂w = Σᵢ ∂C/∂vᵢ ∂vᵢ/∂w\n= −(2/N) Σᵢ vᵢ xᵢᵀ 1[zᵢ > 0]",
    ],
)
def test_a_line_about_one_instance_holds_for_every_one(text: str) -> None:
    assert set(graded(text)) <= {"ok", "defined"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (WHOLE + "eᵢ = w·xᵢ + b − yᵢ\n∂C/∂w = (2/N) Σᵢ eᵢ xᵢᵀ", "mask"),
        (WHOLE + "∂C/∂w = (1/N) Σᵢ ∂/∂w (max(0, w·xᵢ + b) − 2yᵢ)²", "other"),
        (PARTS + "∂zᵢ/∂w = 2xᵢᵀ", "factor"),
        (PARTS + "∂C/∂w = Σᵢ ∂C/∂vᵢ ∂vᵢ/∂aᵢ ∂zᵢ/∂w", "mask"),
        (PARTS + "∂C/∂w = −Σᵢ ∂C/∂vᵢ ∂vᵢ/∂w", "sign"),
    ],
)
def test_a_wrong_line_about_one_instance_is_found(text: str, found: str) -> None:
    assert graded(text)[-1] == found


CASES = "{0ᵀ if w·xᵢ + b ≤ 0; (2/N) Σᵢ (w·xᵢ + b − yᵢ) xᵢᵀ if w·xᵢ + b > 0}"


@pytest.mark.parametrize(
    ("claim", "codes"),
    [
        ("(2/N) 1[w·xᵢ + b > 0] Σᵢ eᵢ xᵢᵀ where eᵢ = relu(w·xᵢ + b) − yᵢ", ["condition-outside-sum"]),
        ("∂C/∂w = (2/N) 1[w·xᵢ + b > 0] Σᵢ (w·xᵢ + b − yᵢ) xᵢᵀ", ["condition-outside-sum"]),
        (CASES, ["condition-outside-sum"]),
        (CASES.replace("2/N", "1/N"), ["condition-outside-sum", "factor"]),
    ],
)
def test_a_condition_on_one_instance_belongs_inside_the_sum(claim: str, codes: list[str]) -> None:
    checked = cr.check(COST, wrt="w", claim=claim, shapes=DATA)
    assert [d.code for d in checked.diagnoses] == codes
    assert not checked


def test_a_condition_inside_the_sum_is_right() -> None:
    claim = "(2/N) Σᵢ 1[w·xᵢ + b > 0] (w·xᵢ + b − yᵢ) xᵢᵀ"
    assert cr.check(COST, wrt="w", claim=claim, shapes=DATA).verdict == "equal"
    inside = CASES.replace("Σᵢ ", "").replace("{0ᵀ", "Σᵢ {0ᵀ")
    assert cr.check(COST, wrt="w", claim=inside, shapes=DATA).verdict == "equal"


def test_a_condition_outside_the_sum_in_a_derivation() -> None:
    parts = "z = Xw + b\ne = z − y\n" + WHOLE
    assert graded(parts + f"∂C/∂w = {CASES}")[-1] == "condition-outside-sum"
    assert graded(parts + "dC/dw = (2/N) 1[zᵢ > 0] Σᵢ eᵢ xᵢᵀ")[-1] == "condition-outside-sum"
    grading = cr.check_derivation(parts + "dC/dw = foo xᵢᵀ", shapes=DATA, wrt="w")
    assert "`foo` is neither declared" in grading.lines[-1].says


def test_a_formula_may_be_one_for_every_instance() -> None:
    assert cr.equal("e_i = w·x_i + b − y_i", "X @ w + b - y", shapes=DATA)
    assert not cr.equal("e_i = w·x_i + b − y_i", "X @ w - y", shapes=DATA)
