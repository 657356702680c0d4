"""Hints spell an option as Python does, rate=0.1; here that becomes what a shell writes, --rate 0.1.

The rooms below know arguments only. Each option of a command is called like the argument that it stands for.
"""

from __future__ import annotations

import argparse
import ast
import re

VALUE = r"""\{[^{}]*\}|\[[^\[\]]*\]|\([^()]*\)|'[^']*'|"[^"]*"|\.\.\.|-?[\w.+-]*\w"""


def in_shell(text: str, command: argparse.ArgumentParser) -> str:
    r"""The text with each argument, as in rate=0.1, spelled as the option of the command.

    >>> parser = argparse.ArgumentParser()
    >>> for option in ("--rate", "--one-hot", "--sizes", "--missing", "--shapes"):
    ...     _ = parser.add_argument(option)
    >>> in_shell("try rate=0.1, one_hot=['a', 'b'] or sizes={'h': 16}; x = 3, c=4", parser)
    'try --rate 0.1, --one-hot a,b or --sizes h=16; x = 3, c=4'
    >>> in_shell("missing='drop', shapes='X[N,n] y[N]'", parser)
    '--missing drop, --shapes "X[N,n] y[N]"'
    """
    options = {
        action.dest: action.option_strings[0]
        for action in command._actions
        if action.option_strings and action.option_strings[0].startswith("--")
    }
    return re.sub(
        rf"(?<![\w.'\"{{(\[,-])({'|'.join(map(re.escape, options))})=({VALUE})",
        lambda found: _option(options[found[1]], found[0], found[2]),
        text,
    )


def _option(option: str, whole: str, written: str) -> str:
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return whole
    if isinstance(value, bool):
        return option if value else option.replace("--", "--no-", 1)
    said = _spelled(value)
    if re.search(r"""[^\w.,=:/+-]""", said):
        said = f"'{said}'" if '"' in said else f'"{said}"'
    return f"{option} {said}"


def _spelled(value: object) -> str:
    """A value as the options read it: w=0.5,b=1 of a mapping, commas in a list."""
    if isinstance(value, dict):
        return ",".join(f"{name}={_spelled(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_spelled, value))
    return "..." if value is ... else str(value)
