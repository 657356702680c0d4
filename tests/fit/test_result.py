"""Results in files: read back to the same bits, and clear errors for what is no result."""

from __future__ import annotations

import io
import json
import signal
import threading
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from objectives import Rosenbrock, table

from chainrule.errors import FileProblem, OptionError
from chainrule.fit.result import READERS, Result
from chainrule.fit.run import run
from chainrule.fit.start import arrays_in


def made() -> Result:
    objective = table("squares")
    outcome = run(objective, "gd", np.zeros(5), rate=0.1, steps=7)
    return Result.of(
        outcome,
        objective.unpack(outcome.theta),
        method="gd",
        formula="mean((y − X @ w − b)**2)",
        shapes="X[N,n] w[n] b y[N]",
        names=("w[age]", "w[sex]", "w[bmi]", "w[bp]", "b"),
        labels={"w": ("age", "sex", "bmi", "bp"), "b": ()},
        rows=60,
        updates=("w ← w − η (2/N)Xᵀe",),
        baseline={"constant": 1 / 3},
        condition=float("inf"),
    )


def same(one: Result, other: Result) -> bool:
    """Whether two results agree in every bit, types and order too."""
    for part in fields(Result):
        a, b = getattr(one, part.name), getattr(other, part.name)
        if isinstance(a, dict):
            if list(a) != list(b) or type(b) is not dict:
                return False
            pairs = [(a[name], b[name]) for name in a]
        else:
            pairs = [(a, b)]
        for x, y in pairs:
            if isinstance(x, np.ndarray):
                if x.dtype != y.dtype or x.shape != y.shape or x.tobytes() != y.tobytes():
                    return False
            elif repr(x) != repr(y):
                return False
    return True


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_result_is_read_back_to_the_same_bits(suffix: str, tmp_path: Path) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    # In another order than that of the alphabet, which safetensors has.
    original = {name: np.asarray(array + 1) for name, array in made().params.items()}
    result = replace(made(), original=original, scaling={"z": np.ones((2, 1)), "X": np.ones((2, 4))})
    path = tmp_path / f"result{suffix}"
    result.save(path)
    again = Result.load(str(path))
    assert same(again, result)
    assert not same(again, replace(result, loss=np.nextafter(result.loss, 0)))
    assert again.versions["numpy"] == np.__version__
    again.save(path.with_name(f"again{suffix}"))
    assert path.with_name(f"again{suffix}").read_bytes() == path.read_bytes()
    start = arrays_in(path)
    assert sorted(start) == ["b", "w"]
    assert np.array_equal(start["w"], result.params["w"])


def test_the_path_of_two_parameters_is_kept(tmp_path: Path) -> None:
    outcome = run(Rosenbrock(2), "newton", np.zeros(2))
    result = Result.of(outcome, {"x": outcome.theta}, method="newton", formula="r'r")
    result.save(tmp_path / "r.npz")
    found = Result.load(tmp_path / "r.npz").path
    assert found is not None
    assert np.array_equal(found[-1], outcome.theta)


def test_every_part_of_a_result_is_written() -> None:
    assert {part.name for part in fields(Result)} == {
        *READERS,
        "params",
        "history",
        "path",
        "original",
        "scaling",
        "surface",
    }


def test_files_are_plain_npz_without_pickles(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    made().save(path)
    with np.load(path, allow_pickle=False) as file:
        assert file["params.w"].shape == (4,)
        assert json.loads(str(file["about"]))["formula"] == "mean((y − X @ w − b)**2)"


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_damaged_files_are_told(suffix: str, tmp_path: Path) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"r{suffix}"
    made().save(path)
    content = path.read_bytes()
    for wrong in (b"", b"PK", content[:-20], content[: len(content) // 3], content[:40], b"w,b\n1,2\n"):
        path.write_bytes(wrong)
        with pytest.raises(FileProblem, match=r"is empty|is damaged|neither an npz nor"):
            Result.load(path)
    path.unlink()
    with pytest.raises(FileProblem, match="there is no file"):
        Result.load(path)
    with pytest.raises(FileProblem, match="cannot be read"):
        Result.load(tmp_path)


def changed(path: Path, **changes: Any) -> None:
    """Changes parts of the text in an npz file; None takes them out."""
    with np.load(path) as file:
        arrays = dict(file)
    about = {**json.loads(str(arrays["about"])), **changes}
    taken = [name for name, part in changes.items() if part is None]
    arrays["about"] = np.array(json.dumps({name: about[name] for name in about if name not in taken}))
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "chainrule checkpoint"}, "holds no result of a fit"),
        ({"number": 1}, "is in format 1 of results, and this version reads 2"),
        ({"loss": None}, "is damaged: it lacks loss"),
        ({"loss": "small"}, "is damaged: 'small' is not of the type float"),
        ({"names": [1, 2]}, "is damaged: 1 is not of the type str"),
        ({"labels": []}, r"is damaged: \[\] is not of the type dict"),
        ({"order": ["w", "v"]}, r"is damaged: it lacks params\.v"),
    ],
)
def test_what_is_no_result_is_told(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    made().save(path)
    changed(path, **changes)
    with pytest.raises(FileProblem, match=message):
        Result.load(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    """An array of objects would be one; reading it is refused."""
    path = tmp_path / "r.npz"
    entry = io.BytesIO()
    np.lib.format.write_array(entry, np.array([{}], object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("params.w.npy", entry.getvalue())
    with pytest.raises(FileProblem, match="is damaged: Object arrays cannot be loaded"):
        Result.load(path)


def test_a_name_says_the_format(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="does not say in which format"):
        made().save(tmp_path / "result.pkl")
    with pytest.raises(FileProblem, match="cannot be written"):
        made().save(tmp_path / "none" / "result.npz")


def test_ctrl_c_waits_until_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's zipfile makes another error of an interruption that comes while it writes."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread only")
    path = tmp_path / "r.npz"
    right = np.lib.format.write_array
    # A shell starts what runs in the background with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(*given: Any, **options: Any) -> None:
        if given[1].shape == (4,):
            signal.raise_signal(signal.SIGINT)
        right(*given, **options)

    monkeypatch.setattr(np.lib.format, "write_array", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            made().save(path)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert same(Result.load(path), made())
