"""Shapes that nobody declared: unification over what the formula does, then the convention of the dialect.

A reading gives every undeclared name a number of axes. A pass over the formula with placeholders finds out
whether a reading type-checks, and binds its unknown sizes on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from chainrule.errors import ShapeMismatch, Span
from chainrule.expr.dims import Dim
from chainrule.expr.names import GREEK, SPELLED, pretty
from chainrule.expr.nodes import Variable
from chainrule.language.context import Setting
from chainrule.language.index import IndexedElaborator
from chainrule.language.limits import MAX_READINGS, MAX_VISITS
from chainrule.language.sizes import Sizes
from chainrule.language.syntax import Name, Statement, post_order

Reading = dict[str, int]
MAX_PASSES = 50
LISTED = 6


@dataclass(frozen=True, slots=True)
class Problem:
    """What is known before inference."""

    setting: Setting
    statements: Sequence[Statement]
    declared: Mapping[str, Variable]
    free: Sequence[str]
    shape: tuple[Dim, ...] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The shapes, and the sentences that say how they were found."""

    sizes: Sizes
    variables: dict[str, Variable]
    assumptions: list[str]


def infer(problem: Problem) -> Found:
    """Shapes for all names; raises ShapeMismatch if no reading or no single one type-checks."""
    reading, sizes, why = _choose(problem)
    variables = {
        name: Variable(name, [sizes.resolve(d) for d in _shape(name, reading)]) for name in problem.free
    }
    taken = {*problem.setting.dims, *problem.setting.assigned, *problem.declared, *problem.free}
    sizes.name_the_rest([v.shape for v in variables.values()], taken)
    leftover = [(d,) for d in _unknown_in(problem, variables, sizes)]
    sizes.name_the_rest(
        leftover, {*taken, *(n for v in variables.values() for d in v.shape for n in sizes.resolve(d).names)}
    )
    variables = {name: Variable(name, [sizes.resolve(d) for d in v.shape]) for name, v in variables.items()}
    assumptions = []
    if variables:
        shown = " ".join(declaration(v) for v in variables.values())
        assumptions = (
            [f"Not declared, read as: {shown}.", why] if why else [f"Not declared, read as: {shown}."]
        )
    return Found(sizes, variables, assumptions)


def declaration(variable: Variable) -> str:
    """The variable as it would be declared."""
    dims = ",".join(map(str, variable.shape))
    return pretty(variable.name) + (f"[{dims}]" if dims else "")


def _shape(name: str, reading: Reading) -> list[Dim]:
    return [Dim.of(f"?{name}.{axis}") for axis in range(reading[name])]


def _unknown_in(problem: Problem, variables: dict[str, Variable], sizes: Sizes) -> list[Dim]:
    """The unknown sizes of 𝟏 and I that no variable decides, in order of appearance."""
    run = IndexedElaborator(problem.setting, {**problem.declared, **variables}, sizes)
    value = run.run(problem.statements)
    from chainrule.expr.walk import dim_names

    names = [
        n for n in dim_names(value.expr, *(v.expr for v in run.environment.values())) if n.startswith("?")
    ]
    return [
        Dim.of(name)
        for name in sorted(names, key=lambda n: [int(x) if x.isdigit() else 0 for x in n[1:].split(".")])
    ]


def _choose(problem: Problem) -> tuple[Reading, Sizes, str]:
    conventions = list(_conventions(problem))
    failure: ShapeMismatch | None = None
    for reading, why in conventions:
        sizes, failed = _check(problem, reading)
        if sizes is not None:
            return reading, sizes, why
        failure = failed
    convention = conventions[-1][0]
    found = [(r, s) for r in _others(problem, convention) if (s := _check(problem, r)[0]) is not None]
    if not found:
        assert failure is not None
        raise failure
    if len(found) > 1:
        forced = {name for name in problem.free if len({r[name] for r, _ in found}) == 1}
        near = [
            (r, s) for r, s in found if all(r[n] == convention[n] for n in problem.free if n not in forced)
        ]
        if len(near) != 1:
            raise _ambiguous(problem, [r for r, _ in found])
        found = near
    return found[0][0], found[0][1], "The formula allows no other reading that keeps to the convention."


