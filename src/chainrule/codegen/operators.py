"""Matrices kept by their structure: diagonal, blocks, low rank; products and sums are in compound.py.

Each stands for the matrix of a linear map from arrays of the shape `columns` to arrays of the shape `rows`:
their entries in C order are its columns and rows. `todense()` is the array with the axes rows + columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ArrayMismatch, DomainProblem, LimitExceeded

Array = NDArray[Any]
Sizes = tuple[int, ...]
MOST_SOLVED = 4096  # rows of a matrix that is made dense to solve with it
MOST_BYTES = 8 * 2**30  # of an array that todense() makes


class Structured(ABC):
    """A matrix by its structure: M @ x, M.T, M.solve(b), M.diagonal(), M.todense(), M.aslinearoperator().

    `M @ x` takes an array of the shape M.columns, a flat one with all its entries, or a matrix whose columns
    are such vectors; `solve` the same for rows. The result has the form of what was given.
    """

    __slots__ = ()
    __array_ufunc__ = None  # so that x @ M comes here

    @property
    @abstractmethod
    def rows(self) -> Sizes:
        """The shape of the arrays that it maps to."""

    @property
    @abstractmethod
    def columns(self) -> Sizes:
        """The shape of the arrays that it maps."""

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """The precision of its entries."""

    @property
    @abstractmethod
    def T(self) -> Structured:  # noqa: N802
        """The transpose, which shares its arrays."""

    @abstractmethod
    def _times(self, x: Array) -> Array:
        """The product with a matrix."""

    @abstractmethod
    def _dense(self) -> Array:
        """All entries, with the axes rows + columns."""

    def _solved(self, b: Array) -> Array:
        """What _times maps to the columns of b."""
        size = self.shape[0]
        if size > MOST_SOLVED:
            raise LimitExceeded(
                f"to solve with a matrix of this structure it is made dense, and it has {size:,} rows; "
                f"at most {MOST_SOLVED:,} are solved with",
                hint="an iterative method takes M.aslinearoperator()",
            )
        return inverse_times(self._dense().reshape(self.shape), b)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and of columns."""
        return prod(self.rows), prod(self.columns)

    def todense(self) -> Array:
        """The array of all entries, with the axes rows + columns.

        Raises: LimitExceeded if it has more than 8 GiB.
        """
        size = prod(self.shape) * np.dtype(self.dtype).itemsize
        if size > MOST_BYTES:
            raise LimitExceeded(
                f"as a dense array this matrix of {self.shape[0]:,} by {self.shape[1]:,} has {size:,} bytes",
                hint="M @ x, M.solve(b) and M.diagonal() do not need it",
            )
        return self._dense()

    def diagonal(self) -> Array:
        """Its diagonal, with the shape of rows; that of columns must be the same.

        Raises: ArrayMismatch.
        """
        self._require_square("diagonal")
        return self._diagonal()

    def _diagonal(self) -> Array:
        return np.diagonal(self.todense().reshape(self.shape)).reshape(self.rows).copy()

    def __matmul__(self, x: object) -> Array:
        flat, shape = _as_columns(np.asarray(x), self.columns, "columns", self.rows)
        return self._times(flat).reshape(shape)

    def __rmatmul__(self, x: object) -> Array:
        given = np.asarray(x)
        if given.ndim == 2 and given.shape != self.rows:
            return (self.T @ given.T).T
        return self.T @ given

    def solve(self, b: object) -> Array:
        """The x with M @ x = b.

        Raises: DomainProblem if M is singular; LimitExceeded where that needs a large dense matrix.
        """
        self._require_square("solve")
        flat, shape = _as_columns(np.asarray(b), self.rows, "rows", self.columns)
        return self._solved(flat.astype(np.result_type(flat, self.dtype, np.float32))).reshape(shape)

    def matvec(self, x: Array) -> Array:
        """M @ x for a flat vector; SciPy takes M for a LinearOperator by this."""
        return self._times(np.reshape(x, (self.shape[1], 1)))[:, 0]

    def rmatvec(self, x: Array) -> Array:
        """Mᵀ @ x for a flat vector."""
        return self.T._times(np.reshape(x, (self.shape[0], 1)))[:, 0]

    def aslinearoperator(self) -> Any:
        """The same as a scipy.sparse.linalg.LinearOperator, for iterative methods."""
        from scipy.sparse.linalg import LinearOperator

        def there(x: Array) -> Array:
            return self._times(x.reshape(self.shape[1], -1)).reshape(self.shape[0], *x.shape[1:])

        def back(x: Array) -> Array:
            return self.T._times(x.reshape(self.shape[0], -1)).reshape(self.shape[1], *x.shape[1:])

        return LinearOperator(
            self.shape, matvec=there, rmatvec=back, matmat=there, rmatmat=back, dtype=self.dtype
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.todense(), dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.shape[0]} × {self.shape[1]}>"

    def _require_square(self, what: str) -> None:
        rows, columns = self.rows, self.columns
        if rows != columns:
            raise ArrayMismatch(
                f"{what}() is for a map of arrays of one shape; this one is from {columns} to {rows}"
            )


