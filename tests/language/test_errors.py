"""Every kind of bad input with its exact text, in errors/*.txt; --update-golden writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chainrule.errors import ChainruleError
from chainrule.language import parse_formula

FOLDER = Path(__file__).parent / "errors"
FIELDS = ("formula", "shapes", "dialect", "functions")


def blocks(path: Path) -> list[tuple[str, str]]:
    """The name and the text of each case of a file."""
    parts = re.split(r"^# (.+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


CASES = [(path.stem, name) for path in sorted(FOLDER.glob("*.txt")) for name, _ in blocks(path)]


def fields(body: str) -> dict[str, str]:
    """What stands before the expected text."""
    lines = dict(re.findall(rf"^({'|'.join(FIELDS)}): ?(.*)$", body, flags=re.MULTILINE))
    return {key: written(value) for key, value in lines.items()}


def written(text: str) -> str:
    r"""The text meant by a line of the file: \uXXXX, ⏎ for a new line, REPEAT:n:text."""
    text = (
        re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text)
        .replace("\\\\", "\\")
        .replace("⏎", "\n")
    )
    return re.sub(r"REPEAT:(\d+):(\S+)", lambda m: int(m[1]) * m[2], text)


def message(given: dict[str, str]) -> str:
    """What chainrule says."""
    return str(problem(given))


def problem(given: dict[str, str]) -> ChainruleError:
    with pytest.raises(ChainruleError) as caught:
        parse_formula(
            given["formula"],
            given.get("shapes"),
            dialect=given.get("dialect", "numpy"),
            functions=given.get("functions"),
        )
    return caught.value


@pytest.mark.parametrize(("file", "name"), CASES)
def test_error_text(file: str, name: str, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{file}.txt"
    body = dict(blocks(path))[name]
    said = message(fields(body))
    if request.config.getoption("--update-golden"):
        head = "".join(
            line + "\n" for line in body.splitlines() if line.startswith(tuple(f"{f}:" for f in FIELDS))
        )
        text = path.read_text(encoding="utf-8").replace(
            f"# {name}\n{body}", f"# {name}\n{head}{_indented(said)}\n"
        )
        path.write_text(text, encoding="utf-8")
        return
    expected = [line for line in body.splitlines() if line.startswith("  | ")]
    assert _indented(said).splitlines() == expected, "see --update-golden"


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}".rstrip() if line else "  |" for line in text.splitlines()) + "\n"


@pytest.mark.parametrize(("file", "name"), CASES)
def test_error_says_where_and_how_out(file: str, name: str) -> None:
    found = problem(fields(dict(blocks(FOLDER / f"{file}.txt"))[name]))
    assert found.hint
    assert found.spans or name in ("empty", "only spaces", "length")
    assert all(0 <= span.start <= span.end <= len(found.source) + 1 for span in found.spans)
    assert "?" not in found.message.replace("did you mean", "").replace(found.source, "").rstrip("?")


def test_shape_errors_carry_the_sizes() -> None:
    with pytest.raises(ChainruleError) as caught:
        parse_formula("A @ x", "A[m,n] x[m]")
    assert caught.value.sizes == {"A": "m×n", "x": "m"}
