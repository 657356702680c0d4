"""`chainrule fit`: its options, the update formulas before the first step, the bar, and the report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.cli.spelling import in_shell
from chainrule.cli.terminal import columns, write
from chainrule.codegen.interrupts import undisturbed
from chainrule.errors import ChainruleError, OptionError, Span

if TYPE_CHECKING:
    from chainrule.api.prepared import Prepared
    from chainrule.fit.result import Result

EPILOG = """methods:
  gd momentum nesterov    gradient descent over all rows: w ← w − η ∂C/∂w
  sgd adam                by some rows at a time
  lbfgs newton-cg         SciPy's, fed by the derived gradient and Hessian-vector products
  newton gauss-newton     with the closed-form Hessian or Gauss-Newton matrix, for few parameters

exit status 0: there is a result; 1: it diverged, or nothing was better than the start; 130: stopped by
Ctrl-C, after the report on the best parameters

examples:
  chainrule fit "mean((y - relu(X @ w + b))**2)" --data examples/diabetes.csv --let "y = target, X = rest" \\
      --params w,b --standardise X --split 0.2 --html fit.html
  chainrule fit "mean((y - m*x - b)**2)" --data examples/diabetes.csv --let "y = target, x = bmi" \\
      --params m,b --shapes "x[N] y[N] m b" --method gd --standardise x --plot descent.png
  chainrule fit "mean((y - tanh(X @ A + c) @ v - d)**2)" --data "part-*.parquet" --let "y = t, X = rest" \\
      --params A,c,v,d --shapes "X[N,n] A[n,h] c[h] v[h] d y[N]" --size h=16 --method adam --save net.npz
