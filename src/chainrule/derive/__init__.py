"""From an expression to its derivative, before simplification."""

from chainrule.derive.engine import jacobians

__all__ = ["jacobians"]
