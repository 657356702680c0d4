"""Canonical form, and the form that reads best."""

from chainrule.simplify.normal import Normaliser, normalise
from chainrule.simplify.shorten import simplify, simplify_many
from chainrule.simplify.spread import matrix_free, spread

__all__ = ["Normaliser", "matrix_free", "normalise", "simplify", "simplify_many", "spread"]