"""


def add_options(sub: argparse.ArgumentParser, backends: Sequence[str]) -> None:
    """What can be said behind `chainrule fit`."""
    add = sub.add_argument
    add("formula", metavar="LOSS", help="the loss; @FILE reads it from a file, - from standard input")
    add("--data", metavar="FILE", action="append", nargs="+", help="CSV, Parquet, Arrow, npy, npz; globs too")
    add("--let", metavar="TEXT", help='which columns make which variable: "y = target, X = rest"')
    add("--params", metavar="VARS", help='what is to be found: "w,b"; else all that is not data')
    add("--shapes", metavar="DECL", help='what the names are: "X[N,n] w[n]:positive b y[N]"')
    add("--functions", metavar="DECL", help=argparse.SUPPRESS)
    add("--dialect", metavar="numpy|matlab", default="numpy", help="how the formula is written")
    add("--sizes", "--size", metavar="h=16", action="append", default=[], help="sizes that no data show")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether text files begin with the names of the columns; found by looking unless said",
    )
    add("--standardise", "--standardize", metavar="NAMES", default="", help="variables or columns")
    add("--one-hot", metavar="COLUMNS", default="", help="columns of which each value becomes a column")
    add("--split", metavar="SHARE", help="the share of the rows that is held out: 0.2")
    add("--missing", metavar="error|drop", default="error", help="what becomes of rows with missing values")
    add("--method", metavar="NAME", default="lbfgs", help="lbfgs unless said, see below")
    add("--rate", metavar="η", help="the length of steps of gd, momentum, nesterov, sgd, adam")
    add("--backtracking", action="store_true", help="gd with a rate that is halved until the loss falls")
    add("--momentum", metavar="β", help="0.9 unless said")
    add("--betas", metavar="β₁,β₂", help="of adam's averages of g and g², 0.9,0.999 unless said")
    add("--epsilon", metavar="ε", help="what adam adds to its denominator, 1e-8 unless said")
    add("--steps", metavar="K", help="at most so many steps, 1000 unless said")
    add("--tolerance", metavar="EPS", help="a gradient norm that counts as zero")
    add("--patience", metavar="K", help="steps without a new low after which it ends, 200 unless said")
    add("--batch", metavar="ROWS", help="rows of a step of sgd and adam, 32 unless said")
    add("--seed", metavar="K", help="of the start, of batches and of what is held out; 0 unless said")
    add("--init", metavar="START", help='"w=0.5,b=1", or a file of arrays, a saved result among them')
    add("--at-kink", metavar="0|1|0.5", default="0", help="relu′(0), and the weight in a tie with a constant")
    add("--backend", metavar="|".join(backends), default="numpy", help="what computes")
    add("--workers", metavar="K", help="processes here that sum the rows")
    add("--scheduler", metavar="ADDRESS", help="tcp://host:8786 of a Dask cluster that sums the rows")
    add(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="read files in every pass, not into memory; if they are larger than a fourth of it unless said",
    )
    add("--checkpoint", metavar="FILE", help="write there what is needed to go on")
    add("--every", metavar="K", help="steps between two checkpoints, 10 unless said")
    add("--resume", metavar="FILE", help="go on from a checkpoint")
    add("--save", metavar="FILE", help="the result as npz or safetensors")
    add("--plot", metavar="FILE", help="a picture by matplotlib: png, svg, pdf")
    add("--html", metavar="FILE", help="the report as a web page with plots")
    add("--json", action="store_true", help="print the report as JSON")
    add("--quiet", action="store_true", help="print nothing but errors")


def fit(options: argparse.Namespace, formula: str) -> int:
    """Prepare, show the updates, run with a bar, and print the report; the exit status."""
    with undisturbed():
        from chainrule.api.preparing import prepare
        from chainrule.fit.options import Options
        from chainrule.fit.places import Place

    how = _how(options)
    seed = _number(options.seed, "--seed", int, 0)
    # A mistake in the options is told before the data are read.
    Options(options.method, seed=seed, **{k: v for k, v in how.items() if k != "every"})
    place = Place(_number(options.workers, "--workers", int, None), options.scheduler, options.stream)
    _check_targets(options)
    prepared = prepare(
        formula,
        options.params,
        _data(options.data),
        options.shapes,
        let=options.let,
        seed=seed,
        sizes=_sizes(options.sizes),
        header=options.header,
        standardise=options.standardise,
        one_hot=options.one_hot,
        split=_number(options.split, "--split", float, 0.0),
        missing=options.missing,
        backend=options.backend,
        at_kink=options.at_kink,
        dialect=options.dialect,
        functions=options.functions,
        place=place,
    )
    try:
        return _run(prepared, options, how)
    finally:
        prepared.close()


def _run(prepared: Prepared, options: argparse.Namespace, how: dict[str, Any]) -> int:
    from chainrule.fit.progress import Bar

    talk = not (options.json or options.quiet)
    if talk:
        lines = [
            f"each step of gradient descent{_whose(options.method)}:",
            *("    " + u for u in prepared.updates),
        ]
        write("\n".join(lines) + "\n", sys.stdout)
        sys.stdout.flush()
    with Bar(how.get("steps", 1000)) as bar:
        result = prepared.run(
            options.method,
            init=options.init,
            watch=None if options.quiet else bar.watch,
            checkpoint=options.checkpoint,
            resume=options.resume,
            **how,
        )
    found, result = result, replace(
        result,
        hint=in_shell(result.hint, options.grammar),
        notes=tuple(in_shell(note, options.grammar) for note in result.notes),
    )
    written: list[str] = []
    problem: ChainruleError | None = None
    try:
        # Before the report, whose reader may stop reading; the report comes also if a file cannot be written.
        _files(found, result, options, written)
    except ChainruleError as why:
        problem = why
    if options.json:
        write(result.to_json(), sys.stdout)
    elif talk:
        write(result.to_text(columns(sys.stdout)), sys.stdout)
    if written and talk:
        write("\n" + "\n".join(f"  written: {name}" for name in written), sys.stdout)
    if problem is not None:
        raise problem
    if result.reason.startswith("stopped by Ctrl-C"):
        return 130
    failed = _failed(result, how.get("steps", 1000))
    if failed and options.quiet:
        write(f"error: {result.reason}" + f"\n  {result.hint}" * bool(result.hint), sys.stderr)
    return 1 if failed else 0


def _failed(result: Result, steps: int) -> bool:
    """Whether there is nothing better than the start."""
    stuck = result.step == 0 and not result.converged and steps != 0
    return stuck or result.reason.startswith("diverged")


def _whose(method: str) -> str:
    """Whether the method does just that."""
    return "" if method in ("gd", "momentum", "nesterov", "sgd") else f", whose derivatives {method} uses"


def _how(options: argparse.Namespace) -> dict[str, Any]:
    kinds: dict[str, type] = {
        "rate": float, "momentum": float, "epsilon": float, "steps": int, "tolerance": float, "patience": int,
        "batch": int, "every": int,
    }  # fmt: skip
    how: dict[str, Any] = {"backtracking": options.backtracking}
    for name, kind in kinds.items():
        text = getattr(options, name)
        if text is not None:
            how[name] = _number(text, f"--{name}", kind, None)
    if options.betas is not None:
        parts = options.betas.split(",")
        if len(parts) != 2:
            raise _at("--betas", options.betas, "--betas are two numbers", "--betas 0.9,0.999")
        how["betas"] = tuple(_number(part, "--betas", float, None) for part in parts)
    return how


def _number(text: str | None, option: str, kind: type, default: Any) -> Any:
    if text is None:
        return default
    try:
        return kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise _at(option, text, f"{option} is {wanted}, not {text!r}") from None


def _at(option: str, text: str, message: str, hint: str = "") -> OptionError:
    return OptionError(
        message,
        hint=hint,
        source=f"{option} {text}",
        spans=(Span(len(option) + 1, len(option) + 1 + max(len(text), 1)),),
    )


def _data(groups: Sequence[Sequence[str]] | None) -> Any:
    files = [file for group in groups or () for file in group]
    if not files:
        return None
    return files[0] if len(files) == 1 else files


def _sizes(texts: Sequence[str]) -> dict[str, int]:
    found = {}
    for text in texts:
        for part in text.split(","):
            name, mark, value = (word.strip() for word in part.partition("="))
            if not mark or not name or not value.isdecimal():
                raise _at("--sizes", text, "--sizes are names and whole numbers", "--sizes h=16")
            found[name] = int(value)
    return found


def _check_targets(options: argparse.Namespace) -> None:
    """What can be told before the work about where results go."""
    for option in ("save", "plot", "html", "checkpoint"):
        text = getattr(options, option)
        if text is not None and not Path(text).absolute().parent.is_dir():
            raise _at(f"--{option}", text, f"there is no folder {Path(text).parent}")
    if options.save is not None:
        from chainrule.fit.files import known_suffix

        known_suffix(Path(options.save))
    if options.plot is not None:
        from chainrule.fit.plots import check_plot

        check_plot(Path(options.plot))


def _files(found: Result, shown: Result, options: argparse.Namespace, said: list[str]) -> None:
    """Write the files that are asked for, and note their names in `said`.

    What is saved is read by Python, what is shown by the person at the shell.
    """
    if options.save is not None:
        found.save(options.save)
        said.append(options.save)
    if options.plot is not None:
        shown.plot(options.plot)
        said.append(options.plot)
    if options.html is not None:
        try:
            page = shown.to_html()
            with undisturbed():
                Path(options.html).write_text(page, encoding="utf-8")
        except OSError as problem:
            raise OptionError(f"{options.html} cannot be written: {problem.strerror}") from None
        said.append(options.html)
