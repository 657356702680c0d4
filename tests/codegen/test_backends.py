"""Each backend computes what NumPy computes: every row, its derivative, and whole losses."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.codegen.backends import BACKENDS
from chainrule.codegen.source import write_source
from chainrule.derive import jacobians
from chainrule.expr.nodes import Variable
from chainrule.rules import Row
from chainrule.simplify import normalise
from chainrule.verify.reference import evaluate
from tests.backends import backend
from tests.rules.test_every_row import ROWS_AND_BATCHES, SIZES, derivable, node_of, values_of

jax = backend("jax")
jax.config.update("jax_enable_x64", True)
ARRAYS = {"jax": jax.numpy.asarray}


# expm takes JAX seconds each time: once without a batch, and once with two directions, shows its helper.
SLOW = ("expm", "expm_frechet", "expm_frechet3")
CASES = [(row, batch) for row, batch in ROWS_AND_BATCHES if row.name not in SLOW or not batch]


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(("row", "batch"), CASES, ids=str)
def test_every_row_and_its_derivative(row: Row, batch: bool, name: str) -> None:
    """The source as it stands, run operation by operation, which compiles nothing anew for each row."""
    node = node_of(row, batch)
    values = values_of(node)
    outputs = {"value": node}
    if derivable(row) and row.name != "stop" and row.name not in SLOW[1:]:
        derivatives = jacobians(node, node.arguments)
        outputs |= {v.name: normalise(d) for v, d in derivatives.items() if isinstance(v, Variable)}
    source = write_source(outputs, [], printer=BACKENDS[name].printer)
    assert "np." not in source.text.replace("jnp.", "")
    space: dict[str, object] = {}
    exec(source.text, space)
    arrays = [ARRAYS[name](values[v]) for v in source.arrays]
    found = space["derivative"](*arrays, *(SIZES[d] for d in source.sizes))  # type: ignore[operator]
    for key, expr in outputs.items():
        expected = evaluate(expr, values, SIZES)
        assert np.shape(found[key]) == expected.shape
        assert np.allclose(found[key], expected, rtol=1e-10, atol=1e-12)
