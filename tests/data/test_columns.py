"""Tables as columns of text: the same from CSV by either reader, from Parquet and DataFrames."""

import datetime
import sys

import numpy as np
import pytest

from chainrule.data import columns
from chainrule.data.cells import open_cells
from chainrule.data.columns import read_columns
from chainrule.errors import ArgumentError, FormatError, MissingDependencyError

TEXTS = {
    "plain": "a,b,c\n1,x,\n2,y,3\n",
    "spaces and blank lines": "a,b,c\n\n 1 , x y ,\n\n2,y,3",
    "other letters": "a,b,c\n1,ü,\n2,日本,3\n",
    "mixed line ends": "a,b,c\r1,x,\n2,y,3\r\n",
    "tabs": "a\tb\tc\n1\tx\t\n2\ty\t3\n",
}


@pytest.fixture
def write(tmp_path):
    def write(text, name="t.csv"):
        (tmp_path / name).write_bytes(text.encode())
        return tmp_path / name

    return write


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_both_readers_give_the_same_text(write, text):
    pytest.importorskip("pyarrow", reason="needs the extra `tables`")
    cells = open_cells(write(text))
    assert columns._split_by_arrow(cells) == columns._split(cells)


def test_what_arrow_reads_otherwise_is_left_to_the_other_reader(write):
    pytest.importorskip("pyarrow", reason="needs the extra `tables`")
    for text in ('a,b\n1,"x,y"\n', "a,b\n1,2\n1\n", "a b\n1  2\n3 4\n"):
        assert columns._split_by_arrow(open_cells(write(text))) is None


def test_columns_of_a_file(write):
    table = read_columns(write('id,"a, b",c\n1,"x\ny",\n2, z ,3\n'))
    assert table.names == ("id", "a, b", "c")
    assert table.column("a, b") == ["x\ny", "z"]
    assert table.where([0, 1], "c") == "line 2: '', line 4: '3'"
    assert (len(table), table.roles) == (2, {})


def test_row_names_without_a_name(write):
    pandas = read_columns(write(",a,b\n0,1,2\n1,3,4\n"))
    assert pandas.names == ("column0", "a", "b")
    r_language = read_columns(write('"a" "b"\n"x" 1 2\n"y" 3 4\n'))
    assert r_language.names == ("column0", "a", "b")
    assert r_language.column("b") == ["2", "4"]
    for text in ("a,b\n1,2,\n3,4,\n", "a,b\nx,2,\ny,4,\n", "a,b\n5,2,1\n5,4,1\n"):
        with pytest.raises(FormatError, match="line 2 has 3, line 3 has 3; expected: 2 cells"):
            read_columns(write(text))  # a delimiter at each end is no first column


def test_all_ragged_rows_are_told_at_once(write):
    body = "".join("1,2\n" if place % 3 else "1\n" for place in range(30))
    with pytest.raises(FormatError, match=r"line 2 has 1, line 5 has 1.*and more.*--delimiter"):
        read_columns(write("a,b\n" + body), delimiter=",")
    with pytest.raises(FormatError, match="header and no rows"):
        read_columns(write("a,b\n"))


def test_single_quotes_and_spaces(write):
    table = read_columns(write("'OBS' 'GPA'\n1   2.66\n2  3.0 \n"))
    assert table.names == ("OBS", "GPA")
    assert table.column("GPA") == ["2.66", "3.0"]


DAY = datetime.date(2012, 3, 4)
CONTENT = {
    "x": [1.5, None, 2.0],
    "n": [1, 2, 3],
    "yes": [True, False, True],
    "kind": ["a", "b", None],
    "day": [DAY, DAY, None],
}


@pytest.mark.parametrize(
    "library, kind", [("pyarrow", "table"), ("pandas", "DataFrame"), ("polars", "DataFrame")]
)
def test_data_frames(library, kind):
    module = pytest.importorskip(library, reason="needs a library of data frames")
    table = read_columns(getattr(module, kind)(CONTENT))
    assert table.names == ("x", "n", "yes", "kind", "day")
    assert table.column("x") == ["1.5", "", "2.0"]
    assert table.column("n") == ["1", "2", "3"]
    assert table.column("yes") == ["True", "False", "True"]
    assert table.column("kind") == ["a", "b", ""]
    assert [text[:10] for text in table.column("day")] == ["2012-03-04", "2012-03-04", ""]
    assert table.roles.items() >= {"x": "number", "n": "number", "yes": "number"}.items()
    assert table.place(2) == "row 2"


def test_a_pandas_category_stays_one():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(
        {
            "zip": pandas.Series([1, 2, 1], dtype="category"),
            "when": pandas.to_datetime(["2012-01-01", None, "2013-01-01"]),
            "n": pandas.Series([1, None, 3], dtype="Int64"),
        }
    )
    table = read_columns(frame)
    assert table.roles == {"zip": "category", "when": "date", "n": "number"}
    assert table.column("zip") == ["1", "2", "1"]
    assert table.column("when") == ["2012-01-01T00:00:00", "", "2013-01-01T00:00:00"]
    assert table.column("n") == ["1", "", "3"]


def test_parquet(tmp_path, monkeypatch):
    arrow = pytest.importorskip("pyarrow", reason="needs the extra `tables`")
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    parquet.write_table(arrow.table({"a": [1, 2], "b": ["x", None]}), path)
    table = read_columns(path)
    assert (table.names, table.texts) == (("a", "b"), (["1", "2"], ["x", ""]))
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError, match=r"t\.parquet"):
            read_columns(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"chainrule\[tables\]"):
        read_columns(path)


@pytest.mark.parametrize("value", [np.zeros((3, 2)), [1, 2], {}, None, 3])
def test_what_is_no_table(value):
    with pytest.raises((FormatError, ArgumentError), match="is no table"):
        read_columns(value)
