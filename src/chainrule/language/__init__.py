"""Text to expression: a safe parser for three ways of writing a formula, with shapes declared or inferred."""

from chainrule.language import activations, functions, layers, losses, reductions, special
from chainrule.language.declarations import Declarations, parse_declarations
from chainrule.language.formula import Formula, check_profile, parse_formula
from chainrule.language.unknown import Functions, parse_functions

for _room in (reductions, activations, losses, layers, special):
    functions.TABLE.update(_room.ENTRIES)

__all__ = [
    "Declarations",
    "Formula",
    "Functions",
    "check_profile",
    "parse_declarations",
    "parse_formula",
    "parse_functions",
]
