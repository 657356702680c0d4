"""What is long or deep is answered or refused within seconds, never with a traceback."""

from __future__ import annotations

import time

import pytest

from chainrule.errors import ChainruleError
from chainrule.language import parse_formula
from chainrule.language.limits import MAX_NESTING

TEXTS = {
    "a megabyte": ("+".join(["x"] * 500_000), "x", "numpy"),
    "10,000 brackets": ("(" * 10_000 + "x" + ")" * 10_000, "x", "numpy"),
    "10,000 lists": ("[" * 10_000 + "x" + "]" * 10_000, "x", "numpy"),
    "10,000 bars": ("‖" * 10_000, "x", "numpy"),
    "a long sum": ("+".join(["x"] * 20_000), "x[n]", "numpy"),
    "a long product": ("*".join(["x"] * 20_000), "x[n]", "numpy"),
    "a long chain": (" @ ".join(["A"] * 20_000), "A[n,n]", "numpy"),
    "powers of powers": ("**".join(["x"] * 20_000), "x", "numpy"),
    "many signs": ("-" * 20_000 + "x", "x", "numpy"),
    "many primes": ("x" + "'" * 20_000, "x[n]", "matlab"),
    "many transposes": ("x" + ".T" * 20_000, "x[n]", "numpy"),
    "a long superscript": ("x" + "²" * 20_000, "x", "numpy"),
    "a long name": ("x" * 90_000, "x", "numpy"),
    "a long number": ("1" * 90_000, "x", "numpy"),
    "many runs": (" + ".join(["Xw"] * 5_000), "X[N,n] w[n]", "numpy"),
    "many names": (" + ".join(f"x{i}" for i in range(5_000)), None, "numpy"),
    "undeclared, no reading": ("+".join(f"a{i} @ b{i}" for i in range(500)), None, "numpy"),
    "many ones": ("+".join(["𝟏"] * 3_000) + " + x", "x[n]", "numpy"),
    "many indices": ("y_i = " + " + ".join(["A_ij x_j"] * 2_000), "A[n,n] x[n]", "numpy"),
    "many statements": (
        "; ".join(f"x{i} = sin(x{i - 1})" for i in range(1, 3_000)) + "; x2999",
        "x0",
        "numpy",
    ),
    "a growing number": ("*".join(["1.1"] * 20_000), "x", "numpy"),
    "a growing size": ("x", "x[" + "*".join(["(n + m + k)"] * 400) + "]", "numpy"),
    "a growing polynomial": ("(" + "*".join(["(n + m)"] * 2_000) + " + 1)*x", "x[n,m]", "numpy"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_is_answered_or_refused_in_time(name: str) -> None:
    text, shapes, dialect = TEXTS[name]
    begin = time.perf_counter()
    try:
        parse_formula(text, shapes, dialect=dialect)
    except ChainruleError as problem:
        assert len(str(problem)) < 1_000
    assert time.perf_counter() - begin < 30, "two seconds on an idle machine"


def test_nesting_below_the_limit_is_read() -> None:
    deep = MAX_NESTING - 1
    formula = parse_formula("sin(" * deep + "x" + ")" * deep, "x")
    assert formula.expr.shape == ()
    assert parse_formula("(" * deep + "x" + ")" * deep, "x").expr is formula.variables["x"]
