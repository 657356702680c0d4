"""What random programs are made of: a row for each way to make an array of some shape from others.

Shapes are words whose letters are sizes: "" a scalar, "mn" a matrix of m × n. In `makes` and `takes`, capital
letters stand for any sizes, the same one for the same letter, and `*` for any axes at all; `#AB` is
an integer variable with axis A and values below B. A template is text
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


def _rows(table: str) -> Iterator[Production]:
    """One production a line: makes | takes, separated by commas | template."""
    for line in table.strip().splitlines():
        if line.strip() and not line.startswith("#"):
            makes, takes, template = (part.strip() for part in line.split("|", 2))
            parts = tuple(part.strip().strip(".") for part in takes.split(","))
            count = max(1, template.count("(") + sum(template.count(f" {o} ") for o in "+-*/@") - 1)
            yield Production(template, makes.strip("."), parts, min(count, 4))


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
*   | *           | relu({0})
*   | *           | abs({0})
*   | *, *        | maximum({0}, {1})
*   | *, *        | minimum({0}, {1})
*   | *           | clip({0}, -0.5, 0.7)
*   | *, *, *     | where({0} > 0.1, {1}, {2})
*   | *, *        | (({0} > 0) * {1})
.   | *           | sum({0})
.   | *           | mean({0})
.   | A           | logsumexp({0})
.   | AB          | logsumexp({0})
.   | A           | max({0})
.   | AB          | min({0})
.   | A, A        | ({0} @ {1})
.   | A, A        | dot({0}, {1})
.   | A           | norm(1.5 + {0}**2)
.   | AB          | norm(1.5 + {0}**2)
.   | A           | norm1({0})
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
A   | AB          | max({0}, axis=1)
A   | BA          | min({0}, axis=0)
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
*   | *           | gelu({0})
*   | *           | gelu_tanh({0})
*   | *           | silu({0})
*   | *           | softsign({0})
*   | *           | mish({0})
*   | *           | logsigmoid({0})
*   | *           | normcdf({0})
*   | *           | normpdf({0})
*   | *           | elu({0})
*   | *           | selu({0})
*   | *           | leaky_relu({0})
*   | *           | relu6({0})
*   | *           | hardtanh({0})
*   | *           | hardsigmoid({0})
*   | *           | hardswish({0})
*   | *           | huber({0}, 0.5)
*   | *           | hinge({0})
*   | *, *, *     | where(({0} > 0) & ({1} < 0.5), {2}, {1})
.   | *           | var({0})
.   | *           | std({0} + {0}**2)
.   | *           | prod({0})
.   | A, AB       | sum({0} * log_softmax({1})[:, 0])
A   | AB          | var({0}, axis=1)
A   | BA          | prod({0}, axis=0)
A   | AB          | norm({0} + 3, axis=1)
A   | A           | cumsum({0})
A   | A           | log_softmax({0})
A   | A           | roll({0}, 1, axis=0)
A   | A           | flip({0}, axis=0)
A   | A, ., ., .  | conv1d({0}, stack({1}, {2}, {3}), padding=1)
A   | A           | avg_pool1d({0}, 3, stride=1, padding=1)
A   | A           | max_pool1d(pad({0}, (1, 1)), 3, stride=1)
A   | BA, #.B     | {0}[{1}]
A   | AB, #AB     | pick({0}, {1})
AB  | AB          | log_softmax({0})
AB  | AB          | cumsum({0}, axis=1)
AB  | AB          | (({0} - mean({0}, axis=1, keepdims=True)) / sqrt(var({0}, axis=1, keepdims=True) + 0.1))
AB  | CB, #AC     | {0}[{1}]
AB  | B, #AB      | (one_hot({1}, {B}) * {0})
AB  | BA          | swapaxes({0}, 0, 1)
AB  | AB          | flip({0}, axis=1)
ABC | ABC         | cumsum({0}, axis=1)
ABC | BAC         | swapaxes({0}, 0, 1)
ABC | ABC         | log_softmax({0}, axis=0)
.   | AB, #AB     | cross_entropy({0}, {1})
.   | *, *        | bce_with_logits({0}, sigmoid({1}))
.   | A, A        | kl(softmax({0}), softmax({1}))
.   | *, *, *     | gaussian_nll({0}, {1}, softplus({2}) + 0.1)
.   | AB, A       | ({1} @ cholesky({0} @ {0}.T + 2 * eye({A})) @ {1})
.   | AA          | logdet(cholesky({0} @ {0}.T + 2 * eye({A})))
.   | AB          | nuclear_norm({0})
.   | AB          | spectral_norm({0})
.   | AA          | logsumexp(eigvalsh({0}))
.   | AA, AA      | vdot(tril({0}), triu({1}))
.   | A, AB, B    | ({0} @ (2 + {1}) @ {2})
A   | A           | layernorm({0})
A   | A           | rmsnorm({0})
A   | AA, A       | (expm({0} / 3) @ {1})
A   | AA          | eigvalsh({0})
A   | B, A, AB, AA, A | rnn_step({0}, {1}, {2}, {3}, {4})
AB  | AC, BC, CC  | (softmax(({0} @ {2}) @ {1}.T / sqrt({C})))
AB  | AC, DC, DB  | attention({0}, {1}, {2})
AB  | AB, B, B    | layernorm({0}, gain={1}, bias={2})
AB  | AB          | batchnorm({0}, eps=0.1)
AA  | AA          | tril({0})
AA  | AA          | expm({0} / 3)
AA  | AB          | cholesky({0} @ {0}.T + 2 * eye({A}))
AA  | AA          | ({0} @ diag(diagonal({0})))
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
    free = sorted({c for t in production.takes for c in t if c.isalpha()} - set(bound))
    for choice in product(LETTERS, repeat=len(free)):
        sizes = bound | dict(zip(free, choice, strict=True))
        takes = tuple("".join(sizes.get(c, c) for c in t).replace("#.", "#") for t in production.takes)
        yield Instance(production, takes, tuple(sorted(sizes.items())))




def _known(way: Instance) -> bool:
    return all(taken in SHAPES or taken.startswith("#") for taken in way.takes)


# A few with three axes stand for all: each new shape costs the judge a compilation of every operation.
SHAPES = ("", *LETTERS, *map("".join, product(LETTERS, repeat=2)), "kmn", "nkm", "mnn")
WAYS = {
    shape: tuple(
        ways
        for production in PRODUCTIONS
        if (ways := tuple(w for w in instances(shape, production) if _known(w)))
    )
    for shape in SHAPES
}
