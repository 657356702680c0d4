"""What a terminal shows: its width, its signs, its colours."""

from __future__ import annotations

import io
import os

import pytest

from chainrule.cli import terminal
from chainrule.cli.terminal import as_shown, columns, in_html, prepare_streams, write


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def shown(text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    screen = Terminal()
    write(text, screen)
    return screen.getvalue()


@pytest.mark.parametrize(("terminal_columns", "width"), [(40, 60), (80, 80), (300, 110)])
def test_lines_are_as_wide_as_the_terminal(
    terminal_columns: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = os.terminal_size((terminal_columns, 24))
    monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda *_, **__: size)
    assert columns(Terminal()) == width
    assert columns(stream("utf-8")) == 110


def test_columns_are_counted_as_signs_are_shown() -> None:
    prepare_streams()
    assert as_shown("∂y/∂x ← Xᵀ ⊙ ½", stream("utf-8")) == "∂y/∂x ← Xᵀ ⊙ ½"
    assert as_shown("Xᵀ(a·b)²", stream("latin-1")) == "X'(a·b)²"
    assert as_shown("∂y/∂x ← Xᵀ⊙⋯", stream("ascii")) == "dy/dx <- X'.*..."


def test_a_page_keeps_its_signs_where_a_stream_lacks_them() -> None:
    assert in_html("<p>∂y</p>", stream("ascii")) == "<p>&#8706;y</p>"
    assert in_html("<p>∂y</p>", stream("utf-8")) == "<p>∂y</p>"


@pytest.mark.parametrize(
    ("line", "coloured"),
    [
        ("1. Introduce intermediate variables", "\x1b[1m1. Introduce intermediate variables\x1b[0m"),
        ("     y = 2x    power rule", "     y = 2x\x1b[2m    power rule\x1b[0m"),
        ("dy/dx = 2x", "\x1b[1mdy/dx =\x1b[0m 2x"),
        ("           ≠ 2x", "\x1b[31m           ≠ 2x\x1b[0m"),
        ("FAILED the check", "\x1b[31mFAILED the check\x1b[0m"),
        ("y = 2x", "y = 2x"),
    ],
)
def test_colours(line: str, coloured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(line, monkeypatch) == coloured + "\n"


def test_no_colours_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    write("1. Combine", screen)
    assert screen.getvalue() == "1. Combine\n"
