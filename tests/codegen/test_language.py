"""The examples of docs/language.md have the same values on JAX and PyTorch as on NumPy."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from chainrule.codegen.backends import BACKENDS
from chainrule.codegen.load import compile_expressions, source_of
from chainrule.errors import OptionError
from chainrule.language import parse_formula
from tests.backends import backend
from tests.language.test_documentation import LINES

jax, torch = backend("jax"), backend("torch")
jax.config.update("jax_enable_x64", True)
ARRAYS = {"jax": jax.numpy.asarray, "torch": torch.as_tensor}


@pytest.mark.parametrize(("line", "dialect"), LINES)
def test_example_has_one_value_on_all_backends(line: str, dialect: str) -> None:
    """The source as it stands, run operation by operation; examples with unknown functions have no value."""
    text, _, shapes = line.partition("#")
    shapes, _, functions = shapes.partition("|")
    formula = parse_formula(
        text, shapes.strip() or None, dialect=dialect, functions=functions.strip() or None
    )
    variables = list(formula.variables.values())
    if functions:
        with pytest.raises(OptionError, match="left unknown"):
            compile_expressions(formula.expr, variables)
        return
    plain = compile_expressions(formula.expr, variables, undefined=True)
    lengths = {name: 3 + k for k, name in enumerate(sorted(plain.sizes))}
    rng = np.random.default_rng(zlib.crc32(line.encode()))
    given: dict[str, Any] = {}
    for v in variables:
        shape = [dim.evaluate(lengths) for dim in v.shape]
        value = 0.2 + 0.6 * rng.random(shape)
        if len(shape) == 2 and shape[0] == shape[1]:
            value = value + value.T + 3 * np.eye(shape[0])
        bound = None if v.bound is None else v.bound.evaluate(lengths)
        given[v.name] = np.asarray(value) if bound is None else rng.integers(0, bound, shape)
    expected = plain(**given, **lengths)
    for name, array in ARRAYS.items():
        source = source_of({"": formula.expr}, variables, single=True, printer=BACKENDS[name].printer)
        space: dict[str, Any] = {}
        exec(source.text, space)
        arrays = [array(given[n]) for n in source.arrays]
        found = np.asarray(space[source.function](*arrays, *(lengths[n] for n in source.sizes)))
        assert found.shape == np.shape(expected) and np.isfinite(found).all()
        assert np.allclose(found, expected, rtol=1e-10, atol=1e-12), name