@dataclass(slots=True, eq=False, repr=False)
class Diagonal(Structured):
    """values on the diagonal: an array, or one number and the shape that it fills.

    >>> Diagonal(np.array([1.0, 2.0])).solve([3, 4])
    array([3., 2.])
    """

    values: Any
    filled: Sizes | None = None

    @property
    def rows(self) -> Sizes:
        return self.values.shape if self.filled is None else self.filled

    @property
    def columns(self) -> Sizes:
        return self.rows

    @property
    def dtype(self) -> Any:
        return np.result_type(self.values)

    @property
    def T(self) -> Diagonal:  # noqa: N802
        return self

    def _times(self, x: Array) -> Array:
        return x * np.reshape(self.values, (-1, 1))

    def _dense(self) -> Array:
        size = prod(self.rows)
        out = np.zeros((size, size), self.dtype)
        out.ravel()[:: size + 1] = np.ravel(self.values)
        return out.reshape(self.rows * 2)

    def _diagonal(self) -> Array:
        return np.array(self.values) if self.filled is None else np.full(self.rows, self.values)

    def _solved(self, b: Array) -> Array:
        if not np.all(self.values):
            raise singular("an entry of its diagonal is 0")
        return b / np.reshape(self.values, (-1, 1))


@dataclass(slots=True, eq=False, repr=False)
class Dense(Structured):
    """A matrix with no structure: an array whose first `split` axes are the rows."""

    array: Array
    split: int = 1

    @property
    def rows(self) -> Sizes:
        return self.array.shape[: self.split]

    @property
    def columns(self) -> Sizes:
        return self.array.shape[self.split :]

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def T(self) -> Dense:  # noqa: N802
        rank = self.array.ndim
        order = (*range(self.split, rank), *range(self.split))
        return Dense(self.array.transpose(order), rank - self.split)

    def _times(self, x: Array) -> Array:
        return self.array.reshape(self.shape) @ x

    def _dense(self) -> Array:
        return self.array.copy()

    def _diagonal(self) -> Array:
        return np.diagonal(self.array.reshape(self.shape)).reshape(self.rows).copy()

    def _solved(self, b: Array) -> Array:
        return inverse_times(self.array.reshape(self.shape), b)


@dataclass(slots=True, eq=False, repr=False)
class Blocks(Structured):
    """Blocks along the diagonal: an array with `batch` axes over the blocks, `split` of rows, then columns.

    >>> Blocks(np.ones((2, 1, 3))).todense().shape
    (2, 1, 2, 3)
    """

    array: Array
    batch: int = 1
    split: int = 1

    @property
    def rows(self) -> Sizes:
        return self.array.shape[: self.batch + self.split]

    @property
    def columns(self) -> Sizes:
        shape = self.array.shape
        return shape[: self.batch] + shape[self.batch + self.split :]

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def T(self) -> Blocks:  # noqa: N802
        start, end, rank = self.batch, self.batch + self.split, self.array.ndim
        order = (*range(start), *range(end, rank), *range(start, end))
        return Blocks(self.array.transpose(order), start, rank - end)

    def _matrices(self) -> Array:
        shape, end = self.array.shape, self.batch + self.split
        return self.array.reshape(prod(shape[: self.batch]), prod(shape[self.batch : end]), prod(shape[end:]))

    def _times(self, x: Array) -> Array:
        blocks = self._matrices()
        product = blocks @ x.reshape(len(blocks), blocks.shape[2], -1)
        return product.reshape(self.shape[0], x.shape[1])

    def _dense(self) -> Array:
        blocks = self._matrices()
        count, p, q = blocks.shape
        out = np.zeros((count, p, count, q), self.dtype)
        each = np.arange(count)
        out[each, :, each, :] = blocks
        return out.reshape(self.rows + self.columns)

    def _diagonal(self) -> Array:
        return np.diagonal(self._matrices(), axis1=1, axis2=2).reshape(self.rows).copy()

    def _solved(self, b: Array) -> Array:
        blocks = self._matrices()
        if blocks.shape[1] != blocks.shape[2]:
            raise singular("its blocks are not square")
        solved = inverse_times(blocks, b.reshape(len(blocks), blocks.shape[1], -1))
        return solved.reshape(b.shape)


