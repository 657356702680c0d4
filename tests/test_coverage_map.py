"""docs/coverage.md has every number of the notes and the paper once, and all that it names exists."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from seed_cases import ALL, IDENTITIES, UPDATES

from chainrule.cli.main import build_parser, run

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if re.match(r"\| [RPEDN]\d+ \|", line)
]
NUMBERS = {"R": 130, "P": 67, "E": 19, "D": 12, "N": 10}
CASES = {case["id"] for case in (*ALL, *IDENTITIES, *UPDATES)}
SHOWN = re.compile(r"(case|test|page|golden|figure|command) `([^`]+)`")


@cache
def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def anchors(path: str) -> frozenset[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    headings = re.findall(r"(?m)^#+ (.*)$", text_of(path))
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def exists(kind: str, name: str) -> bool:
    """Whether there is such a case, test, heading, entry of a golden file, or command."""
    path, _, part = name.partition("::" if kind == "test" else "#")
    match kind:
        case "case":
            return name in CASES
        case "command":
            words = shlex.split(name)
            return words[0] == "chainrule" and bool(build_parser().parse_args(words[1:]).command)
    if not (ROOT / path).is_file():
        return False
    if kind == "test":
        return re.search(rf"(?m)^def {re.escape(part)}\(", text_of(path)) is not None
    if kind == "page":
        return part in anchors(path)
    return not part or re.search(rf"(?m)^# {re.escape(part)}$", text_of(path)) is not None


def test_every_number_stands_there_once() -> None:
    wanted = [f"{letter}{k}" for letter, count in NUMBERS.items() for k in range(1, count + 1)]
    assert [row[0] for row in ROWS] == wanted


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_shows_it_exists(row: list[str]) -> None:
    _, kind, what, shown = row
    found = SHOWN.findall(shown)
    assert kind and what and found
    assert "; ".join(f"{sort} `{name}`" for sort, name in found) == shown, "nothing else stands there"
    for sort, name in found:
        assert exists(sort, name), f"{sort} {name}"


COMMANDS = sorted({name for row in ROWS for sort, name in SHOWN.findall(row[3]) if sort == "command"})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_print_something(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shlex.split(command)[1:]) == 0
    assert len(capsys.readouterr().out) > 100


def test_worked_examples_are_shown_by_cases() -> None:
    """What seed_cases.py says of a number stands beside it."""
    shown = {row[0]: row[3] for row in ROWS}
    for case in (*ALL, *IDENTITIES, *UPDATES):
        for number in case.get("req", "").split():
            assert f"case `{case['id']}`" in shown[number]


@pytest.mark.parametrize(
    ("sort", "name"),
    [
        ("case", "s2.nothing"),
        ("test", "tests/test_notes.py::test_nothing"),
        ("test", "tests/test_nothing.py::test_relu_is_max_with_zero"),
        ("page", "docs/glossary.md#nothing"),
        ("golden", "tests/golden/unknown_functions.txt#nothing"),
        ("golden", "tests/golden/cli/nothing.txt"),
    ],
)
def test_what_does_not_exist_is_noticed(sort: str, name: str) -> None:
    assert not exists(sort, name)
