"""The tables: every function is one row. Importing this room fills in the rows that Python operators need."""

from chainrule.rules import (
    activations,
    constants,
    elementwise,
    exponential,
    factors,
    reductions,
    special,
    spectral,
    tensorial,
)
from chainrule.rules.table import ROWS, Constant, Elementwise, Row, Tensorial, lookup

__all__ = [
    "ROWS",
    "Constant",
    "Elementwise",
    "Row",
    "Tensorial",
    "activations",
    "constants",
    "elementwise",
    "exponential",
    "factors",
    "lookup",
    "reductions",
    "special",
    "spectral",
    "tensorial",
]
