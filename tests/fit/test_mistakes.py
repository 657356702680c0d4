"""Mistakes in a call of fit(): each is told with a way out, before any work."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DataProblem, OptionError, ShapeMismatch, UnknownName
from chainrule.fit.files import known_suffix

LOSS = "mean((y - X @ w - b)**2)"
RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 2))
Y = X @ [1.0, 2] + 0.5


def fit(loss: str = LOSS, **given: Any) -> Any:
    return cr.fit(loss, **{"params": "w,b", "data": {"X": X, "y": Y}, **given})


@pytest.mark.parametrize(
    "given",
    [
        {"init": 0}, {"init": [1, 2]}, {"init": "w=zero"}, {"method": "adam", "betas": 0.9},
        {"method": "adam", "betas": (0.9,)}, {"progress": 3}, {"checkpoint": 3}, {"resume": 3}, {"sizes": 3},
        {"let": 3}, {"let": {"y": "target"}}, {"one_hot": 3}, {"standardise": 3}, {"params": 3},
        {"split": "0.2"}, {"scheduler": 3},
    ],
    ids=str,
)  # fmt: skip
def test_an_argument_of_another_kind_is_told(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as problem:
        fit(**given)
    assert next(reversed(given)) in problem.value.message or "start of w" in problem.value.message
    assert problem.value.hint


def test_a_start_is_written_as_in_the_shell() -> None:
    assert fit(init="w=0.5, b=1").history["loss"][0] == pytest.approx(np.mean((Y - X @ [0.5, 0.5] - 1) ** 2))


def test_a_share_that_is_none_names_its_option() -> None:
    with pytest.raises(OptionError) as problem:
        fit(split=2)
    assert "split=0.2" in problem.value.hint


def test_a_parameter_for_each_row_has_to_be_declared() -> None:
    with pytest.raises(ShapeMismatch) as problem:
        fit(data={"X": X[:, 0], "y": Y})
    assert "X[N,n]" in problem.value.hint and "w[N]" in problem.value.hint
    assert fit(data={"X": X[:, 0], "y": Y}, shapes="X[N,n]").params["w"].shape == (1,)
    smooth = "mean((y - u)**2) + norm(u)**2"
    with pytest.raises(ShapeMismatch) as problem:
        fit(smooth, params="u", data={"y": Y})
    assert "X" not in problem.value.hint
    assert fit(smooth, params="u", data={"y": Y}, shapes="u[N] y[N]").params["u"].shape == (20,)


def test_a_column_is_not_spread_over_all_pairs_of_rows() -> None:
    with pytest.raises(ShapeMismatch) as problem:
        fit(data={"X": X, "y": Y[:, None]})
    assert "N×N" in problem.value.message and "y.ravel()" in problem.value.hint
    # Where it is written, it is meant; and one column of X is nothing of the kind.
    assert fit(data={"X": X, "y": Y[:, None]}, shapes="y[N,1]", steps=1).steps == 1
    assert fit("mean((y - X @ w - (y - X @ w)[:, None])**2)", params="w", steps=1).steps == 1
    assert fit(data={"X": X[:, :1], "y": Y}).converged


def test_a_binding_that_the_loss_lacks_is_told() -> None:
    table = {"a": X[:, 0], "c": X[:, 1], "target": Y}
    for let in ("y = target, X = rest, Z = c", "y = target, X = rest, lam = 0.1"):
        with pytest.raises(UnknownName) as problem:
            fit(data=table, let=let)
        assert problem.value.spans
    assert fit(data=table, let="y = target, X = rest").names == ("w[a]", "w[c]", "b")


def test_a_package_that_saving_needs_is_missed_before_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError) as problem:
        known_suffix(Path("fit.safetensors"))
    assert "chainrule[safetensors]" in problem.value.hint


def test_frames_in_a_mapping_keep_the_names_of_their_columns() -> None:
    pandas = importlib.import_module("pandas")
    frame = pandas.DataFrame({"age": X[:, 0], "body mass": X[:, 1]})
    result = fit(data={"X": frame, "y": pandas.Series(Y)}, standardise="age")
    assert result.names == ("w[age]", "w[body mass]", "b")
    assert result.original["w"] == pytest.approx([1, 2])
    # Numbers name nothing, and a column called like another array would not be told from it.
    assert fit(data={"X": pandas.DataFrame(X), "y": Y}).names == ("w[0]", "w[1]", "b")
    assert fit(data={"X": frame.rename(columns={"age": "y"}), "y": Y}).names == ("w[0]", "w[1]", "b")


def test_hints_are_about_what_was_asked() -> None:
    assert "or none" in fit(method="gd", rate=50).hint
    exact = fit(method="gd", tolerance=0, steps=3000)
    assert exact.reason.startswith("no progress") and exact.hint == ""


def test_tables_that_are_not_what_they_seem_say_so(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(",a,y\n0,1,3\n1,4,6.5\n2,7,1\n3,2,2\n")
    assert "c0 has no name in the data" in fit(data=path, let="y = y, X = rest").notes
    assert "c0 has no name in the data" not in fit(data=path, let="y = y, X = [a]").notes
    path.write_text("a b y\n1 2 3\n4 5 6.5\n")
    with pytest.raises(DataProblem) as problem:
        fit(data=path, let="y = y, X = rest")
    assert "the only column is a b y; , ; tab or | separate" in problem.value.hint
    path.write_text('a,y\n"1,000",2\n3,4\n')
    with pytest.raises(DataProblem) as problem:
        fit(data=path, let="y = y, X = [a]")
    assert "thousands without a comma" in problem.value.hint
