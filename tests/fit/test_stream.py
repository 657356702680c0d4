"""Chunks of rows are the rows that `design` gives, whatever the format and the size of the chunks."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.errors import ChainruleError, DataProblem
from chainrule.expr.nodes import Variable
from chainrule.fit import feeds, sections, text_files
from chainrule.fit.design import design
from chainrule.fit.stream import Chunks, stream
from chainrule.language.declarations import parse_declarations

ROWS = 500


def variables(text: str = "X[N,n] y[N]") -> dict[str, Variable]:
    return dict(parse_declarations(text).variables)


def gathered(chunks: Chunks) -> dict[str, np.ndarray]:
    """All chunks, copied, one below the other."""
    found: dict[str, list[np.ndarray]] = {}
    for chunk in chunks:
        for name, array in chunk.items():
            assert array.flags.c_contiguous
            found.setdefault(name, []).append(array.copy())
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def threads() -> int:
    return sum(thread.name == "chainrule reads" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert threads() == 0


def made(kind: str, folder: Path) -> tuple[Any, str]:
    """The same 500 rows of five columns in a format, and the let for it."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((ROWS, 4)), rng.integers(0, 3, ROWS).astype(float)
    named, joined = "y = y, X = a:d", np.column_stack([X, y])
    columns = {**dict(zip("abcd", X.T, strict=True)), "y": y}
    if kind == "npy by variable":
        np.save(folder / "X.npy", X)
        np.save(folder / "y.npy", y)
        return [folder / "X.npy", folder / "y.npy"], "y = y, X = X"
    if kind == "npy of columns":
        np.save(folder / "data.npy", joined)
        return folder / "data.npy", "y = c4, X = rest"
    if kind == "npy stored by column":
        np.save(folder / "data.npy", np.asfortranarray(joined))
        return folder / "data.npy", "y = c4, X = rest"
    if kind == "npy in parts":
        for k, part in enumerate(np.array_split(joined, 3)):
            np.save(folder / f"data-{k}.npy", part.astype(">f8"))
        return str(folder / "data-*.npy"), "y = c4, X = c0:c3"
    if kind.startswith("npz"):
        save = np.savez if kind == "npz" else np.savez_compressed
        save(folder / "data.npz", X=X, y=y)
        return folder / "data.npz", "y = y, X = X"
    if kind == "csv":
        lines = [",".join(columns), *(",".join(map(repr, row)) for row in joined.tolist())]
        (folder / "data.csv").write_text("\n".join(lines))
        return folder / "data.csv", named
    if kind == "arrays":
        return {"X": X, "y": y}, "y = y, X = X"
    pa = pytest.importorskip("pyarrow")
    if kind == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table(columns), folder / "data.parquet", row_group_size=120)
        return folder / "data.parquet", named
    ipc = pytest.importorskip("pyarrow.ipc")
    with ipc.new_file(str(folder / "data.arrow"), pa.table(columns).schema) as sink:
        sink.write_table(pa.table(columns), max_chunksize=70)
    return folder / "data.arrow", named


