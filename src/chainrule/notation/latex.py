"""Presentation tree to LaTeX, in the commands that KaTeX and MathJax know.

In: a Tree. Out: a string for math mode. Quotients stand above each other, so they need no parentheses there;
all else about parentheses comes from the precedence list of `matform`. Functions are written by the templates
of their rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.names import ACCENTS, GREEK, SPELLED, ascii_name
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.profiles import spelled
from chainrule.rules.table import ROWS

# What a function is called in print, where that is not the name of its row.
ROW_OF = {"ln": "log", "σ": "sigmoid", "Φ": "normcdf", "φ": "normpdf", "max": "maximum", "min": "minimum"}
COMMANDS = {"tr": r"\operatorname{tr}", "diag": r"\operatorname{diag}", "max": r"\max", "min": r"\min"}
TALL = (r"\frac", r"\begin", r"\sum", r"\left")
SIGNS = {">": ">", "≥": r"\ge", "=": "=", "≠": r"\ne", "<": "<", "≤": r"\le"}
_ENCLOSED = ("(", "{", "[", ",", "&", r"\\", r"\lvert", r"\lVert", r"\lfloor", r"\begin{cases}")
_NAME = re.compile(r"([^\W\d_]+)(.*)", re.DOTALL)
_QUOTIENTS = ("over", "number", "derivative")
MARKS = {"∂": r"\partial", "∇": r"\nabla"}
_DIGITS = "0123456789"
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾", f"{_DIGITS}{_DIGITS}()") | {ord("′"): "'", ord("″"): "''"}
_MARKED = re.compile("([∂∇])([₀-₉]*)([⁰¹²³⁴-⁹]*)")
_UNKNOWN = re.compile(f"((?:{_MARKED.pattern.replace('(', '(?:')})*)(.*?)([′″]*|⁽[⁰¹²³⁴-⁹]+⁾)", re.DOTALL)


def to_latex(tree: Tree, profile: str | None = None) -> str:
    r"""The tree in LaTeX, in the signs of a profile.

    >>> residual = m.signed_sum([(1, m.name("x")), (-1, m.name("b"))])
    >>> print(to_latex(m.chain(m.transpose(m.name("A")), residual)))
    A^\top (x - b)
    """
    tree = spelled(tree, profile)
    return m.fold(tree, _write)


def factor(part: Tree, parent: Tree) -> str:
    """A part as it stands in its parent, in parentheses where it needs them."""
    text = to_latex(part)
    return group(text) if needs_parentheses(part, parent, _has_script(text)) else text


def _write(node: Tree, parts: list[str]) -> str:
    pairs = zip(node.args, parts, strict=True)
    inside = [group(p) if needs_parentheses(a, node, _has_script(p)) else p for a, p in pairs]
    return WRITERS[node.op](node, inside)


def _has_script(text: str) -> bool:
    return re.search(r"_\{(?:[^{}]|\{[^{}]*\})*\}$", text) is not None


def needs_parentheses(part: Tree, parent: Tree, has_script: bool) -> bool:
    """Whether `part` needs them in `parent` where quotients stand above each other.

    `has_script`: it ends in something below the line, so that an index would run together with that.
    """
    if parent.op == "over" or part.op == "root":
        return False
    if parent.op == "entry" and has_script:
        return True
    if part.op in _QUOTIENTS and parent.op in ("chain", "scale", "times", "kron", "divide"):
        return False
    return m.needs_parentheses(part, parent)


def group(text: str) -> str:
    """The text in parentheses as high as it is."""
    return rf"\left({text}\right)" if any(t in text for t in TALL) else f"({text})"


def name_latex(name: str) -> str:
    r"""A variable: Greek letters, accents, digits below the line, longer names in one piece.

    >>> [name_latex(n) for n in ("lam", "W1", "x_hat", "loss", "theta_0")]
    ['\\lambda', 'W_{1}', '\\hat{x}', '\\mathit{loss}', '\\theta_{0}']
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        return rf"\mathit{{{_plain(name)}}}"
    base, rest = parts[1], parts[2]
    spelled = SPELLED.get(base, base)
    if spelled in GREEK or spelled == "ell":
        shown = "\\" + ("lambda" if spelled == "lam" else spelled)
    elif len(base) == 1:
        shown = base
    else:
        shown = rf"\mathit{{{base}}}"
    while accent := re.match(r"_(\w+?)(?=_|\d|$)", rest):
        if accent[1] not in ACCENTS:
            break
        shown, rest = rf"\{accent[1]}{{{shown}}}", rest[accent.end() :]
    below = rest.removeprefix("_")
    if not below:
        return shown
    word = below if len(below) == 1 or below.isdigit() else rf"\mathit{{{_plain(below)}}}"
    return f"{shown}_{{{word}}}"


