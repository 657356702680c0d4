"""Columns come out the same from every kind of file, frame and array; what is wrong is told with a place."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.errors import ChainruleError, DataProblem, OptionError
from chainrule.fit import cells, text_files
from chainrule.fit.table import open_table

COLUMNS = {"age": [59.0, 48.0, 72.0], "sex": [2.0, 1.0, 2.0], "bmi": [32.1, 21.6, 30.5]}
CSV = "age,sex,bmi\n59,2,32.1\n48,1,21.6\n72,2,30.5\n"
WANTED = dict.fromkeys(COLUMNS, "number")


@pytest.fixture(params=["pyarrow", "csv"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Text files are read by pyarrow, and without it."""
    if request.param == "csv":
        monkeypatch.setattr(text_files, "optional", lambda name: None)
    else:
        pytest.importorskip("pyarrow")
    return str(request.param)


def written(tmp_path: Path, text: str, name: str = "people.csv") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)


def made(kind: str, folder: Path) -> Any:
    """The same columns in every form that data can have."""
    arrays = {name: np.array(values) for name, values in COLUMNS.items()}
    path = folder / f"people.{kind}"
    if kind == "csv":
        path.write_text(CSV)
    elif kind == "tsv":
        path.write_text(CSV.replace(",", "\t"))
    elif kind == "csv.gz":
        with gzip.open(path, "wt") as file:
            file.write(CSV)
    elif kind == "npz":
        np.savez(path, **arrays)
    elif kind == "compressed":
        path = folder / "people.npz"
        np.savez_compressed(path, **arrays)
    elif kind == "npy":
        fields = np.zeros(3, dtype=[(name, "f4" if name == "sex" else "f8") for name in COLUMNS])
        for name, values in arrays.items():
            fields[name] = values
        np.save(path, fields)
    elif kind in ("parquet", "feather", "stream.arrow"):
        pa = pytest.importorskip("pyarrow")
        table = pa.table(arrays)
        if kind == "parquet":
            pytest.importorskip("pyarrow.parquet").write_table(table, path)
        else:
            ipc = pytest.importorskip("pyarrow.ipc")
            make = ipc.new_file if kind == "feather" else ipc.new_stream
            with make(str(path), table.schema) as sink:
                sink.write_table(table, max_chunksize=2)
    elif kind == "dict":
        return COLUMNS
    elif kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(COLUMNS)
    elif kind == "polars":
        return pytest.importorskip("polars").DataFrame(COLUMNS)
    elif kind == "arrow table":
        return pytest.importorskip("pyarrow").table(arrays)
    return str(path)


