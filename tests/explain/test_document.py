"""The JSON document of a derivation: its page describes exactly its fields."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from explain.samples import ALL, line, n, neuron, operator, x

from chainrule.explain.derivation import Checked, Derivation, Line, Phase
from chainrule.explain.document import SCHEMA, VERSION, to_dict, to_json
from chainrule.language import parse_formula

PAGE = (Path(__file__).parents[2] / "docs" / "derivation-json.md").read_text(encoding="utf-8")
TABLES = [
    table.split("|---|---|\n")[1] for table in re.findall(r"\| field.*?\n\n|\| field.*\Z", PAGE, re.DOTALL)
]


def documented(table: str) -> set[str]:
    """The paths of the fields in a table; a name after a comma stands beside the one before it."""
    found: set[str] = set()
    for row in table.strip().splitlines():
        first = ""
        for name in re.findall(r"`([^`]+)`", row.split("|")[1]):
            prefix = first.rpartition(".")[0]
            found.add(name if not prefix or "." in name else f"{prefix}.{name}")
            first = first or name
    return found


def written(content: dict[str, Any]) -> set[str]:
    """The paths of the fields of a document, without those of lines, formulas and words."""
    found = set(content)
    for name in ("phases", "steps"):
        for part in content[name]:
            found |= {f"{name}[].{field}" for field in part}
    return found | {f"check.{field}" for field in content["check"]}


def test_the_page_describes_the_fields() -> None:
    content = to_dict(operator())
    assert content["steps"] and content["phases"]
    assert documented(TABLES[0]) == set(json.loads(to_json(operator())))
    assert documented(TABLES[1]) == written(content)
    assert documented(TABLES[2]) == set(content["answer"][0])


def test_the_example_of_the_page() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert set(json.loads(block)) == set(to_dict(neuron())["heading"][0])


def test_nothing_of_a_derivation_is_left_out() -> None:
    renamed = {"checked": "check", "kinks": "not_differentiable"}
    content = to_dict(neuron())
    assert {renamed.get(f.name, f.name) for f in fields(Derivation)} == set(content)
    assert {f.name for f in fields(Line)} - {"value"} == set(content["answer"][0]) - {"claims"}
    assert {f.name for f in fields(Phase)} == set(content["phases"][0]) - {"kind"}


@pytest.mark.parametrize("name", ALL)
def test_it_is_json(name: str) -> None:
    derivation = ALL[name]()
    document = json.loads(to_json(derivation, derivation))
    assert (document["schema"], document["version"]) == (SCHEMA, VERSION)
    content = document["derivations"][0]
    assert document["derivations"] == [content, content] and content == to_dict(derivation)
    lines = [entry for phase in content["phases"] for entry in phase["entries"] if entry["kind"] == "line"]
    assert len(lines) == len(list(derivation.lines()))
    assert all(entry["right"]["text"] and entry["right"]["latex"] for entry in lines)


def test_formulas_are_read_back() -> None:
    right = to_dict(neuron())["phases"][0]["entries"][0]["right"]["text"]
    assert right == "Xw + b"
    parse_formula(right, "X[N,n] w[n] b")


def test_phases_inside_phases() -> None:
    inner = Phase("opened", (line(x, n(1)),))
    shown = to_dict(replace(neuron(), phases=(Phase("outer", (inner,), 1),)))
    assert shown["phases"][0]["entries"][0]["entries"][0]["right"]["text"] == "1"


@pytest.mark.parametrize(
    ("checked", "passed", "error"),
    [
        (Checked(4, 20, 1e-15, "complex step"), True, 1e-15),
        (Checked(4, 20, float("nan"), "complex step", ("a line",)), False, "nan"),
        (Checked(0, 0, 0.0, "", (), "no point in the domain"), None, 0.0),
    ],
)
def test_the_check(checked: Checked, passed: bool | None, error: float | str) -> None:
    content = json.loads(to_json(replace(neuron(), checked=checked)))["derivations"][0]["check"]
    assert (content["passed"], content["largest_relative_error"]) == (passed, error)
    assert content["failed"] == list(checked.failed) and content["reason"] == (checked.reason or None)


def test_steps_are_written_out() -> None:
    (step,) = to_dict(operator())["steps"]
    assert (step["rule"], step["before"]["text"], step["after"]["text"]) == ("sum rule", "2x", "x + x")
