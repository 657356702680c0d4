"""A process that sums pieces: it reads requests from its standard input and writes answers to its output.

A request is ("half", number, half), or ("sum", piece, number of a half, values, sizes), which is answered by
("totals", totals, count, gaps) or ("problem", an error). It ends when its input does.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import IO, Any

from chainrule.codegen.halves import Half
from chainrule.errors import ChainruleError, DataProblem
from chainrule.fit.pieces import sum_piece


def main() -> None:
    """Serve until the input ends."""
    # Ctrl-C is for the process that started this one, which then closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that prints may spoil the answers
    serve(sys.stdin.buffer, answers)


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests, one after the other."""
    halves: dict[int, Half] = {}
    while True:
        try:
            kind, *rest = pickle.load(requests)
        except EOFError:
            return
        if kind == "half":
            number, half = rest
            halves[number] = half
            continue
        pickle.dump(_answer(halves, *rest), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _answer(halves: dict[int, Half], piece: Any, number: int, values: Any, sizes: Any) -> tuple[Any, ...]:
    try:
        return "totals", *sum_piece(piece, halves[number], values, sizes)
    except ChainruleError as problem:
        return "problem", problem
    except (OSError, MemoryError) as problem:
        return "problem", DataProblem(f"a worker could not read its rows: {problem}")
