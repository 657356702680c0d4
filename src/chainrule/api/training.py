"""fit(): a loss and data in, a Result out: what is read, derived, started, run and reported, in this order.

`preparing.py` does all that comes before the first step, `prepared.py` the steps and what comes behind them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule.api.fit_arguments import check_kinds
from chainrule.api.formulas import Functions, Shapes
from chainrule.api.prepared import Watch
from chainrule.api.preparing import prepare
from chainrule.codegen.interrupts import heard
from chainrule.expr.nodes import Expr
from chainrule.fit.places import Place
from chainrule.fit.result import Result


def fit(
    loss: str | Expr,
    params: str | Sequence[str] | None = None,
    data: Any = None,
    shapes: Shapes = None,
    *,
    let: str | None = None,
    method: str = "lbfgs",
    rate: float | None = None,
    steps: int = 1000,
    tolerance: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    init: Mapping[str, object] | str | Path | None = None,
    sizes: Mapping[str, int] | None = None,
    standardise: str | Collection[str] = (),
    one_hot: str | Collection[str] = (),
    split: float = 0.0,
    missing: str = "error",
    header: bool | None = None,
    backend: str = "numpy",
    momentum: float | None = None,
    backtracking: bool = False,
    betas: tuple[float, float] | None = None,
    epsilon: float | None = None,
    patience: int = 200,
    checkpoint: str | Path | None = None,
    every: int = 10,
    resume: str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    stream: bool | None = None,
    progress: Watch | bool | None = None,
    at_kink: float | str = 0,
    dialect: str = "numpy",
    functions: Functions = None,
) -> Result:
    """The parameters that make a loss small on data, found by derivatives that are derived, not traced.

    loss         a formula whose value is a number
    params       what is to be found; None for all that is not data
    data         arrays by name, a frame, or files; `let` says which columns make which variable
    shapes       what the names are; arrays that are not declared have the shapes they have
    method       gd, momentum, nesterov, sgd, adam, lbfgs, newton-cg, newton, gauss-newton
    standardise  variables or columns that get mean 0 and deviation 1; the report undoes it
    header       whether text files begin with the names of the columns; None to find out by looking
    split        the share of rows held out, on which the loss is reported too
    workers      a number of processes here that sum the rows, or scheduler, the address of a Dask cluster
    stream       whether files are read anew in every pass; None if they are larger than a fourth of memory
    progress     True for a bar on a terminal, or a function that is given each step
    What else there is stands in docs/fitting.md.

    Raises: ChainruleError for everything that does not fit.

    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1], [2]]), np.array([1.0, 3, 5])
    >>> result = fit("mean((y - X @ w - b)**2)", params=["w", "b"], data={"X": X, "y": y})
    >>> result.params["w"].round(6), result.params["b"].round(6), result.converged
    (array([2.]), np.float64(1.0), True)
    """
    check_kinds({
        "params": params, "let": let, "standardise": standardise, "one_hot": one_hot, "sizes": sizes,
        "split": split, "betas": betas, "checkpoint": checkpoint, "resume": resume, "scheduler": scheduler,
        "progress": progress, "header": header,
    })  # fmt: skip
    with heard():
        prepared = prepare(
            loss,
            params,
            data,
            shapes,
            let=let,
            seed=seed,
            sizes=sizes,
            standardise=standardise,
            one_hot=one_hot,
            split=split,
            missing=missing,
            header=header,
            backend=backend,
            at_kink=at_kink,
            dialect=dialect,
            functions=functions,
            place=Place(workers, scheduler, stream),
        )
        how: dict[str, Any] = {
            "rate": rate, "steps": steps, "tolerance": tolerance, "batch": batch, "momentum": momentum,
            "backtracking": backtracking, "betas": betas, "epsilon": epsilon, "patience": patience,
            "checkpoint": checkpoint, "every": every, "resume": resume,
        }  # fmt: skip
        try:
            if progress is not True:
                return prepared.run(method, init=init, watch=progress or None, **how)
            from chainrule.fit.progress import Bar

            with Bar(steps) as bar:
                return prepared.run(method, init=init, watch=bar.watch, **how)
        finally:
            prepared.close()
