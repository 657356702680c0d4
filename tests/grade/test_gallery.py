"""Every diagnosis with at least five formulas, and no false alarm on the right answers beside them."""

from __future__ import annotations

import pytest

import chainrule as cr
from tests.grade.gallery import ASSUMED, WRONG, Row

CASES = [(code, row) for code, rows in WRONG.items() for row in rows]
ASSUMPTIONS = [(code, row) for code, rows in ASSUMED.items() for row in rows]


@pytest.mark.parametrize(("code", "row"), CASES, ids=[f"{code}: {row[0]}: {row[3]}" for code, row in CASES])
def test_a_mistake_is_named(code: str, row: Row) -> None:
    formula, shapes, wrt, claim, right = row
    found = cr.check(formula, wrt=wrt, claim=claim, shapes=shapes)
    assert (found.verdict, found.diagnosis) == ("wrong", code), [d.code for d in found.diagnoses]
    assert found.assumption is None
    for answer in right:
        passed = cr.check(formula, wrt=wrt, claim=answer, shapes=shapes)
        assert passed.verdict in ("equal", "layout"), (answer, passed.text)


@pytest.mark.parametrize(
    ("code", "row"), ASSUMPTIONS, ids=[f"{code}: {row[0]}: {row[3]}" for code, row in ASSUMPTIONS]
)
def test_an_assumption_is_named(code: str, row: tuple[str, str, str, str, str]) -> None:
    formula, shapes, wrt, claim, assumption = row
    found = cr.check(formula, wrt=wrt, claim=claim, shapes=shapes)
    assert (found.verdict, found.diagnosis) == ("assumption", code), [d.code for d in found.diagnoses]
    assert found.assumption is not None and assumption in found.assumption


def test_each_diagnosis_has_five_formulas() -> None:
    assert all(len(rows) >= 5 for rows in (*WRONG.values(), *ASSUMED.values()))
