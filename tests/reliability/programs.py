"""Random programs: up to 40 operations, named parts that are used again, sizes from 1 to 4.

`choose(k)` picks one of k possibilities, 0 the simplest: Hypothesis draws them in the test run, and so
shrinks a program that fails; the long run takes them from a seeded generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reliability.productions import LETTERS, WAYS, Instance

Choose = Callable[[int], int]
Sizes = tuple[int, int, int]
MOST_NODES = 40
# Of the axes k, m and n: each of 1 to 4, different and equal ones.
SIZES: tuple[Sizes, ...] = (
    (2, 3, 4), (3, 2, 2), (1, 2, 3), (4, 1, 2), (3, 4, 1), (1, 1, 2), (3, 3, 3), (2, 4, 3)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """A formula as text, its declarations, the variable to differentiate by, and the sizes of the axes."""

    text: str
    shapes: str
    wrt: str
    sizes: dict[str, int]
    variables: dict[str, str]  # a shape by name


def declaration(name: str, shape: str) -> str:
    """X0[m,n], or i1[m]:integer(n) for the shape "#mn".

    >>> declaration("X0", "mn"), declaration("i1", "#mn")
    ('X0[m,n]', 'i1[m]:integer(n)')
    """
    axes = shape[1:-1] if shape.startswith("#") else shape
    sizes = f"[{','.join(axes)}]" if axes else ""
    return f"{name}{sizes}:integer({shape[-1]})" if shape.startswith("#") else f"{name}{sizes}"


@dataclass(slots=True)
class _Writer:
    choose: Choose
    variables: dict[str, str] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)
    left: int = MOST_NODES

    def moving(self) -> list[str]:
        """The variables that are no integers."""
        return sorted(name for name, shape in self.variables.items() if not shape.startswith("#"))

    def leaf(self, shape: str) -> str:
        """A variable of that shape, at most three of a kind, or a number."""
        mine = [name for name, s in self.variables.items() if s == shape]
        if shape.startswith("#"):
            name = mine[0] if mine else f"i{len(self.variables)}"
            self.variables[name] = shape
            return name
        pick = self.choose(6)
        if not shape and pick == 5:
            return ("2", "0.5", "3")[self.choose(3)]
        if mine and (pick > 1 or len(mine) == 3):
            return mine[self.choose(len(mine))]
        name = f"{'sxXT'[len(shape)]}{len(self.variables)}"
        self.variables[name] = shape
        return name

    def part(self, shape: str, nodes: int) -> str:
        """Text of an array of that shape with about that many operations, named or not."""
        known = self.named.get(shape, [])
        if known and self.choose(4) == 0:
            return known[self.choose(len(known))]
        if nodes < 1 or self.left < 1 or shape.startswith("#"):
            return self.leaf(shape)
        ways = WAYS[shape]
        group = ways[self.choose(len(ways))]
        way: Instance = group[self.choose(len(group))]
        self.left -= way.production.nodes
        rest = max(0, nodes - way.production.nodes)
        shares = self._shares(rest, len(way.takes))
        parts = [self.part(s, n) for s, n in zip(way.takes, shares, strict=True)]
        for k, (part, taken) in enumerate(zip(parts, way.takes, strict=True)):
            if way.production.template.count(f"{{{k}}}") > 1 and "(" in part:
                parts[k] = self.name(part, taken)
        text = way.text(parts)
        return self.name(text, shape) if (rest > 1 and self.choose(3) == 0) or len(text) > 200 else text

    def name(self, text: str, shape: str) -> str:
        """A name for a part, which may then be used again."""
        name = f"p{len(self.statements)}"
        self.statements.append(f"{name} = {text}")
        self.named.setdefault(shape, []).append(name)
        return name

    def _shares(self, nodes: int, count: int) -> list[int]:
        """`nodes` dealt to `count` parts."""
        shares = []
        for _ in range(count - 1):
            mine = self.choose(nodes + 1)
            shares.append(mine)
            nodes -= mine
        return [*shares, nodes]


def program(choose: Choose, scalar: bool = False, sizes: Sizes | None = None) -> Program:
    """A random program; of a scalar value if `scalar`, with these sizes of k, m and n if they are given."""
    writer = _Writer(choose)
    shape = "" if scalar else ("", "", *LETTERS, "mn", "nn")[choose(7)]
    nodes = 1 + choose(MOST_NODES)
    writer.left = nodes
    last = writer.part(shape, nodes)
    while not writer.moving() or (last in writer.variables and nodes > 1 and writer.left > 0):
        last = writer.part(shape, nodes)
    named = dict(zip(LETTERS, sizes or SIZES[choose(len(SIZES))], strict=True))
    names = writer.moving()
    wrt = names[choose(len(names))]
    declared = " ".join(declaration(*item) for item in sorted(writer.variables.items()))
    return Program("; ".join([*writer.statements, last]), declared, wrt, named, dict(writer.variables))