def _plain(text: str) -> str:
    return text.replace("_", r"\_")


def dim_latex(dim: Dim) -> str:
    """A size: n, m n, n + 1."""
    text = re.sub(r"\*\*(\d+)", r"^{\1}", str(dim)).replace("*", r" \, ")
    return re.sub(r"[^\W\d]\w*", lambda found: name_latex(found[0]), text)


def number_latex(value: Coefficient) -> str:
    r"""A constant ≥ 0.

    >>> from chainrule.expr.dims import Coefficient
    >>> number_latex(Coefficient.of(2) * Coefficient.of(Dim.of("N")) ** -1)
    '\\frac{2}{N}'
    """
    above, below = ([t] if t else [] for t in m.above_and_below(value.rational))
    for dim, exponent in value.powers:
        base = dim_latex(dim) if dim.name else f"({dim_latex(dim)})"
        raised = "" if abs(exponent) == 1 else f"^{{{abs(exponent)}}}"
        (above if exponent > 0 else below).append(base + raised)
    top = r" \, ".join(above) or "1"
    bottom = r" \, ".join(below)
    return rf"\frac{{{top}}}{{{bottom}}}" if bottom else top


def _juxtapose(node: Tree, parts: list[str]) -> str:
    text = parts[0]
    for between, part in zip(gaps(node), parts[1:], strict=True):
        text += {"·": r" \cdot ", " ": r" \, ", "": " "}[between] + part
    return text


def gaps(node: Tree) -> list[str]:
    """What stands between factors side by side: a dot, a space, or nothing."""
    found: list[str] = []
    for before, after in pairwise(node.args):
        number = number_latex(after.data[0]) if after.op == "number" else ""
        fraction = after.op in ("over", "derivative") or number.startswith(r"\frac")
        if after.op == "operator" or (fraction and before.op in _QUOTIENTS) or _starts_with_digit(after):
            found.append("·")
        else:
            found.append(" " if _is_word(before) or _is_word(after) or after.op == "place" else "")
    return found


def _starts_with_digit(part: Tree) -> bool:
    while part.op in ("power", "chain", "scale", "times", "transpose", "matrix_power") and part.args:
        part = part.args[0]
    return part.op == "number" and number_latex(part.data[0])[0].isdigit()


def _is_word(factor: Tree) -> bool:
    """A function, an indicator or a name of several letters, which stands apart from its neighbours."""
    while factor.op in ("transpose", "inverse", "inverse_transpose", "power", "matrix_power"):
        factor = factor.args[0]
    if factor.op in ("call", "diagonal", "compare", "differential"):
        return True
    return factor.op == "name" and r"\mathit" in name_latex(factor.data[0])


def _power(node: Tree, parts: list[str]) -> str:
    simple = re.fullmatch(r"(-?)\\frac\{(\w+)\}\{(\w+)\}", parts[1])
    exponent = f"{simple[1]}{simple[2]}/{simple[3]}" if simple else _bare(node.args[1], parts[1])
    if node.data[0]:
        exponent = f"{m.product_signs(node)[1]} {exponent}"
    return f"{parts[0]}^{{{exponent}}}"


def _bare(part: Tree, text: str) -> str:
    """A size n - 1 without the parentheses that it has as a factor: it stands alone above the line."""
    value = part.data[0] if part.op == "number" else None
    alone = value is not None and value.rational == 1 and [e for _, e in value.powers] == [1]
    return text.removeprefix("(").removesuffix(")") if alone else text


def _sum(node: Tree, parts: list[str]) -> str:
    text = ("-" if node.data[0] < 0 else "") + parts[0]
    for sign, part in zip(node.data[1:], parts[1:], strict=True):
        text += (" - " if sign < 0 else " + ") + part
    return text


def _call(node: Tree, parts: list[str]) -> str:
    _, options = node.data
    head, template = call_form(node)
    below = rf"_{{\mathrm{{{_plain(options)}}}}}" if options else ""
    if not template:
        return head + below + group(", ".join(parts))

    def argument(mark: re.Match[str]) -> str:
        k = int(mark[1]) - 1
        if is_condition(node, node.args[k]):
            return parts[k].removeprefix(r"\mathbf{1}[").removesuffix("]")
        return group(parts[k]) if needs_group(template, k, node.args[k]) else parts[k]

    return re.sub(r"#(\d)", argument, template) + below


