"""Presentation tree to presentation MathML, as browsers and screen readers know it.

In: a Tree. Out: a string. Products are marked by invisible operators, functions by the operator that applies
them. Quotients stand above each other, as in `latex`, which decides about parentheses for both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from chainrule.expr.dims import Coefficient, Dim
from chainrule.notation import latex
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.profiles import spelled
from chainrule.notation.tex import APPLY, TIMES, cases, fenced, from_tex, operator, row, scripted, table
from chainrule.notation.text import to_text

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
SPACE = '<mspace width="0.167em"/>'
TRANSPOSED = '<mi mathvariant="normal">T</mi>'
NEGATIVE = operator("−", "prefix")
INVERTED = f"<mrow>{NEGATIVE}<mn>1</mn></mrow>"
DOT = operator("·")
SLASH = '<mo lspace="0" rspace="0">/</mo>'


def to_mathml(tree: Tree, profile: str | None = None, *, display: bool = False, large: bool = False) -> str:
    """The tree as a whole <math> element, with its text for those who cannot see it.

    >>> from chainrule.notation.matform import name
    >>> print(to_mathml(name("w1")))
    <math xmlns="http://www.w3.org/1998/Math/MathML" alttext="w₁"><msub><mi>w</mi><mn>1</mn></msub></math>
    """
    return math(element(tree, profile), to_text(tree, profile, lowered=True), display=display, large=large)


def math(inside: str, text: str, *, display: bool = False, large: bool = False) -> str:
    """Elements as a whole <math> element; `large`: with fractions as large as in a display, inside a line."""
    block = ' display="block"' if display else ' displaystyle="true"' if large else ""
    return f'<math xmlns="{NAMESPACE}"{block} alttext="{escape(text)}">{inside}</math>'


def element(tree: Tree, profile: str | None = None) -> str:
    """The tree as one element, to be put into <math>."""
    tree = spelled(tree, profile)
    return m.fold(tree, _write)


def _write(node: Tree, parts: list[str]) -> str:
    inside = [
        fenced(p) if latex.needs_parentheses(a, node, has_script=p.startswith("<msub>")) else p
        for a, p in zip(node.args, parts, strict=True)
    ]
    return WRITERS[node.op](node, inside)


def factor(part: Tree, parent: Tree) -> str:
    """A part as it stands in its parent, in parentheses where it needs them."""
    inside = element(part)
    return fenced(inside) if latex.needs_parentheses(part, parent, inside.startswith("<msub>")) else inside


def _dim(dim: Dim) -> str:
    return from_tex(latex.dim_latex(dim))


def _number(value: Coefficient) -> str:
    return from_tex(latex.number_latex(value))


def _joined(parts: list[str], between: str) -> str:
    return row([item for part in parts for item in (between, part)][1:])


def _infix(sign: str) -> Writer:
    return lambda t, p: _joined(p, operator(sign))


def _juxtapose(node: Tree, parts: list[str]) -> str:
    items = [parts[0]]
    for between, part in zip(latex.gaps(node), parts[1:], strict=True):
        items += {"·": [DOT], " ": [TIMES, SPACE], "": [TIMES]}[between] + [part]
    return row(items)


def _power(node: Tree, parts: list[str]) -> str:
    exponent = node.args[1]
    above = parts[1]
    if exponent.op == "number" and not exponent.data[0].powers:
        digits = [f"<mn>{number}</mn>" for number in str(exponent.data[0].rational).split("/")]
        above = _joined(digits, operator("/"))
    if node.data[0]:
        above = row([operator(m.product_signs(node)[0]), above])
    return scripted(parts[0], above=above)


def _sum(node: Tree, parts: list[str]) -> str:
    items = [NEGATIVE, parts[0]] if node.data[0] < 0 else [parts[0]]
    for sign, part in zip(node.data[1:], parts[1:], strict=True):
        items += [operator("−" if sign < 0 else "+"), part]
    return row(items)


def _call(node: Tree, parts: list[str]) -> str:
    _, options = node.data
    head, template = latex.call_form(node)
    below = f"<mtext>{escape(options)}</mtext>" if options else ""
    if not template:
        inside = fenced(_joined(parts, operator(",")))
        return row([scripted(from_tex(head), below), APPLY, inside]) if head else inside
    arguments = [
        _condition(argument) if latex.is_condition(node, argument)
        else fenced(part) if latex.needs_group(template, k, argument) else part
        for k, (argument, part) in enumerate(zip(node.args, parts, strict=True))
    ]  # fmt: skip
    return scripted(from_tex(template, arguments), below)


def _condition(compared: Tree) -> str:
    left, right = map(element, compared.args)
    return row([left, operator(compared.data[0]), right])


def _compared(node: Tree, parts: list[str]) -> list[str]:
    signs = [operator(sign) for sign in node.data]
    return [parts[0], *(item for pair in zip(signs, parts[1:], strict=True) for item in pair)]


def _compare(node: Tree, parts: list[str]) -> str:
    inside = row(_compared(node, parts))
    return row(["<mn>𝟏</mn>", fenced(inside, "[", "]")])


def _array(node: Tree, parts: list[str]) -> str:
    if all(a.op == "array" for a in node.args):
        lines = [[element(entry) for entry in a.args] for a in node.args]
    else:
        lines = [parts] if node.data[0] else [[part] for part in parts]
    return fenced(table(lines))


def _transpose(node: Tree, parts: list[str]) -> str:
    """Aᵀ; blocks stand one below the other."""
    found = m.blocks(node.args[0])
    return fenced(table([[from_tex(b)] for b in found])) if found else scripted(parts[0], above=TRANSPOSED)


def _select(node: Tree, parts: list[str]) -> str:
    """Rows of I, as blocks where they are the first or the last ones."""
    if found := m.blocks(node):
        return fenced(table([[from_tex(b) for b in found]]))
    return scripted("<mi>I</mi>", row([*_rows(*node.data[:3]), operator(","), operator(":")]))


def _cases(node: Tree, parts: list[str]) -> str:
    if_ = "<mtext>if\N{NO-BREAK SPACE}</mtext>"
    return cases([[value, row([if_, when])] for value, when in zip(parts[::2], parts[1::2], strict=True)])


def _grid(node: Tree, parts: list[str]) -> str:
    columns = node.data[1]
    return fenced(table([parts[k : k + columns] for k in range(0, len(parts), columns)]))


def _indices(indices: tuple[str, ...]) -> str:
    plain = all(len(i) == 1 or i.startswith("(") for i in indices)
    separator = operator("\N{INVISIBLE SEPARATOR}" if plain else ",")
    shown = [from_tex(re.sub(r"([a-z])(\d+)", r"\1_{\2}", i)) for i in indices]
    return _joined(shown, separator)


def _rows(start: Dim, step: int, count: Dim) -> list[str]:
    first, last = latex.row_range(start, step, count)
    middle = [operator(":"), f"<mn>{step}</mn>"] if step != 1 else []
    return [_dim(first), *middle, operator(":"), _dim(last)]


def _sign(mark: str) -> str:
    return '<mi mathvariant="normal">d</mi>' if mark == "d" else "<mi>∂</mi>"


def inline(tree: Tree) -> str:
    """The tree as one element of a sentence: a derivative with a slash, which stays as large as the words."""
    if tree.op != "derivative":
        return element(tree)
    above, below = _sides(tree, [element(part) for part in tree.args])
    return row([above, SLASH, below])


def _derivative(node: Tree, parts: list[str]) -> str:
    above, below = _sides(node, parts)
    return f"<mfrac>{above}{below}</mfrac>"


def _sides(node: Tree, parts: list[str]) -> tuple[str, str]:
    """What stands above and below the line of a derivative."""
    sign = _sign(node.data[0] if node.data else "∂")
    order = f"<mn>{len(parts) - 1}</mn>" if len(parts) > 2 else ""
    below = [item for part in parts[1:] for item in (SPACE, sign, part)][1:]
    return row([scripted(sign, above=order), parts[0]]), row(below)


def _differential(node: Tree, parts: list[str]) -> str:
    sign = scripted(_sign("d"), above=f"<mn>{node.data[0]}</mn>" if node.data else "")
    return row([sign, *[SPACE] * (node.args[0].op in ("call", "diagonal")), parts[0]])


def _operator(node: Tree, parts: list[str]) -> str:
    sign = _sign(node.data[0])
    return row([f"<mfrac>{sign}{row([sign, parts[1]])}</mfrac>", SPACE, parts[0]])


def _sigma(node: Tree, parts: list[str]) -> str:
    sign = operator("∑")
    return row([f"<munder>{sign}{_indices(node.data)}</munder>" if node.data else sign, parts[0]])


def _items(node: Tree, parts: list[str]) -> list[str]:
    """The places of X_{1,2:n,:}, counted from 1."""
    found: list[str] = []
    for item in node.data:
        if found:
            found.append(operator(","))
        match item:
            case ("all",):
                found.append(operator(":"))
            case ("at", index):
                found.append(_dim(index + Dim.of(1)))
            case ("array", place):
                found.append(parts[place])
            case _:
                found += _rows(*item[1:])
    return found


Writer = Callable[[Tree, list[str]], str]
WRITERS: dict[str, Writer] = {
    "name": lambda t, p: from_tex(latex.name_latex(t.data[0])),
    "symbol": lambda t, p: from_tex(t.data[1]),
    "number": lambda t, p: _number(t.data[0]),
    "transpose": _transpose,
    "inverse": lambda t, p: scripted(p[0], above=INVERTED),
    "inverse_transpose": lambda t, p: scripted(p[0], above=row([NEGATIVE, TRANSPOSED])),
    "matrix_power": lambda t, p: scripted(p[0], above=from_tex(str(t.data[0]))),
    "power": _power,
    "root": lambda t, p: f"<msqrt>{p[0]}</msqrt>",
    "chain": _juxtapose,
    "scale": _juxtapose,
    "times": lambda t, p: _joined(p, operator(m.product_signs(t)[0])),
    "kron": _infix("⊗"),
    "divide": _infix("⊘"),
    "over": lambda t, p: f"<mfrac>{p[0]}{p[1]}</mfrac>",
    "sum": _sum,
    "call": _call,
    "diagonal": lambda t, p: row(["<mi>diag</mi>", APPLY, fenced(p[0])]),
    "norm": lambda t, p: fenced(p[0], "‖", "‖"),
    "abs": lambda t, p: fenced(p[0], "|", "|"),
    "compare": _compare,
    "array": _array,
    "entry": lambda t, p: scripted(p[0], _indices(t.data)),
    "basis": lambda t, p: scripted('<mi mathvariant="bold">e</mi>', _dim(t.data[0] + Dim.of(1))),
    "select": _select,
    "beside": lambda t, p: fenced(table([p])),
    "stacked": lambda t, p: fenced(table([[part] for part in p])),
    "place": lambda t, p: from_tex(t.data[1]),
    "tuple": lambda t, p: fenced(_joined(p, operator(","))),
    "subscript": lambda t, p: scripted(p[0], row(_items(t, p))),
    "slice": lambda t, p: scripted(p[0], row(_rows(*t.data))),
    "delta": lambda t, p: scripted("<mi>δ</mi>", _indices(t.data)),
    "sigma": _sigma,
    "derivative": _derivative,
    "product": _infix("·"),
    "dot": _infix("·"),
    "condition": lambda t, p: row(_compared(t, p)),
    "all": lambda t, p: _joined(p, "<mtext>\N{NO-BREAK SPACE}and\N{NO-BREAK SPACE}</mtext>"),
    "cases": _cases,
    "operator": _operator,
    "differential": _differential,
    "grid": _grid,
}