KINDS = [
    *("csv", "tsv", "csv.gz", "npz", "compressed", "npy", "parquet", "feather", "stream.arrow"),
    *("dict", "pandas", "polars", "arrow table"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_columns(kind: str, tmp_path: Path) -> None:
    table = open_table(made(kind, tmp_path))
    assert table.names == tuple(COLUMNS)
    loaded = table.load(WANTED)
    for name, values in COLUMNS.items():
        assert loaded[name].dtype == np.float64
        np.testing.assert_array_equal(loaded[name], values)
    pieces = [piece for part in table.parts for piece in part.batches({"bmi": "number", "sex": "text"}, 2)]
    np.testing.assert_array_equal(np.concatenate([piece["bmi"] for piece in pieces]), COLUMNS["bmi"])
    assert [text for piece in pieces for text in piece["sex"]] == ["2", "1", "2"]


def test_text_without_a_header_has_numbered_columns(tmp_path: Path, reader: str) -> None:
    table = open_table(written(tmp_path, "1,2,a\n3,4,b\n"))
    assert table.names == ("c0", "c1", "c2")
    loaded = table.load({"c1": "number", "c2": "text"})
    assert loaded["c1"].tolist() == [2, 4] and loaded["c2"].tolist() == ["a", "b"]
    assert open_table(table.parts[0].where, header=True).names == ("1", "2", "a")


def test_odd_but_right_text_is_read(tmp_path: Path, reader: str) -> None:
    text = '\ufeff"length; cm" ;ok;\r\n 1.5 ;true;x\r\n\r\nNA;false;" y"\r\n-2e3;TRUE;NULL\r\n'
    table = open_table(written(tmp_path, text))
    assert table.names == ("length; cm", "ok", "c2")
    loaded = table.load({"length; cm": "number", "c2": "text"})
    np.testing.assert_array_equal(loaded["length; cm"], [1.5, np.nan, -2000])
    assert loaded["c2"].tolist() == ["x", "y", None]


def test_a_quoted_cell_may_hold_a_line_break(tmp_path: Path, reader: str) -> None:
    table = open_table(written(tmp_path, 'a,note\n1,"two\nlines"\n2,plain\n3,\n'))
    assert table.load({"a": "number", "note": "text"})["note"].tolist() == ["two\nlines", "plain", None]


def problem(text: str, tmp_path: Path, column: str = "bmi") -> DataProblem:
    with pytest.raises(DataProblem) as caught:
        open_table(written(tmp_path, text)).load({column: "number"})
    return caught.value


def test_a_cell_that_is_no_number_is_shown(tmp_path: Path, reader: str) -> None:
    found = problem("age,bmi,s1\n59,32.1,1\n\n48,high,2\n", tmp_path)
    assert (found.line, found.column) == (4, "bmi")
    assert str(found).replace(str(tmp_path), "…") == (
        "…/people.csv, line 4: bmi holds `high`, which is not a number\n"
        "  48,high,2\n"
        "     ~~~~\n"
        "  mend the cell, leave the column out, or take its values for categories, one_hot='bmi'"
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("age,bmi\n1,2\n3\n", 3, "this line has 1 cell, and there are 2 columns"),
        ("age,bmi\n1,2\n3,4,5\n", 3, "this line has 3 cells, and there are 2 columns"),
        ("age;bmi\n1;2\n3;4,5\n", 3, "bmi holds `4,5`, which is not a number"),
        ("age,bmi\n1,2\n3,1_000\n", 3, "bmi holds `1_000`, which is not a number"),
        ("age,bmi\n1,2\n3,?\n", 3, "bmi holds `?`, which is not a number"),
        ("bmi,bmi\n1,2\n", None, "two columns are called bmi"),
        ("", None, "the file is empty"),
        ("\n\n", None, "the file is empty"),
        ("age,bmi\n", None, "there are no rows of data"),
        ("age,bmi", None, "there are no rows of data"),
        ('note,bmi\n",1\na,2\nb,3\n', 2, "a quotation mark is never closed"),
    ],
)
def test_what_is_wrong_with_a_text_has_its_line(
    text: str, line: int | None, said: str, tmp_path: Path, reader: str
) -> None:
    found = problem(text, tmp_path)
    assert found.line == line and said in found.message and "people.csv" in found.message


def test_text_that_is_not_utf8(tmp_path: Path, reader: str) -> None:
    (tmp_path / "people.csv").write_bytes("größe,x\n1,2\n".encode("latin-1"))
    with pytest.raises(DataProblem, match="not text in UTF-8"):
        open_table(tmp_path / "people.csv")


@pytest.mark.parametrize("cell", ["1.5", "-2", "1e-3", ".5", "5.", "inf", "-inf", "  7 ", "NA", "", "1E5"])
def test_both_readers_agree_on_cells(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, f"x,bmi\n1,{cell}\n")
    pytest.importorskip("pyarrow")
    found = open_table(path).load({"bmi": "number"})["bmi"]
    monkeypatch.setattr(text_files, "optional", lambda name: None)
    np.testing.assert_array_equal(open_table(path).load({"bmi": "number"})["bmi"], found)


def test_both_readers_agree_on_odd_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values or the same error, on texts with quotes, gaps, words and ragged lines in odd places."""
    pytest.importorskip("pyarrow")
    odd = ["", "NA", "x", '"q,r"', '"a""b"', " 4 ", "nan", "1_0", "true", "+5", "1,5", '"', "é", "#"]
    draw = random.Random(4)

    def loaded(path: str) -> object:
        try:
            table = open_table(path)
            kinds = {name: draw_kinds[k % 2] for k, name in enumerate(table.names)}
            return {name: list(map(str, values)) for name, values in table.load(kinds).items()}
        except DataProblem as problem:
            return str(problem)

    for _ in range(150):
        draw_kinds = draw.sample(["number", "text"], 2)
        width, mark, end = draw.randint(1, 4), draw.choice(",;\t|"), draw.choice(["\n", "\r\n"])
        rows = [["a", "b", "c", "d"][:width]] if draw.random() < 0.7 else []
        for _ in range(draw.randint(0, 6)):
            length = width if draw.random() < 0.97 else draw.randint(0, 5)
            rows.append([draw.choice(odd if draw.random() < 0.4 else ["1", "2.5"]) for _ in range(length)])
        path = written(tmp_path, end.join(mark.join(row) for row in rows) + draw.choice(["", end]))
        with monkeypatch.context() as patch:
            known = loaded(path)
            patch.setattr(text_files, "optional", lambda name: None)
            assert loaded(path) == known


def test_several_files_are_read_in_sorted_order(tmp_path: Path) -> None:
    written(tmp_path, "a,b\n3,4\n", "part-2.csv")
    written(tmp_path, "b,a\n2,1\n", "part-1.csv")
    for data in (str(tmp_path / "part-*.csv"), tmp_path):
        loaded = open_table(data).load({"a": "number", "b": "number"})
        assert loaded["a"].tolist() == [1, 3] and loaded["b"].tolist() == [2, 4]
    written(tmp_path, "a,c\n3,4\n", "part-3.csv")
    with pytest.raises(
        DataProblem, match=r"part-3.csv: the columns are not those of .*part-1.csv: it lacks b and has c"
    ):
        open_table(str(tmp_path / "part-*.csv"))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    written(tmp_path, CSV)
    with pytest.raises(DataProblem, match=r"no such file\n  did you mean .*people.csv\?"):
        open_table(tmp_path / "peopel.csv")
    with pytest.raises(DataProblem, match="no file has a name of this form"):
        open_table(str(tmp_path / "*.parquet"))
    with pytest.raises(DataProblem, match=r"ending of its name is not known\n  known are \.csv"):
        open_table(written(tmp_path, CSV, "people.xlsx"))
    with pytest.raises(OptionError, match="X is a file and lam is an array"):
        open_table({"X": "X.npy", "lam": 0.5})
    with pytest.raises(OptionError, match="data cannot be of type int"):
        open_table(3)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.parquet", "x.feather"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    if not name.startswith("x.np"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"this is something else")
    with pytest.raises(DataProblem, match=name):
        open_table(tmp_path / name)


def test_npy_files_are_memory_mapped(tmp_path: Path) -> None:
    X = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", np.arange(4))
    np.savez(tmp_path / "both.npz", X=X, y=np.arange(4.0))
    lone = open_table(tmp_path / "X.npy")
    assert lone.names == ("c0", "c1", "c2") and lone.groups == {"X": ("c0", "c1", "c2")}
    for data in (
        [tmp_path / "X.npy", tmp_path / "y.npy"],
        tmp_path / "both.npz",
        {"X": str(tmp_path / "X.npy"), "y": str(tmp_path / "y.npy")},
    ):
        table = open_table(data)
        assert table.names == ("X[0]", "X[1]", "X[2]", "y")
        loaded = table.load({"X": "number", "y": "number", "X[1]": "number"})
        assert isinstance(loaded["X"].base, np.memmap)
        np.testing.assert_array_equal(loaded["X"], X)
        np.testing.assert_array_equal(loaded["X[1]"], X[:, 1])
        np.testing.assert_array_equal(loaded["y"], np.arange(4))


def test_npy_files_in_parts(tmp_path: Path) -> None:
    for k in range(2):
        np.save(tmp_path / f"X-{k}.npy", np.full((2, 3), k))
        np.save(tmp_path / f"y-{k}.npy", np.full(2, k))
    table = open_table(tmp_path)
    assert len(table.parts) == 2 and table.rows == 4
    assert table.load({"y": "number"})["y"].tolist() == [0, 0, 1, 1]
    np.save(tmp_path / "y-2.npy", np.zeros(2))
    with pytest.raises(DataProblem, match="y is in 3 files and X in 2"):
        open_table(tmp_path)
    (tmp_path / "y-1.npy").unlink()
    with pytest.raises(DataProblem, match=r"y-2\.npy: it would stand beside .*X-1\.npy, which has another"):
        open_table(tmp_path)


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="y has 3 rows and X has 2"):
        open_table({"X": np.zeros((2, 2)), "y": np.zeros(3)})
    with pytest.raises(DataProblem, match="X is ragged"):
        open_table({"X": [[1, 2], [3]]})
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataProblem, match="Python objects"):
        open_table(tmp_path / "o.npy")
    np.save(tmp_path / "cut.npy", np.zeros(100))
    with (tmp_path / "cut.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(DataProblem, match="cut short"):
        open_table(tmp_path / "cut.npy")
    table = open_table({"x": [1.0, 2.0], "lam": 0.5})
    assert table.names == ("x",) and table.constants == {"lam": 0.5}


def test_frames_with_gaps_and_categories() -> None:
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frames = [
        pd.DataFrame({"n": pd.array([1, None, 3], dtype="Int64"), "t": pd.Categorical(["b", None, "a"])}),
        pl.DataFrame({"n": [1, None, 3], "t": ["b", None, "a"]}, schema={"n": pl.Int64, "t": pl.Categorical}),
        pl.DataFrame({"n": [1, None, 3], "t": ["b", None, "a"]}).to_arrow(),
    ]
    for frame in frames:
        loaded = open_table(frame).load({"n": "number", "t": "text"})
        np.testing.assert_array_equal(loaded["n"], [1, np.nan, 3])
        assert loaded["t"].tolist() == ["b", None, "a"]
        with pytest.raises(DataProblem, match="row 0: t holds `b`, which is not a number"):
            open_table(frame).load({"t": "number"})
    with pytest.raises(OptionError, match=r"frame is lazy.*\n.*collect"):
        open_table(pl.DataFrame({"a": [1]}).lazy())
    with pytest.raises(DataProblem, match="d holds dates"):
        open_table(pd.DataFrame({"d": pd.to_datetime(["2020-01-01"])})).load({"d": "number"})
    with pytest.raises(DataProblem, match="two columns are called a"):
        open_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(ChainruleError, match=r"pip install 'chainrule\[data\]'"):
        open_table(tmp_path / "x.parquet")


def test_cells_say_what_they_are_not() -> None:
    def complain(message: str, row: int, hint: str) -> DataProblem:
        return DataProblem(message, row=row, hint=hint)

    with pytest.raises(DataProblem, match=r"row 1: z holds `x`"):
        cells.numbers(np.array(["1", "x"], dtype=object), "z", complain)
    with pytest.raises(DataProblem, match="complex"):
        cells.numbers(np.array([1j]), "z", complain)
    assert cells.numbers(np.ma.masked_array([1, 2], mask=[0, 1]), "z", complain)[0] == 1


def test_a_header_of_numbers_is_told_or_said(tmp_path: Path) -> None:
    path = tmp_path / "years.csv"
    path.write_text("2019,2020\n1,2\n2,4\n3,7\n")
    found = open_table(path)
    assert found.names == ("c0", "c1") and "header=True if these numbers are names" in found.parts[0].doubt
    assert found.parts[0].doubt in found.unknown("2019").hint
    said = open_table(path, header=True)
    assert said.names == ("2019", "2020") and not said.parts[0].doubt
    assert not open_table(path, header=False).parts[0].doubt
    path.write_text("1,2\n3,4\n0,1\n")
    assert not open_table(path).parts[0].doubt
    assert "unless header=True" in open_table(path).unknown("1").hint
    path.write_text("red,blue\ngreen,red\n")
    assert "header=False if it is a row of data" in open_table(path).parts[0].doubt
    with pytest.raises(OptionError, match="header is about text files"):
        open_table({"x": [1, 2]}, header=False)
