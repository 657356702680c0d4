"""How a derivative lies on the page: numerator layout, denominator layout, or the shape of the variable.

In: the numbers of axes of what is differentiated and of the variable. Out: whether the array, whose axes are
output axes followed by input axes, is written as its transpose, and the sizes that it then has. In numerator
layout row i of ∂y/∂x is the gradient of yᵢ, so the gradient of a scalar is a row; denominator layout is its
transpose. Source: the table of layouts in Wikipedia, Matrix calculus.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.expr.dims import Dim
from chainrule.notation.text import sizes_text


def is_turned(output: int, inputs: int, layout: str) -> bool:
    """Whether the array is written as its transpose, a vector as a row.

    >>> is_turned(0, 1, "numerator"), is_turned(1, 1, "numerator"), is_turned(1, 0, "denominator")
    (True, False, True)
    """
    if not 1 <= output + inputs <= 2:
        return False
    if not output:
        return layout == "numerator"
    return layout == "denominator"


def layout_sizes(output: Sequence[Dim], inputs: Sequence[Dim], layout: str) -> str:
    """The sizes as it is written: "scalar", "1 × n", "m × n"; beyond two axes those of the array.

    >>> n, m = Dim.of("n"), Dim.of("m")
    >>> layout_sizes((), (n,), "numerator"), layout_sizes((m,), (n,), "denominator")
    ('1 × n', 'n × m')
    """
    shape = (*output, *inputs)
    turned = is_turned(len(output), len(inputs), layout)
    if len(shape) == 1:
        one = Dim.of(1)
        return sizes_text((one, *shape) if turned else (*shape, one))
    return sizes_text(shape[::-1] if turned else shape)


def chain_layout(output: int, layout: str) -> str:
    """The layout of the factors of a chain rule whose result is written in `layout`.

    Gradients in the shape of their variable are columns, so their Jacobians stand in denominator layout.
    """
    if layout != "shape":
        return layout
    return "numerator" if output else "denominator"
