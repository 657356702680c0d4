"""A library that tests need and that is missing: skipped on a person's machine, a failure in CI."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends import backend

pytest_plugins = ["pytester"]


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which torch cannot be imported."""
    load: Callable[..., Any] = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name == "torch":
            raise ImportError(f"No module named {name!r}")
        return load(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)


@pytest.mark.usefixtures("without_torch")
def test_it_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"torch is not .*; in CI every library"):
        backend("torch")


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("value", [None, "", "false"])
def test_it_is_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("CI", raising=False)
    else:
        monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception, match="torch is not installed: pip install -r") as caught:
        backend("torch")
    assert caught.value.allow_module_level


@pytest.mark.usefixtures("without_torch")
def test_a_file_of_tests_ends_there(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(
        "from tests.backends import backend\ntorch = backend('torch')\ndef test_it(): assert False"
    )
    result = pytester.inline_run("-p", "no:cacheprovider")
    reports = result.getreports("pytest_collectreport")
    assert any(r.failed and "in CI every library is there" in str(r.longrepr) for r in reports)  # type: ignore[attr-defined]
    assert result.ret != 0


def test_no_test_skips_for_want_of_a_backend_in_another_way() -> None:
    others = re.compile(r"importorskip\(\"(jax|torch|numba)\b")
    files = sorted(Path(__file__).parent.rglob("*.py"))
    assert [f.name for f in files if others.search(f.read_text(encoding="utf-8"))] == []
    assert others.search("importorskip" + '("jax")')


def test_what_is_there_is_given() -> None:
    assert backend("json").dumps([1]) == "[1]"
