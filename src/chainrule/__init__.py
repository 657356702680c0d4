"""Matrix calculus that shows its work: closed-form derivatives, checked numerically, as formula and as code.

>>> import chainrule as cr
>>> d = cr.derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]")
>>> d.shape
('n',)

The functions of the formula language are here too, for expressions built in Python: `cr.relu`, `cr.norm`,
`cr.tr`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from chainrule.errors import (
    ArrayMismatch,
    ChainruleError,
    CheckFailed,
    DataProblem,
    DomainProblem,
    LimitExceeded,
    NoDerivative,
    OptionError,
    ShapeMismatch,
    SyntaxProblem,
    UnknownName,
)

if TYPE_CHECKING:
    from chainrule.api import (
        Checked,
        CheckedAll,
        Derivative,
        Derivatives,
        Explanation,
        check,
        check_derivation,
        derive,
        equal,
        explain,
        fit,
        rules,
        simplify,
        variables,
    )

__version__ = "0.1.0"

__all__ = [
    "ArrayMismatch",
    "ChainruleError",
    "CheckFailed",
    "Checked",
    "CheckedAll",
    "DataProblem",
    "Derivative",
    "Derivatives",
    "DomainProblem",
    "Explanation",
    "LimitExceeded",
    "NoDerivative",
    "OptionError",
    "ShapeMismatch",
    "SyntaxProblem",
    "UnknownName",
    "check",
    "check_derivation",
    "derive",
    "equal",
    "explain",
    "fit",
    "rules",
    "simplify",
    "variables",
]


class _Package(ModuleType):
    """This package, in which `derive`, `fit`, `rules` and `simplify` stay functions.

    Loading a submodule sets an attribute of its name on its package, and some rooms are named like the
    function that people call.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in ("derive", "explain", "fit", "rules", "simplify")):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    """Load what is asked for: importing the package stays quick, and imports no numeric package."""
    if name in __all__:
        return getattr(importlib.import_module("chainrule.api"), name)
    table = importlib.import_module("chainrule.language.functions").TABLE
    if name in table and name.isascii():
        return table[name].build
    raise AttributeError(f"module 'chainrule' has no attribute {name!r}")


def __dir__() -> list[str]:
    table = importlib.import_module("chainrule.language.functions").TABLE
    return sorted({*__all__, *filter(str.isascii, table)})
