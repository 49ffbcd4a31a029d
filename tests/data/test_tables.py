"""CSV: the fast and the slow path agree, and every fault of E7-E11 names line and column."""

import contextlib
import io
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import read_csv, tables
from chainrule.data.cells import open_cells
from chainrule.errors import ArgumentError, FormatError


@pytest.fixture
def csv_file(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


GOOD = "label,a,b\n1,0.5,-2\n0,1e3,+.25\n"


def test_reads_header_label_and_numbers(csv_file):
    table = read_csv(csv_file(GOOD), label="label")
    assert table.names == ("a", "b")
    assert table.header == ("label", "a", "b")
    assert table.label_name == "label"
    assert table.labels.tolist() == ["1", "0"]
    assert table.lines.tolist() == [2, 3]
    np.testing.assert_array_equal(table.values, [[0.5, -2], [1000, 0.25]])
    assert table.values.dtype == np.float64


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace("\n", "\r", 1),
        GOOD.replace("\n", "\r\n", 1).replace("-2\n", "-2\r"),
        GOOD.rstrip("\n"),
        "\n\n" + GOOD + "\n\n",
        GOOD.replace("1,0.5", "1, 0.5 "),
        GOOD.replace("0.5", '"0.5"'),
        '"label","a","b"\n1,0.5,-2\n\n0,1e3,+.25\n',
    ],
    ids=[
        "BOM",
        "CRLF",
        "CR",
        "CR, then LF",
        "CRLF, CR, LF",
        "no last newline",
        "blank lines",
        "spaces",
        "quotes",
        "quoted header",
    ],
)
def test_harmless_variants(csv_file, text):
    table = read_csv(csv_file(text), label=0)
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.values, [[0.5, -2], [1000, 0.25]])
    assert table.labels.tolist() == ["1", "0"]


def test_without_a_header(csv_file):
    table = read_csv(csv_file("1,2,3\n4,5,6\n"), label=-1, header=False)
    assert table.names == ("column0", "column1")
    assert table.labels.tolist() == ["3", "6"]
    assert read_csv(csv_file("1,2\n3,4\n"), header=True).names == ("1", "2")
    assert read_csv(csv_file("1,2\n"), columns=["u", "v"]).names == ("u", "v")
    assert read_csv(csv_file("1,2\n"), columns=[]).header == ("column0", "column1")


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_delimiters_are_found(csv_file, sign):
    path = csv_file(GOOD.replace(",", sign))
    for table in (read_csv(path, "label"), read_csv(path, "label", delimiter=sign)):
        assert table.names == ("a", "b")
        np.testing.assert_array_equal(table.values, [[0.5, -2], [1000, 0.25]])


def test_a_delimiter_that_is_in_doubt_is_asked_for(csv_file):
    path = csv_file("1,5;2,5\n3,5;4,0\n")
    with pytest.raises(ArgumentError, match=r"the comma and the semicolon could.*delimiter=','"):
        read_csv(path)
    with pytest.raises(FormatError, match=r"decimals with a point"):
        read_csv(path, delimiter=";", header=False)
    with pytest.raises(FormatError, match=r"semicolon: pass delimiter=';'"):
        read_csv(csv_file("a;b\n1;2\n"), delimiter=",")
    assert read_csv(csv_file("weight|kg\n1\n2\n")).names == ("weight|kg",)
    with pytest.raises(FormatError, match="line 4: 1 cells in a table of 2"):
        read_csv(csv_file("a;b\n1;2\n3;4\n5\n"))
    for bad in ("", ",,", '"', "\n", "e", ".", "-"):
        with pytest.raises(ArgumentError, match="delimiter"):
            read_csv(path, delimiter=bad)


def test_text_labels(csv_file):
    table = read_csv(csv_file("x,kind\n1,iris\n2, rose \n"), label="kind")
    assert table.labels.tolist() == ["iris", "rose"]
    assert table.values.tolist() == [[1], [2]]


