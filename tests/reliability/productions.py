"""What random programs are made of: a row for each way to make an array of some shape from others.

Shapes are words whose letters are sizes: "" a scalar, "mn" a matrix of m × n. In `makes` and `takes`, capital
letters stand for any sizes, the same one for the same letter, and `*` for any axes at all. A template is text
that chainrule reads and that Python evaluates with `jax_functions`: one text for the judge and the judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

LETTERS = "kmn"


@dataclass(frozen=True, slots=True)
class Production:
    """`template` with {0}, {1}, ... for its parts; nodes: how many operations it counts for."""

    template: str
    makes: str
    takes: tuple[str, ...]
    nodes: int = 1
    smooth: bool = True


def _rows(table: str) -> Iterator[Production]:
    """One production a line: makes | takes, separated by commas | template; `!` marks one with kinks."""
    for line in table.strip().splitlines():
        if line.strip() and not line.startswith("#"):
            makes, takes, template = (part.strip() for part in line.split("|", 2))
            kinked = makes.startswith("!")
            parts = tuple(part.strip().strip(".") for part in takes.split(","))
            count = max(1, template.count("(") + sum(template.count(f" {o} ") for o in "+-*/@") - 1)
            yield Production(template, makes.lstrip("!").strip("."), parts, min(count, 4), not kinked)


# A dot is a scalar.
TABLE = """
*   | *, *        | ({0} + {1})
*   | *, *        | ({0} - {1})
*   | *, *        | ({0} * {1})
*   | *, *        | ({0} / (2 + {1}**2))
*   | *, .        | ({0} * {1})
*   | *, .        | ({0} + {1})
*   | *           | (-{0})
*   | *           | (0.5 * {0})
*   | *           | ({0}**2)
*   | *           | ({0}**3)
*   | *           | sin({0})
*   | *           | cos({0})
*   | *           | tanh({0})
*   | *           | exp({0} / 3)
*   | *           | log(1 + {0}**2)
*   | *           | log(1 + exp({0}))
*   | *           | log1p({0}**2)
*   | *           | expm1({0} / 2)
*   | *           | sqrt(1 + {0}**2)
*   | *           | ((2 + {0}**2)**1.5)
*   | *           | ((2 + sin({0}))**0.3)
*   | *           | power(2 + cos({0}), 1.5)
*   | *           | sigmoid({0})
*   | *           | softplus({0})
*   | *           | erf({0})
*   | *           | arctan({0})
*   | *           | arcsin(sin({0}) / 2)
*   | *           | arccos(tanh({0}) / 2)
*   | *           | tan(tanh({0}))
*   | *           | sinh({0} / 2)
*   | *           | cosh({0} / 2)
*   | *           | stop({0})
!*  | *           | relu({0})
!*  | *           | abs({0})
!*  | *, *        | maximum({0}, {1})
!*  | *, *        | minimum({0}, {1})
!*  | *           | clip({0}, -0.5, 0.7)
!*  | *, *, *     | where({0} > 0.1, {1}, {2})
!*  | *, *        | (({0} > 0) * {1})
.   | *           | sum({0})
.   | *           | mean({0})
.   | A           | logsumexp({0})
.   | AB          | logsumexp({0})
!.  | A           | max({0})
!.  | AB          | min({0})
.   | A, A        | ({0} @ {1})
.   | A, A        | dot({0}, {1})
.   | A           | norm(1.5 + {0}**2)
.   | AB          | norm(1.5 + {0}**2)
!.  | A           | norm1({0})
.   | AA          | tr({0})
.   | AB, AB      | tr({0}.T @ {1})
.   | AA          | logdet({0}.T @ {0} + 2 * eye({A}))
.   | AA          | det({0})
.   | AA          | det({0}.T @ {0} + eye({A}))
.   | A, AA       | ({0} @ {1} @ {0})
.   | A, AA       | ({0} @ solve({1} @ {1}.T + 2 * eye({A}), {0}))
.   | A           | {0}[0]
.   | AB          | {0}[0, -1]
A   | AB          | sum({0}, axis=1)
A   | BA          | mean({0}, axis=0)
A   | AB          | logsumexp({0}, axis=1)
!A  | AB          | max({0}, axis=1)
!A  | BA          | min({0}, axis=0)
A   | AB          | norm({0} + 4, axis=1)
A   | AB, B       | ({0} @ {1})
A   | B, BA       | ({0} @ {1})
A   | A           | softmax({0})
A   | A           | unit({0} + 4)
A   | A           | ({0} / sum(exp({0})))
A   | AA          | diag({0})
A   | BA          | {0}[0]
A   | AB          | {0}[:, -1]
A   | A           | {0}[::-1]
A   | AA, A       | solve({0}.T @ {0} + 2 * eye({A}), {1})
A   | ., A        | ({0} * ones_like({1}))
AB  | AC, CB      | ({0} @ {1})
AB  | A, B        | outer({0}, {1})
AB  | BA          | {0}.T
AB  | AB, B       | ({0} + {1})
AB  | AB, B       | ({0} * {1})
AB  | AB, A       | ({0} * {1}[:, None])
AB  | A, B        | ({0}[:, None] - {1})
AB  | AB          | softmax({0})
AB  | AB          | softmax({0}, axis=0)
AB  | AB          | ({0} - mean({0}, axis=1, keepdims=True))
AB  | AB          | ({0} / sum(exp({0}), axis=0, keepdims=True))
AB  | ABC         | sum({0}, axis=2)
AB  | CAB         | mean({0}, axis=0)
AB  | ABC, C      | ({0} @ {1})
AB  | ABC, C      | einsum('abc,c->ab', {0}, {1})
AB  | CAB         | {0}[0]
AA  | A           | diag({0})
AA  | BA          | ({0}.T @ {0})
AA  | AA          | inv({0}.T @ {0} + 2 * eye({A}))
AA  | AA          | matrix_power({0}, 2)
AA  | AA          | matrix_power({0}, 3)
AA  | AA          | ({0} + 2 * eye({A}))
ABC | AB, C       | einsum('ab,c->abc', {0}, {1})
ABC | ABC, C      | ({0} * {1})
ABC | ABC, BC     | ({0} + {1})
ABC | ABD, DC     | ({0} @ {1})
ABC | AB, ADC     | einsum('ab,adc->abc', {0}, {1})
ABC | BCA         | einsum('bca->abc', {0})
ABC | ABC         | softmax({0})
"""

PRODUCTIONS = tuple(_rows(TABLE))


@dataclass(frozen=True, slots=True)
class Instance:
    """A production with its sizes filled in."""

    production: Production
    takes: tuple[str, ...]
    sizes: tuple[tuple[str, str], ...]

    def text(self, parts: list[str]) -> str:
        """The template with its parts and sizes."""
        return self.production.template.format(*parts, **dict(self.sizes))


def instances(shape: str, production: Production) -> Iterator[Instance]:
    """All ways to make this shape with this production."""
    if production.makes == "*" or "*" in production.takes:
        axes = [shape] if production.makes == "*" else [*LETTERS, *map("".join, product(LETTERS, repeat=2))]
        if production.makes not in ("*", shape):
            return
        for star in axes:
            yield Instance(production, tuple(t.replace("*", star) for t in production.takes), ())
        return
    if len(production.makes) != len(shape):
        return
    bound: dict[str, str] = {}
    for capital, letter in zip(production.makes, shape, strict=True):
        if bound.setdefault(capital, letter) != letter:
            return
    free = sorted({c for t in production.takes for c in t} - set(bound))
    for choice in product(LETTERS, repeat=len(free)):
        sizes = bound | dict(zip(free, choice, strict=True))
        takes = tuple("".join(sizes[c] for c in t) for t in production.takes)
        yield Instance(production, takes, tuple(sorted(sizes.items())))


# A few with three axes stand for all: each new shape costs the judge a compilation of every operation.
SHAPES = ("", *LETTERS, *map("".join, product(LETTERS, repeat=2)), "kmn", "nkm", "mnn")
WAYS = {
    shape: tuple(
        ways
        for production in PRODUCTIONS
        if (ways := tuple(w for w in instances(shape, production) if set(w.takes) <= set(SHAPES)))
    )
    for shape in SHAPES
}