def call_form(node: Tree) -> tuple[str, str]:
    """What stands before the arguments of a function in parentheses, or else the template that they fill."""
    function = node.data[0]
    row = ROWS.get(ROW_OF.get(function, function))
    template = row.latex if row else ""
    operator = re.fullmatch(r"(.*)\(#1(, #\d)*\)", template)
    if operator or function in COMMANDS or not template or len(node.args) > template.count("#"):
        return COMMANDS.get(function) or (operator[1] if operator else _function(function)), ""
    return "", template


def is_condition(node: Tree, argument: Tree) -> bool:
    """Whether an argument of a choice is an indicator, of which only the condition is written."""
    return argument.op == "compare" and node.data[0] == "where"


def needs_group(template: str, k: int, argument: Tree) -> bool:
    """Whether argument k needs parentheses where the template has a place for it."""
    before = template[: template.index(f"#{k + 1}")].rstrip()
    return not before.endswith(_ENCLOSED) and argument.precedence < m.POSTFIX


def _function(written: str) -> str:
    r"""A function that has no row: a name, with the order of its derivative if it was left unknown.

    >>> [_function(f) for f in ("vec", "f₁″", "∂₁²∂₂f", "∇h", "f⁽³⁾")]
    ['\\operatorname{vec}', "f_{1}''", '\\partial_{1}^{2} \\partial_{2} f', '\\nabla h', 'f^{(3)}']
    """
    if not written:
        return ""
    parts = _UNKNOWN.fullmatch(written)
    assert parts is not None, written
    text = ""
    for mark, below, above in _MARKED.findall(parts[1]):
        index = f"_{{{below.translate(_PLAIN)}}}" if below else ""
        times = f"^{{{above.translate(_PLAIN)}}}" if above else ""
        text += f"{MARKS[mark]}{index}{times} "
    name = name_latex(ascii_name(parts[2]))
    primes = parts[3].translate(_PLAIN)
    text += rf"\operatorname{{{_plain(parts[2])}}}" if r"\mathit" in name else name
    return text + (f"^{{{primes}}}" if primes.startswith("(") else primes)


def _derivative(node: Tree, parts: list[str]) -> str:
    order = "" if len(parts) == 2 else f"^{{{len(parts) - 1}}}"
    sign = r"\mathrm{d}" if node.data else r"\partial"
    below = r" \, ".join(f"{sign} {p}" for p in parts[1:])
    return rf"\frac{{{sign}{order} {parts[0]}}}{{{below}}}"


def _operator(node: Tree, parts: list[str]) -> str:
    sign = r"\mathrm{d}" if node.data[0] == "d" else r"\partial"
    return rf"\frac{{{sign}}}{{{sign} {parts[1]}}} {parts[0]}"


def _differential(node: Tree, parts: list[str]) -> str:
    order = f"^{{{node.data[0]}}}" if node.data else ""
    return rf"\mathrm{{d}}{order}{'' if parts[0].startswith('(') else ' '}{parts[0]}"


def _cases(node: Tree, parts: list[str]) -> str:
    pairs = zip(parts[::2], parts[1::2], strict=True)
    rows = [rf"{value} & \text{{if }} {condition}" for value, condition in pairs]
    return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"


def _grid(node: Tree, parts: list[str]) -> str:
    columns = node.data[1]
    rows = [" & ".join(parts[k : k + columns]) for k in range(0, len(parts), columns)]
    return r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"


def _array(node: Tree, parts: list[str]) -> str:
    if all(a.op == "array" for a in node.args):
        rows = [p.removeprefix(r"\begin{pmatrix} ").removesuffix(r" \end{pmatrix}") for p in parts]
        entries = r" \\ ".join(r.replace(r" \\ ", " & ") for r in rows)
        return rf"\begin{{pmatrix}} {entries} \end{{pmatrix}}"
    return r"\begin{pmatrix} " + (" & " if node.data[0] else r" \\ ").join(parts) + r" \end{pmatrix}"


def _column(parts: Sequence[str]) -> str:
    return r"\begin{pmatrix} " + r" \\ ".join(parts) + r" \end{pmatrix}"


