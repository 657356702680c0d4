"""Which names of a loss are data, which columns they get, and which labels that gives the parameters."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.api.fitting import Setting, size_of_rows, words_of
from chainrule.api.formulas import Shapes
from chainrule.errors import DataProblem, OptionError
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.expr.walk import topological, variables
from chainrule.fit.let import Let, parse_let
from chainrule.language.declarations import parse_declarations


def named(params: str | Sequence[str] | None) -> list[str] | None:
    """The names of the parameters, spelled as they are stored; None if they are not said."""
    return None if params is None else [ascii_name(name) for name in listed(params)]


def listed(names: str | Collection[str] | None) -> list[str]:
    """Names from a text with commas, or from a list of them.

    >>> listed("w, b"), listed(["w"]), listed(None)
    (['w', 'b'], ['w'], [])
    """
    if names is None:
        return []
    parts = names.split(",") if isinstance(names, str) else [str(name) for name in names]
    return [part.strip() for part in parts if part.strip()]


def plain_let(text: str | None) -> Let | None:
    """Which columns make which variable, Greek letters and indices of names spelled as they are stored."""
    if text is None:
        return None
    let = parse_let(text)
    return replace(let, bindings=tuple(replace(b, name=ascii_name(b.name)) for b in let.bindings))


def free_words(loss: str) -> list[str]:
    """The words in a formula that may be variables: no functions, methods, or names of parts.

    >>> free_words("z = X @ w + β; mean(y - relu(z)) + w.T @ w")
    ['X', 'w', 'beta', 'y']
    """
    parts = re.findall(r"([^\W\d]\w*)\s*=", loss)
    words = re.findall(r"(?<![\w.])[^\W\d]\w*\b(?!\s*\()", loss)
    return list(dict.fromkeys(ascii_name(word) for word in words if word not in parts))


def wanted(
    loss: str | Expr, params: Sequence[str] | None, data: Any, shapes: Shapes, let: Let | None
) -> dict[str, Variable | None]:
    """The variables that need data, as far as they are declared."""
    if isinstance(loss, str):
        declared: Mapping[str, Variable] = parse_declarations(shapes).variables
    else:
        declared = {v.name: v for v in variables(loss)}
    if let is not None:
        # One that the loss lacks is left for the data to refuse: `rest` would be without its columns.
        used = words_of(loss) if isinstance(loss, str) else list(declared)
        names = [binding.name for binding in let.bindings if binding.name in used]
    elif isinstance(data, Mapping):
        used = words_of(loss) if isinstance(loss, str) else list(declared)
        names = [str(name) for name in data if name in used and name not in (params or ())]
    elif params is None and not declared:
        raise OptionError(
            "it is not said which variables of the loss are data",
            hint="name the parameters, params=['w', 'b'], or the columns, let='y = target, X = rest'",
        )
    else:
        words = free_words(loss) if isinstance(loss, str) and params is not None else []
        names = [name for name in dict.fromkeys([*declared, *words]) if name not in (params or ())]
    return {name: declared.get(name) for name in names}


def levels_of(
    about: Setting, labels: Mapping[str, Sequence[str]], levels: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Names along the axes of a size, K of y[N]:integer(K), where the numbers of y stand for texts."""
    found: dict[str, Sequence[str]] = {}
    for variable in about.formula.variables.values():
        size = None if variable.bound is None else variable.bound.name
        columns = labels.get(variable.name, ())
        if size is None or not columns:
            continue
        here = levels.get(columns[0], ())
        if found.setdefault(size, here) != here:
            found[size] = ()  # two columns of as many texts, which differ
    return found


def apart(
    loss: str | Expr, data: Mapping[str, Any], shapes: Shapes
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The data with a row for each row, and the arrays declared without that axis, as a prior or a penalty.

    >>> rows, fixed = apart("", {"X": np.ones((5, 2)), "m": np.ones(2)}, "X[N,n] m[n]")
    >>> list(rows), list(fixed)
    (['X'], ['m'])

    Raises: DataProblem for such an array with entries that are not finite.
    """
    if isinstance(loss, str):
        declared = parse_declarations(shapes).variables
    else:
        declared = {v.name: v for v in variables(loss)}
    known = {name: _numbers(data[name]) for name, v in declared.items() if v.rank and name in data}
    arrays = {name: array for name, array in known.items() if array is not None}
    own = size_of_rows([declared[name] for name in arrays], arrays)
    fixed = {n: array for n, array in arrays.items() if own and declared[n].shape[0].name != own}
    for name, array in fixed.items():
        if not np.isfinite(array).all():
            raise DataProblem(f"{name} has entries that are not finite", column=name)
    return {name: value for name, value in data.items() if name not in fixed}, fixed


def _numbers(value: Any) -> NDArray[Any] | None:
    """An array of numbers, in memory or in an npy file; None for everything else."""
    try:
        if isinstance(value, str | os.PathLike):
            array = np.load(value, mmap_mode="r", allow_pickle=False)
        else:
            array = np.asarray(value)
    except (OSError, ValueError, TypeError):
        return None  # what is wrong with it is told where the data are read
    return array if isinstance(array, np.ndarray) and array.ndim and array.dtype.kind in "biuf" else None


def labels_of(about: Setting, labels: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Names of columns for the parameters whose first axis meets the columns of a variable."""
    found: dict[str, Sequence[str]] = {}
    for node in topological([about.formula.expr]):
        if not isinstance(node, Einsum):
            continue
        for data, own in zip(node.operands, node.labels, strict=True):
            if not isinstance(data, Variable) or len(labels.get(data.name, ())) < 2 or len(own) != 2:
                continue
            for param, theirs in zip(node.operands, node.labels, strict=True):
                if isinstance(param, Variable) and param.name in about.params and theirs[:1] == own[1:]:
                    found.setdefault(param.name, labels[data.name])
    return found
