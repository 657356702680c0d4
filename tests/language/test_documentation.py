"""Every example in docs/language.md is read, every function and limit in it is the real one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chainrule.language import limits, parse_formula
from chainrule.language.functions import TABLE

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(formula|matlab|unknown)\n(.*?)```", PAGE, flags=re.DOTALL)
LINES = [
    (line, "matlab" if kind == "matlab" else "numpy") for kind, block in BLOCKS for line in block.splitlines()
]


@pytest.mark.parametrize(("line", "dialect"), LINES)
def test_example_is_read(line: str, dialect: str) -> None:
    text, _, shapes = line.partition("#")
    shapes, _, functions = shapes.partition("|")
    parse_formula(text, shapes.strip() or None, dialect=dialect, functions=functions.strip() or None)


def test_every_function_is_listed() -> None:
    section = PAGE.split("## Functions")[1].split("## Grammar")[0]
    words = set(re.findall(r"[a-z_0-9]+", section))
    spelled_otherwise = {
        "σ",
        "sigma",
        *("Φ", "Phi", "φ", "phi", "ndtr", "log_ndtr", "hardsilu"),
        "amax",
        "amin",
        "sgn",
        "absolute",
        "concatenate",
        "identity",
        "vector",
        "matrix",
    }
    assert {name for name in TABLE if name not in words} <= spelled_otherwise


def test_limits_are_the_real_ones() -> None:
    section = PAGE.split("## Limits")[1].split("## What")[0].replace(",", "")
    for value in (
        limits.MAX_CHARACTERS,
        limits.MAX_NAME,
        limits.MAX_NESTING,
        4 * limits.MAX_NESTING,
        limits.MAX_EXPONENT,
        limits.MAX_BITS,
        limits.MAX_RANK,
        limits.MAX_TERMS,
        limits.MAX_READINGS,
    ):
        assert re.search(rf"\b{value}\b", section), value
    assert limits.MAX_SIZE == 2**40 and "2⁴⁰" in section
