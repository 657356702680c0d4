"""A program as text: NumPy source to paste into a project, or a formula in chainrule's NumPy dialect.

In: a Program. Out: statements. An operation that is used once and is short is written where it is used; the
others get a name, the one that a person gave where there is one. The two vocabularies differ in what they
may write: source has np. and special. in front, assigns to parts of arrays and calls a few helper functions
that stand above it; a formula has only what the parser reads back.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from keyword import iskeyword
from textwrap import wrap
from typing import Any
from unicodedata import name as unicode_name

from chainrule.codegen.helpers import LINEAR_ALGEBRA, defined
from chainrule.codegen.plan import Program, make_plan
from chainrule.codegen.program import Op, Place, is_decimal, is_long
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import variables as variables_of
from chainrule.rules.table import ROWS, Row
from chainrule.rules.unknown import Unknown, unknown_in

ATOM, POWER, SIGN, TIMES, PLUS, COMPARE = 100, 90, 80, 70, 60, 40
WIDTH = 96
INLINE = 68  # characters of text that may stand inside a larger expression
LETTERS = "ijklmnopqrstuvwxyzabcdefghIJKLMNOPQRSTUVWXYZABCDEFGH"
FREE = frozenset(
    {"input", "number", "size", "named", "permute", "expand"}
)  # as cheap to write again as to name

HELPERS = {
    "unit": '''def unit(x, axes):
    """x / ||x|| over the last axes, 0 where x is 0."""
    length = np.sqrt(np.sum(x * x, axis=tuple(range(-axes, 0)), keepdims=True))
    return x / np.where(length == 0, 1, length)
''',
    "first_max": '''def first_max(x, axes):
    """1 at the first largest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    chosen = np.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]
    return chosen.reshape(x.shape) * 1.0
''',
    "first_min": '''def first_min(x, axes):
    """1 at the first smallest entry of the last axes, 0 elsewhere."""
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    chosen = np.arange(flat.shape[-1]) == flat.argmin(axis=-1)[..., None]
    return chosen.reshape(x.shape) * 1.0
''',
    "elu": '''def elu(x, a):
    """x where x > 0, else a (exp(x) - 1)."""
    return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0)))
''',
    "softsign": '''def softsign(x):
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))
''',
    "normpdf": '''def normpdf(x):
    """The density of the standard normal distribution."""
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
''',
    "mills": '''def mills(x):
    """The normal density divided by the distribution function, where that underflows too."""
    return np.sqrt(2 / np.pi) / special.erfcx(-x / np.sqrt(2))