@dataclass(slots=True, eq=False, repr=False)
class LowRank(Structured):
    """U C Vᵀ: the last axis of U and V is the rank; C is a matrix, or a number c for c I.

    With `batch` first axes of U and V it is block diagonal, and each block is of low rank.

    >>> LowRank(np.ones((2, 1)), np.ones((3, 1)), 5.0).todense()
    array([[5., 5., 5.],
           [5., 5., 5.]])
    """

    U: Array
    V: Array
    C: Any = 1.0
    batch: int = 0

    @property
    def rows(self) -> Sizes:
        return self.U.shape[:-1]

    @property
    def columns(self) -> Sizes:
        return self.V.shape[:-1]

    @property
    def dtype(self) -> Any:
        return np.result_type(self.U, self.V, self.C)

    @property
    def T(self) -> LowRank:  # noqa: N802
        return LowRank(self.V, self.U, np.transpose(self.C), self.batch)

    def factors(self) -> tuple[Array, Array, Array]:
        """U, V as (blocks, size, rank), and C as a matrix."""
        rank = self.U.shape[-1]
        count = prod(self.U.shape[: self.batch])
        inner = np.asarray(self.C, self.dtype)
        inner = inner if inner.ndim else inner * np.eye(rank, dtype=self.dtype)
        U = self.U.reshape(count, prod(self.U.shape[self.batch : -1]), rank)
        V = self.V.reshape(count, prod(self.V.shape[self.batch : -1]), rank)
        return U, V, inner

    def _times(self, x: Array) -> Array:
        U, V, C = self.factors()
        product = U @ (C @ (V.transpose(0, 2, 1) @ x.reshape(V.shape[0], V.shape[1], -1)))
        return cast(Array, product.reshape(self.shape[0], x.shape[1]))

    def _dense(self) -> Array:
        U, V, C = self.factors()
        lead = self.U.shape[: self.batch]
        blocks = (U @ C @ V.transpose(0, 2, 1)).reshape(
            *lead, *self.rows[self.batch :], *self.columns[self.batch :]
        )
        if not self.batch:
            return blocks
        return Blocks(blocks, self.batch, len(self.rows) - self.batch)._dense()

    def _diagonal(self) -> Array:
        U, V, C = self.factors()
        return cast(Array, ((U @ C) * V).sum(2).reshape(self.rows))

    def _solved(self, b: Array) -> Array:
        U, _, _ = self.factors()
        if U.shape[2] < U.shape[1]:
            raise singular(f"its rank is at most {U.shape[2]} in {U.shape[1]} rows")
        return Structured._solved(self, b)


def _as_columns(x: Array, shape: Sizes, what: str, result: Sizes) -> tuple[Array, Sizes]:
    """X as a matrix of columns, and the shape of what is returned for it."""
    size = prod(shape)
    if x.shape == shape:
        return x.reshape(size, 1), result
    if x.shape == (size,):
        return x.reshape(size, 1), (prod(result),)
    if x.ndim == 2 and len(x) == size:
        return x, (prod(result), x.shape[1])
    raise ArrayMismatch(
        f"an array of shape {x.shape} does not fit the {what} of this matrix",
        hint=f"it takes one of shape {shape}, a vector of {size}, or a matrix of {size} rows",
    )


def inverse_times(matrix: Array, b: Array) -> Array:
    """matrix⁻¹ b, also for stacks of them; raises DomainProblem where one is singular up to rounding.

    Rows and columns are first brought to one scale, so that matrices which are only badly scaled are not.
    """
    size = matrix.shape[-1]
    if not size or not np.isfinite(matrix).all():
        return _solution(matrix, b)
    left = _scale(matrix, -1)
    right = _scale(matrix * left, -2)
    scaled, b = matrix * left * right, b * left
    rounding = size * np.finfo(np.result_type(scaled, np.float32)).eps
    lengths = np.abs(scaled).sum(axis=-2).max(axis=-1)
    if scaled.ndim > 2:
        inverse = _solution(scaled, np.broadcast_to(np.eye(size, dtype=scaled.dtype), scaled.shape))
        if np.any(lengths * np.abs(inverse).sum(axis=-2).max(axis=-1) * rounding >= 1):
            raise singular("a block has no inverse up to rounding")
        return inverse @ b * right.swapaxes(-1, -2)
    from scipy.linalg import get_lapack_funcs

    getrf, gecon, getrs = get_lapack_funcs(("getrf", "gecon", "getrs"), (scaled, b))
    factors, pivots, failed = getrf(scaled)
    if failed or gecon(factors, lengths)[0] <= rounding:
        raise singular("it has no inverse up to rounding")
    return cast(Array, getrs(factors, pivots, b)[0] * right.T)


def _scale(matrix: Array, axis: int) -> Array:
    """Powers of 2 that bring the largest entries of rows or columns near to 1."""
    largest = np.abs(matrix).max(axis=axis, keepdims=True)
    if not largest.all():
        raise singular("a row or a column of it is 0")
    return cast(Array, np.ldexp(np.ones_like(largest), -np.frexp(largest)[1]))


def _solution(matrix: Array, b: Array) -> Array:
    try:
        return cast(Array, np.linalg.solve(matrix, b))
    except np.linalg.LinAlgError:
        raise singular("it has no inverse") from None


def singular(why: str) -> DomainProblem:
    """What is raised where there is no solution."""
    return DomainProblem(f"this matrix is singular: {why}", hint="no x solves M @ x = b for every b")
