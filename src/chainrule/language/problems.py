"""What an error says: the parts by their text, their shapes with the names of the sizes, and a way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chainrule.errors import ChainruleError, ShapeMismatch, Span
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Shape

Show = Callable[[Dim], str]
LONGEST = 32
ROW_AND_COLUMN = "a row and a column do not combine entry by entry; transpose one of them"


def is_text(shape: Shape, show: Show, row: bool = False) -> str:
    """`is m×n`, `has size n`, `is a scalar`."""
    if not shape:
        return "is a scalar"
    if len(shape) == 1:
        return f"is a row of {show(shape[0])}" if row else f"has size {show(shape[0])}"
    return "is " + size_text(shape, show)


def size_text(shape: Shape, show: Show) -> str:
    """m×n, n, or scalar."""
    return "×".join(show(d) if len(d.terms) < 2 else f"({show(d)})" for d in shape) or "scalar"


def part_text(source: str, span: Span, otherwise: str) -> str:
    """The text of a part, unless it is too long to stand in a sentence."""
    text = " ".join(source[span.start : span.end].split())
    return text if 0 < len(text) <= LONGEST else otherwise


def product_problem(
    source: str,
    spans: tuple[Span, Span],
    shapes: tuple[Shape, Shape],
    rows: tuple[bool, bool],
    symbol: str,
    show: Show,
) -> ShapeMismatch:
    """A product whose factors do not fit, with the transposition that would."""
    left, right = part_text(source, spans[0], "the left side"), part_text(source, spans[1], "the right side")
    whole = (
        "their product"
        if " " in (left[:4] + right[:4]) and left.startswith("the ")
        else _join(left, symbol, right)
    )
    transpose = ".T" if symbol == "@" else "'" if symbol == "*" else "ᵀ"
    a, b = shapes
    hint = ""
    if len(a) == 2 and b:
        other = "size" if len(b) == 1 else "rows"
        hint = f"the columns of {left} ({show(a[1])}) must match the {other} of {right} ({show(b[0])})"
    elif len(a) == 1 and len(b) == 2:
        hint = f"the size of {left} ({show(a[0])}) must match the rows of {right} ({show(b[0])})"
    elif len(a) == 1 and len(b) == 1 and a == b and rows[0] == rows[1]:
        joint = "*" if symbol == "*" else " "
        dot, outer = (
            f"{_transposed(left, transpose)}{joint}{right}",
            f"{left}{joint}{_transposed(right, transpose)}",
        )
        entrywise = ".*" if symbol == "*" else "⊙"
        hint = f"write {dot} for the dot product, {outer} for the outer, {entrywise} entry by entry"
    elif not a or not b:
        hint = "@ contracts axes; * multiplies by a scalar"
    else:
        hint = (
            "a dot product needs equal sizes"
            if len(a) == len(b) == 1
            else "only vectors and matrices stand side by side"
        )
    fits = []
    if len(a) == 2 and b and a[0] == b[0]:
        fits.append(_join(_transposed(left, transpose), symbol, right))
    if len(b) == 2 and a and a[-1] == b[1]:
        fits.append(_join(left, symbol, _transposed(right, transpose)))
    if len(a) == 1 and len(b) == 2 and symbol != "@" and not rows[0] and a[0] == b[0]:
        fits.insert(0, _join(_transposed(left, transpose), symbol, right))
    if len(a) == 2 and len(b) == 1 and symbol != "@" and rows[1] and a[1] == b[0]:
        hint = f"{right} is a row; a column stands to the right of a matrix"
    if fits:
        hint += f"{';  ' if hint else ''}{fits[0]} would fit"
    both = f"{left} {is_text(a, show, rows[0])} and {right} {is_text(b, show, rows[1])}"
    message = f"{both}, so {whole} is not defined"
    return ShapeMismatch(
        message,
        hint=hint,
        source=source,
        spans=spans,
        sizes={left: size_text(a, show), right: size_text(b, show)},
    )


def _join(left: str, symbol: str, right: str) -> str:
    return f"{left} {symbol} {right}" if symbol else f"{left} {right}"


def _transposed(text: str, mark: str) -> str:
    return _bracketed(text) + mark


def entrywise_problem(
    source: str,
    spans: tuple[Span, Span],
    shapes: tuple[Shape, Shape],
    rows: tuple[bool, bool],
    symbol: str,
    show: Show,
) -> ShapeMismatch:
    """A sum or an entrywise operation of shapes that do not broadcast."""
    left, right = part_text(source, spans[0], "the left side"), part_text(source, spans[1], "the right side")
    a, b = shapes
    if len(a) == 1 and len(b) == 1 and rows[0] != rows[1]:
        hint = ROW_AND_COLUMN
    elif len(a) == 1 and len(b) == 1:
        hint = f"declare {left} and {right} with one size, if they are meant to have it"
    elif {len(a), len(b)} == {1, 2}:
        short = left if len(a) == 1 else right
        matrix = b if len(a) == 1 else a
        vector = a if len(a) == 1 else b
        hint = f"a vector combines with each row of a matrix, so {short} needs size {show(matrix[1])}"
        if vector[0] == matrix[0]:
            hint += f";  {short}[:, None] would combine with each column"
    else:
        hint = "sizes must agree, counted from the last axis, or be 1"
        if len(a) == 2 and len(b) == 2 and a == b[::-1]:
            hint += f";  {_transposed(right, '.T')} would fit"
    message = (
        f"{left} {is_text(a, show, rows[0])} and {right} {is_text(b, show, rows[1])}, "
        f"so {_join(left, symbol, right)} is not defined"
    )
    return ShapeMismatch(
        message,
        hint=hint,
        source=source,
        spans=spans,
        sizes={left: size_text(a, show), right: size_text(b, show)},
    )


def call_problem(
    problem: ChainruleError, source: str, place: Span, parts: Sequence[tuple[Span, Shape]], show: Show
) -> ShapeMismatch:
    """A function whose arguments do not fit: its own reason, and the shapes of what it was given."""
    sizes, said = {}, []
    for span, shape in parts:
        text = part_text(source, span, "the argument")
        sizes[text] = size_text(shape, show)
        said.append(f"{text} {is_text(shape, show)}")
    message = problem.message
    for dim in getattr(problem, "dims", None) or ():
        message = message.replace(str(dim), show(dim))
    hint = "; ".join(
        filter(None, [" and ".join(dict.fromkeys(said)), problem.hint or _way_out(message, parts, sizes)])
    )
    spans = tuple(span for span, _ in parts) or (place,)
    return ShapeMismatch(message, hint=hint, source=source, spans=spans, sizes=sizes)


def _way_out(message: str, parts: Sequence[tuple[Span, Shape]], sizes: Mapping[str, str]) -> str:
    """What to do about one argument of the wrong kind."""
    if len(parts) != 1:
        return ""
    (text,) = sizes
    rank = len(parts[0][1])
    if "square matrix" in message and rank == 2:
        bare = _bracketed(text)
        return f"{bare}ᵀ {bare} would be square" if len(text) < LONGEST else "XᵀX is always square"
    if "needs a matrix" in message:
        return (
            f"declare it with two sizes, {text}[n,n], if it is one"
            if text.isidentifier()
            else "a matrix has two axes"
        )
    if "needs a vector" in message:
        return (
            f"declare it with a size, {text}[n], if it is one"
            if text.isidentifier()
            else "a vector has one axis"
        )
    return ""


def _bracketed(text: str) -> str:
    return text if text.isidentifier() or (text.startswith("(") and text.endswith(")")) else f"({text})"