def _select(node: Tree, parts: list[str]) -> str:
    """Rows of I, as blocks where they are the first or the last ones."""
    if found := m.blocks(node):
        return r"\begin{pmatrix} " + " & ".join(found) + r" \end{pmatrix}"
    return f"I_{{{_rows(*node.data[:3])},\\,:}}"


def _rows(start: Dim, step: int, count: Dim) -> str:
    """Rows counted from 1, the last one included."""
    first, last = row_range(start, step, count)
    return f"{dim_latex(first)}:{f'{step}:' if step != 1 else ''}{dim_latex(last)}"


def row_range(start: Dim, step: int, count: Dim) -> tuple[Dim, Dim]:
    """The first and the last row, counted from 1."""
    one = Dim.of(1)
    return start + one, start + Dim.of(step) * (count - one) + one


def _item(item: tuple[Any, ...], parts: list[str]) -> str:
    """One place of X_{1,2:n,:}, counted from 1."""
    match item:
        case ("all",):
            return ":"
        case ("at", index):
            return dim_latex(index + Dim.of(1))
        case ("array", place):
            return str(parts[place])
        case _:
            return _rows(*item[1:])


def _indices(indices: tuple[str, ...]) -> str:
    separator = "" if all(len(i) == 1 or i.startswith("(") for i in indices) else ","
    return separator.join(re.sub(r"([a-z])(\d+)", r"\1_{\2}", i).replace("−", "-") for i in indices)


WRITERS: dict[str, Callable[[Tree, list[str]], str]] = {
    "name": lambda t, p: name_latex(t.data[0]),
    "symbol": lambda t, p: str(t.data[1]),
    "number": lambda t, p: number_latex(t.data[0]),
    "transpose": lambda t, p: _column(found) if (found := m.blocks(t.args[0])) else p[0] + r"^\top",
    "inverse": lambda t, p: p[0] + "^{-1}",
    "inverse_transpose": lambda t, p: p[0] + r"^{-\top}",
    "matrix_power": lambda t, p: f"{p[0]}^{{{t.data[0]}}}",
    "power": _power,
    "root": lambda t, p: rf"\sqrt{{{p[0]}}}",
    "chain": _juxtapose,
    "scale": _juxtapose,
    "times": lambda t, p: f" {m.product_signs(t)[1]} ".join(p),
    "kron": lambda t, p: r" \otimes ".join(p),
    "divide": lambda t, p: rf"{p[0]} \oslash {p[1]}",
    "over": lambda t, p: rf"\frac{{{p[0]}}}{{{p[1]}}}",
    "sum": _sum,
    "call": _call,
    "diagonal": lambda t, p: r"\operatorname{diag}" + group(p[0]),
    "norm": lambda t, p: rf"\lVert {p[0]} \rVert",
    "abs": lambda t, p: rf"\lvert {p[0]} \rvert",
    "compare": lambda t, p: rf"\mathbf{{1}}[{m.compared([SIGNS[s] for s in t.data], p)}]",
    "array": _array,
    "entry": lambda t, p: f"{p[0]}_{{{_indices(t.data)}}}",
    "basis": lambda t, p: rf"\mathbf{{e}}_{{{dim_latex(t.data[0] + Dim.of(1))}}}",
    "select": _select,
    "beside": lambda t, p: r"\begin{pmatrix} " + " & ".join(p) + r" \end{pmatrix}",
    "stacked": lambda t, p: _column(p),
    "place": lambda t, p: str(t.data[1]),
    "tuple": lambda t, p: f"({', '.join(p)})",
    "subscript": lambda t, p: f"{{{p[0]}}}_{{{','.join(_item(i, p) for i in t.data)}}}",
    "slice": lambda t, p: f"{{{p[0]}}}_{{{_rows(*t.data)}}}",
    "delta": lambda t, p: rf"\delta_{{{_indices(t.data)}}}",
    "sigma": lambda t, p: (rf"\sum_{{{_indices(t.data)}}} " if t.data else r"\sum ") + p[0],
    "derivative": _derivative,
    "product": lambda t, p: r" \cdot ".join(p),
    "dot": lambda t, p: r" \cdot ".join(p),
    "operator": _operator,
    "differential": _differential,
    "condition": lambda t, p: m.compared([SIGNS[s] for s in t.data], p),
    "all": lambda t, p: r" \text{ and } ".join(p),
    "cases": _cases,
    "grid": _grid,
}
