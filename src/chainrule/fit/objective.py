"""What a method of fitting sees: a loss of one flat vector θ, with the derivatives derived for it.

θ holds the entries of all parameters as float64, one parameter after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from chainrule.fit.batches import Batch, Minibatches

Array = NDArray[Any]


class Objective(Protocol):
    """A loss of θ.

    size   how many entries θ has
    rows   how many rows of data the loss is a sum or mean over; None if it is neither
    names  one for each entry: "w[bmi]", "b"
    """

    @property
    def size(self) -> int: ...

    @property
    def rows(self) -> int | None: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def value_and_gradient(self, theta: Array, batch: Batch | None = None) -> tuple[float, Array]:
        """The loss and its gradient; of the rows of `batch` alone an unbiased estimate of both."""
        ...

    def batches(self, batch: int, seed: int) -> Minibatches | None:
        """Minibatches of so many rows; None if the loss is not over rows."""
        ...

    def product(self, theta: Array, direction: Array) -> Array:
        """The Hessian times a direction."""
        ...

    def hessian(self, theta: Array) -> Array:
        """The Hessian, size × size."""
        ...

    def gauss_newton(self, theta: Array) -> Array:
        """The Gauss-Newton matrix Jᵀ H J, size × size."""
        ...

    def pack(self, params: Mapping[str, Array]) -> Array:
        """θ of the parameters by their names."""
        ...

    def unpack(self, theta: Array) -> dict[str, Array]:
        """The parameters in θ by their names."""
        ...
