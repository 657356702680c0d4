"""People's derivations: right ones in unusual forms must pass, real mistakes must be found where they are.

derivations/right.txt and wrong.txt hold one derivation under each title. In wrong.txt the first wrong line
ends with #! and the code of its diagnosis (several where either may come first).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chainrule.cli.main import main
from chainrule.errors import ChainruleError
from chainrule.grade.grader import grade
from chainrule.grade.lines import STATUSES, VERDICTS

FOLDER = Path(__file__).parent / "derivations"
EXPECTED = re.compile(r"#!\s*([\w|-]+)")


def blocks(name: str) -> dict[str, str]:
    """The derivations of a file by title."""
    parts = re.split(r"^=== (.+)\n", (FOLDER / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


RIGHT, WRONG = blocks("right.txt"), blocks("wrong.txt")


@pytest.mark.parametrize("title", RIGHT)
def test_a_right_derivation_passes(title: str) -> None:
    graded = grade(RIGHT[title])
    assert graded.verdict == "right", graded.text
    assert graded.first_wrong == 0 and graded.diagnosis is None
    assert {line.status for line in graded.lines} <= {"ok", "defined"}, graded.text


@pytest.mark.parametrize("title", WRONG)
def test_the_first_wrong_line_is_found_and_explained(title: str) -> None:
    text = WRONG[title]
    mark = EXPECTED.search(text)
    assert mark, "one line is marked"
    graded = grade(text)
    assert graded.first_wrong == text.count("\n", 0, mark.start()) + 1, graded.text
    assert graded.diagnosis in mark[1].split("|"), graded.text
    assert graded.verdict == "wrong" and not graded
    before = [line for line in graded.lines if line.number < graded.first_wrong]
    assert {line.status for line in before} <= {"ok", "defined"}, graded.text


def test_there_are_enough_of_both() -> None:
    assert len(RIGHT) >= 40 and len(WRONG) >= 40
    assert sum(title.startswith("D12") for title in WRONG) >= 7


def numbered(text: str) -> list[tuple[int, str]]:
    return [(line.number, line.status) for line in grade(text).lines]


def test_what_follows_from_a_wrong_line_is_said_to_do_so() -> None:
    found = WRONG["the sign of an inner derivative, stated wrong, then used"]
    assert numbered(found)[5:] == [
        (8, "wrong"), (9, "ok"), (10, "ok"), (11, "ok"), (12, "follows"), (13, "follows"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "title",
    [
        "a gradient read off a wrong differential",
        "a matrix of derivatives read off a differential without its determinant",
        "a differential that follows from a wrong gradient",
        "a Hessian that follows from a wrong gradient",
    ],
)
def test_a_derivative_follows_from_a_differential_and_back(title: str) -> None:
    assert [line.status for line in grade(WRONG[title]).lines[1:]] == ["wrong", "follows"]


def test_a_derivative_by_a_name_is_explained_in_that_name() -> None:
    says = "The mask 1[z > 0] was left out"
    assert says in grade(WRONG["the mask of a lone derivative by a name is left out"]).text
    assert "A factor is missing: z − a." in grade("wrt: x\nz = x²\ny = (z − a)²\ndy/dz = 2").text
    assert "z = 0" not in grade("wrt: x\nz = x²\ny = sin(z) exp(z)\ndy/dz = z cos(z)").text


def test_two_mistakes_are_told_apart() -> None:
    graded = grade(WRONG["two separate mistakes"])
    assert [line.number for line in graded.lines if line.status == "wrong"] == [5, 6]
    assert graded.lines[-1].says == "It follows from lines 5 and 6, which are wrong."


def test_a_line_may_be_right_again() -> None:
    graded = grade("wrt: x\ny = x²\ndy/dx = x\n = 2x")
    assert [line.status for line in graded.lines] == ["defined", "wrong", "ok"]
    assert "right again" in graded.lines[2].says


@pytest.mark.parametrize(
    ("text", "verdict", "statuses"),
    [
        ("u = x²\ny = sin(u)\ndy/du = cos(u)\ndy/dx = dy/du · du/dx", "incomplete", "defined defined ok ok"),
        ("u = x²\ny = 3u\ndy/du = 3\ndu/dx = 2x\ndy/dx = dy/du du/dx", "right", "defined defined ok ok ok"),
        ("u = x²\ny = sin(u)\ndu/dx = 2x", "incomplete", "defined defined ok"),
        ("y = x²\ndy = 2x dx", "incomplete", "defined ok"),
        ("y = x²\ndy/dx = dy/dx", "incomplete", "defined unclear"),
        ("y = x²\ndy/dx = dy/dx\n = 2x", "right", "defined unclear ok"),
        ("y = x²\nz = y\ny = x²\ndz/dx = 2x", "right", "defined defined ok ok"),
    ],
)  # fmt: skip
def test_verdicts_without_a_mistake(text: str, verdict: str, statuses: str) -> None:
    graded = grade(text, wrt="x")
    assert (graded.verdict, graded.first_wrong) == (verdict, 0), graded.text
    assert [line.status for line in graded.lines] == statuses.split()
    assert graded


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("u = y\ny = u", "line 1"),
        ("= 2x", ""),
        ("y == x²", ""),
        ("# nothing", ""),
        ("shapes: x[n\ny = x", ""),
        ("wrt: q\ny = x²", ""),
        ("dialect: latin\ny = x²", ""),
        ("u = 3 *", "u = 3 *"),
    ],
)
def test_what_cannot_be_read_at_all_is_refused(text: str, place: str) -> None:
    with pytest.raises(ChainruleError) as refused:
        grade(text, wrt=None if "wrt" in text else "x")
    assert refused.value.message and refused.value.hint and place in str(refused.value)


@pytest.mark.parametrize(
    ("text", "place", "statuses"),
    [
        ("y = x²\ndy/dx = 2 *", "line 2, column 12", "defined unread"),
        ("y = x²\ndy/dx\ndy/dx = 2x", "line 2, column 1", "defined unread ok"),
        ("y = x²\ndq/dx = 2x\ndy/dx = 2x", "line 2, column 2", "defined unread ok"),
        ("y = x²\ndy/dx = q x\n= 2x", "line 2, column 9", "defined unread ok"),
        ("y = x²\nd²y/dx = 2\n= 2x", "line 2, column 1", "defined unread unclear"),
        ("u = x² $ 3\nv = sin(u)\ny = x²\ndy/dx = x", "line 1, column 8", "unread unclear defined wrong"),
        ("y = x\ndy/dx = [1 0 … 0]\n= 1", "line 2, column 14", "defined unread ok"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_and_the_others_are_graded(
    text: str, place: str, statuses: str
) -> None:
    graded = grade(text, wrt="x")
    assert [line.status for line in graded.lines] == statuses.split()
    assert not graded and graded.verdict == ("wrong" if "wrong" in statuses else "unclear")
    unread = graded.lines[statuses.split().index("unread")]
    assert f"Line {unread.number} cannot be read: {unread.says.splitlines()[0]}" in graded.text
    assert place in unread.says and place in graded.text


def test_a_definition_that_does_not_fit_leaves_its_users_unclear() -> None:
    graded = grade("shapes: X[N,n] w[n]\nwrt: w\nz = w X\nC = sum(z)\ndC/dz = 𝟏ᵀ")
    assert [line.status for line in graded.lines] == ["wrong", "unclear", "unclear"]
    assert graded.first_wrong == 3 and graded.diagnosis == "shape"


def test_a_name_whose_line_does_not_fit_leaves_the_others_graded() -> None:
    network = RIGHT["delta notation two-layer vector"].replace("δ1 = ∂L/∂z1\n   = (W2ᵀ δ2)", "δ1 = (W2 δ2)")
    graded = grade(network)
    assert [line.status for line in graded.lines[6:]] == ["wrong", "ok", "unclear"]
    assert graded.lines[-1].says == "It uses δ₁, whose line could not be worked out."
    assert "W2 is k×h and δ2 is a row of k" in graded.text


def test_values_at_a_point() -> None:
    assert "It should be 6." in grade(WRONG["a wrong number at a point"]).text
    rounded = grade(WRONG["a number that is rounded wrongly"]).text
    assert "At x = 1: the value is 0.541 in place of 0.5403" in rounded
    assert "say which: dy/dx = 6 at x = 1" in grade(WRONG["a number without its point"]).text
    graded = grade("wrt: x\ny = x²\ndy/dx = x\n = 3 at x = 3\ndy/dx = 5 at q = 3\ndy/dx = 6 at (3, 4)")
    assert [line.status for line in graded.lines] == ["defined", "wrong", "follows", "unread", "unread"]


def test_how_a_line_had_to_be_read_is_said() -> None:
    graded = grade(RIGHT["total derivative"])
    assert "∂ is the direct partial" in (graded.lines[2].reading or "")
    graded = grade(RIGHT["neuron loss by w, denominator layout throughout"])
    assert [line.reading for line in graded.lines[4:9]] == [None] * 3 + ["denominator layout"] * 2


def test_the_same_text_is_graded_alike_twice() -> None:
    text = WRONG["two separate mistakes"]
    assert grade(text).to_json() == grade(text).to_json()


def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "derivation.txt"
    for text, status in (("y = x²\ndy/dx = 2x", 0), ("y = x²\ndy/dx = x", 1), ("y = x²\ndy/dx = 2)", 2)):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main(["check", str(file), "--wrt", "x"])
        assert ended.value.code == status
    assert "line 2, column 10" in capsys.readouterr().out


def test_json_says_the_same() -> None:
    graded = grade("y = x²\ndy/dx = x")
    data = json.loads(graded.to_json())
    assert (data["verdict"], data["first_wrong"], data["diagnosis"]) == ("wrong", 2, graded.diagnosis)
    assert data["lines"][1]["status"] == "wrong" and data["text"] == str(graded)


def test_the_example_of_the_documentation_is_what_is_printed() -> None:
    page = (FOLDER.parents[2] / "docs" / "checking.md").read_text(encoding="utf-8")
    text, report = re.findall(r"```(?:derivation|report)\n(.*?)```", page, re.DOTALL)
    assert str(grade(text)) == report.rstrip("\n")


def test_the_statuses_and_verdicts_of_the_documentation_are_the_real_ones() -> None:
    page = (FOLDER.parents[2] / "docs" / "checking.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([\w-]+)` \|", page.partition("# Checking a whole")[2], re.MULTILINE))
    assert named >= {*STATUSES, *VERDICTS}
