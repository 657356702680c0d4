"""What repeats is told once: the first two of many lines of one kind, then "likewise", then the last.

In: lines, each with a key that tells its kind and the name that it is about. Out: entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule.explain.derivation import Entry, Line, Sentence
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of

# So many lines of one kind are shown before the rest is folded.
SHOWN = 2
MANY = 4  # fewer lines of one kind than this are all shown
NAMED = 3  # names at either end of a list of folded ones


@dataclass(frozen=True, slots=True)
class Told:
    """A line, what kind it is of, and what it is about; it is written when it is shown."""

    kind: str
    name: str
    line: Callable[[], Line]


def folded(lines: Sequence[Told], more: str = "likewise for ") -> tuple[Entry, ...]:
    """The lines with those that only repeat others replaced by one sentence where they would begin."""
    total: dict[str, int] = {}
    for told in lines:
        total[told.kind] = total.get(told.kind, 0) + 1
    seen: dict[str, int] = {}
    entries: list[Entry] = []
    hidden: list[Told] = []

    def close() -> None:
        if len(hidden) > 1:
            entries.append(Sentence((more + listed([told.name for told in hidden]),)))
        else:
            entries.extend(told.line() for told in hidden)
        hidden.clear()

    for told in lines:
        seen[told.kind] = seen.get(told.kind, 0) + 1
        last = seen[told.kind] == total[told.kind]
        if total[told.kind] < MANY or seen[told.kind] <= SHOWN or last:
            close()
            entries.append(told.line())
        else:
            hidden.append(told)
    close()
    return tuple(entries)


def listed(names: Sequence[str]) -> str:
    """The names with commas, of many only those at either end."""
    shown = [pretty(name) for name in names]
    if len(shown) > 2 * NAMED:
        shown = [*shown[:NAMED], "…", *shown[-NAMED + 1 :]]
    return ", ".join(shown)


def kind(value: Expr) -> str:
    """What an expression is made of, whatever its variables and numbers are called.

    >>> x, y = Variable("x"), Variable("y")
    >>> kind(x**2 + y) == kind(y**5 + x), kind(x * y) == kind(x + y)
    (True, False)
    """
    match value:
        case Variable():
            return f"v{value.rank}"
        case Einsum() if constant_of(value) is not None:
            return "c"
        case Einsum():
            return f"{value.labels}>{value.output}({','.join(map(kind, value.operands))})"
        case Sum() | Stack():
            inside = sorted({kind(child) for child in value.children})
            return f"{type(value).__name__}({','.join(inside)})"
        case Apply():
            return f"{value.function.name}({','.join(map(kind, value.arguments))})"
        case _:
            raise AssertionError(type(value))
