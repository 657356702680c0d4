"""Imports point downwards, and printing a derivative loads none of the heavy packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "chainrule"
LAYERS = [
    "errors",
    "expr",
    "steps",
    "rules",
    "language derive simplify trace",
    "notation",
    "codegen",
    "verify",
    "explain draw",
    "grade fit",
    "api",
    "cli web",
]
RANK = {room: i for i, layer in enumerate(LAYERS) for room in layer.split()}
# The rooms where numbers are computed; everywhere else these packages are imported nowhere.
NUMERIC = {
    "numpy": {"codegen", "verify", "fit", "api", "cli"},
    "scipy": {"rules", "codegen", "verify", "fit"},
    "rich": {"fit", "cli"},
}
NEVER = {"sympy", "jax", "torch", "mpmath", "hypothesis", "pytest"}


def violations(room: str, source: str) -> list[str]:
    """What is wrong with the imports of a file of that room."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [node.module or ""]
            if node.module == "chainrule":
                names = [f"chainrule.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top == "chainrule" and other not in RANK:
                if RANK[room] <= RANK["api"]:
                    found.append(f"{room} imports the public names of the package ({name})")
            elif top == "chainrule" and other != room and RANK[other] >= RANK[room]:
                found.append(f"{room} imports {other}, which is not below it")
            elif top in NEVER or room not in NUMERIC.get(top, {room}):
                found.append(f"{room} imports {top}")
    return found


FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("name", [f for f in FILES if f not in ("__init__.py", "__main__.py")])
def test_imports_point_downwards(name: str) -> None:
    room = name.split("/")[0].removesuffix(".py")
    assert room in RANK, f"{name} is in no room"
    assert violations(room, (SOURCE / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("expr", "from chainrule.rules.table import ROWS"),
        ("language", "from chainrule.simplify import simplify"),
        ("rules", "import chainrule.api"),
        ("notation", "def f():\n    from chainrule.verify.compare import check_derivative"),
        ("simplify", "from chainrule import derive"),
        ("derive", "import numpy as np"),
        ("verify", "import sympy"),
    ],
)
def test_a_planted_violation_is_found(room: str, line: str) -> None:
    assert len(violations(room, line)) == 1


def test_a_downward_import_is_none() -> None:
    assert violations("api", "from chainrule.expr.nodes import Expr\nimport json") == []


def loaded_after(code: str) -> set[str]:
    """The top-level packages that a fresh process has loaded after running the code."""
    script = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


HEAVY = {"numpy", "scipy", "rich", "sympy", "jax"}


def test_deriving_and_printing_the_formula_loads_no_numeric_package() -> None:
    code = """
import chainrule as cr
d = cr.derive("mean((y - relu(X @ w + b))**2)", wrt="w", shapes="X[N,n] w[n] b y[N]")
d.latex, d.numpy_source, d.shape, d.expression, d.formula
"""
    assert loaded_after(code) & HEAVY == set()


def test_deriving_and_checking_loads_neither_explanations_nor_pictures() -> None:
    code = """
import sys
import chainrule as cr
UNNEEDED = "chainrule.explain.build", "chainrule.draw", "chainrule.grade", "chainrule.fit"
cr.derive("x @ A @ x", wrt="x", shapes="A[n,n] x[n]").check()
assert "chainrule.verify.compare" in sys.modules
rooms = [name for name in sys.modules if name.startswith(UNNEEDED)]
assert not rooms, rooms
"""
    assert "numpy" in loaded_after(code)


def test_help_loads_no_numeric_package() -> None:
    code = """
import contextlib, io
from chainrule.cli.main import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["--help"])
"""
    assert loaded_after(code) & HEAVY == set()
