"""What a step does, as the sign of an operator: (·)², sin, +, X· + b.

In: a step and the arguments of it that change. Out: the sign, in which · is the one argument that changes.
Source: Parr and Howard 2018, section 4.5.1 (the dataflow diagram x → (·)² → u → sin → y).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chainrule.derive.flow import Part
from chainrule.draw.maths import WORDS, Maths, functions_in, of_text, of_tree, plain
from chainrule.expr.nodes import Einsum, Expr, Stack, Sum, Variable
from chainrule.expr.walk import substitute
from chainrule.notation.present import present
from chainrule.notation.text import SUPERSCRIPTS, to_text

HOLE = "·"
_RAISED = "".join(map(chr, SUPERSCRIPTS.values())) + "ᵀ"


def operator(part: Part, moving: Sequence[Variable], profile: str | None = None) -> Maths:
    """The sign of a step.

    >>> from chainrule.derive.flow import flow
    >>> from chainrule.expr.nodes import Apply
    >>> from chainrule.rules.elementwise import sin
    >>> x = Variable("x")
    >>> steps = flow(Apply(sin, (x**2,)) + x, [x])
    >>> [operator(p, steps.arguments(p)).text for p in steps.parts]
    ['(·)²', 'sin', '+']
    """
    if len(moving) > 1:
        sign = _sign(part.value, moving, "⊗" if profile == "notes" else "⊙")
        return of_text(sign) if sign else of_tree(present(part.value).tree, profile)
    if not moving:
        return of_tree(present(part.value).tree, profile)
    hole = Variable(HOLE, moving[0].shape, moving[0].structure)
    tree = present(substitute(part.value, {moving[0]: hole})).tree
    line = to_text(tree, profile)
    functions = functions_in(tree)
    called = re.fullmatch(rf"(\w+)\({HOLE}\)", line)
    if called and called[1] in functions | WORDS:
        return plain(called[1])
    return of_text(re.sub(rf"{HOLE}(?=[{_RAISED}])", f"({HOLE})", line), functions)


def _sign(value: Expr, moving: Sequence[Variable], times: str) -> str:
    """The sign of a step that does one thing to several arguments, if there is one."""
    plainly = all(child in moving for child in value.children)
    if isinstance(value, Sum) and plainly:
        return "+"
    if isinstance(value, Einsum) and plainly and not any(value.labels) and value.coefficient.is_one:
        return "×"
    if isinstance(value, Einsum) and plainly and value.coefficient.is_one and _is_elementwise(value):
        return times
    return "[ ]" if isinstance(value, Stack) and plainly else ""


def _is_elementwise(value: Einsum) -> bool:
    return all(axes == value.output for axes in value.labels)
