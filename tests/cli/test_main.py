"""The command line in-process: what is printed, exit statuses, and that no input ends in a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chainrule.cli.main import main
from chainrule.cli.terminal import prepare_streams
from chainrule.verify import compare

NEURON = ["mean((y - relu(X @ w + b))**2)", "--shapes", "X[N,n] w[n] b y[N]"]


class Result:
    """What a command printed and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return call


def feed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Pipe bytes into standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


# ---------------------------------------------------------------- answers


def test_text_has_formula_shapes_answer_gradient_and_check(run) -> None:
    result = run("derive", *NEURON, "--wrt", "w")
    assert result.status == 0 and result.err == ""
    for wanted in (
        "X: N × n    w: n    b: scalar    y: N",
        "(2/N) ((relu(z) − y) ⊙ 1[z > 0])ᵀ X",
        "1 × n, numerator layout",
        "(2/N) Xᵀ((relu(z) − y) ⊙ 1[z > 0])",
        "where z = Xw + b",
        "not differentiable where z = 0 in some entry; relu′(0) is taken as 0",
        "checked at 20 random points (complex step), largest relative error",
    ):
        assert wanted in result.out


def test_several_variables_share_names(run) -> None:
    out = run("derive", *NEURON, "--wrt", "w,b").out
    assert "∂f/∂w = " in out and "∂f/∂b = " in out
    assert out.count("where z = Xw + b") == 1 and out.count("checked") == 1


def test_json_follows_its_schema(run) -> None:
    content = json.loads(run("derive", *NEURON, "--wrt", "w", "--format", "json").out)
    assert (content["schema"], content["version"]) == ("chainrule/derivative", 1)
    assert content["derivatives"][0]["shape"] == ["n"]
    assert content["derivatives"][0]["layout_shape"] == [1, "n"]
    assert content["check"]["passed"] and content["check"]["points"] == 20


def test_documented_json_fields_are_the_real_ones(run) -> None:
    """The example in docs/json.md is what is printed, apart from rounding in the check."""
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    example = json.loads(page.split("```json\n")[1].split("```")[0])
    printed = json.loads(
        run(
            "derive",
            example["formula"]["source"],
            "--shapes",
            "A[m,n] x[n] b[m]",
            "--wrt",
            "x",
            "--format",
            "json",
        ).out
    )
    printed["check"]["largest_relative_error"] = example["check"]["largest_relative_error"]
    assert printed == example


def test_numpy_format_is_a_formula_with_the_same_derivative(run) -> None:
    source = run("derive", *NEURON, "--wrt", "w", "--format", "numpy").out
    again = run("equal", source, "(2/N)*((relu(X @ w + b) - y)*(X @ w + b > 0)) @ X", "--shapes", NEURON[2])
    assert again.status == 0


@pytest.mark.parametrize("form", ["latex", "markdown"])
def test_latex_and_markdown(run, form: str) -> None:
    out = run("derive", "x @ A @ x", "--shapes", "A[n,n] x[n]", "--wrt", "x", "--format", form).out
    assert r"^{\top}" in out or r"^\top" in out
    assert out.count("{") == out.count("}")


def test_value_at_a_point(run) -> None:
    out = run("derive", "[3*x**2*y, 2*x + y**8]", "--wrt", "[x, y]", "--at", "x=1,y=2").out
    assert "at x = 1, y = 2" in out and "= [6, 258]" in out and "[[12, 3], [2, 1024]]" in out


def test_value_at_a_point_from_a_file(run, tmp_path: Path) -> None:
    path = tmp_path / "point.npz"
    np.savez(path, A=np.eye(2), x=np.array([1.0, 2.0]))
    out = run("derive", "x @ A @ x", "--shapes", "A[n,n] x[n]", "--wrt", "x", "--at", str(path)).out
    assert "= 5" in out and "= [2, 4]" in out


def test_second_order(run) -> None:
    out = run("derive", "logsumexp(x)", "--shapes", "x[n]", "--wrt", "x", "--order", "2").out
    assert "∂²f/∂x² = diag(p) − ppᵀ" in out and "where p = softmax(x)" in out