def _check(problem: Problem, reading: Reading) -> tuple[Sizes | None, ShapeMismatch | None]:
    """The sizes that make the reading type-check, or the reason why it does not."""
    sizes = Sizes()
    variables = dict(problem.declared) | {n: Variable(n, _shape(n, reading)) for n in problem.free}
    for _ in range(MAX_PASSES):
        known = len(sizes.bound)
        settled = {n: v if n in problem.declared else _settled(sizes, v) for n, v in variables.items()}
        try:
            value = IndexedElaborator(problem.setting, settled, sizes, opaque=True).run(problem.statements)
            if problem.shape is not None:
                _match(sizes, value.expr.shape, problem.shape)
        except ShapeMismatch as mismatch:
            return None, mismatch
        if len(sizes.bound) == known:
            return sizes, None
    return sizes, None


def _settled(sizes: Sizes, variable: Variable) -> Variable:
    settled = sizes.settle(variable)
    assert isinstance(settled, Variable)
    return settled


def _match(sizes: Sizes, found: tuple[Dim, ...], wanted: tuple[Dim, ...]) -> None:
    for a, b in zip(found, wanted, strict=False):
        sizes.unify(a, b)


# ---------------------------------------------------------------- conventions


def _conventions(problem: Problem) -> Iterator[tuple[Reading, str]]:
    """The readings to try first, each with the sentence that explains it."""
    if problem.setting.dialect == "matlab":
        yield (
            {name: _matlab_rank(name) for name in problem.free},
            "By the MATLAB convention a-g and Greek names are scalars, h-z vectors, A-Z matrices.",
        )
        return
    if not any(_is_capital(name) for name in problem.free):
        yield (
            dict.fromkeys(problem.free, 0),
            "Nothing in the formula asks for axes, so undeclared names are scalars.",
        )
    yield (
        {name: _numpy_rank(name) for name in problem.free},
        "By convention capitals are matrices, u-z vectors, and other names scalars.",
    )


def _is_capital(name: str) -> bool:
    return name[0].isupper()


def _is_greek(name: str) -> bool:
    base = name.rstrip("0123456789").split("_")[0]
    return base in GREEK or name[0] in SPELLED


def _numpy_rank(name: str) -> int:
    if _is_capital(name):
        return 2
    return 1 if name[0] in "uvwxyz" and not _is_greek(name) else 0


def _matlab_rank(name: str) -> int:
    if _is_greek(name) or name[0] in "abcdefg":
        return 0
    return 2 if _is_capital(name) else 1


def _others(problem: Problem, convention: Reading) -> Iterator[Reading]:
    """Other readings, those near the convention first; all of them if that is not too many."""
    free = list(problem.free)
    parts = sum(len(post_order(s.value)) for s in problem.statements)
    most = min(MAX_READINGS, MAX_VISITS // max(1, parts))
    count = 0
    for distance in range(1, len(free) + 1):
        for changed in combinations(free, distance):
            choices = [[r for r in (0, 1, 2) if r != convention[name]] for name in changed]
            for ranks in product(*choices):
                count += 1
                if count > most:
                    return
                yield {**convention, **dict(zip(changed, ranks, strict=True))}


def _ambiguous(problem: Problem, readings: list[Reading]) -> ShapeMismatch:
    words = {0: "scalar", 1: "vector", 2: "matrix"}
    open_names = [n for n in problem.free if len({r[n] for r in readings}) > 1]
    listed = [
        ", ".join(f"{pretty(n)}: {words[r[n]]}" for n in open_names[:LISTED]) for r in readings[:LISTED]
    ]
    more = f"; and {len(readings) - LISTED} more" if len(readings) > LISTED else ""
    return ShapeMismatch(
        "the shapes are not declared, the convention does not fit, and several readings do: "
        + "; or ".join(listed)
        + more,
        hint="declare the shapes, for example shapes='A[m,n] x[n]'",
        source=problem.setting.source,
        spans=_places(problem, open_names),
    )


def _places(problem: Problem, names: Sequence[str]) -> tuple[Span, ...]:
    """Where the names first stand."""
    first: dict[str, Span] = {}
    for statement in problem.statements:
        for node in post_order(statement.value):
            if isinstance(node, Name) and node.name in names:
                first.setdefault(node.name, node.span)
    return tuple(first[name] for name in names if name in first)
