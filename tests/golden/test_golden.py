"""What is printed, form by form; behind every text stand the literature, a parser and numeric judges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden.cases import Case, length, read, settled, weight, write

from chainrule.expr.dims import Dim
from chainrule.language import parse_formula
from chainrule.verify.compare import equal
from chainrule.verify.reference import evaluate

FILES = ("expected_forms.txt", "literature.txt", "tables.txt", "unknown_functions.txt")
CASES = {file: read(file) for file in FILES}
EVERY = [case for cases in CASES.values() for case in cases]
WISHES = {case.name: case for case in read("wishes.txt")}
# The texts of all cases together may have this many times the length of their forms in the literature.
LONGEST = 1.03

each = pytest.mark.parametrize("case", EVERY, ids=[c.name for c in EVERY])


@pytest.fixture(scope="module")
def golden(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the files are to be written, which happens after the last case."""
    update = bool(request.config.getoption("--update-golden"))
    yield update
    if update:
        for file, cases in CASES.items():
            write(file, cases)


@each
def test_literature_agrees(case: Case) -> None:
    """The answer in the literature has the value of the derived one."""
    for form in case.literature:
        same(case, form)


def same(case: Case, text: str) -> None:
    parsed = case.parse(text).expr
    found = equal(parsed, case.written, list(case.derivative.formula.variables.values()))
    assert found.equal, f"{text}: {found.reason}, {parsed.shape} and {case.written.shape}"


@each
def test_check(case: Case) -> None:
    assert case.derivative.check().passed


@each
def test_text_parses_back(case: Case) -> None:
    same(case, case.text.splitlines()[0])


VEC_FORMS = [case for case in EVERY if case.literature[0].startswith("∂Y")]


@pytest.mark.parametrize("case", VEC_FORMS, ids=[c.name for c in VEC_FORMS])
def test_vec_form_has_the_entries_of_the_index_form(case: Case) -> None:
    """In sizes that are numbers, so that K, which turns vec(X) into vec(Xᵀ), is a matrix like others."""
    form = case.text.splitlines()[1].split(" = ")[1]
    names = sorted(set(re.findall(r"(?<=[\[,])[a-zA-Z]", case["shapes"])))
    sizes = {name: k for k, name in enumerate(names, 2)}
    shapes = re.sub(r"(?<=[\[,])[a-zA-Z]", lambda m: str(sizes[m[0]]), case["shapes"])
    form = re.sub(r"(?<=I_)[a-zA-Z]", lambda m: str(sizes[m[0]]), form)
    moving = case.derivative.wrt[0].variables[0]
    rows, columns = (dim.evaluate(sizes) for dim in moving.shape)
    rng = np.random.default_rng(3)
    whole = [dim.evaluate(sizes) for dim in case.derivative.expression.shape]
    shape = (Dim.of(whole[0] * whole[1]), Dim.of(whole[2] * whole[3]))
    parsed = parse_formula(form, f"{shapes} K[{rows * columns},{rows * columns}]", shape=shape)
    values = {n: rng.standard_normal([d.evaluate({}) for d in v.shape]) for n, v in parsed.variables.items()}
    places = np.arange(rows * columns).reshape(rows, columns, order="F")  # of the entries of X in vec(X)
    values["K"] = np.eye(rows * columns)[places.T.flatten(order="F")]
    wanted = evaluate(case.derivative.expression, {n: v for n, v in values.items() if n != "K"}, sizes)
    got = evaluate(parsed.expr, values)
    flat = (whole[0] * whole[1], whole[2] * whole[3])
    np.testing.assert_allclose(got, wanted.reshape(flat, order="F"), rtol=1e-9, atol=1e-9)


@each
def test_print(case: Case, golden: bool) -> None:
    """Texts with a wish for a better one are not pinned."""
    printed = {} if case.name in WISHES else {"text": case.text, "latex": case.derivative.latex}
    if golden:
        case.fields.update({"text": [], "latex": []})
        case.fields.update({key: value.splitlines() for key, value in printed.items()})
    assert printed == {key: case[key] for key in ("text", "latex") if case[key]}, "see --update-golden"


@pytest.mark.parametrize("case", CASES[FILES[0]], ids=[c.name for c in CASES[FILES[0]]])
def test_form_is_as_specified(case: Case) -> None:
    if case.name in WISHES:
        pytest.skip("a wish")
    first, *vec = case.text.splitlines()
    assert settled(first) in [settled(form) for form in case.fields["accepted"]]
    assert [line.split(" = ")[1] for line in vec] == case.fields.get("vec", [])


@pytest.mark.parametrize("name", WISHES)
def test_wish_has_a_case_and_its_value(name: str) -> None:
    wish, case = WISHES[name], next(c for c in EVERY if c.name == name)
    assert wish["reason"]
    same(case, wish["wish"])


@pytest.mark.parametrize("name", WISHES)
@pytest.mark.xfail(strict=True, reason="a wish: once it is granted it leaves wishes.txt")
def test_wish(name: str) -> None:
    case = next(c for c in EVERY if c.name == name)
    assert settled(case.text) == settled(WISHES[name]["wish"])


def test_printed_length_against_the_literature() -> None:
    """benchmarks/notation.py prints the number and the longest."""
    printed = sum(length(case.text) for case in EVERY)
    known = sum(length(case.literature[0]) for case in EVERY)
    assert printed <= LONGEST * known, f"{printed} characters, {known} in the literature"


PUBLISHED = [case for case in EVERY if re.match(r"Matrix Cookbook|Wikipedia|Giles", case["source"])]


def test_published_tables_print_no_longer() -> None:
    """In operators, calls and transposes, in nine of ten; docs/readability.md lists the others."""
    longer = [case.name for case in PUBLISHED if weight(case.text) > min(map(weight, case.literature))]
    assert len(longer) <= len(PUBLISHED) / 10
    page = (Path(__file__).parents[2] / "docs" / "readability.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([^|]+?) \| `", page, re.MULTILINE)
    assert sorted(listed) == sorted(longer)
    assert f"{len(PUBLISHED)} identities" in page, len(PUBLISHED)
