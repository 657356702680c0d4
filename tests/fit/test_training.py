"""fit() and the command: labels, units, baselines, conditioning, what is held out, and the report."""

from __future__ import annotations

import io
import json
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.cli.main import main
from chainrule.errors import ChainruleError, OptionError
from chainrule.fit.baseline import CLOSED_FORM, CONSTANT
from chainrule.fit.progress import Bar
from chainrule.fit.result import Result
from chainrule.fit.session import Progress
from chainrule.fit.svg import bands

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "diabetes.csv")
RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3)) * [1, 10, 0.1] + [5, -20, 0]
Y = X @ [1.0, 0.2, -3.0] + 2 + RNG.normal(size=40)
NEURON = "mean((y - relu(X @ w + b))**2)"


def test_a_relu_neuron_on_diabetes() -> None:
    result = cr.fit(NEURON, data=EXAMPLE, let="y = target, X = rest", params="w,b", standardise="X")
    assert result.converged
    assert result.loss < 0.5 * result.baseline[CONSTANT]
    data = np.loadtxt(EXAMPLE, delimiter=",", skiprows=1)
    y = data[:, -1]
    assert result.baseline[CONSTANT] == pytest.approx(y.var(), rel=1e-9)
    # The parameters in the units of the data give the same loss by plain NumPy.
    predicted = np.maximum(data[:, :-1] @ result.original["w"] + result.original["b"], 0)
    assert np.mean((y - predicted) ** 2) == pytest.approx(result.loss, rel=1e-12)
    assert result.names[2] == "w[bmi]" and result.names[-1] == "b"
    assert result.rows == 442


def test_baselines() -> None:
    loss = "mean((y - X @ w - b)**2)"
    result = cr.fit(loss, data={"X": X, "y": Y}, method="gd", steps=3)
    assert not result.converged
    assert result.baseline[CONSTANT] == pytest.approx(Y.var())
    design = np.column_stack([X, np.ones(40)])
    least = np.mean((Y - design @ np.linalg.lstsq(design, Y, rcond=None)[0]) ** 2)
    assert result.baseline[CLOSED_FORM] == pytest.approx(least)
    # A bad start is no baseline.
    stuck = cr.fit(NEURON, data={"X": X, "y": Y}, init={"w": 0.0, "b": -1.0})
    assert "exactly zero at the start" in stuck.reason and "init=..." in stuck.hint
    assert stuck.baseline[CONSTANT] == pytest.approx(Y.var())


def test_conditioning_tells_what_the_data_leave_open() -> None:
    twice = np.column_stack([X, X[:, 0]])
    result = cr.fit("mean((y - A @ w)**2)", data={"A": twice, "y": Y})
    assert result.condition == np.inf
    assert "along 1 direction the loss does not change" in result.conditioning
    saddle = cr.fit(
        "sum(u) * (p*p - q*q)", ["p", "q"], {"u": Y}, init={"p": 1.0, "q": 0.0}, method="gd", rate=1e-3
    )
    assert "no minimum: the loss curves down along 1 direction" in saddle.conditioning


def test_rows_that_are_held_out_are_judged_but_not_fitted_to() -> None:
    result = cr.fit("mean((y - X @ w - b)**2)", data={"X": X, "y": Y}, split=0.25, seed=3)
    assert (result.rows, result.held_out) == (30, 10)
    again = cr.fit("mean((y - X @ w - b)**2)", data={"X": X, "y": Y}, split=0.25, seed=3)
    assert again.validation_loss == result.validation_loss
    total = np.mean((Y - X @ result.params["w"] - result.params["b"]) ** 2)
    assert result.validation_loss is not None
    assert 0.75 * result.loss + 0.25 * result.validation_loss == pytest.approx(total)


def test_what_needs_all_rows_is_said() -> None:
    loss, shapes = "mean((batchnorm(X @ A) @ v - y)**2)", "X[N,3] A[3,h] v[h] y[N]"
    result = cr.fit(loss, ["A", "v"], {"X": X, "y": Y}, shapes, sizes={"h": 2}, steps=3)
    assert result.separable.startswith("the loss needs all rows at once: ")
    assert "totals over rows" in cr.fit("sum((y - X @ w)**2)", data={"X": X, "y": Y}, steps=3).separable


