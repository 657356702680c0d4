"""Functions of chunks of rows: one makes totals of some rows, the other the results of all totals.

In: expressions, the variables that hold rows, a backend. Out: Halves, which can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from string import ascii_lowercase
from typing import Any

import numpy as np

from chainrule.codegen.backends import backend_named
from chainrule.codegen.binding import Array, Binding
from chainrule.codegen.compiled import CompiledFunction, library
from chainrule.codegen.load import loaded
from chainrule.codegen.matching import of, raised
from chainrule.codegen.names import identifier
from chainrule.codegen.plan import Program, make_plan
from chainrule.codegen.separate import separate
from chainrule.codegen.source import Source, write_program
from chainrule.codegen.stable import stable
from chainrule.codegen.traced import in_double
from chainrule.expr.nodes import Apply, Expr, Variable, einsum
from chainrule.expr.walk import transform
from chainrule.rules.tensorial import norm


class Half:
    """A compiled function of named arrays that gives a dict of arrays; it is pickled as its source."""

    def __init__(self, source: Source, variables: Sequence[Variable], ranks: Mapping[str, int], backend: str):
        self.source, self.variables, self.ranks, self.backend = source, tuple(variables), dict(ranks), backend
        if backend_named(backend).package:
            library(backend_named(backend).package)
        binding = Binding(source.arrays, source.sizes, variables)
        self.function: CompiledFunction = loaded(
            source, binding, list(ranks), list(ranks.values()), backend, undefined=True
        )

    def __reduce__(self) -> Any:
        variables = tuple((v.name, v.shape, tuple(v.structure)) for v in self.variables)
        return _half, (self.source, variables, tuple(self.ranks.items()), self.backend)

    def __call__(self, values: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Array]:
        """The results, of the values that it reads, which may be among others, and of the sizes it needs."""
        given = {name: values[name] for name in self.source.arrays}
        known = {name: sizes[name] for name in self.source.sizes}
        with in_double() if self.backend == "jax" else nullcontext():
            results = self.function(**given, **known)
        return {name: np.asarray(value) for name, value in results.items()}


@lru_cache(maxsize=64)  # each task of a cluster brings it along, and it is compiled once in a process
def _half(source: Source, variables: Any, ranks: tuple[tuple[str, int], ...], backend: str) -> Half:
    return Half(source, [Variable(*v) for v in variables], dict(ranks), backend)


class Halves:
    """`part` makes totals of rows, `finish` the results of the totals.

    totals   their names
    counted  whether `part` needs to know the number of all rows
    fixed    totals of rows alone, and `linear` the results that are linear in the others
    """

    def __init__(
        self,
        part: Half,
        finish: Half,
        count: str,
        counted: bool,
        fixed: Collection[str] = (),
        linear: Collection[str] = (),
    ) -> None:
        self.part, self.finish, self.count, self.counted = part, finish, count, counted
        self.fixed, self.linear = frozenset(fixed), frozenset(linear)

    @property
    def totals(self) -> tuple[str, ...]:
        return tuple(self.part.ranks)

    def of_rows(
        self, values: Mapping[str, Any], sizes: Mapping[str, int], count: int | None = None
    ) -> dict[str, Array]:
        """The totals of some rows."""
        return self.part(values, sizes if count is None else {**sizes, self.count: count})

    def of_totals(
        self, totals: Mapping[str, Array], values: Mapping[str, Any], sizes: Mapping[str, int], count: int
    ) -> dict[str, Array]:
        """The results of the totals of all rows, of which there are `count`."""
        return self.finish({**values, **totals}, {**sizes, self.count: count})


def _squared(node: Expr) -> Expr:
    """‖x‖² as the sum of squares that it is: a norm that cannot overflow takes all rows together."""
    base, exponent = raised(node)
    x = of(base, norm)
    if x is None or exponent != 2:
        return node
    assert isinstance(base, Apply)
    letters = ascii_lowercase[: x.rank]
    return einsum(f"{letters},{letters}->{letters[: base.rank]}", x, x)


def compile_halves(
    outputs: Mapping[str, Expr], variables: Sequence[Variable], rows: Collection[str], backend: str = "numpy"
) -> Halves:
    """The two halves of a function for the outputs; `rows` are the variables whose first axis are rows.

    Raises: NotSeparable with the reason, OptionError if the library of the backend is not installed.

    >>> import chainrule as cr
    >>> d = cr.derive("mean((y - X @ w)**2)", wrt="w", shapes="X[N,n] w[n] y[N]")
    >>> formula = d.formula
    >>> halves = compile_halves(
    ...     {"value": formula.expr, "w": d.expression}, list(formula.variables.values()), ["X", "y"])
    >>> chunk = {"X": np.eye(2), "y": np.ones(2), "w": np.zeros(2)}
    >>> totals = halves.of_rows(chunk, {})
    >>> halves.of_totals({k: 2 * v for k, v in totals.items()}, chunk, {}, 4)
    {'value': array(1.), 'w': array([-1., -1.])}
    """
    taken = [v.name for v in variables] + [d for v in variables for dim in v.shape for d in dim.names]
    count = identifier("count", [identifier(name) for name in taken])
    prefix = "total"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    rewritten, _ = stable(outputs, {})
    memo: dict[Expr, Expr] = {}
    rewritten = {key: transform(expr, _squared, memo) for key, expr in rewritten.items()}
    separated = separate(make_plan(rewritten), rows, count, prefix)
    totals = [Variable(name, shape) for name, shape in separated.totals.items()]

    def half(program: Program, given: Sequence[Variable], name: str) -> Half:
        printer = backend_named(backend).printer
        source = write_program(program, given, printer=printer, function=name)
        return Half(source, given, {key: op.rank for key, op in program.outputs.items()}, backend)

    part = half(separated.part, variables, "sums_of_rows")
    finish = half(separated.finish, [*(v for v in variables if v.name not in rows), *totals], "of_sums")
    return Halves(part, finish, count, separated.counted, separated.fixed, separated.linear)
