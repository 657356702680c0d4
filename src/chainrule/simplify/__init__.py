"""Canonical form, and the form that reads best."""

from chainrule.simplify.normal import Normaliser, normalise
from chainrule.simplify.shorten import simplify, simplify_many

__all__ = ["Normaliser", "normalise", "simplify", "simplify_many"]
