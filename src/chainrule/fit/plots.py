"""Pictures of a fit by matplotlib: loss and gradient norm by step, and the surface of two parameters."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.codegen.compiled import library
from chainrule.codegen.interrupts import undisturbed
from chainrule.errors import OptionError
from chainrule.fit.report import curve, entries, logarithmic, shown

if TYPE_CHECKING:
    from chainrule.fit.result import Result

KINDS = (".png", ".svg", ".pdf")
INK, ACCENT, SOFT = "#1d1d24", "#1b5faa", "#5a5a66"


def check_plot(path: Path) -> None:
    """Raises: OptionError without matplotlib, or for a name that ends otherwise than KINDS."""
    if path.suffix.lower() not in KINDS:
        raise OptionError(
            f"a picture is {', '.join(KINDS)}, and {path.name!r} ends otherwise", hint="such as fit.png"
        )
    try:
        library("matplotlib")
    except OptionError as problem:
        raise OptionError(
            str(problem).splitlines()[0].removeprefix("error: "),
            hint="pip install 'chainrule[plot]'; the page in HTML has the same plots without it",
        ) from None


def draw(result: Result, path: Path) -> None:
    """Write the picture."""
    check_plot(path)
    figures = library("matplotlib.figure")
    style = library("matplotlib")
    look = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "svg.hashsalt": "chainrule",
    }
    with style.rc_context(look):
        wide = bool(result.surface)
        figure = figures.Figure(figsize=(12.5 if wide else 8.5, 4.0), dpi=150, layout="constrained")
        axes = figure.subplots(1, 3 if wide else 2, width_ratios=[1, 1, 1.25] if wide else [1, 1])
        _loss(result, axes[0])
        _norms(result, axes[1])
        if wide:
            _surface(result, axes[2])
        kind, content = path.suffix.lower().removeprefix("."), io.BytesIO()
        figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    try:
        with undisturbed():  # no half of a picture is left behind
            path.write_bytes(content.getvalue())
    except OSError as problem:
        raise OptionError(f"{path} cannot be written: {problem.strerror}") from None


def _loss(result: Result, axes: Any) -> None:
    steps, losses = curve(result)
    axes.plot(steps, losses, color=ACCENT, linewidth=1.6, marker="o" if len(steps) < 40 else "", markersize=3)
    if logarithmic(losses):
        axes.set_yscale("log")
    for index, (name, value) in enumerate(result.baseline.items()):
        axes.axhline(value, color=SOFT, linewidth=1, linestyle=("--", ":")[index % 2], label=name)
    if result.baseline:
        axes.legend(frameon=False)
    axes.set(title="loss", xlabel="step")


def _norms(result: Result, axes: Any) -> None:
    norms = result.history["gradient_norm"]
    shown = np.isfinite(norms) & (norms > 0) & result.history["whole"].astype(bool)
    axes.semilogy(result.history["step"][shown], norms[shown], color=ACCENT, linewidth=1.6,
                  marker="o" if shown.sum() < 40 else "", markersize=3)  # fmt: skip
    axes.set(title="gradient norm", xlabel="step")


def _surface(result: Result, axes: Any) -> None:
    grid, path = result.surface, result.path
    assert path is not None
    loss = grid["loss"]
    finite = np.isfinite(loss)
    if finite.any():
        low, high = loss[finite].min(), loss[finite].max()
        # Levels that lie closer together near the minimum, where the path is slow.
        shown_loss = np.where(finite, loss, np.nan)
        depth = np.log10(shown_loss - low + 1e-3 * (high - low) + 1e-300)
        axes.contourf(grid["x"], grid["y"], depth, 24, cmap="Blues_r")
        axes.contour(grid["x"], grid["y"], depth, 12, colors="white", linewidths=0.4)
    axes.plot(*path.T, color="#c2410c", linewidth=1.3, marker=".", markersize=4)
    axes.plot(*path[0], "o", color="#c2410c", markersize=6, label="start")
    axes.plot(*entries(result.params), "*", color="#c2410c", markersize=11, label="best")
    axes.legend(frameon=True, framealpha=0.85, edgecolor="none")
    axes.set(
        title="loss over the parameters, and the path",
        xlabel=shown(result.names[0]),
        ylabel=shown(result.names[1]),
    )
