"""What is said about an answer: sentences, and the claims that must hold before they are printed."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.explain.derivation import Words
from chainrule.steps import Claim


@dataclass(frozen=True, slots=True)
class Reading:
    """One or two sentences, and what they claim."""

    sentences: tuple[Words, ...]
    claims: tuple[Claim, ...]
