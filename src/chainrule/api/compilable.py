"""What is printed can be compiled too: a derivative, or a mapping of them, as a function or its source."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

from chainrule.api.compiling import ValueAndDerivatives, compiled, with_value, written_for
from chainrule.api.printable import Printable
from chainrule.api.sizes import Sizes

if TYPE_CHECKING:
    from chainrule.codegen.compiled import CompiledFunction

Kept = TypeVar("Kept")


class Compilable(Printable, Generic[Kept]):
    """One derivative, or a mapping of them; its parameter is what `compile(structured=True)` gives."""

    def source(self, backend: str = "numpy", *, sizes: Sizes = None) -> str:
        """The source of what `compile` gives, for numpy, numba, jax or torch; no library is needed for it.

        >>> from chainrule import derive
        >>> d = derive("sum(exp(A @ x))", wrt="x", shapes="A[m,n] x[n]")
        >>> print(d.source("jax").splitlines()[-1].strip())
        return jnp.exp(A @ x) @ A
        """
        return written_for(backend, self, sizes)

    @overload
    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: Literal[False] = False,
        sizes: Sizes = None,
    ) -> CompiledFunction: ...

    @overload
    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: Literal[True],
        sizes: Sizes = None,
    ) -> Kept: ...

    def compile(
        self,
        check_finite: bool = False,
        *,
        backend: str = "numpy",
        memory: str = "",
        parallel: bool = False,
        structured: bool = False,
        sizes: Sizes = None,
    ) -> CompiledFunction | Kept:
        """A function of the variables by keyword; axes of its result: output axes, then input axes.

        Of several derivatives it returns a dict of arrays with their keys.

        `backend` is the library that it computes with: numpy, numba, jax or torch. `check_finite` makes NaN
        and infinity in the input an error, with NumPy. `memory` "low" adds up sums over rows in small blocks.
        `parallel` runs the loops of the numba backend on several cores. `structured`: the function returns a
        matrix that is kept by its structure (diagonal, Kronecker, low rank, sums), with @, T, solve, todense.
        `sizes`, {"N": 1000} or "N=1000", is what the order of products is chosen for, and whether long arrays
        are gone through in parts; others work as well.

        >>> from chainrule import derive
        >>> f = derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]").compile()
        >>> f(A=[[1, 2], [3, 4]], x=[1, 1])
        array([ 7., 13.])
        >>> derive("x**2 * y", wrt="x,y").compile()(x=3, y=2)
        {'x': np.float64(12.0), 'y': np.float64(9.0)}
        """
        if structured:
            return self._compile_structured(check_finite, backend, memory, parallel, sizes)
        return compiled(
            self, sizes, check_finite=check_finite, backend=backend, memory=memory, parallel=parallel
        )

    def value_and_derivatives(self, *, backend: str = "numpy", sizes: Sizes = None) -> ValueAndDerivatives:
        """A function that returns the value of the formula and the derivative (several: a dict of them).

        What they share is computed once.

        >>> from chainrule import derive
        >>> f = derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]").value_and_derivatives()
        >>> f(A=[[1, 2], [3, 4]], x=[1, 1])
        (np.float64(10.0), array([ 7., 13.]))
        """
        return with_value(self, backend, sizes)

    @abstractmethod
    def _compile_structured(
        self, check_finite: bool, backend: str, memory: str, parallel: bool, sizes: Sizes
    ) -> Kept:
        """`compile` with matrices kept by their structure."""
