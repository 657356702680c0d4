"""Transcripts of the command line: each file holds commands, what they print, and how they end.

`--update-golden` writes what is printed now; the difference is reviewed. Rounding errors are masked, since
they differ between machines.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from chainrule.cli.main import main

FOLDER = Path(__file__).parents[1] / "golden" / "cli"
FILES = sorted(FOLDER.glob("*.txt"))


def masked(text: str) -> str:
    return re.sub(r"(error\"?:? )\d\.\d+(e-\d+)?", r"\1…", text)


def transcript(commands: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    parts = []
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command.removeprefix("$ "))[1:])
        captured = capsys.readouterr()
        status = f"exit status {ended.value.code}\n" if ended.value.code else ""
        parts.append(f"{command}\n{masked(captured.out + captured.err)}{status}")
    return "\n".join(parts)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_transcript(path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    wanted = path.read_text(encoding="utf-8")
    printed = transcript([line for line in wanted.splitlines() if line.startswith("$ ")], capsys)
    if request.config.getoption("--update-golden"):
        path.write_text(printed, encoding="utf-8")
    assert printed == wanted or request.config.getoption("--update-golden")


def test_there_are_transcripts() -> None:
    assert len(FILES) >= 5
