"""Checkpoints: what a run needs to go on as if it had never stopped, and whether it is the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from chainrule.errors import FileProblem
from chainrule.fit.files import damaged, read_arrays, write_arrays
from chainrule.fit.methods import State
from chainrule.fit.objective import Array

FORMAT = "chainrule checkpoint 1"
STATE = ("step", "theta", "loss", "gradient", "rate", "whole", "settled")
COLUMNS = ("step", "loss", "gradient_norm", "rate", "whole")
# What is compared under a name that a reader knows, and whether its two values are worth printing.
HASHED = ("data", "start")


def digest(arrays: Mapping[str, Array]) -> str:
    """A text that arrays of other names, shapes, types or values do not share.

    >>> digest({"x": np.zeros(2)}) == digest({"x": np.zeros(3)})
    False
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


@cache
def versions() -> Mapping[str, str]:
    """The versions of what computes, by the names of packages."""
    found = {}
    for name in ("chainrule", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run up to a step.

    identity     formula, data, method and whatever else decides its course, as text
    state        of a method that steps by itself
    tape         the answers that a solver of SciPy has had
    columns      the history: one array for each of COLUMNS
    best         θ of the best point, its loss, its gradient norm, its step
    path         all θ, of at most two parameters
    evaluations  how often loss and gradient were computed
    """

    identity: Mapping[str, str]
    state: State | None
    tape: Mapping[str, Array] | None
    columns: Mapping[str, Array]
    best: tuple[Array, float, float, int]
    path: Array | None
    evaluations: int

    def write(self, path: Path) -> None:
        """Puts it into a file in one step; raises FileProblem if that cannot be written."""
        arrays: dict[str, Array] = {f"history.{name}": array for name, array in self.columns.items()}
        for name, part in zip(("theta", "loss", "gradient_norm", "step"), self.best, strict=True):
            arrays[f"best.{name}"] = np.asarray(part)
        arrays["evaluations"] = np.asarray(self.evaluations)
        if self.path is not None:
            arrays["path"] = self.path
        if self.state is not None:
            arrays |= {f"state.{name}": np.asarray(getattr(self.state, name)) for name in STATE}
            arrays["state.stuck"] = np.asarray(self.state.stuck)
            arrays |= {f"memory.{name}": np.asarray(array) for name, array in self.state.memory.items()}
        if self.tape is not None:
            arrays |= {f"tape.{name}": array for name, array in self.tape.items()}
        write_arrays(path, arrays, json.dumps({"format": FORMAT, **self.identity}, ensure_ascii=False))

    @classmethod
    def read(cls, path: Path, identity: Mapping[str, str]) -> Checkpoint:
        """The checkpoint of a run with that identity.

        Raises: FileProblem for a damaged file, or one of another run, naming what differs.
        """
        arrays, text = read_arrays(path)
        try:
            about = json.loads(text)
            kind = about.pop("format")
        except (ValueError, KeyError, AttributeError, TypeError):
            kind, about = "", {}
        if kind != FORMAT:
            raise FileProblem(f"{path} is no checkpoint", hint="a run writes one with checkpoint='run.npz'")
        refuse_other(path, about, identity)
        try:
            state = None
            if "state.theta" in arrays:
                memory = _under("memory.", arrays)
                parts = {name: arrays[f"state.{name}"] for name in STATE}
                state = State(
                    step=int(parts["step"]),
                    theta=parts["theta"],
                    loss=float(parts["loss"]),
                    gradient=parts["gradient"],
                    rate=float(parts["rate"]),
                    whole=bool(parts["whole"]),
                    memory=memory,
                    stuck=str(arrays["state.stuck"]),
                    settled=bool(parts["settled"]),
                )
            best = (
                arrays["best.theta"],
                float(arrays["best.loss"]),
                float(arrays["best.gradient_norm"]),
                int(arrays["best.step"]),
            )
            columns = {name: arrays[f"history.{name}"] for name in COLUMNS}
            tape = _under("tape.", arrays) or None
            return cls(about, state, tape, columns, best, arrays.get("path"), int(arrays["evaluations"]))
        except (KeyError, ValueError, TypeError) as problem:
            raise damaged(path, f"{problem} is missing or of another kind") from None


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def refuse_other(path: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raises: FileProblem that names everything in which two runs differ."""
    names = [name for name in dict.fromkeys([*now, *then]) if then.get(name) != now.get(name)]
    if not names:
        return
    told = []
    for name in names:
        values = then.get(name, "none"), now.get(name, "none")
        told.append(f"another {name}" if name in HASHED else f"{name} {values[0]}, which is {values[1]} now")
    raise FileProblem(
        f"{path} belongs to another run: with {'; '.join(told)}",
        hint="only steps, tolerance and patience may be changed; leave out resume to start anew",
    )
