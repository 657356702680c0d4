"""The public face: a formula and a variable in, a Derivative out, which ties the rooms together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.api.catalogue import Catalogue, rules
from chainrule.api.checking import Checked, check
from chainrule.api.derivations import check_derivation
from chainrule.api.derivative import Derivative, Derivatives
from chainrule.api.deriving import derive
from chainrule.api.explanation import Explanation, explain
from chainrule.api.formulas import Simplified, Verdict, equal, simplify, variables
from chainrule.api.several import CheckedAll

if TYPE_CHECKING:
    from chainrule.api.training import fit

__all__ = [
    "Catalogue",
    "Checked",
    "CheckedAll",
    "Derivative",
    "Derivatives",
    "Explanation",
    "Simplified",
    "Verdict",
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


def __getattr__(name: str) -> object:
    """`fit` is loaded when it is asked for: it needs NumPy, which deriving does without."""
    if name == "fit":
        from chainrule.api import training

        return training.fit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
