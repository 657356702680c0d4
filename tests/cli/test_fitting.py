"""What a fit found is in its files, also where nobody reads the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chainrule.cli import fitting
from chainrule.cli.main import main
from chainrule.fit.result import Result

ASKED = ["fit", "mean((y - w*x - b)**2)", "--data", "d.csv", "--params", "w,b"]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("x,y\n0,1\n1,3\n2,5\n", encoding="utf-8")


def test_files_are_written_before_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(text: str, stream: Any) -> None:
        if text.startswith("fit of"):
            raise BrokenPipeError

    monkeypatch.setattr(fitting, "write", closed)
    with pytest.raises((SystemExit, BrokenPipeError)):
        main([*ASKED, "--save", "r.npz"])
    assert Result.load(Path("r.npz")).params["w"] == pytest.approx(2)


def test_the_report_comes_also_if_a_file_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SystemExit) as ended:
        main([*ASKED, "--html", "r.html"])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "fit of  mean((y - w*x - b)**2)" in said.out
    assert "r.html cannot be written: No space left on device" in said.err