def test_formula_from_a_file_and_from_standard_input(run, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "loss.txt"
    path.write_text("z = A @ x\nsum(z**2)\n", encoding="utf-8")
    wanted = run("derive", "z = A @ x; sum(z**2)", "--wrt", "x").out
    assert run("derive", str(path), "--wrt", "x").out == wanted
    assert run("derive", f"@{path}", "--wrt", "x").out == wanted
    feed(monkeypatch, path.read_bytes())
    assert run("derive", "-", "--wrt", "x").out == wanted


def test_a_formula_may_begin_with_a_minus(run) -> None:
    assert "= −2x" in run("derive", "-x**2", "--wrt", "x").out


def test_the_only_variable_needs_no_name(run) -> None:
    assert "= 2x" in run("derive", "x**2").out


def test_equal(run) -> None:
    same = run("equal", "tr(A @ B)", "tr(B @ A)", "--shapes", "A[m,n] B[n,m]")
    assert same.status == 0 and same.out.startswith("equal")
    different = run("equal", "x**2", "x**3")
    assert different.status == 1 and different.out.startswith("different: at x = ")
    assert run("equal", "sum(A @ x)", "A @ x").status == 1
    assert run("equal", "log(x**2)", "2*log(abs(x))").status == 0


def test_simplify(run) -> None:
    assert run("simplify", "inv(inv(A)) @ x + A @ x", "--shapes", "A[n,n] x[n]").out == "2Ax\n"
    assert run("simplify", "x + x", "--format", "numpy").out == "2 * x\n"


def test_help_has_examples_that_run(run) -> None:
    lines = run("derive", "--help").out.splitlines()
    examples = [
        line.strip() for line in lines if line.strip().startswith("chainrule derive") and "@loss" not in line
    ]
    assert len(examples) >= 4
    import shlex

    for example in examples:
        assert run(*shlex.split(example)[1:]).status == 0, example


def test_no_arguments_print_the_help(run) -> None:
    assert "derive" in run().out


# ---------------------------------------------------------------- mistakes

MISTAKES = {
    "unbalanced bracket": ["derive", "(x + 1", "--wrt", "x"],
    "closing bracket": ["derive", "x + 1)", "--wrt", "x"],
    "unknown function": ["derive", "sofmax(x)", "--shapes", "x[n]", "--wrt", "x"],
    "unknown variable in wrt": ["derive", "X @ weight", "--shapes", "X[N,n] weight[n]", "--wrt", "wieght"],
    "two shapes": ["derive", "x @ A", "--shapes", "x[n] x[m] A[n,n]", "--wrt", "x"],
    "matmul": ["derive", "A @ B", "--shapes", "A[m,n] B[p,q]", "--wrt", "A"],
    "sum of two sizes": ["derive", "a + b", "--shapes", "a[n] b[m]", "--wrt", "a"],
    "trace": ["derive", "tr(A)", "--shapes", "A[m,n]", "--wrt", "A"],
    "determinant": ["derive", "det(A)", "--shapes", "A[m,n]", "--wrt", "A"],
    "inverse": ["derive", "inv(A)", "--shapes", "A[m,n]", "--wrt", "A"],
    "empty": ["derive", "", "--wrt", "x"],
    "nested": ["derive", "(" * 10_000 + "x" + ")" * 10_000, "--wrt", "x"],
    "huge exponent": ["derive", "x**1e400", "--wrt", "x"],
    "division by zero": ["derive", "1/0", "--wrt", "x"],
    "a size in wrt": ["derive", "sum(x)", "--shapes", "x[n]", "--wrt", "n"],
    "size and variable": ["derive", "sum(x)*n", "--shapes", "x[n] n", "--wrt", "x"],
    "import": ["derive", "import os", "--wrt", "x"],
    "def": ["derive", "def f(x): return x", "--wrt", "x"],
    "dunder": ["derive", "__import__('os')", "--wrt", "x"],
    "attribute": ["derive", "x.foo", "--wrt", "x"],
    "complex number": ["derive", "(1 + 2j)*x", "--wrt", "x"],
    "hermitian": ["derive", "A.H @ A", "--wrt", "A"],
    "expectation": ["derive", "E[x**2]", "--wrt", "x"],
    "emoji": ["derive", "x🙂", "--wrt", "x"],
    "zero width": ["derive", "x + \u200by", "--wrt", "x"],
    "order 0": ["derive", "x**2", "--wrt", "x", "--order", "0"],
    "order -1": ["derive", "x**2", "--wrt", "x", "--order", "-1"],
    "order 9": ["derive", "x**2", "--wrt", "x", "--order", "9"],
    "order two": ["derive", "x**2", "--wrt", "x", "--order", "two"],
    "layout": ["derive", "x**2", "--wrt", "x", "--layout", "nume"],
    "format": ["derive", "x**2", "--wrt", "x", "--format", "tex"],
    "dialect": ["derive", "x**2", "--wrt", "x", "--dialect", "matlb"],
    "floor": ["derive", "floor(x)*x", "--wrt", "x"],
    "wrt twice": ["derive", "x*y", "--wrt", "x,x"],
    "wrt joint vector": ["derive", "x[0]", "--shapes", "x[n]", "--wrt", "[x]"],
    "point": ["derive", "x*y", "--wrt", "x", "--at", "x=1,,y"],
    "point value": ["derive", "x*y", "--wrt", "x", "--at", "x=a,y=1"],
}
NO_PLACE = {
    "command": ["derv", "x**2"],
    "option": ["derive", "x**2", "--shaps", "x"],
    "unquoted": ["derive", "x", "+", "1", "--wrt", "x"],
    "which variable": ["derive", "x*y"],
    "wrt nothing": ["derive", "x**2", "--wrt", ""],
    "missing file": ["derive", "@nowhere", "--wrt", "x"],
    "missing npz": ["derive", "x**2", "--wrt", "x", "--at", "nowhere.npz"],
    "missing array": ["derive", "x*y", "--wrt", "x", "--at", "x=1"],
    "wrong array": ["derive", "x @ x", "--shapes", "x[n]", "--wrt", "x", "--at", "x=3"],
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_placed_and_explained(run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.status == 2 and result.out == ""
    assert result.err.startswith("error: ") and "Traceback" not in result.err
    if arguments[1].strip():
        assert "^" in result.err or "~" in result.err, "no caret"
    lines = result.err.rstrip().splitlines()
    assert len(lines) <= 8 and all(line.strip() for line in lines), "one paragraph"


@pytest.mark.parametrize("arguments", NO_PLACE.values(), ids=NO_PLACE)
def test_other_mistakes_have_a_way_out(run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.status == 2 and result.out == ""
    assert result.err.startswith("error: ") and len(result.err.splitlines()) > 1


def test_nearest_words_are_offered(run) -> None:
    assert "did you mean derive?" in run("derv", "x").err
    assert "did you mean --shapes?" in run("derive", "x", "--shaps", "x").err
    assert "did you mean weight?" in run(*MISTAKES["unknown variable in wrt"]).err
    assert "did you mean softmax?" in run(*MISTAKES["unknown function"]).err
    assert "needs quotes" in run(*NO_PLACE["unquoted"]).err


def test_input_that_is_no_text(run, monkeypatch) -> None:
    feed(monkeypatch, b"x + \xff\xfe")
    assert "not UTF-8" in run("derive", "-", "--wrt", "x").err
    feed(monkeypatch, b"x + \x00y")
    assert "U+0000" in run("derive", "-", "--wrt", "x").err


def test_a_megabyte_is_refused_quickly(run, monkeypatch) -> None:
    feed(monkeypatch, b"x + " * 250_000 + b"x")
    assert "30,000" in run("derive", "-", "--wrt", "x").err


def test_files_that_are_no_points(run, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(b"no archive")
    assert run("derive", "x**2", "--wrt", "x", "--at", str(path)).status == 2
    np.savez(path, x=np.array([object()], dtype=object))
    assert run("derive", "x**2", "--wrt", "x", "--at", str(path)).status == 2


def test_a_failed_check_takes_the_place_of_the_answer(run, monkeypatch) -> None:
    honest = compare.check_derivative

    def broken(formula, chain, *rest, **more):
        return honest(formula, [2 * chain[0]], *rest, **{**more, "same": []})

    monkeypatch.setattr(compare, "check_derivative", broken)
    for form in ("text", "latex", "numpy", "json", "markdown"):
        result = run("derive", "x**2", "--wrt", "x", "--format", form)
        assert result.status == 1
        assert (
            result.out.startswith("no answer: ")
            and "FAILED the check" in result.out
            and "2x" not in result.out
        )


def test_a_fault_of_the_program_is_called_one(run, monkeypatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise AssertionError("two labels")

    monkeypatch.setattr("chainrule.api.deriving.parse_targets", fails)
    result = run("derive", "x**2")
    assert result.status == 70 and "chainrule itself failed" in result.err and "two labels" in result.err


def test_an_interrupt_ends_quietly(run, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.api.deriving.parse_targets", interrupted)
    result = run("derive", "x**2")
    assert (result.status, result.out, result.err) == (130, "", "")


# ---------------------------------------------------------------- terminals and pipes


def in_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from chainrule.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, timeout=60)


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    result = in_process("derive", "norm(A @ x - b)**2 / lambda", "--wrt", "x", PYTHONIOENCODING="ascii")
    assert result.returncode == 0 and result.stderr == b""
    text = result.stdout.decode("ascii")
    assert "df/dx" in text and "lam" in text and "\\u" not in text
    assert in_process("derive", "x🙂", PYTHONIOENCODING="ascii").returncode == 2


def test_a_closed_pipe_ends_quietly() -> None:
    script = "from chainrule.cli.main import main; main()"
    command = f'"{sys.executable}" -c "{script}" derive --help | head -c 1'
    result = subprocess.run(command, shell=True, capture_output=True, timeout=60)
    assert result.stderr == b""


def test_colour_is_for_terminals_only(run, monkeypatch) -> None:
    assert "\x1b" not in run("derive", "x**2").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in run("derive", "x**2").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("derive", "x**2").out


def test_plain_letters_keep_the_meaning() -> None:
    prepare_streams()
    shown = "X⁻ᵀ xᵀ(A + Aᵀ)⁻¹ ŵ x̂ λ w₁ ∂C/∂w = −2‖Ax − b‖² xᵢ eⁿ⁻¹ δᵢⱼ 𝟏 ☃".encode(
        "ascii", "chainrule"
    ).decode()
    assert (
        shown
        == "X^-T x'(A + A')^-1 w_hat x_hat lam w1 dC/dw = -2||Ax - b||^2 x_i e^(n-1) delta_i_j 1 \\u2603"
    )


def test_standard_input_that_is_a_terminal(run, monkeypatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert run("derive", "-", "--wrt", "x").status == 2


@pytest.mark.parametrize(("form", "mark"), [("numpy", "#"), ("latex", "%")])
def test_values_at_a_point_stand_in_comments_behind_a_formula(run, form: str, mark: str) -> None:
    result = run("derive", "x**2", "--wrt", "x", "--at", "x=3", "--format", form)
    assert result.out.splitlines()[1:] == [f"{mark} at x = 3", f"{mark}   f = 9", f"{mark}   ∂f/∂x = 6"]


@pytest.mark.parametrize("kind", ["markdown", "latex", "html", "json"])
def test_explain_prints_every_format(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", "w * x", "--shapes", "w[n] x[n]", "--wrt", "x", "--format", kind])
    printed = capsys.readouterr().out
    assert not ended.value.code
    starts = {"markdown": "$$\n", "latex": r"\begin{align*}", "html": "<!DOCTYPE html>", "json": "{\n"}
    assert printed.startswith(starts[kind])
    if kind == "json":
        assert json.loads(printed)["derivations"][0]["check"]["passed"]


INTERRUPTED = """
import os, signal, sys

module = sys.argv.pop(1)


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)


signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
from chainrule.__main__ import main

main()
"""


@pytest.mark.parametrize(
    "module", ["chainrule.cli.fitting", "numpy._core.multiarray", "pyarrow.csv", "scipy.optimize._lbfgsb_py"]
)
def test_ctrl_c_while_a_library_is_loaded_ends_quietly(module: str, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\n0,1\n1,3\n2,6\n")
    asked = ["fit", "mean((y - w*x)**2)", "--data", "d.csv", "--params", "w", "--json"]
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module, *asked], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (130, b"")
