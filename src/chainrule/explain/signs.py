"""A derivation in the signs of a profile.

In: a Derivation in the signs of this project. Out: the same, every formula and every sentence of it in the
signs of the profile. What is checked and replayed stays as it is.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from chainrule.explain.derivation import Derivation
from chainrule.expr.nodes import Expr
from chainrule.notation.matform import Tree
from chainrule.notation.profiles import said, spelled
from chainrule.steps import Step


def in_profile(derivation: Derivation, profile: str | None) -> Derivation:
    """The derivation as the author of the profile would write it."""
    if profile is None:
        return derivation
    written = _written(derivation, profile)
    assert isinstance(written, Derivation)
    return replace(written, profile=profile)


def _written(part: Any, profile: str) -> Any:
    match part:
        case Tree():
            return spelled(part, profile)
        case str():
            return said(part, profile)
        case tuple():
            return tuple(_written(p, profile) for p in part)
        case Expr() | Step():
            return part
    if is_dataclass(part) and not isinstance(part, type):
        changed = {f.name: _written(getattr(part, f.name), profile) for f in fields(part)}
        return replace(part, **changed)
    return part
