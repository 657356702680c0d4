"""check_derivation(): a person's whole derivation in, a status for each of its lines out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chainrule.api.formulas import Functions
from chainrule.errors import OptionError

if TYPE_CHECKING:
    from chainrule.grade.lines import Grading


def check_derivation(
    text: str,
    shapes: str | Mapping[str, object] | None = None,
    wrt: str | Sequence[str] | None = None,
    *,
    dialect: str | None = None,
    profile: str | None = None,
    functions: Functions = None,
) -> Grading:
    r"""What becomes of a derivation, line by line; `first_wrong` is the first that does not follow, or 0.

    One equality a line. `shapes`, `wrt` and `functions` may stand in lines at its top instead, `wrt: x`. The
    dialect is MATLAB if only its signs stand in the text, unless it is said.
    Raises: ChainruleError, with the line and the place, if a line cannot be read.

    >>> graded = check_derivation("u = x**2\ny = x + u\ndy/dx = dy/du * du/dx\n      = 2*x", wrt="x")
    >>> graded.first_wrong, graded.diagnosis, [line.status for line in graded.lines]
    (3, 'plain-chain', ['defined', 'defined', 'wrong', 'follows'])
    """
    if not isinstance(text, str):
        raise OptionError(
            f"a derivation is a text, not {type(text).__name__}",
            hint="one equality a line: dC/dw = 2*X.T @ e",
        )
    from chainrule.grade.grader import grade

    return grade(text, shapes, wrt, dialect, profile, functions)