FAULTS = {
    "empty": ("", "is empty"),
    "blank": (" \n\r\n", "is empty"),
    "header only": ("a,b\n", "line 1: the file has a header and no rows"),
    "short row": ("a,b\n1,2\n3\n", "line 3: 1 cells in a table of 2 columns"),
    "long row": ("a,b\n1,2\n3,4,5\n", "line 3: 3 cells in a table of 2 columns"),
    "all rows longer": ("a,b\n1,2,3\n", "line 2: 3 cells in a table of 2"),
    "bad cell": ("a,b\n1,2\n3,x\n", r"line 3: column 2 \(b\): not a number; given: 'x'"),
    "empty cell": ("a,b\n1,\n", r"line 2: column 2 \(b\): an empty cell"),
    "underscore": ("a,b\n1,1_000\n", r"line 2: column 2 \(b\): not a number; given: '1_000'"),
    "hex": ("a,b\n0x10,1\n", r"line 2: column 1 \(a\)"),
    "nan": ("a,b\n1,nan\n", r"line 2: column 2 \(b\).*allow_nonfinite"),
    "inf": ("a,b\n1,-inf\n", r"line 2: column 2 \(b\).*allow_nonfinite"),
    "Arabic digits": ("a,b\n1,١٢\n", r"line 2: column 2 \(b\): not a number"),
    "fullwidth digits": ("a,b\n1,\uff11\uff12\n", r"line 2: column 2 \(b\): not a number"),
    "no-break space": ("a,b\n1,2\u00a0\n", r"line 2: column 2 \(b\): not a number"),
    "two numbers": ("a,b\n1,2 3\n", r"line 2: column 2 \(b\): not a number"),
    "lone sign": ("a,b\n1,-\n", r"line 2: column 2 \(b\)"),
    "lone exponent": ("a,b\n1,e5\n", r"line 2: column 2 \(b\)"),
    "comment": ("a,b\n1,2\n#x,3\n", r"line 3: column 1 \(a\)"),
    "decimal comma": ('a,b\n1,"3,14"\n', r"line 2: column 2 \(b\).*decimals with a point"),
    "quoted newline": ('a,b\n1,"2\n"\n3,4\n', r"line 2: column 2 \(b\): not a number"),
    "after a quoted newline": ('"a\n1",b\n1,2\n3,x\n', r"line 4: column 2 \(b\): not a number"),
    "beyond float64": ("a,b\n1e400,1\n", r"line 2: column 1 \(a\): a number beyond float64"),
    "beyond float64, quoted": ('a,b\n"-1e999",1\n', r"line 2: column 1 \(a\): a number beyond"),
    "long digits": ("a,b\n1," + "9" * 400 + "\n", r"line 2: column 2 \(b\): a number beyond"),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n', "line 3: the quote opened here is never closed"),
    "open quote in the header": ('a,"b\n1,2\n', "line 1: the quote opened here is never closed"),
    "text after a quote": ('a,b\n1,"2"3\n', "line 2: bad quoting"),
    "huge cell": ("a,b\n1," + "9" * 200_000 + "x\n", "line 2: a cell of more than 131,072"),
    "NUL": ("a,b\n1,2\n3,\x004\n", "line 3: a NUL byte at offset 10"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "line 1: (a NUL byte|UTF-16)"),
    "Latin-1": (b"a,b\n1,2\n" + "é,1\n".encode("latin-1"), "line 3: not UTF-8 at offset 8"),
    "name twice": ("a,b,a\n1,2,3\n", "line 1: the header names a column twice: a"),
    "name missing": (",a\n0,1\n", "line 1: column 1 has no name"),
    "web page": ("<!DOCTYPE html>\n<p>404</p>\n", "web page"),
}


