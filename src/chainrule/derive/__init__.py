"""From an expression to its derivative, before simplification."""

from chainrule.derive.engine import jacobians, pullback

__all__ = ["jacobians", "pullback"]
