"""The checkers that pyproject.toml configures find nothing: ruff, and mypy on everything that is shipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("tool", [["ruff", "check", "--output-format=concise"], ["mypy"]], ids=lambda t: t[0])
def test_nothing_is_found(tool: list[str]) -> None:
    result = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
