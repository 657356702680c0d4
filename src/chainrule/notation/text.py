"""Presentation tree to Unicode text, which the language reads back.

In: a Tree. Out: a string. It decides only about characters: parentheses come from the precedence list of
`matform`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unicodedata import combining

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.names import SUBSCRIPT, pretty
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.profiles import spelled

SUPERSCRIPTS = str.maketrans(
    "0123456789-+()abcdefghijklmnoprstuvwxyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
)
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LOWERED_LETTERS = str.maketrans(
    {plain: lowered for lowered, plain in SUBSCRIPT.items()} | {"(": "₍", ")": "₎"}
)
# A factor longer than this stands apart from its neighbour by a space.
LONG = 12


def to_text(tree: Tree, profile: str | None = None, *, lowered: bool = False) -> str:
    """The tree as one line of text, in the signs of a profile; `lowered`: letters of indices below the line.

    >>> to_text(m.chain(m.transpose(m.name("A")), m.signed_sum([(1, m.name("x")), (-1, m.name("b"))])))
    'Aᵀ(x − b)'
    >>> to_text(m.times(m.name("w"), m.name("x")), "notes")
    'w ⊗ x'
    >>> to_text(m.tree("entry", (m.name("X"),), ("i", "j")), lowered=True)
    'Xᵢⱼ'
    """
    tree = spelled(tree, profile)
    writers = {**WRITERS, **LOWERED} if lowered else WRITERS
    text = m.fold(tree, lambda node, parts: _write(node, parts, writers))
    return text + ("ᵀ" if tree.op == "array" and tree.data[0] else "")


def _write(node: Tree, parts: list[str], writers: Mapping[str, Writer]) -> str:
    inside = [f"({p})" if m.needs_parentheses(a, node) else p for a, p in zip(node.args, parts, strict=True)]
    if node.op != "array":
        # Entries in a row are a row by themselves; as a part of a matrix they are one of its lines.
        rows = [a.op == "array" and a.data[0] for a in node.args]
        inside = [p + "ᵀ" if row else p for p, row in zip(inside, rows, strict=True)]
    return writers[node.op](node, inside)


def dim_text(dim: Dim) -> str:
    """A size: n, m·n, n + 1.

    >>> dim_text(Dim.of("m") * Dim.of("n"))
    'mn'
    """
    raised = re.sub(r"\*\*(\d+)", lambda found: found[1].translate(SUPERSCRIPTS), str(dim))
    return raised.replace(" - ", " − ").replace("*", "" if all(len(n) == 1 for n in dim.names) else "·")


def sizes_text(shape: Sequence[Dim]) -> str:
    """A shape in words: scalar, n, m × n, (n − 1) × n².

    >>> n = Dim.of("n")
    >>> sizes_text((n + n, n * n)), sizes_text((n - Dim.of(1), n)), sizes_text((n - Dim.of(1),))
    ('2n × n²', '(n − 1) × n', 'n − 1')
    """
    texts = [f"({dim_text(d)})" if len(shape) > 1 and len(d.terms) > 1 else dim_text(d) for d in shape]
    return " × ".join(texts) if shape else "scalar"


def number_text(value: Coefficient) -> str:
    """A constant ≥ 0: 2, 1/2, 2/N, (n − 1)/2."""
    above, below = ([t] if t else [] for t in m.above_and_below(value.rational))
    for dim, exponent in value.powers:
        base = pretty(dim.name) if dim.name else f"({dim_text(dim)})"
        (above if exponent > 0 else below).append(base + _raised(abs(exponent)))
    top, bottom = "".join(above) or "1", "".join(below)
    if not bottom:
        return top
    return f"{top}/({bottom})" if len(below) > 1 else f"{top}/{bottom}"


def _raised(exponent: int) -> str:
    return "" if exponent == 1 else str(exponent).translate(SUPERSCRIPTS)


def juxtapose(node: Tree, parts: list[str]) -> str:
    """Factors side by side, with a space or a dot where they would run together or be hard to tell apart."""
    text = parts[0]
    for k in range(1, len(parts)):
        text += _gap(node.args[k - 1], parts[k - 1], node.args[k], parts[k]) + parts[k]
    return text


def _gap(before: Tree, left: str, after: Tree, right: str) -> str:
    if right.startswith(("[I; ", "[0; ")) or _end(after, 0).op in ("place", "stacked"):
        return "" if before.op == "number" else " "
    if right[0] == "[" or after.op == "operator":
        return " · "
    if right[0] in "0123456789":
        below = after.op == "compare" and left[-1] in SUBSCRIPT and not SUBSCRIPT[left[-1]].isdigit()
        return " " if left[-1] == "ᵀ" or below else " · "
    if (
        _is_long(before, left)
        or _is_word(_end(before, -1))
        or _is_word(_end(after, 0))
        or right[0] in "‖|"
        or left[-1] in "‖|"
    ):
        return " "
    return " " if (before.indices or after.indices) and not left[-1].isdigit() else ""


def _is_long(factor: Tree, text: str) -> bool:
    """A fraction in parentheses, a function, a long group: what stands apart from the factor behind it."""
    return text[0] == "(" and (("/" in text and factor.op == "number") or len(text) > LONG)


def _end(factor: Tree, side: int) -> Tree:
    """What stands at the left (0) or right (−1) end of a factor."""
    while factor.op in ("chain", "scale", "times") and factor.args:
        factor = factor.args[side]
    return factor


WORDS = frozenset(
    (
        *("call", "diagonal", "compare", "root", "basis", "select", "slice", "subscript", "array"),
        *("sigma", "differential", "stacked", "beside", "place"),
    )
)


def _is_word(factor: Tree) -> bool:
    """A function, a sum, or a name of several letters, as it stands at either end of a factor."""
    while factor.op in ("transpose", "inverse", "inverse_transpose", "power", "matrix_power", "entry"):
        factor = factor.args[0]
    if factor.op in WORDS:
        return True
    return factor.op == "name" and len(pretty(factor.data[0])) > 1


def _power(node: Tree, parts: list[str]) -> str:
    base, exponent = parts
    raised = exponent.replace("−", "-").replace(" ", "")
    simple = re.fullmatch(r"-?\w+([-+]\d+)?", raised, re.ASCII)
    translated = raised.translate(SUPERSCRIPTS)
    if simple and not any(c.isascii() for c in translated):
        return base + (m.product_signs(node)[0] if node.data[0] else "") + translated
    mark = "**" if node.data[0] else "^"
    return f"{base}{mark}{exponent}" if node.args[1].precedence == m.ATOM else f"{base}{mark}({exponent})"


def _sum(node: Tree, parts: list[str]) -> str:
    text = ("−" if node.data[0] < 0 else "") + parts[0]
    for sign, part in zip(node.data[1:], parts[1:], strict=True):
        text += (" − " if sign < 0 else " + ") + part
    return text


def _call(node: Tree, parts: list[str]) -> str:
    function, options = node.data
    texts = map(_alone, node.args, parts)
    inside = ", ".join(texts) + (f", {options}" if options else "")
    return f"{function}({inside})"


def _index(value: Dim) -> str:
    return dim_text(value)


def _slice(start: Dim, step: int, count: Dim) -> str:
    stop = start + Dim.of(step) * (count - Dim.of(1)) + Dim.of(1 if step > 0 else -1)
    # A stop of -1 would be the last entry: down to the first one is written without a stop.
    last = "" if step < 0 and stop == Dim.of(-1) else dim_text(stop)
    first = dim_text(start) if start.terms or step < 0 else ""
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


def _basis(node: Tree, parts: list[str]) -> str:
    """𝐞₂, 𝐞_n; an entry of I where its place has no short name."""
    place = dim_text(node.data[0] + Dim.of(1))
    if place.isdigit():
        return "𝐞" + place.translate(SUBSCRIPTS)
    return f"𝐞_{place}" if place.isalnum() else f"{_identity(node.data[1])}[{_index(node.data[0])}]"


def _select(node: Tree, parts: list[str]) -> str:
    """[I; 0]ᵀ, the first rows of I, or a slice of I."""
    if found := m.blocks(node):
        return f"[{'; '.join(found)}]ᵀ"
    start, step, count, size = node.data[:4]
    turned = step == -1 and start + Dim.of(1) == size == count
    return f"{_identity(size)}[{'::-1' if turned else _slice(start, step, count)}]"


def _identity(size: Dim) -> str:
    text = dim_text(size)
    return f"I_{text}" if text.isalnum() else f"eye({text})"


def _item(item: tuple[Any, ...], parts: list[str]) -> str:
    """One place of x[0, 1:, ids]."""
    match item:
        case ("all",):
            return ":"
        case ("at", index):
            return dim_text(index)
        case ("array", place):
            return str(parts[place])
        case _:
            return _slice(*item[1:])


def _subscript(indices: tuple[str, ...]) -> str:
    if all(i.isdigit() for i in indices):
        return "".join(indices).translate(SUBSCRIPTS)
    joined = all(len(i) == 1 or (i.startswith("(") and " " not in i) for i in indices)  # (ij) is one index
    return "_" + ("".join(indices) if joined else "{" + ",".join(indices) + "}")


def _entry(node: Tree, parts: list[str]) -> str:
    return parts[0] + _subscript(node.data)


def _lowered(indices: tuple[str, ...]) -> str:
    text = "".join(indices).translate(LOWERED_LETTERS)
    return _subscript(indices) if any(c.isascii() for c in text) else text


def _lowered_entry(node: Tree, parts: list[str]) -> str:
    letters = sum(not combining(c) for c in parts[0])  # an accent stands above its letter
    plain = node.args[0].op != "name" or letters == 1
    return (parts[0] if plain else f"({parts[0]})") + _lowered(node.data)


def _derivative(node: Tree, parts: list[str]) -> str:
    order = "" if len(parts) == 2 else str(len(parts) - 1).translate(SUPERSCRIPTS)
    sign = node.data[0] if node.data else "∂"
    return f"{sign}{order}{parts[0]}/" + "".join(f"{sign}{p}" for p in parts[1:])


def _differential(node: Tree, parts: list[str]) -> str:
    order = str(node.data[0]).translate(SUPERSCRIPTS) if node.data else ""
    return f"d{order}{' ' * (node.args[0].op in ('call', 'diagonal'))}{parts[0]}"


def _cases(node: Tree, parts: list[str]) -> str:
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return "{" + "; ".join(f"{value} if {condition}" for value, condition in pairs) + "}"


def _grid(node: Tree, parts: list[str]) -> str:
    columns = node.data[1]
    rows = [", ".join(parts[k : k + columns]) for k in range(0, len(parts), columns)]
    return "[" + "; ".join(rows) + "]"


def _root(node: Tree, parts: list[str]) -> str:
    inside = node.args[0]
    bare = inside.op in ("name", "symbol") or (inside.op == "number" and _is_one_sign(inside.data[0]))
    return f"√{parts[0]}" if bare else f"√({_alone(inside, parts[0])})"


def _is_one_sign(value: Coefficient) -> bool:
    """Whether a number is written as digits or as a name: 2, n."""
    if not value.powers:
        return value.rational.denominator == 1
    (dim, exponent), *more = value.powers
    return not more and value.rational == 1 and exponent == 1 and dim.name is not None


def _alone(part: Tree, text: str) -> str:
    """The text of an argument: n − 1 brings no parentheses of its own into those of the function."""
    if part.op != "number":
        return text
    value = part.data[0]
    whole = value.rational == 1 and len(value.powers) == 1 and value.powers[0][1] == 1
    return dim_text(value.powers[0][0]) if whole else text


Writer = Callable[[Tree, list[str]], str]
WRITERS: dict[str, Writer] = {
    "name": lambda t, p: pretty(t.data[0]),
    "symbol": lambda t, p: str(t.data[0]),
    "number": lambda t, p: number_text(t.data[0]),
    "transpose": lambda t, p: f"[{'; '.join(found)}]" if (found := m.blocks(t.args[0])) else p[0] + "ᵀ",
    "inverse": lambda t, p: p[0] + "⁻¹",
    "inverse_transpose": lambda t, p: p[0] + "⁻ᵀ",
    "matrix_power": lambda t, p: p[0] + str(t.data[0]).translate(SUPERSCRIPTS),
    "power": _power,
    "root": _root,
    "chain": juxtapose,
    "scale": juxtapose,
    "times": lambda t, p: f" {m.product_signs(t)[0]} ".join(p),
    "kron": lambda t, p: " ⊗ ".join(p),
    "divide": lambda t, p: f"{p[0]} ⊘ {p[1]}",
    "over": lambda t, p: f"{p[0]}/{p[1]}",
    "sum": _sum,
    "call": _call,
    "diagonal": lambda t, p: f"diag({p[0]})",
    "norm": lambda t, p: f"‖{p[0]}‖",
    "abs": lambda t, p: f"|{p[0]}|",
    "compare": lambda t, p: f"1[{m.compared(t.data, p)}]",
    "array": lambda t, p: "[" + ", ".join(p) + "]",
    "entry": _entry,
    "basis": _basis,
    "tuple": lambda t, p: f"({', '.join(p)})",
    "subscript": lambda t, p: f"{p[0]}[{', '.join(_item(i, p) for i in t.data)}]",
    "slice": lambda t, p: f"{p[0]}[{_slice(*t.data)}]",
    "select": _select,
    "beside": lambda t, p: f"concat({', '.join(p)}, axis=1)",
    "stacked": lambda t, p: "[" + "; ".join(p) + "]",
    "place": lambda t, p: str(t.data[0]),
    "delta": lambda t, p: "δ" + _subscript(t.data),
    "sigma": lambda t, p: f"Σ{_subscript(t.data)} {p[0]}",
    "derivative": _derivative,
    "product": lambda t, p: " · ".join(p),
    "dot": lambda t, p: "·".join(p),
    "operator": lambda t, p: f"{t.data[0]}/{t.data[0]}{p[1]} {p[0]}",
    "differential": _differential,
    "condition": lambda t, p: m.compared(t.data, p),
    "all": lambda t, p: " and ".join(p),
    "cases": _cases,
    "grid": _grid,
}
LOWERED: dict[str, Writer] = {
    "entry": _lowered_entry,
    "delta": lambda t, p: "δ" + _lowered(t.data),
    "sigma": lambda t, p: f"Σ{_lowered(t.data)} {p[0]}",
}
