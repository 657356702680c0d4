"""What a simpler predictor gives: the parameters that multiply data at 0, or the minimum in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.expr.walk import topological, variables
from chainrule.fit.batches import Batch, Minibatches
from chainrule.fit.constraints import constrained
from chainrule.fit.objective import Array, Objective
from chainrule.fit.run import run

CONSTANT = "constant predictor"
CLOSED_FORM = "minimum in closed form"
MOST_ENTRIES = 500  # of θ, up to which a Hessian is solved for a comparison


def multipliers(loss: Expr, params: Sequence[str], data: Sequence[str]) -> tuple[str, ...]:
    """The parameters that stand in a product with data, or with what is made from data.

    >>> from chainrule.language import parse_formula
    >>> loss = parse_formula("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]").expr
    >>> multipliers(loss, ["w", "b"], ["X", "y"])
    ('w',)
    """
    found = set()
    for node in topological([loss]):
        if isinstance(node, Einsum) and len(node.operands) > 1:
            read = [{v.name for v in variables(operand)} & set(data) for operand in node.operands]
            for place, operand in enumerate(node.operands):
                inside = _alone(operand)
                if isinstance(inside, Variable) and inside.name in params:
                    others = [names for index, names in enumerate(read) if index != place]
                    if any(others):
                        found.add(inside.name)
    return tuple(name for name in params if name in found)


def _alone(node: Expr) -> Expr:
    while isinstance(node, Einsum) and len(node.operands) == 1:
        node = node.operands[0]
    return node


@dataclass(frozen=True)
class Restricted:
    """An objective of some entries of θ, the others kept as they are in `whole`."""

    objective: Objective
    names_kept: tuple[str, ...]
    whole: Mapping[str, Array]

    @property
    def rows(self) -> int | None:
        return self.objective.rows

    @property
    def size(self) -> int:
        return int(self._free.sum())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, free in zip(self.objective.names, self._free, strict=True) if free)

    @property
    def _free(self) -> Array:
        marked = {n: np.full(np.shape(a), n in self.names_kept, float) for n, a in self.whole.items()}
        return np.asarray(self.objective.pack(marked) != 0)

    def _filled(self, theta: Array) -> Array:
        whole = self.objective.pack(self.whole)
        whole[self._free] = theta
        return whole

    def value_and_gradient(self, theta: Array, batch: Batch | None = None) -> tuple[float, Array]:
        value, gradient = self.objective.value_and_gradient(self._filled(theta), batch)
        return value, gradient[self._free]

    def batches(self, batch: int, seed: int) -> Minibatches | None:
        return self.objective.batches(batch, seed)

    def product(self, theta: Array, direction: Array) -> Array:
        along = np.zeros(self.objective.size)
        along[self._free] = direction
        return np.asarray(self.objective.product(self._filled(theta), along)[self._free])

    def hessian(self, theta: Array) -> Array:
        return np.asarray(self.objective.hessian(self._filled(theta))[np.ix_(self._free, self._free)])

    def gauss_newton(self, theta: Array) -> Array:
        matrix = self.objective.gauss_newton(self._filled(theta))
        return np.asarray(matrix[np.ix_(self._free, self._free)])

    def pack(self, params: Mapping[str, Array]) -> Array:
        return np.asarray(self.objective.pack({**self.whole, **params})[self._free])

    def unpack(self, theta: Array) -> dict[str, Array]:
        whole = self.objective.unpack(self._filled(theta))
        return {name: whole[name] for name in self.names_kept}


def constant_predictor(
    objective: Objective,
    structures: Mapping[str, tuple[str, ...]],
    zeroed: Sequence[str],
    start: Mapping[str, Array],
) -> float | None:
    """The least loss where the parameters `zeroed` are 0; None where they cannot be, or there are none."""
    if not zeroed or any(structures.get(name) for name in zeroed):
        return None
    whole = {name: np.zeros(np.shape(a)) if name in zeroed else np.asarray(a) for name, a in start.items()}
    free = tuple(name for name in start if name not in zeroed)
    try:
        if not free:
            value = objective.value_and_gradient(objective.pack(whole))[0]
        else:
            rest = Restricted(objective, free, whole)
            kept = {name: whole[name] for name in free}
            fitted = constrained(rest, {n: structures.get(n, ()) for n in free}, kept, "lbfgs")
            value = run(fitted, "lbfgs", kept, steps=200).loss
    except (ChainruleError, np.linalg.LinAlgError):
        return None
    return value if np.isfinite(value) else None


def closed_form(objective: Objective) -> float | None:
    """The least loss of one that is quadratic in θ: at −H⁺g of the point 0; None if it has no minimum."""
    if objective.size > MOST_ENTRIES:
        return None
    origin = np.zeros(objective.size)
    _, gradient = objective.value_and_gradient(origin)
    hessian = objective.hessian(origin)
    if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
        return None
    curvatures = np.linalg.eigvalsh(hessian)
    if curvatures[0] < -1e-9 * max(abs(curvatures[-1]), 1e-300):
        return None
    best = np.linalg.lstsq(hessian, -gradient, rcond=None)[0]
    value, left = objective.value_and_gradient(best)
    solved = np.linalg.norm(left) <= 1e-6 * (np.linalg.norm(gradient) + 1e-300)
    return value if solved and np.isfinite(value) else None