def test_ctrl_c_keeps_the_best(tmp_path: Path) -> None:
    def press(progress: Progress) -> None:
        if progress.step == 5:
            raise KeyboardInterrupt

    how: dict[str, Any] = {"method": "gd", "rate": 1e-3, "steps": 20}
    data = {"X": X, "y": Y}
    result = cr.fit(NEURON, data=data, progress=press, checkpoint=tmp_path / "c", **how)
    assert result.reason.startswith("stopped by Ctrl-C") and result.steps == 5
    assert result.loss == result.history["loss"].min()
    resumed = cr.fit(NEURON, data=data, resume=tmp_path / "c", **how)
    whole = cr.fit(NEURON, data=data, **how)
    assert resumed.params["w"].tobytes() == whole.params["w"].tobytes()
    with pytest.raises(ChainruleError, match="data"):
        cr.fit(NEURON, data={"X": X + 1, "y": Y}, resume=tmp_path / "c", **how)


def test_structures_hold_and_are_said() -> None:
    result = cr.fit(
        "mean((y - X @ w)**2)", data={"X": X, "y": Y}, shapes="X[N,n] w[n]:positive y[N]", steps=50
    )
    assert (result.params["w"] > 0).all()
    assert any("exp(t)" in note for note in result.notes)


def test_two_structures_hold_together() -> None:
    A = np.array([[2.0, -1.0], [-1.0, 3.0]])
    result = cr.fit("sum((A - W)**2)", "W", {"A": A}, "A[n,n] W[n,n]:{symmetric, nonnegative}", seed=1)
    assert result.shapes == "A[n,n] W[n,n]:{nonnegative, symmetric}"
    np.testing.assert_allclose(result.params["W"], [[2.0, 0.0], [0.0, 3.0]], atol=1e-6)


def test_the_report_in_its_forms(tmp_path: Path) -> None:
    result = cr.fit(
        "mean((y - m*x - b)**2)", ["m", "b"], {"x": X[:, 0], "y": Y}, "x[N] y[N] m b", method="gd",
        rate=0.01, steps=30, standardise="x",
    )  # fmt: skip
    text = str(result)
    assert (
        "in the units of the data" in text and "loss by step" in text and result.reason.split(",")[0] in text
    )
    read = json.loads(result.to_json())
    assert read["params"]["m"] == float(result.params["m"])
    assert len(read["history"]["loss"]) == 31
    page = result.to_html()
    root = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    drawn = root.findall(".//{http://www.w3.org/2000/svg}svg")
    assert len(drawn) == 3
    # Every step of the path is marked on the surface.
    assert drawn[2].findall(".//*[@class='step']").__len__() == 31
    assert "<script" not in page and "http://" not in page.replace("http://www.w3.org/", "")
    assert result._repr_html_() in page
    result.save(tmp_path / "fit.npz")
    assert Result.load(tmp_path / "fit.npz").to_html() == page


def test_the_bands_of_a_surface() -> None:
    loss = np.array([[0.0, 1e-3], [1.0, np.nan]])
    assert bands(loss, 24).tolist() == [[0, 2], [23, 24]]


