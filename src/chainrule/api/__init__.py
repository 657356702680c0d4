"""The public face: a formula and a variable in, a Derivative out, which ties the rooms together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainrule.api.catalogue import Catalogue, rules
    from chainrule.api.checking import Checked, check
    from chainrule.api.derivations import check_derivation
    from chainrule.api.derivative import Derivative, Derivatives
    from chainrule.api.deriving import derive
    from chainrule.api.explanation import Explanation, explain
    from chainrule.api.formulas import Simplified, Verdict, equal, simplify, variables
    from chainrule.api.several import CheckedAll
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

# What is loaded where a name is asked for: to derive, neither explanations nor pictures are needed.
_HOMES = {
    "catalogue": ("Catalogue", "rules"),
    "checking": ("Checked", "check"),
    "derivations": ("check_derivation",),
    "derivative": ("Derivative", "Derivatives"),
    "deriving": ("derive",),
    "explanation": ("Explanation", "explain"),
    "formulas": ("Simplified", "Verdict", "equal", "simplify", "variables"),
    "several": ("CheckedAll",),
    "training": ("fit",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"chainrule.api.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