KINDS = [
    *("npy by variable", "npy of columns", "npy stored by column", "npy in parts", "npz", "npz compressed"),
    *("csv", "parquet", "arrow", "arrays"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_are_the_rows_that_design_gives(kind: str, tmp_path: Path) -> None:
    data, let = made(kind, tmp_path)
    for options in ({}, {"standardise": ["X"]}):
        whole = design(data, let, variables(), **options)
        found = stream(data, let, variables(), chunk=40 * 37, **options)
        assert found.labels == whole.labels and found.chunks.capacity == 37
        for _ in range(2):
            rows = gathered(found.chunks)
            np.testing.assert_allclose(rows["X"], whole.arrays["X"], rtol=0, atol=1e-13 if options else 0)
            np.testing.assert_array_equal(rows["y"], whole.arrays["y"])
        assert found.chunks.rows == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_are_cut_and_pickled(kind: str, tmp_path: Path) -> None:
    data, let = made(kind, tmp_path)
    whole = stream(data, let, variables(), chunk=1000, standardise=["X"], validation=0.3, seed=5)
    for chunks in (whole.chunks, whole.validation):
        assert chunks is not None
        pieces = [gathered(pickle.loads(pickle.dumps(piece))) for piece in chunks.cut(3)]
        assert 1 <= len(pieces) <= 3
        for name, array in gathered(chunks).items():
            np.testing.assert_array_equal(np.concatenate([piece[name] for piece in pieces]), array)


def test_the_rows_held_out_are_the_same_in_chunks_of_any_size(tmp_path: Path) -> None:
    data, let = made("npy by variable", tmp_path)
    found = [stream(data, let, variables(), chunk=c, validation=0.2, seed=1) for c in (100, 4000, 1 << 20)]
    held = [gathered(f.validation)["X"] for f in found if f.validation]
    fitted = [gathered(f.chunks)["X"] for f in found]
    for other in (1, 2):
        np.testing.assert_array_equal(held[other], held[0])
        np.testing.assert_array_equal(fitted[other], fitted[0])
    assert len(held[0]) + len(fitted[0]) == ROWS and 60 < len(held[0]) < 140


def test_texts_and_integers_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    cities = ["Rome", "Oslo", "Bern"]
    path.write_text("city,k\n" + "".join(f"{cities[i % 3]},{i % 5}\n" for i in range(50)))
    shapes = variables("X[N,n] k[N]:integer(K)")
    found = stream(path, "X = [city], k = k", shapes, one_hot=["city"], chunk=200)
    rows = gathered(found.chunks)
    assert found.labels["X"] == ("city=Bern", "city=Oslo", "city=Rome") and found.sizes == {"K": 5}
    assert rows["k"].dtype == np.int64 and rows["k"][:6].tolist() == [0, 1, 2, 3, 4, 0]
    assert rows["X"][:3].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, let = made("csv", tmp_path)
    known = gathered(stream(data, let, variables(), chunk=1000).chunks)
    monkeypatch.setattr(text_files, "optional", lambda name: None)
    for name, array in gathered(stream(data, let, variables(), chunk=1000).chunks).items():
        np.testing.assert_array_equal(array, known[name])


def test_a_loop_that_is_left_early_ends_the_thread(tmp_path: Path) -> None:
    data, let = made("npy by variable", tmp_path)
    chunks = stream(data, let, variables(), chunk=1000).chunks
    for chunk in chunks:
        assert len(chunk["X"]) == 25
        break
    assert threads() == 0
    one = iter(chunks)
    first = next(one)["X"].copy()
    other = gathered(chunks)["X"]  # a second pass while the first goes on has buffers of its own
    np.testing.assert_array_equal(other[:25], first)
    np.testing.assert_array_equal(next(one)["X"], other[25:50])
    one.close()  # type: ignore[attr-defined]
    assert threads() == 0


def test_the_buffers_are_kept(tmp_path: Path) -> None:
    data, let = made("npy by variable", tmp_path)
    chunks = stream(data, let, variables(), chunk=1000).chunks
    seen = {chunk["X"].__array_interface__["data"][0] for _ in range(2) for chunk in chunks}
    assert len(seen) == 2


def test_missing_values_in_chunks(tmp_path: Path) -> None:
    X = np.arange(60.0).reshape(20, 3)
    X[13, 1] = np.nan
    X[17, 0] = np.nan
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(DataProblem, match=r"X.npy, row 13: c1 has no value"):
        gathered(stream(tmp_path / "X.npy", "X = rest", variables("X[N,n]"), chunk=100).chunks)
    found = stream(tmp_path / "X.npy", "X = rest", variables("X[N,n]"), chunk=100, missing="drop")
    for _ in range(2):
        np.testing.assert_array_equal(gathered(found.chunks)["X"], X[np.isfinite(X).all(axis=1)])
    assert found.chunks.rows == 18
    assert found.chunks.gaps.note == "2 rows with a missing value left out (c0 1, c1 1)"


def test_what_is_wrong_in_a_file_reaches_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("x,y\n" + "1,2\n" * 5000 + "1,two\n")
    with pytest.raises(DataProblem) as caught:
        gathered(stream(path, None, variables("x[N] y[N]"), chunk=1000).chunks)
    assert (caught.value.file, caught.value.line, caught.value.column) == (str(path), 5002, "y")
    np.save(tmp_path / "s.npy", np.array([1.0, -1.0, 0.5]))
    with pytest.raises(DataProblem, match=r"s.npy, row 2: s is 0.5, and s is declared sign"):
        gathered(stream(tmp_path / "s.npy", "s = s", variables("s[N]:sign")).chunks)
    with pytest.raises(DataProblem, match="c is 1 in every row"):
        stream({"c": np.ones(9)}, None, variables("c[N]"), standardise=["c"])
    with pytest.raises(ChainruleError, match="between 0 and 1"):
        stream({"c": np.ones(9)}, None, variables("c[N]"), validation=2)


@pytest.mark.parametrize("change", ["shorter", "longer", "gone"])
def test_a_file_that_changes_is_an_error(change: str, tmp_path: Path) -> None:
    path = tmp_path / "X.npy"
    np.save(path, np.ones((1000, 3)))
    chunks = stream(path, "X = rest", variables("X[N,n]"), chunk=1000).chunks
    gathered(chunks)
    rows = iter(chunks)
    next(rows)
    if change == "gone":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(b"more") if change == "longer" else file.truncate(20_000)
    for _ in range(2):
        with pytest.raises(DataProblem, match=r"X.npy: the file (has changed|cannot be read)"):
            list(rows)
        rows = iter(chunks)


def test_a_mistake_of_the_reader_reaches_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, let = made("npy by variable", tmp_path)

    def broken(self: Any, target: Any, count: int) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(feeds._Reader, "read", broken)
    with pytest.raises(RuntimeError, match="broken"):
        gathered(stream(data, let, variables()).chunks)


MEASURED = """
import sys
import numpy as np
from chainrule.fit.stream import stream
from chainrule.language.declarations import parse_declarations

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

folder, shapes = sys.argv[1], parse_declarations("X[N,n] y[N]").variables
np.ones((100, 100)) @ np.ones(100)
before = peak = anonymous()
for data, let in (([folder + "/X.npy", folder + "/y.npy"], None), (folder + "/X.npy", "y = c99, X = rest")):
    total = rows = 0
    for chunk in stream(data, let, shapes).chunks:
        total += float((chunk["X"] @ np.ones(chunk["X"].shape[1]) + chunk["y"]).sum())
        rows += len(chunk["y"])
        peak = max(peak, anonymous())
    print(rows, total)
print(peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell the memory so")
def test_200_mb_take_less_than_50_mb_of_memory(tmp_path: Path) -> None:
    rows = 250_000
    mapped = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float64, (rows, 100))
    mapped[:] = 1
    mapped.flush()
    del mapped
    np.save(tmp_path / "y.npy", np.full(rows, 2.0))
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert told[:4] == [str(rows), str(102.0 * rows), str(rows), str(100.0 * rows)]
    assert 0 < float(told[4]) < 50
    (tmp_path / "X.npy").unlink()


TEXTS = {
    "line ends of Unix": "x,y\n" + "".join(f"{k},{k * k}\n" for k in range(300)),
    "of Windows": "x,y\r\n" + "".join(f"{k},{k * k}\r\n" for k in range(300)),
    "blank lines": "\nx,y\n" + "".join(f"{k},{k * k}\n" + "\n" * (k % 3) for k in range(300)) + "\n\n",
    "blank lines of Windows": "x,y\r\n" + "".join(f"{k},{k}\r\n" + "\r\n" * (k % 3) for k in range(300)),
    "no line end at the end": "x,y\n" + "\n".join(f"{k},{k}" for k in range(300)),
    "one letter at the end": "x\n" + "\n".join(str(k % 10) for k in range(300)),
    "no header": "\ufeff" + "".join(f"{k},{k}\n" for k in range(300)),
    "quoted names": '"x","y"\n' + "".join(f"{k},{k}\n" for k in range(300)),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("reader", ["pyarrow", "csv"])
def test_text_is_cut_at_line_ends(
    kind: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "BLOCK", 64)  # lines and blocks meet in every way
    if reader == "csv":
        monkeypatch.setattr(text_files, "optional", lambda name: None)
    path = tmp_path / "data.csv"
    path.write_bytes(TEXTS[kind].encode())
    chunks = stream(path, "X = rest", variables("X[N,n]"), chunk=400).chunks
    expected = gathered(chunks)["X"]
    assert len(expected) == 300
    for count in (2, 3, 7, 50):
        pieces = [pickle.loads(pickle.dumps(piece)) for piece in chunks.cut(count)]
        assert len(pieces) == count
        rows = [gathered(piece)["X"] for piece in pieces]
        assert [piece.rows for piece in pieces] == [len(part) for part in rows]
        np.testing.assert_array_equal(np.concatenate(rows), expected)
        assert max(map(len, rows)) < 2.5 * 300 / count + 4


def test_text_whose_line_ends_may_stand_in_quotation_marks_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    for text in ('c,x\n"a\nb",1\n' * 1 + '"a",2\n' * 99, "x,c\r1,2\r" + "3,4\r" * 99):
        path.write_bytes(text.encode())
        chunks = stream(path, "x = x", variables("x[N]")).chunks
        assert len(chunks.cut(3)) == 1 and len(gathered(chunks)["x"]) == 100


def test_an_error_in_a_section_has_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    for cell, said in (("two", "y holds `two`"), ("", "y has no value"), ("1,1", "this line has 3 cells")):
        path.write_text("x,y\n" + "1,2\n\n" * 5000 + f"1,{cell}\n" + "1,2\n" * 3)
        pieces = stream(path, None, variables("x[N] y[N]"), chunk=1000).chunks.cut(4)
        with pytest.raises(DataProblem, match=said) as caught:
            gathered(pieces[-1])
        assert (caught.value.file, caught.value.line) == (str(path), 10002)