@pytest.mark.parametrize("text, words", FAULTS.values(), ids=FAULTS)
def test_faults_name_the_place(csv_file, text, words):
    with pytest.raises(FormatError, match=words) as caught:
        read_csv(csv_file(text, "bad.csv"))
    assert "bad.csv" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_ragged_row_far_down_is_found(csv_file, monkeypatch):
    monkeypatch.setattr(tables, "_PIECE", 100)
    rows = ["a,b", *["1,2"] * 500]
    assert read_csv(csv_file("\n".join(rows))).values.shape == (500, 2)
    rows[400] = "1,2,3"
    with pytest.raises(FormatError, match="line 401: 3 cells"):
        read_csv(csv_file("\n".join(rows)))
    monkeypatch.setattr(tables, "_PIECE", 1)  # each piece is regular in itself
    with pytest.raises(FormatError, match="line 401: 3 cells"):
        read_csv(csv_file("\n".join(rows)))
    with pytest.raises(FormatError, match="line 2: 3 cells"):
        read_csv(csv_file("a,b\n" + "1,2,3\n" * 500))


def test_nonfinite_by_option(csv_file):
    table = read_csv(csv_file("a,b\n1,nan\n-inf,Infinity\n"), allow_nonfinite=True)
    assert math.isnan(table.values[0, 1])
    assert table.values[1].tolist() == [-math.inf, math.inf]
    with pytest.raises(FormatError, match="beyond float64"):
        read_csv(csv_file("a,b\n1,nan\n1e400,2\n"), allow_nonfinite=True)


def test_label_faults(csv_file):
    path = csv_file(GOOD)
    with pytest.raises(ArgumentError, match=r"no label column 'lable'.*Did you mean 'label'"):
        read_csv(path, label="lable")
    with pytest.raises(ArgumentError, match="no label column 7"):
        read_csv(path, label=7)


def test_columns_are_matched_by_name(csv_file):
    path = csv_file("b,note,a\n2,hello,1\n4,world,3\n")
    table = read_csv(path, columns=["a", "b"])
    assert table.names == ("a", "b")
    assert table.values.tolist() == [[1, 2], [3, 4]]
    assert read_csv(csv_file("b,a\n2,1\n", "u.csv"), columns=["a", "b"]).values.tolist() == [[1, 2]]
    with pytest.raises(FormatError, match="lacks a column: c; given: columns b, note, a"):
        read_csv(path, columns=["a", "c"])
    with pytest.raises(FormatError, match="lacks columns: c, d"):
        read_csv(path, columns=["c", "d"])


NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["+1", ".5", "1.", "-0", "00", "1E5", "1e-400", "1e308"]),
)


