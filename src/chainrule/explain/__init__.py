"""Derivations as data: what a good teacher would write on the board, checked line by line."""

from chainrule.explain.derivation import (
    Checked,
    Derivation,
    Entry,
    Line,
    Phase,
    Sentence,
    Words,
)

__all__ = ["Checked", "Derivation", "Entry", "Line", "Phase", "Sentence", "Words"]
