"""Everything that the README and the pages on derivations and questions show is what a reader gets."""

from __future__ import annotations

import doctest
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from chainrule.cli.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Indented blocks that begin with a call of the command; a blank line may stand inside.
PAGES = README + "".join(
    (ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("explaining.md", "questions.md")
)
TRANSCRIPTS = re.findall(r"(?m)^    \$ (chainrule .*)\n((?:    (?!\$ ).*\n|\n(?=    (?!\$ )))*)", PAGES)


def test_python_examples() -> None:
    test = doctest.DocTestParser().get_doctest(README, {}, "README.md", "README.md", 0)
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.tries > 8 and runner.failures == 0


@pytest.mark.parametrize(("command", "wanted"), TRANSCRIPTS, ids=[command for command, _ in TRANSCRIPTS])
def test_transcripts(command: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(shlex.split(command)[1:])
    captured = capsys.readouterr()
    rounding = re.compile(r"\d\.\de-\d+")
    assert rounding.sub("", captured.out + captured.err) == rounding.sub("", textwrap.dedent(wanted))


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