@given(
    st.integers(1, 4).flatmap(
        lambda w: st.lists(st.lists(NUMBERS, min_size=w, max_size=w), min_size=1)
    )
)
@settings(max_examples=60, deadline=None)
def test_both_paths_read_the_same_bits(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    header = ",".join(f"c{place}" for place in range(len(rows[0])))
    body = "\n".join(",".join(row) for row in rows)
    path.write_text(f"{header}\n{body}\n")
    fast = read_csv(path).values
    path.write_text(f'{header}\n"{rows[0][0]}"' + body[len(rows[0][0]) :] + "\n")
    slow = read_csv(path).values
    wanted = np.array([[float(cell) for cell in row] for row in rows])
    assert fast.tobytes() == slow.tobytes() == wanted.tobytes()


@given(st.text(alphabet='0123456789.,;-+eE"\n\r\t \0xéa', max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.encode())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            table = read_csv(path)
    except (FormatError, ArgumentError) as error:
        assert "any.csv" in str(error)
    else:
        assert np.isfinite(table.values).all()
        assert table.values.shape == (len(table.values), len(table.names))


HEADERS = {
    "names": ("a,b\n1,2\n", True),
    "text only": ("a,b\nx,y\n", True),
    "pandas' default": ("0,1,2\n5.1,3.5,0\n4.9,3.0,1\n", True),
    "pandas' default over whole numbers": ("0,1,2\n5,3,0\n4,3,1\n", True),
    "years": ("2019,2020,2021\n5,3,0\n4,3,1\n", True),
    "years over decimals": ("2020,2000\n5.5,3.25\n4.0,3.5\n", True),
    "numbers over text": ("0,1\nx,y\nz,w\n", True),
    "decimals": ("5.1,3.5,0\n4.9,3.0,1\n", False),
    "whole numbers twice": ("0,0,5\n0,1,3\n", False),
    "whole numbers in no order": ("8,307,130\n8,350,165\n", False),
    "negative numbers": ("-1,2\n3,4\n", False),
    "one column": ("5\n6\n", False),
    "a sample or names": ("1,2\n3,4\n", None),
    "numbers that go on": ("0,1,2\n3,4,5\n6,7,8\n", None),
    "a sample with a text label": ("5.1,3.5,setosa\n4.9,3.0,setosa\n", None),
}


@pytest.mark.filterwarnings("ignore:.* are read as the columns' names")
@pytest.mark.parametrize("text, header", HEADERS.values(), ids=HEADERS)
def test_a_header_is_told_from_a_sample_or_asked_for(csv_file, text, header):
    path = csv_file(text)
    if header is None:
        with pytest.raises(ArgumentError, match="line 1: is this row the columns' names or a sam"):
            open_cells(path)
    else:
        assert open_cells(path).header is header
    names = text.split("\n")[0].split(",")
    if len(set(names)) == len(names):
        assert open_cells(path, header=True).names == tuple(names)
        assert open_cells(path, wanted=names[:1]).header  # the caller knows one of the names
    assert open_cells(path, header=False).names[0] == "column0"


def test_numbers_that_are_read_as_names_are_said_aloud(csv_file):
    path = csv_file("0,1,2\n5,3,0\n4,3,1\n")
    with pytest.warns(UserWarning, match="line 1: the numbers 0, 1, 2 are read as the columns'"):
        assert read_csv(path).values.tolist() == [[5, 3, 0], [4, 3, 1]]
    assert read_csv(path, header=False).values[0].tolist() == [0, 1, 2]


WIDE = {
    "numbers": lambda n: ",".join(f"c{i}" for i in range(n)) + "\n" + ",".join(["1"] * n),
    "text": lambda n: ",".join(f"c{i}" for i in range(n)) + "\n" + ",".join(['"1"'] * n),
    "a name twice": lambda n: ",".join(f"c{i}" for i in range(n)) + ",c0\n" + ",".join("1" * n),
    "long": lambda n: "a,b\n" + '1,"2"\n' * n,
    "long, mixed ends": lambda n: "a,b\r" + "1,2\n1,2\r\n" * n,
    "blank lines": lambda n: "a,b\n" + "\n" * n + "1,x\n",
    "an open quote": lambda n: 'a,b\n1,"' + "2\n" * n,
    "one cell": lambda n: "a,b\n1," + "2" * n + "x\n",
}


@pytest.mark.parametrize("make", WIDE.values(), ids=WIDE)
def test_time_grows_with_the_size_of_the_file(csv_file, growth, make):
    def read(n):
        path = csv_file(make(n))
        with contextlib.suppress(FormatError):
            read_csv(path, label=0)

    assert growth(read, 10_000) < 8


def test_the_fast_path_is_taken_for_plain_numbers(csv_file, monkeypatch):
    def refuse(*_):
        raise AssertionError("the slow path was taken")

    monkeypatch.setattr(tables, "_cell_by_cell", refuse)
    read_csv(csv_file(GOOD), label="label")
    read_csv(csv_file(GOOD.replace("\n", "\r\n")))
    buffer = io.StringIO()
    np.savetxt(buffer, np.random.default_rng(0).normal(size=(50, 3)), delimiter=",")
    assert read_csv(csv_file(buffer.getvalue())).values.shape == (50, 3)
