"""What a fit gives: the parameters, how they were found, and what they belong to; kept in one file.

A file is npz or safetensors, by its name: the arrays, and beside them a text in JSON with everything else. It
holds no pickle, so reading one runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from chainrule.errors import FileProblem
from chainrule.fit.checkpoint import COLUMNS, versions
from chainrule.fit.files import damaged, known_suffix, read_arrays, write_arrays
from chainrule.fit.objective import Array
from chainrule.fit.run import Outcome

FORMAT, NUMBER = "chainrule result", 2


@dataclass(frozen=True, kw_only=True)
class Result:
    """The parameters of a formula, fitted.

    params           arrays by name, those of the best point; loss and gradient norm are there
    history          arrays "step", "loss", "gradient_norm", "rate", "whole", a place for each point
    path             every θ of at most two entries, None for more
    reason           why the run ended; `hint` a way out, `converged` whether at a minimum
    step             where the best point was, of so many `steps` and `evaluations`
    formula, shapes  as they were given
    names            one for each entry of θ: "w[bmi]"; `labels` the same by parameter
    rows             how many rows of data the loss was over, None if it is not over rows
    updates          what a step is, as lines of text
    notes            what else a reader should know
    validation_loss  the loss on rows that were held back
    baseline         what a simpler predictor gives, by name
    condition        largest curvature over smallest, at the end; `conditioning` says it in words
    data             where the rows are from; `held_out` of them are for validation
    separable        how the loss is made from rows, or why it is not a sum over them
    scaling          by standardised variable: the means of its columns, and below them the deviations
    original         the parameters for data that are not standardised; `original_note` says how, or why not
    undone           the standardised variables that `original` takes as the data have them
    loss_factor      what the loss is multiplied by to be that of data that are not standardised; None where
                     no number does it, or nothing that is compared with a prediction was standardised
    surface          for two entries of θ the loss on a grid: "x", "y" and "loss" by y and x
    """

    params: dict[str, Array]
    loss: float
    gradient_norm: float
    history: dict[str, Array]
    path: Array | None = None
    reason: str
    hint: str = ""
    converged: bool
    step: int
    steps: int
    evaluations: int
    method: str
    formula: str
    shapes: str = ""
    names: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: int | None = None
    updates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    validation_loss: float | None = None
    baseline: dict[str, float] = field(default_factory=dict)
    condition: float | None = None
    conditioning: str = ""
    data: str = ""
    held_out: int = 0
    separable: str = ""
    original: dict[str, Array] = field(default_factory=dict)
    original_note: str = ""
    undone: tuple[str, ...] = ()
    loss_factor: float | None = None
    scaling: dict[str, Array] = field(default_factory=dict)
    surface: dict[str, Array] = field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = field(default_factory=lambda: dict(versions()))

    @classmethod
    def of(cls, outcome: Outcome, params: Mapping[str, Array], **about: Any) -> Result:
        """The result of a run, with what the run does not know in `about`."""
        taken = [f.name for f in fields(cls) if hasattr(outcome, f.name) and f.name not in about]
        return cls(params=dict(params), **{name: getattr(outcome, name) for name in taken}, **about)

    def to_text(self, width: int = 100) -> str:
        """The report, as text."""
        from chainrule.fit.report import report_text

        return report_text(self, width)

    def __str__(self) -> str:
        return self.to_text()

    def to_json(self) -> str:
        """The report in JSON, as docs/json.md describes."""
        from chainrule.fit.report import report_json

        return report_json(self)

    def to_html(self) -> str:
        """The report as one web page with plots, which needs nothing from elsewhere."""
        from chainrule.fit.page import page

        return page(self)

    def _repr_html_(self) -> str:
        """The report in a notebook."""
        from chainrule.fit.page import article

        return article(self)

    def plot(self, path: Path | str) -> None:
        """A picture by matplotlib: loss and gradient norm, and for two parameters the surface with the path.

        Raises: OptionError without matplotlib, or for a kind of file that it does not write.
        """
        from chainrule.fit.plots import draw

        draw(self, Path(path))

    def save(self, path: Path | str) -> None:
        """Writes everything into a file, .npz or .safetensors, in one step.

        Raises: OptionError for another name; FileProblem if it cannot be written.
        """
        path = Path(path)
        known_suffix(path)
        arrays = {f"params.{name}": array for name, array in self.params.items()}
        arrays |= {f"history.{name}": array for name, array in self.history.items()}
        arrays |= {f"original.{name}": array for name, array in self.original.items()}
        arrays |= {f"scaling.{name}": array for name, array in self.scaling.items()}
        arrays |= {f"surface.{name}": array for name, array in self.surface.items()}
        if self.path is not None:
            arrays["path"] = self.path
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name in READERS}
        order = {"order": list(self.params), "arrays": list(arrays)}
        text = json.dumps({"format": FORMAT, "number": NUMBER, **order, **about})
        write_arrays(path, arrays, text)

    @classmethod
    def load(cls, path: Path | str) -> Result:
        """The result in a file that `save` wrote.

        Raises: FileProblem if it is missing, damaged, or something else.
        """
        path = Path(path)
        arrays, text = read_arrays(path)
        try:
            about = json.loads(text)
            kind, number = about["format"], about["number"]
        except (ValueError, KeyError, TypeError):
            kind, number = "", 0
        if kind != FORMAT:
            raise FileProblem(f"{path} holds no result of a fit", hint="a result is written by save")
        if number != NUMBER:
            raise FileProblem(
                f"{path} is in format {number} of results, and this version reads {NUMBER}",
                hint="read it with the version that wrote it, or fit anew",
            )
        try:
            parts: dict[str, Any] = {name: read(about[name]) for name, read in READERS.items()}
            parts["params"] = {str(name): arrays[f"params.{name}"] for name in about["order"]}
            # safetensors sorts arrays by name, and the report lays parameters beside their names in order.
            arrays = {name: arrays[name] for name in dict.fromkeys([*about.get("arrays", ()), *arrays])}
            parts["history"] = {name: arrays[f"history.{name}"] for name in COLUMNS}
            given = _under("original.", arrays)
            parts["original"] = {name: given[name] for name in about["order"] if name in given}
            parts["scaling"] = _under("scaling.", arrays)
            parts["surface"] = _under("surface.", arrays)
        except KeyError as problem:
            raise damaged(path, f"it lacks {problem.args[0]}") from None
        except (TypeError, ValueError, AttributeError) as problem:
            raise damaged(path, str(problem)) from None
        return cls(path=arrays.get("path"), **parts)


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is not of the type {kind.__name__}")
        return value

    return read


def _maybe(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_exactly(str), _exactly(list)(value)))


def _by_name(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: {str(name): read(part) for name, part in _exactly(dict)(value).items()}


# How each part of the text is read; the parts that are not here are arrays.
READERS: dict[str, Callable[[Any], Any]] = {
    "loss": _exactly(float),
    "gradient_norm": _exactly(float),
    "reason": _exactly(str),
    "hint": _exactly(str),
    "converged": _exactly(bool),
    "step": _exactly(int),
    "steps": _exactly(int),
    "evaluations": _exactly(int),
    "method": _exactly(str),
    "formula": _exactly(str),
    "shapes": _exactly(str),
    "names": _texts,
    "labels": _by_name(_texts),
    "rows": _maybe(_exactly(int)),
    "updates": _texts,
    "notes": _texts,
    "validation_loss": _maybe(float),
    "baseline": _by_name(float),
    "condition": _maybe(float),
    "conditioning": _exactly(str),
    "data": _exactly(str),
    "held_out": _exactly(int),
    "separable": _exactly(str),
    "original_note": _exactly(str),
    "undone": _texts,
    "loss_factor": _maybe(_exactly(float)),
    "seed": _exactly(int),
    "versions": _by_name(_exactly(str)),
}
