"""The progress bar of a fit on a terminal: loss, gradient norm, rate and the time left; silent elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO

from chainrule.fit.session import Progress


class Bar:
    """A bar on a stream, standard error unless said; `watch` is given each step.

    >>> import io
    >>> with Bar(10, io.StringIO()) as bar:
    ...     bar.watch(None)
    """

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self.steps, self.stream = steps, sys.stderr if stream is None else stream
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Bar:
        if not self.stream.isatty():
            return self
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("step {task.completed:.0f}"),
            BarColumn(bar_width=24),
            TextColumn("loss {task.fields[loss]}  gradient {task.fields[norm]}{task.fields[rate]}"),
            TextColumn("time left at most"),
            TimeRemainingColumn(),
            console=Console(file=self.stream),
            transient=True,
            refresh_per_second=8,
        )
        self.task = self.bar.add_task("fit", total=self.steps, loss="…", norm="…", rate="")
        self.bar.start()
        return self

    def watch(self, progress: Progress) -> None:
        """Show a step."""
        if self.bar is None:
            return
        rate = f"  rate {progress.rate:.3g}" if progress.rate and progress.rate == progress.rate else ""
        self.bar.update(
            self.task,
            completed=progress.step,
            loss=f"{progress.loss:.6g}",
            norm=f"{progress.gradient_norm:.2e}",
            rate=rate,
        )

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