def test_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = cr.fit("mean((y - m*x)**2)", ["m"], {"x": X[:, 0], "y": Y}, "x[N] y[N] m", method="gd", steps=4)
    with pytest.raises(OptionError, match="ends otherwise"):
        result.plot(tmp_path / "fit.gif")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(OptionError, match="matplotlib") as raised:
        result.plot(tmp_path / "fit.png")
    assert "chainrule[plot]" in raised.value.hint and "the page in HTML" in raised.value.hint
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    result.plot(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").read_bytes()[:4] == b"\x89PNG"


def test_the_command_writes_files_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save, html = tmp_path / "fit.npz", tmp_path / "fit.html"
    with pytest.raises(SystemExit) as ended:
        main(
            ["fit", NEURON, "--data", EXAMPLE, "--let", "y = target, X = rest", "--params", "w,b",
             "--steps", "5", "--save", str(save), "--html", str(html), "--json"]
        )  # fmt: skip
    assert ended.value.code == 0
    read = json.loads(capsys.readouterr().out)
    assert (read["schema"], read["steps"], read["rows"]) == ("chainrule/fit", 5, 442)
    assert Result.load(save).params["b"] == read["params"]["b"]
    page = Result.load(save).to_html()
    assert html.read_text(encoding="utf-8") == page.replace("steps=10", "--steps 10")


def test_greek_letters_and_indices_are_names() -> None:
    loss = "mean((y - Φ @ β₁ - α)**2)"
    result = cr.fit(loss, ["β₁", "α"], {"Φ": X, "y": Y}, init={"α": 1.0}, shapes="Φ[N,n] β₁[n] α y[N]")
    assert list(result.params) == ["beta1", "alpha"]
    assert "β₁[0]" in str(result) and "α " in str(result)
    named = cr.fit("mean((η - Φ @ w)**2)", ["w"], EXAMPLE, let="η = target, Φ = bmi:s1", steps=2)
    assert named.names == ("w[bmi]", "w[bp]", "w[s1]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_for_terminals_only() -> None:
    for stream in (Terminal(), io.StringIO()):
        with Bar(10, stream) as bar:
            bar.watch(Progress(4, 2.5, 0.125, 0.1, np.zeros(2), True))
        shown = stream.getvalue()
        assert ("loss 2.5" in shown and "gradient 1.25e-01" in shown) == stream.isatty()
        assert bool(shown) == stream.isatty()


def test_ctrl_c_in_the_command_reports_and_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(bar: Bar, progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "watch", press)
    with pytest.raises(SystemExit) as ended:
        main(["fit", NEURON, "--data", EXAMPLE, "--let", "y = target, X = rest", "--params", "w,b"])
    assert ended.value.code == 130
    printed = capsys.readouterr().out
    assert "stopped by Ctrl-C after 3 steps" in printed and "w[bmi]" in printed


def test_newton_on_a_sphere_ends_at_the_minimum() -> None:
    # With w = t/‖t‖ the length of t drifts to 1e-75, where all that moves w looks flat beside b.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 3))
    y = x @ [1, -2, 0.5] + 0.7 + 0.1 * rng.standard_normal(80)
    common: dict[str, Any] = {"params": "w,b", "data": {"X": x, "y": y}, "shapes": "X[N,n] w[n]:unit b y[N]"}
    ends = [cr.fit("mean((y - X @ w - b)**2)", method=m, **common) for m in ("lbfgs", "newton")]
    assert all(end.converged for end in ends)
    assert ends[1].steps < 20
    assert ends[1].loss == pytest.approx(ends[0].loss, rel=1e-12)


def test_a_surface_without_a_finite_loss_is_drawn_without_a_warning(tmp_path: Path) -> None:
    x = RNG.normal(size=(10, 2))
    common: dict[str, Any] = {"params": "w", "data": {"X": x}, "method": "gd", "rate": 1e6, "steps": 5}
    result = cr.fit("mean(exp(X @ w)**9) - 1e9*sum(w)", **common)
    assert not np.isfinite(result.surface["loss"]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "diverged" in result.to_html()
        result.plot(tmp_path / "fit.png")


def test_a_name_with_a_line_break_stays_on_its_line() -> None:
    result = cr.fit("mean((y - X @ w)**2)", params="w", data={"y": Y, "a\nb": X[:, 0], "c": X[:, 1]},
                    let="y = y, X = rest")  # fmt: skip
    assert "  w[a b] " in str(result)


def test_ctrl_c_on_a_stream_takes_no_more_passes(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", X=X, y=Y)
    seen: list[int] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.step)
        if progress.step == 3:
            raise KeyboardInterrupt

    common: dict[str, Any] = {"params": "w,b", "data": str(tmp_path / "all.npz"), "progress": stop}
    for stream in (True, False):
        result = cr.fit(NEURON, stream=stream, **common)
        assert result.reason.startswith("stopped by Ctrl-C")
        assert (result.conditioning == "not computed: stopped by Ctrl-C") == stream
        assert bool(result.baseline) != stream


@pytest.mark.parametrize("stream", [False, True])
def test_categories_name_parameters_and_standardisation_is_undone(tmp_path: Path, stream: bool) -> None:
    """A softmax has the logits XW + c twice, in the logarithm of a sum and where the label picks one."""
    path = tmp_path / "kinds.csv"
    rng = np.random.default_rng(3)
    rows = [f"{a * 20 + 300:.6f},{b:.6f},{'low' if a < b else 'high'}" for a, b in rng.normal(size=(40, 2))]
    path.write_text("a,b,kind\n" + "\n".join(rows) + "\n")
    result = cr.fit(
        "cross_entropy(X @ W + c, y) + 0.1*sum(W**2)", ["W", "c"], path, "X[N,n] W[n,K] c[K] y[N]:integer(K)",
        let="y = kind, X = [a, b]", one_hot="kind", standardise="X", stream=stream,
    )  # fmt: skip
    assert result.names == ("W[a, high]", "W[a, low]", "W[b, high]", "W[b, low]", "c[high]", "c[low]")
    X = np.array([[float(cell) for cell in row.split(",")[:2]] for row in rows])
    mean, deviation = result.scaling["X"]
    logits = (X - mean) / deviation @ result.params["W"] + result.params["c"]
    np.testing.assert_allclose(X @ result.original["W"] + result.original["c"], logits, atol=1e-10)