''',
    "masked_softmax": '''def masked_softmax(x, mask):
    """softmax along the last axis over the entries where the mask is not 0, and 0 elsewhere."""
    seen = mask != 0
    top = np.where(seen, x, -np.inf).max(axis=-1, keepdims=True)
    e = np.where(seen, np.exp(np.where(seen, x - np.where(np.isfinite(top), top, 0), 0)), 0)
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total == 0, 1, total)
''',
    "prod_others": '''def prod_others(x, axes, k):
    """The product over the last axes without k different entries, for every choice of them."""
    shape = x.shape[x.ndim - axes:]
    flat = x.reshape(x.shape[:x.ndim - axes] + (-1,))
    lead, n = flat.shape[:-1], flat.shape[-1]
    if k == 1:
        one = np.ones(lead + (1,))
        before = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
        after = np.cumprod(np.concatenate([one, flat[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
        return (before * after).reshape(x.shape)
    places = np.indices((n,) * k)
    out = sum(p[..., None] == np.arange(n) for p in places)
    products = np.where(out > 0, 1, flat.reshape(lead + (1,) * k + (n,))).prod(axis=-1)
    return (products * (out.max(axis=-1) == 1)).reshape(lead + shape * k)
''',
    "adjugate": '''def adjugate(A):
    """det(A) inv(A), which exists where A is singular too: from A = U diag(s) V'."""
    if not np.isfinite(A).all():
        return np.full_like(A, np.nan)
    U, s, Vt = np.linalg.svd(A)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(axis=-1)
    sign = np.linalg.det(U) * np.linalg.det(Vt)
    return np.swapaxes(U @ ((sign[..., None] * others)[..., None] * Vt), -1, -2)
''',
}
# Rows that are one call of NumPy, along the last axes.
REDUCTIONS = {"amax": "max", "amin": "min", "prod": "prod"}
HELPERS |= {
    "scatter_rows": '''def scatter_rows(rows, ids, size):
    """An array of `size` rows: row v is the sum of the rows with ids == v."""
    total = np.zeros((size,) + rows.shape[ids.ndim:], rows.dtype)
    np.add.at(total, ids, rows)
    return total
''',
    "windows": '''def windows(x, widths, strides, dilations, paddings):
    """The windows of the last axes of x, zeros around it: which window along each, then where in it."""
    axes = len(widths)
    padded = np.pad(x, [(0, 0)] * (x.ndim - axes) + [(p, p) for p in paddings])
    reach = [d * (w - 1) + 1 for w, d in zip(widths, dilations)]
    every = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(-axes, 0)))
    return every[(..., *(slice(None, None, s) for s in (*strides, *dilations)))]
''',
    "overlap_add": '''def overlap_add(parts, sizes, strides, dilations, paddings):
    """The transpose of windows: every window added at its place in axes of these sizes."""
    axes = len(sizes)
    counts, widths = parts.shape[-2 * axes:-axes], parts.shape[-axes:]
    total = np.zeros(parts.shape[:-2 * axes] + tuple(n + 2 * p for n, p in zip(sizes, paddings)))
    for place in np.ndindex(*widths):
        along = zip(place, dilations, strides, counts)
        where = (slice(k * d, k * d + s * (c - 1) + 1, s) for k, d, s, c in along)
        total[(..., *where)] += parts[(..., *place)]
    return total[(..., *(slice(p, p + n) for n, p in zip(sizes, paddings)))]
''',
}
# The texts behind each name: helper functions may call others.
BEHIND = {name: (text,) for name, text in HELPERS.items()} | LINEAR_ALGEBRA
OWN = frozenset({"np", "special", "linalg", "float", "tuple", "range", "max"}) | {
    defined(text) for texts in BEHIND.values() for text in texts
}


@dataclass(frozen=True, slots=True)
class Text:
    """An expression as text, and how tightly its outermost operator binds."""

    text: str
    level: int = ATOM

    def at(self, level: int) -> str:
        """With brackets unless it binds at least as tightly as `level`."""
        return self.text if self.level >= level else f"({self.text})"


@dataclass(frozen=True, slots=True)
class Source:
    """A function as text, its parameters in order (arrays by variable name, then sizes), and its name."""

    text: str
    arrays: tuple[str, ...]
    sizes: tuple[str, ...]
    function: str


# ---------------------------------------------------------------- names


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """A Python identifier for a name of the language: Greek letters spelled, a keyword with an underscore.

    >>> identifier("λ"), identifier("lambda"), identifier("x̂")
    ('lam', 'lam', 'x_hat')
    """
    text = "".join(_spelled(c) for c in name)
    text = {"lambda": "lam"}.get(text, text)
    if not text or (not text[0].isalpha() and text[0] != "_"):
        text = "v" + text
    used = set(taken) | OWN
    while iskeyword(text) or text in used:
        text += "_"
    return text


def _spelled(c: str) -> str:
    if c == "_" or (c.isascii() and c.isalnum()):
        return c
    words = unicode_name(c, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        spelled = words[words.index("LETTER") + 1].lower()
        spelled = {"lamda": "lam"}.get(spelled, spelled)
        return spelled.capitalize() if "CAPITAL" in words else spelled
    for mark, text in (
        ("CIRCUMFLEX", "_hat"),
        ("MACRON", "_bar"),
        ("OVERLINE", "_bar"),
        ("TILDE", "_tilde"),
        ("PRIME", "_prime"),
    ):
        if mark in words:
            return text
    if words[:1] in (["SUBSCRIPT"], ["SUPERSCRIPT"]):
        digits = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
        return str(digits.index(words[-1])) if words[-1] in digits else "_"
    return "_"


# ---------------------------------------------------------------- the two vocabularies


class _Vocabulary(ABC):
    """Writes one operation, given the text of its arguments."""

    prefix = ""

    def __init__(self, names: Mapping[str, str], dims: Mapping[str, str]) -> None:
        self.names, self.dims = names, dims
        self.helpers: dict[str, None] = {}
        self.mentioned: dict[str, None] = {}

    def write(self, op: Op, args: Sequence[Text]) -> Text:
        return getattr(self, f"_{op.kind}")(op, *args)  # type: ignore[no-any-return]

    # ---- numbers and sizes

    def dim(self, dim: Dim) -> Text:
        """A size, with powers and products as Python writes them."""
        if dim.constant is not None:
            return Text(str(dim.constant))
        self.mentioned.update(dict.fromkeys(dim.names))
        text = ""
        for monomial, count in sorted(dim.terms, key=lambda t: (-sum(e for _, e in t[0]), t[0])):
            factors = [self.dims[n] if e == 1 else f"{self.dims[n]}**{e}" for n, e in monomial]
            if abs(count) != 1 or not factors:
                factors.insert(0, str(abs(count)))
            sign = ("-" if count < 0 else "") if not text else (" - " if count < 0 else " + ")
            text += sign + "*".join(factors)
        if dim.name is not None:
            return Text(text)
        return Text(text, PLUS if len(dim.terms) > 1 or text.startswith("-") else TIMES)

    def shape(self, dims: Sequence[Dim]) -> str:
        texts = [self.dim(d).text for d in dims]
        return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"

    def full(self, shape: Sequence[Dim]) -> str:
        return self.dim(shape[0]).text if len(shape) == 1 else self.shape(shape)

    def _input(self, op: Op) -> Text:
        return Text(self.names[op.data[0]])

    def _number(self, op: Op) -> Text:
        value: Fraction = op.data[0]
        if value.denominator == 1:
            return Text(str(value.numerator), ATOM if value >= 0 else SIGN)
        decimal = _decimal(value)
        if decimal is not None:
            return Text(decimal, ATOM if value >= 0 else SIGN)
        return Text(f"{value.numerator} / {value.denominator}", TIMES)

    def _size(self, op: Op) -> Text:
        return self.dim(op.data[0])

    @abstractmethod
    def _named(self, op: Op) -> Text: ...

    # ---- arithmetic

    def _add(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(PLUS)} + {b.at(PLUS + 1)}", PLUS)

    def _sub(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(PLUS)} - {b.at(PLUS + 1)}", PLUS)

    def _mul(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(TIMES)} * {b.at(TIMES + 1)}", TIMES)

    def _div(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(TIMES)} / {b.at(TIMES + 1)}", TIMES)

    def _matmul(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(TIMES)} @ {b.at(TIMES + 1)}", TIMES)

    def _neg(self, op: Op, a: Text) -> Text:
        return Text(f"-{a.at(TIMES)}", TIMES if a.level == TIMES else SIGN)

    def _pow(self, op: Op, a: Text, exponent: Text) -> Text:
        return Text(f"{a.at(ATOM)}**{exponent.at(SIGN)}", POWER)

    @abstractmethod
    def _cast(self, op: Op, a: Text) -> Text: ...

    # ---- axes

    def _expand(self, op: Op, a: Text) -> Text:
        return Text(f"{a.at(ATOM)}[{', '.join(':' if keep else 'None' for keep in op.data[0])}]")

    def _slice(self, op: Op, a: Text) -> Text:
        return Text(a.at(ATOM) + self.index(op.data, op.args[0].shape))

    def index(self, parts: Sequence[tuple[Any, ...]], shape: Sequence[Dim]) -> str:
        """[1:3, 0, ::2]; axes at the end that are taken whole are left out."""
        texts = []
        for part, size in zip(parts, shape, strict=True):
            if part[0] == "all":
                texts.append(":")
            elif part[0] == "at":
                texts.append(self.position(part[1], size))
            else:
                texts.append(self.range(part[1], part[2], part[3], size))
        while texts and texts[-1] == ":":
            texts.pop()
        return f"[{', '.join(texts)}]" if texts else ""

    def position(self, index: Dim, size: Dim) -> str:
        """An index, from the end (-1) where that needs no size."""
        behind = (index - size).constant
        return str(behind) if behind is not None and index.constant is None else self.dim(index).text

    def range(self, start: Dim, step: int, count: Dim, size: Dim) -> str:
        """start:stop:step for `count` entries of an axis."""
        last = start + Dim.of(step) * (count - Dim.of(1))
        first = self.position(start, size)
        if step < 0:
            stop = last - Dim.of(1)
            # Counting down to the first entry has no stop: -1 would mean the last.
            text = "" if stop.constant == -1 else self.position(stop, size)
            return f"{'' if start + Dim.of(1) == size else first}:{text}:{step}"
        end = last + Dim.of(1)
        beyond = (last + Dim.of(step) - size).constant
        whole = end == size or (beyond is not None and beyond >= 0)
        text = f"{first if start.terms else ''}:{'' if whole else self.position(end, size)}"
        return text if step == 1 else f"{text}:{step}"

    def spec(self, op: Op) -> str:
        """The letters of a contraction, such as ij,jk->ik."""
        labels, kept = op.data[0]
        counts = op.data[1:]
        text, k = [], 0
        for count in counts:
            text.append("".join(LETTERS[a] for a in labels[k : k + count]))
            k += count
        return f"{','.join(text)}->{''.join(LETTERS[a] for a in kept)}"

    def _take(self, op: Op, a: Text, ids: Text) -> Text:
        return Text(f"{a.at(ATOM)}[{ids.text}]")

    @abstractmethod
    def _call(self, op: Op, *args: Text) -> Text: ...

    def fill_template(self, template: str, args: Sequence[Text], parameters: Sequence[Any]) -> Text:
        """A row's template with #1 for arguments and $1 for parameters, brackets where they are needed."""
        function = _is_call(template)
        text = template
        for k, parameter in enumerate(parameters, 1):
            written = self.dim(parameter).at(POWER) if isinstance(parameter, Dim) else str(parameter)
            text = text.replace(f"${k}", written)
        # Arguments last: their text may hold the marks of no template.
        parts = []
        k = 0
        while k < len(text):
            if text[k] == "#":
                argument = args[int(text[k + 1]) - 1]
                parts.append(argument.text if function and text[k - 1] in "( " else argument.at(ATOM))
                k += 2
            else:
                parts.append(text[k])
                k += 1
        return Text(
            "".join(parts), ATOM if function or (text.startswith("(") and text.endswith(")")) else COMPARE
        )


def _is_call(template: str) -> bool:
    """Whether a template is one call f(...)."""
    head, _, _ = template.partition("(")
    return bool(head) and all(c.isalnum() or c in "._" for c in head) and template.endswith(")")


def _decimal(value: Fraction) -> str | None:
    """The decimal of a fraction that has a short one, or that was typed with many digits."""
    if is_long(value) and is_decimal(value):
        text = repr(as_float(value))
        return text if "e" not in text and "inf" not in text else None
    if value.denominator > 10**6 or 10**6 % value.denominator:
        return None
    text = repr(float(value))
    return text if Fraction(text) == value and "e" not in text else None


def as_float(value: Fraction) -> float:
    """The nearest float; infinity beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


class _Python(_Vocabulary):
    """NumPy source."""

    def _named(self, op: Op) -> Text:
        return Text(op.data[0].code)

    def _number(self, op: Op) -> Text:
        value: Fraction = op.data[0]
        if max(abs(value.numerator), value.denominator) < 2**63:
            return super()._number(op)
        # Beyond 64 bits NumPy has no integer for it.
        text = repr(as_float(value))
        return Text({"inf": "np.inf", "-inf": "-np.inf"}.get(text, text), ATOM if value >= 0 else SIGN)

    def _cast(self, op: Op, a: Text) -> Text:
        return Text(f"1.0 * {a.at(TIMES + 1)}", TIMES)

    def _neg(self, op: Op, a: Text) -> Text:
        first = op.args[0]
        while first.kind in ("mul", "div", "matmul", "cast"):
            first = first.args[0]
        # The sign binds to the first factor, and NumPy has no minus for bool.
        return Text(f"-({a.text})", SIGN) if first.boolean else super()._neg(op, a)

    def _sqrt(self, op: Op, a: Text) -> Text:
        return Text(f"np.sqrt({a.text})")

    def _permute(self, op: Op, a: Text) -> Text:
        order = op.data[0]
        if order == tuple(reversed(range(len(order)))):
            return Text(f"{a.at(ATOM)}.T")
        return Text(f"np.transpose({a.text}, {order})")

    def _sum(self, op: Op, a: Text) -> Text:
        axes = op.data[0]
        if len(axes) == op.args[0].rank:
            return Text(f"np.sum({a.text})")
        return Text(f"np.sum({a.text}, axis={axes[0] if len(axes) == 1 else axes})")

    def _einsum(self, op: Op, *args: Text) -> Text:
        spec = self.spec(op)
        if spec == "ii->i":
            return Text(f"np.diagonal({args[0].text})")
        return Text(f"np.einsum('{spec}', {', '.join(a.text for a in args)})")

    def _outer(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.outer({a.text}, {b.text})")

    def _kron(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.kron({a.text}, {b.text})")

    def _trace(self, op: Op, a: Text) -> Text:
        return Text(f"np.trace({a.text})")

    def _tensordot(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.tensordot({a.text}, {b.text}, {op.data[0]})")

    def _reshape(self, op: Op, a: Text) -> Text:
        dims = ", ".join(self.dim(d).text for d in op.shape)
        return Text(f"{a.at(ATOM)}.reshape({dims})")

    def _fill(self, op: Op, a: Text) -> Text:
        axes, shape = op.data
        source = op.args[0]
        if not axes:
            if source.kind == "number" and source.data[0] in (0, 1):
                return Text(f"np.{'ones' if source.data[0] else 'zeros'}({self.full(shape)})")
            whole = ", float" if _is_number(source) else ""  # NumPy would make integers of it
            return Text(f"np.full({self.full(shape)}, {a.text}{whole})")
        first = axes[0]
        pattern = [":" if k in axes else "None" for k in range(first, len(shape))]
        view = a.text if all(p == ":" for p in pattern) else f"{a.at(ATOM)}[{', '.join(pattern)}]"
        return Text(f"np.broadcast_to({view}, {self.full(shape)}).copy()")

    def _solve(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"np.linalg.solve({a.text}, {b.text})")

    def _adjugate(self, op: Op, a: Text) -> Text:
        self.helpers["adjugate"] = None
        return Text(f"adjugate({a.text})")

    def _constant(self, op: Op) -> Text:
        row, *parameters = op.data
        if row.name == "merge":
            sizes = ", ".join(self.dim(d).text for d in parameters)
            return Text(
                f"np.eye({' * '.join(self.dim(d).at(TIMES + 1) for d in parameters)}).reshape(-1, {sizes})"
            )
        return self.fill_template(row.code, (), parameters)

    def _scatter_rows(self, op: Op, rows: Text, ids: Text) -> Text:
        self.helpers["scatter_rows"] = None
        return Text(f"scatter_rows({rows.text}, {ids.text}, {self.dim(op.data[0]).text})")

    def _windows(self, op: Op, a: Text) -> Text:
        return self.helped("windows", op, a, 1)

    def _overlap_add(self, op: Op, a: Text) -> Text:
        return self.helped("overlap_add", op, a, 5)

    def helped(self, name: str, op: Op, a: Text, first: int) -> Text:
        """A call of a helper with a tuple for each parameter of the windows, one entry for each axis."""
        self.helpers[name] = None
        rows = [self.shape([Dim.of(spec[k]) for spec in op.data]) for k in (first, 2, 3, 4)]
        return Text(f"{name}({a.text}, {', '.join(rows)})")

    def _stack(self, op: Op, *args: Text) -> Text:
        entries = [
            a.text[len("np.array(") : -1]
            if inner.kind == "stack" and a.text.startswith("np.array(")
            else a.text
            for inner, a in zip(op.args, args, strict=True)
        ]
        return Text(f"np.array([{', '.join(entries)}])")

    def _call(self, op: Op, *args: Text) -> Text:
        row, *parameters = op.data
        if row.name == "norm":
            return self._norm(op, args[0])
        if row.name in REDUCTIONS:
            return Text(f"np.{REDUCTIONS[row.name]}({args[0].text}{_axis(op, op.data[1])})")
        if row.name in BEHIND:
            self.helpers[row.name] = None
        if getattr(row, "indicator", False) and row.text.startswith("(#1 "):
            operator = row.text[1:-1].split(" ")[1]
            return Text(f"{args[0].at(PLUS)} {operator} {args[1].at(PLUS)}", COMPARE)
        if row.name == "power":
            return Text(f"{args[0].at(ATOM)}**{args[1].at(SIGN)}", POWER)
        return self.fill_template(row.code, args, parameters)

    def _norm(self, op: Op, a: Text) -> Text:
        core, rank = op.data[1], op.args[0].rank
        if core == rank:
            return Text(f"np.linalg.norm({a.text})")
        axes = tuple(range(rank - core, rank))
        if core < 3:
            return Text(f"np.linalg.norm({a.text}, axis={axes[0] if core == 1 else axes})")
        return Text(f"np.sqrt(np.sum({a.at(ATOM)}**2, axis={axes}))")


class _Formula(_Vocabulary):
    """chainrule's NumPy dialect."""

    def _named(self, op: Op) -> Text:
        return Text(op.data[0].text)

    def _cast(self, op: Op, a: Text) -> Text:
        return a

    def _sqrt(self, op: Op, a: Text) -> Text:
        return Text(f"sqrt({a.text})")

    def _permute(self, op: Op, a: Text) -> Text:
        order = op.data[0]
        if order == tuple(reversed(range(len(order)))):
            return Text(f"{a.at(ATOM)}.T")
        letters = LETTERS[: len(order)]
        return Text(f"einsum('{letters}->{''.join(letters[k] for k in order)}', {a.text})")

    def _sum(self, op: Op, a: Text) -> Text:
        axes = op.data[0]
        if len(axes) == op.args[0].rank:
            return Text(f"sum({a.text})")
        if len(axes) == 1:
            return Text(f"sum({a.text}, axis={axes[0]})")
        letters = LETTERS[: op.args[0].rank]
        kept = "".join(c for k, c in enumerate(letters) if k not in axes)
        return Text(f"einsum('{letters}->{kept}', {a.text})")

    def _einsum(self, op: Op, *args: Text) -> Text:
        spec = self.spec(op)
        if spec == "ii->i":
            return Text(f"diag({args[0].text})")
        return Text(f"einsum('{spec}', {', '.join(a.text for a in args)})")

    def _outer(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"outer({a.text}, {b.text})")

    def _kron(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"kron({a.text}, {b.text})")

    def _trace(self, op: Op, a: Text) -> Text:
        return Text(f"tr({a.text})")

    def _windows(self, op: Op, a: Text) -> Text:
        return Text(f"windows({a.text}, {self.each(op.data, 1)}{self.options(op.data)})")

    def _overlap_add(self, op: Op, a: Text) -> Text:
        return Text(f"overlap_add({a.text}, {self.each(op.data, 5)}{self.options(op.data)})")

    def each(self, specs: Sequence[Any], place: int) -> str:
        """One size, or one for each axis in brackets."""
        return self.full([Dim.of(spec[place]) for spec in specs])

    def options(self, specs: Sequence[Any]) -> str:
        """, stride=2 and what else is not usual."""
        named = (("stride", 2, 1), ("padding", 4, 0), ("dilation", 3, 1))
        return "".join(
            f", {name}={self.each(specs, place)}"
            for name, place, usual in named
            if any(Dim.of(spec[place]).constant != usual for spec in specs)
        )

    def _reshape(self, op: Op, a: Text) -> Text:
        """Columns below each other are vec."""
        source = op.args[0]
        if source.rank == 2 and op.rank == 1:
            transposed = source.kind == "permute" and a.text.endswith(".T")
            return Text(f"vec({a.text.removesuffix('.T') if transposed else a.at(ATOM) + '.T'})")
        return Text(f"reshape({a.text}, {', '.join(self.dim(d).text for d in op.shape)})")

    def _fill(self, op: Op, a: Text) -> Text:
        axes, shape = op.data
        source = op.args[0]
        dims = ", ".join(self.dim(d).text for d in shape)
        if not axes and source.kind == "number" and source.data[0] in (0, 1):
            return Text(f"{'ones' if source.data[0] else 'zeros'}({dims})")
        first = axes[0] if axes else len(shape)
        pattern = [":" if k in axes else "None" for k in range(first, len(shape))]
        view = a if all(p == ":" for p in pattern) else Text(f"{a.at(ATOM)}[{', '.join(pattern)}]")
        return Text(f"{view.at(TIMES)} * ones({dims})", TIMES)

    def _scatter(self, op: Op, a: Text) -> Text:
        labels, places, shape = op.data
        target = [place.label for place in places]
        if len(target) == 2 and target[0] == target[1]:
            if labels:
                return Text(f"diag({a.text})")
            eye = f"eye({self.dim(shape[0]).text})"
            source = op.args[0]
            return (
                Text(eye)
                if source.kind == "number" and source.data[0] == 1
                else Text(f"{a.at(TIMES)} * {eye}", TIMES)
            )
        # An axis that repeats another is tied to it by an identity, one that the value lacks by ones.
        letter = {label: LETTERS[k] for k, label in enumerate(dict.fromkeys([*labels, *target]))}
        specs, texts, output = [], [], ""
        if labels or op.args[0].kind != "number" or op.args[0].data[0] != 1:
            specs.append("".join(letter[label] for label in labels))
            texts.append(a.text)
        spare = iter(LETTERS[len(letter) :])
        first: dict[int, str] = {}
        tied = set(labels)
        for label, dim in zip(target, shape, strict=True):
            if label in first:
                new = next(spare)
                specs.append(first[label] + new)
                texts.append(f"eye({self.dim(dim).text})")
                tied.add(label)
                output += new
            else:
                first[label] = letter[label]
                output += letter[label]
        for label, dim in zip(target, shape, strict=True):
            if label not in tied:
                tied.add(label)
                specs.append(letter[label])
                texts.append(f"ones({self.dim(dim).text})")
        return Text(f"einsum('{','.join(specs)}->{output}', {', '.join(texts)})")

    def _add_at(self, op: Op, base: Text, a: Text) -> Text:
        labels, places, shape, sign = op.data
        part = self._scatter(Op("scatter", op.args[1:], (labels, places, shape), shape), a)
        return Text(f"{base.at(PLUS)} {'+' if sign > 0 else '-'} {part.at(PLUS + 1)}", PLUS)

    def _constant(self, op: Op) -> Text:
        row, *parameters = op.data
        if row.name == "select":
            start, step, count, size = parameters
            return Text(f"eye({self.dim(size).text})[{self.range(start, step, count, size)}]")
        if row.name == "merge":
            return Text(f"merge({', '.join(self.dim(d).text for d in parameters)})")
        if row.name == "basis":
            index, size = parameters
            return Text(f"eye({self.dim(size).text})[{self.position(index, size)}]")
        return self.fill_template(row.text, (), parameters)

    def _stack(self, op: Op, *args: Text) -> Text:
        if op.rank > 2:
            return Text(f"stack({', '.join(a.text for a in args)})")
        return Text(f"[{', '.join(a.text for a in args)}]")

    def _call(self, op: Op, *args: Text) -> Text:
        row, *parameters = op.data
        if isinstance(row, Unknown):
            return Text(f"{row.written(tuple(parameters))}({', '.join(a.text for a in args)})")
        rank = op.args[0].rank
        if row.name in ("softmax", "logsumexp", "masked_softmax") and rank > 1:
            return Text(f"{row.name}({', '.join(a.text for a in args)}, axis={rank - 1})")
        if row.name in REDUCTIONS or row.name in ("norm", "unit", "first_max", "first_min"):
            name = REDUCTIONS.get(row.name, row.name)
            return Text(f"{name}({args[0].text}{_axis(op, parameters[0])})")
        if row.name == "prod_others":
            count = f", {parameters[1]}" if parameters[1] != 1 else ""
            return Text(f"{row.name}({args[0].text}{count}{_axis(op, parameters[0])})")
        if row.text.startswith("(#1 "):
            operator = row.text[1:-1].split(" ")[1]
            return Text(f"{args[0].at(PLUS)} {operator} {args[1].at(PLUS)}", COMPARE)
        if row.name == "power":
            return Text(f"{args[0].at(ATOM)}**{args[1].at(SIGN)}", POWER)
        return self.fill_template(row.text, args, parameters)


def _axis(op: Op, core: int) -> str:
    """The option for the last `core` axes; nothing where those are all."""
    rank = op.args[0].rank
    axes = tuple(range(rank - core, rank))
    return "" if core == rank else f", axis={axes[0] if core == 1 else axes}"


# ---------------------------------------------------------------- statements


@dataclass(slots=True)
class _Writer:
    """Goes through a program once, in order, and decides what is written inline and what gets a name."""

    program: Program
    vocabulary: _Vocabulary
    taken: set[str]
    spell: Callable[[str], str]
    lines: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)

    def run(self) -> dict[Any, Text]:
        """The text of each output; `lines` are the statements before."""
        program = self.program
        live = self._live()
        ops = [op for op in program.ops if op in live]
        results = set(program.outputs.values())
        uses = self._uses(ops)
        texts: dict[Op, Text] = {}
        counter = 0
        for op in ops:
            args = [texts[a] for a in op.args]
            given = program.names.get(op)
            statements = isinstance(self.vocabulary, _Python) and op.kind in ("scatter", "add_at")
            if statements and not (op.kind == "scatter" and _simple_scatter(op)):
                target = texts[op.args[0]].text if self._continues(op, texts, uses, given) else ""
                if not target:
                    target = self._fresh(given or ("H" if op in results else ""), counter)
                    counter += 1
                self._write_statements(op, args, target, uses, texts)
                texts[op] = Text(target)
                continue
            text = self._diagonal(op, args[0]) if statements else self.vocabulary.write(op, args)
            free = op.kind in FREE or (op.kind == "cast" and text == args[0])
            last = op in results and uses[op] == 1
            short = len(text.text) <= INLINE
            if given is not None and op.kind not in ("input", "number") and not last:
                pass
            elif last or (free and short) or (uses[op] == 1 and short):
                texts[op] = text
                continue
            target = self._fresh(given or "", counter)
            counter += 1
            self.lines.append(f"{target} = {text.text}")
            texts[op] = Text(target)
        return {name: texts[op] for name, op in program.outputs.items()}

    def _uses(self, ops: Sequence[Op]) -> dict[Op, int]:
        """How often the text of each operation stands in the program; transposes are written each time."""
        uses: dict[Op, int] = {}
        for op in self.program.outputs.values():
            uses[op] = uses.get(op, 0) + 1
        for op in reversed(ops):
            again = op.kind in FREE or (op.kind == "cast" and isinstance(self.vocabulary, _Formula))
            for a in op.args:
                uses[a] = uses.get(a, 0) + (uses[op] if again else 1)
        return uses

    def _continues(self, op: Op, texts: Mapping[Op, Text], uses: Mapping[Op, int], given: str | None) -> bool:
        """Whether an array that only this operation uses, and that has a name, is written into further."""
        base = op.args[0]
        return op.kind == "add_at" and given is None and uses[base] == 1 and texts[base].text in self.made

    def _live(self) -> set[Op]:
        live: set[Op] = set()
        pending = [*self.program.outputs.values()]
        while pending:
            op = pending.pop()
            if op not in live:
                live.add(op)
                pending.extend(op.args)
        return live

    def _fresh(self, wish: str, counter: int) -> str:
        name = self.spell(wish) if wish else f"t{counter + 1}"
        base, k = name, 1
        while name in self.taken:
            k += 1
            name = f"{base}{k}"
        self.taken.add(name)
        self.made.add(name)
        return name

    def _diagonal(self, op: Op, a: Text) -> Text:
        labels, _, shape = op.data
        if labels:
            return Text(f"np.diag({a.text})")
        source = op.args[0]
        eye = f"np.eye({self.vocabulary.dim(shape[0]).text})"
        return (
            Text(eye)
            if source.kind == "number" and source.data[0] == 1
            else Text(f"{a.at(TIMES)} * {eye}", TIMES)
        )

    def _write_statements(
        self, op: Op, args: Sequence[Text], target: str, uses: Mapping[Op, int], texts: Mapping[Op, Text]
    ) -> None:
        """Assignments to parts of an array: zeros first, or an array that nobody else uses."""
        vocabulary = self.vocabulary
        assert isinstance(vocabulary, _Python)
        if op.kind == "scatter":
            labels, places, shape = op.data
            value, sign = args[0], 0
            self.lines.append(f"{target} = np.zeros({vocabulary.full(shape)})")
        else:
            labels, places, shape, sign = op.data
            value = args[1]
            base = op.args[0]
            copied = uses[base] > 1 or base.kind in ("input", "permute", "slice", "reshape", "einsum")
            if args[0].text != target:
                self.lines.append(f"{target} = {args[0].at(ATOM) + '.copy()' if copied else args[0].text}")
        view = target + vocabulary.index([place.index for place in places], shape)
        order = [place.label for place in places if place.label is not None]
        every = list(dict.fromkeys(order))
        pattern = ["None" if label not in labels else ":" for label in every]
        first = pattern.index(":") if ":" in pattern else len(pattern)
        text = value.text
        if labels and "None" in pattern[first:]:
            text = f"{value.at(ATOM)}[{', '.join(pattern[first:])}]"
        if len(every) < len(order):
            letters = {label: LETTERS[k] for k, label in enumerate(every)}
            spec = f"{''.join(letters[k] for k in order)}->{''.join(letters[k] for k in every)}"
            view = f"np.einsum('{spec}', {view})[...]"
        elif view == target:
            view += "[...]"
        self.lines.append(f"{view} {('=', '+=', '-=')[sign]} {text}")


def _is_number(op: Op) -> bool:
    """Whether no array goes into an operation."""
    pending = [op]
    while pending:
        op = pending.pop()
        if op.kind == "input":
            return False
        pending.extend(op.args)
    return True


def _simple_scatter(op: Op) -> bool:
    """Whether it is np.diag(v) or c * np.eye(n)."""
    _, places, _ = op.data
    target = [place.label for place in places]
    whole = all(place.index == ("all",) for place in places)
    return whole and len(target) == 2 and target[0] is not None and target[0] == target[1]


def _dims_in(data: object) -> Iterable[Dim]:
    if isinstance(data, Dim):
        yield data
    elif isinstance(data, Place):
        yield from _dims_in(data.index)
    elif isinstance(data, tuple):
        for part in data:
            yield from _dims_in(part)


def numpy_formula(expr: Expr, names: Mapping[str, Expr] | None = None) -> str:
    """`expr` in chainrule's NumPy dialect: statements `z = ...` for shared parts, the last line the answer.

    `names` are the parts that a person named.

    >>> A, x = Variable("A", (Dim.of("m"), Dim.of("n"))), Variable("x", (Dim.of("n"),))
    >>> print(numpy_formula(2 * (A @ x)))
    2 * (A @ x)
    """
    lines, results = _formulas({"": expr}, names)
    return "\n".join([*lines, results[""].text])


def numpy_formulas(exprs: Mapping[str, Expr], names: Mapping[str, Expr] | None = None) -> str:
    """Several expressions as one program of the NumPy dialect: shared parts first, then a statement for each.

    >>> x = Variable("x", (Dim.of("n"),))
    >>> print(numpy_formulas({"d_x": 2 * x}))
    d_x = 2 * x
    """
    lines, results = _formulas(exprs, names)
    return "\n".join([*lines, *(f"{name} = {result.text}" for name, result in results.items())])


def _formulas(
    exprs: Mapping[str, Expr], names: Mapping[str, Expr] | None
) -> tuple[list[str], dict[Any, Text]]:
    program = make_plan(exprs, names, formula=True)
    present = variables_of(*exprs.values())
    dims = {d: d for op in program.ops for dim in (*op.shape, *_dims_in(op.data)) for d in dim.names}
    taken = {v.name for v in present} | set(dims) | {_head(row) for row in ROWS.values()} | {*exprs}
    taken.update(unknown_in(*exprs.values()))
    # A part may be called e, as a residual is, where the number e does not occur.
    taken -= set(names or {}) - {op.data[0].name for op in program.ops if op.kind == "named"}
    vocabulary = _Formula({v.name: v.name for v in present}, dims)
    writer = _Writer(program, vocabulary, taken, lambda name: name)
    results = writer.run()
    return writer.lines, results


def _head(row: Row) -> str:
    return row.text.partition("(")[0]


def numpy_source(
    outputs: Mapping[Any, Expr],
    variables: Sequence[Variable],
    names: Mapping[str, Expr] | None = None,
    *,
    single: bool = False,
    function: str = "derivative",
) -> Source:
    """A Python function for all outputs: it returns one array if `single`, else a dict of them by name.

    Its parameters are the variables that it uses, then the sizes that no array shows.
    """
    program = make_plan(outputs, names)
    declared = {v.name: v for v in (*variables, *variables_of(*outputs.values()))}
    spelled: dict[str, str] = {}
    for name in declared:
        spelled[name] = identifier(name, spelled.values())
    every = dict.fromkeys(d for v in declared.values() for dim in v.shape for d in dim.names)
    every.update(
        dict.fromkeys(d for op in program.ops for dim in (*op.shape, *_dims_in(op.data)) for d in dim.names)
    )
    dims: dict[str, str] = {}
    for name in every:
        dims[name] = identifier(name, [*spelled.values(), *dims.values()])
    taken = {*spelled.values(), *dims.values(), function, *OWN}
    vocabulary = _Python(spelled, dims)
    writer = _Writer(program, vocabulary, taken, identifier)
    texts = writer.run()
    used = _inputs(program)
    arrays = [v for v in declared.values() if v.name in used]
    shown, missing = _sizes_from(arrays, vocabulary.mentioned, spelled, dims)
    results = _fresh_results(program, texts)
    if single:
        answer = [f"return {results[next(iter(results))]}"]
    else:
        answer = ["return {", *(f"    {name!r}: {text}," for name, text in results.items()), "}"]
    shapes = ", ".join(_declaration(v, spelled, dims) for v in arrays) or "none"
    made = ", ".join(
        ("" if single else f"{name}: ") + ("[" + ", ".join(map(str, e.shape)) + "]" if e.rank else "a number")
        for name, e in outputs.items()
    )
    parameters = ", ".join([*(spelled[v.name] for v in arrays), *(dims[d] for d in missing)])
    summary = wrap(f'"""Arrays {shapes} -> {made}."""', WIDTH, break_long_words=False, break_on_hyphens=False)
    body = [*summary, *shown, *writer.lines, *answer]
    texts_ = dict.fromkeys(text.rstrip() for name in vocabulary.helpers for text in BEHIND[name])
    written = "\n".join([*texts_, *body])
    scipy = [name for name in ("linalg", "special") if re.search(rf"(?<![\w.]){name}\.", written)]
    imports = ["import numpy as np", *([f"from scipy import {', '.join(scipy)}"] if scipy else [])]
    parts = ["\n".join(imports), *texts_]
    parts.append(f"def {function}({parameters}):\n" + "\n".join("    " + line for line in body))
    return Source("\n\n\n".join(parts) + "\n", tuple(v.name for v in arrays), tuple(missing), function)


def _inputs(program: Program) -> set[str]:
    """The variables that the outputs are made from."""
    found: set[str] = set()
    seen: set[Op] = set()
    pending = list(program.outputs.values())
    while pending:
        op = pending.pop()
        if op not in seen:
            seen.add(op)
            pending.extend(op.args)
            if op.kind == "input":
                found.add(op.data[0])
    return found


def _declaration(variable: Variable, spelled: Mapping[str, str], dims: Mapping[str, str]) -> str:
    shape = "[" + ", ".join(map(str, variable.shape)) + "]" if variable.rank else ""
    structure = ":" + " ".join(variable.structure) if variable.structure else ""
    return spelled[variable.name] + shape + structure


def _sizes_from(
    arrays: Sequence[Variable], wanted: Iterable[str], spelled: Mapping[str, str], dims: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Statements that read sizes off arrays, and the sizes that no array shows."""
    lines: list[str] = []
    missing: list[str] = []
    found: dict[str, tuple[Variable, int]] = {}
    for d in wanted:
        place = next(((v, k) for v in arrays for k, dim in enumerate(v.shape) if dim.name == d), None)
        if place is None:
            missing.append(d)
        else:
            found[d] = place
    for variable in arrays:
        mine = {d: k for d, (v, k) in found.items() if v is variable}
        if mine and len(mine) == variable.rank:
            left = ", ".join(dims[d] for d in sorted(mine, key=mine.__getitem__))
            lines.append(f"{left}{',' if len(mine) == 1 else ''} = {spelled[variable.name]}.shape")
        else:
            lines += [f"{dims[d]} = {spelled[variable.name]}.shape[{k}]" for d, k in mine.items()]
    return lines, missing


def _fresh_results(program: Program, texts: Mapping[Any, Text]) -> dict[Any, str]:
    """The text of each output, copied where it would share memory with an input or another output."""
    results: dict[Any, str] = {}
    seen: set[Op] = set()
    for name, op in program.outputs.items():
        base = op
        while base.kind in ("permute", "expand", "slice", "reshape") or (
            base.kind == "einsum" and len(base.args) == 1
        ):
            base = base.args[0]
        shared = op.rank > 0 and (base.kind == "input" or base in seen)
        seen.add(base)
        results[name] = texts[name].at(ATOM) + ".copy()" if shared else texts[name].text
    return results
