"""From an expression to its derivative, before simplification."""

from chainrule.derive.engine import jacobians, pullback, pulled_back

__all__ = ["jacobians", "pullback", "pulled_back"]
