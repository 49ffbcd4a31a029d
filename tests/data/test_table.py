"""`cr.data.table`: one schema, shown and kept; statistics of the training part; all problems at
once; other tables read as the training table was."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import EncodeTable, Schema, open_dataset, open_like, read_inputs, table
from chainrule.data.columns import read_columns
from chainrule.data.roles import Reading, decide
from chainrule.errors import ArgumentError, FormatError

DRAW = np.random.default_rng(3)


@pytest.fixture
def write(tmp_path):
    def write(columns, name="t.csv", sign=","):
        cells = zip(*columns.values(), strict=False)
        rows = [sign.join(columns), *(sign.join(map(str, row)) for row in cells)]
        (tmp_path / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
        return tmp_path / name

    return write


def cycle(values, n=60):
    return [values[place % len(values)] for place in range(n)]


N = 60
PEOPLE = {
    "customer": [f"{place:05}" for place in range(N)],
    "row": [*range(N)],
    "age": cycle([31, 45.5, "NA", 62, 28]),
    "income": [f'"${1000 + 37 * place:,}.50"' for place in range(N)],
    "share": cycle(["5%", "12.5%", "7 %"]),
    "member": cycle(["yes", "no", "no"]),
    "city": cycle(["Rome", "Oslo", "", "Rome"]),
    "zip": cycle(["00123", "90210"]),
    "joined": [f"{1 + place % 28:02}/{1 + place % 12:02}/20{10 + place % 9}" for place in range(N)],
    "note": [f"a sentence number {place}" for place in range(N)],
    "country": ["IT"] * N,
    "bought": cycle(["no", "maybe", "yes"]),
}


def test_every_role_is_found_with_its_reason(write):
    train, test = table(write(PEOPLE), label="bought")
    roles = {column.name: (column.role, column.reason) for column in train.schema.columns}
    assert roles == {
        "customer": ("identifier", "codes, not numbers; left out"),
        "row": ("identifier", "counts the rows; left out"),
        "age": ("number", "28 to 62, 12 missing"),
        "income": ("number", "1000.5 to 3183.5, with $, in groups of thousands"),
        "share": ("number", "0.05 to 0.125, with %"),
        "member": ("number", "no and yes, as 0 and 1"),
        "city": ("category", "text, 2 kinds, 15 missing"),
        "zip": ("category", "codes, not numbers, 2 kinds"),
        "joined": ("date", "dates as %d/%m/%Y"),
        "note": ("text", "4 words a row; left out"),
        "country": ("constant", "always 'IT'; left out"),
        "bought": ("label", "3 classes: maybe, no, yes"),
    }
    assert (train.task, train.classes) == ("classification", ("maybe", "no", "yes"))
    assert len(train) + len(test) == N
    assert train.feature_names == ("age", "income", "share", "member", "city", "zip", "joined")
    x, y = train[:]
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert x.shape[1:] == train.input_shape == test.input_shape
    assert np.isfinite(x).all()
    shown = str(train.schema).splitlines()
    assert len(shown) == 13 and all(len(line) <= 80 for line in shown)
    assert shown[3].split(None, 2) == ["age", "number", "28 to 62, 12 missing"]


def test_statistics_are_of_the_training_part(write):
    path = write({"x": DRAW.normal(50, 9, 200).round(3), "y": cycle([0, 1], 200)})
    train, test = table(path, seed=4)
    raw = train.arrays[0][:, 0]
    np.testing.assert_allclose(train[:][0][:, 0], (raw - raw.mean()) / raw.std(), rtol=1e-5)
    assert abs(test[:][0].mean()) > 1e-3  # another part, another mean


def test_missing_numbers_are_the_median_with_an_indicator(write):
    train, _ = table(write({"x": cycle([1, 2, "", 9]), "z": cycle([5, 7]), "y": cycle([0, 1])}))
    encode = train.transform
    assert [block.stop - block.start for block in encode.blocks] == [2, 1]
    raw = train.arrays[0][:, 0]
    median, mean, std = (encode.features[0][key] for key in ("median", "mean", "std"))
    assert median == np.nanmedian(raw)
    y = encode(np.array([[np.nan, 5.0], [2.0, np.nan]]))
    np.testing.assert_allclose(y[0, :2], [(median - mean[0]) / std[0], 1], rtol=1e-6)
    assert y[1, 1] == 0 and np.isfinite(y).all()  # never missing in training: the median alone


def test_categories_are_those_of_training_and_rare_ones_are_unknown(write):
    kinds = cycle(["red", "blue"], 80)
    kinds[7], kinds[11] = "mauve", "puce"
    train, _ = table(write({"x": kinds, "z": cycle([1, 2, 3], 80), "y": cycle(list("ab"), 80)}))
    (colour,) = [column for column in train.schema.features if column.name == "x"]
    assert colour.levels == ("blue", "red")
    codes, bad = colour.values(["red", "green", "mauve", ""], frozenset())
    assert (codes.tolist(), bad) == ([2, 0, 0, 0], [])
    encoded = train.transform(np.array([[2.0, 1.0], [0.0, 1.0]]))
    assert encoded[:, :3].tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_missing_category_is_one_of_its_own(write):
    path = write({"x": cycle(["a", "", "NA"]), "z": cycle([1, 2]), "y": cycle([0, 1])})
    train, _ = table(path, columns={"x": "category"})
    assert train.schema.columns[0].levels == ("", "a")


def test_dates_are_a_year_and_cycles(write):
    days = np.datetime64("2015-12-01") + np.arange(N) * np.timedelta64(7, "D")
    train, _ = table(write({"day": days, "y": cycle([0, 1])}))
    (feature,) = train.transform.features
    # Always the same weekday and hour: these say nothing.
    assert feature["parts"] == ["year", "month sine", "month cosine"]
    hours = np.datetime64("2015-12-01T00:00") + np.arange(N) * np.timedelta64(5, "h")
    train, _ = table(write({"when": hours, "y": cycle([0, 1])}))
    assert train.transform.features[0]["parts"][-2:] == ["hour sine", "hour cosine"]
    seconds = np.array([np.datetime64("2016-03-01T06:00", "s").astype(float)])
    values = cr.data.encoding._dated(seconds)
    assert values["year"] == pytest.approx(2016 + 60 / 366)
    assert (values["month sine"], values["hour sine"]) == (pytest.approx(np.sin(np.pi / 3)), 1)
    assert values["weekday sine"] == pytest.approx(np.sin(2 * np.pi / 7))  # a Tuesday


LABELS = {
    "text": (cycle(["a", "b"]), "classification"),
    "few whole numbers": (cycle([0, 1, 2]), "classification"),
    "digits": (cycle([*range(10)], 100), "classification"),
    "encoded classes": (cycle([*range(15)], 100), "classification"),
    "years": (cycle([*range(1990, 2005)], 100), "regression"),
    "many whole numbers": ([*range(100)], "regression"),
    "whole numbers, each once": ([3, 7, 8, 12, 90, 4, 1, 77, 5, 6, 2], "regression"),
    "decimals": (cycle([0.5, 1.5]), "regression"),
    "yes and no": (cycle(["yes", "no"]), "classification"),
    "codes": (cycle(["007", "7"]), "classification"),
    "prices": ([f'"$1,{place:03}"' for place in range(100)], "regression"),
}


@pytest.mark.parametrize("labels, task", LABELS.values(), ids=LABELS)
def test_the_task_follows_from_the_label(write, labels, task):
    path = write({"x": DRAW.normal(size=len(labels)).round(3), "y": labels})
    train, _ = table(path)
    assert train.task == task
    assert (train.classes is None) == (task == "regression")
    assert train[:][1].dtype == (np.int64 if train.classes else np.float32)


def test_the_task_can_be_said(write):
    path = write({"x": cycle([1.5, 2, 3]), "y": cycle([0, 1, 2])})
    assert table(path, task="regression")[0].task == "regression"
    assert table(path, "x", task="classification")[0].classes == ("1.5", "2", "3")
    with pytest.raises(ArgumentError, match="unknown task"):
        table(path, task="guessing")


def test_rows_without_a_label_are_left_out_and_said(write):
    path = write({"x": cycle([1, 2, 3]), "y": cycle([0.5, "", 1.25, "NA"])})
    train, test = table(path)
    assert len(train) + len(test) == 30
    assert "30 rows without it are left out" in str(train.schema)


def test_all_problems_are_told_at_once_with_rows_and_flags(write):
    prices = [place * 1.37 for place in range(N)]
    prices[4], prices[9] = "12 kg", "?!"
    ages = [20 + place % 50 for place in range(N)]
    ages[30] = "unknown"
    path = write({"price": prices, "age": ages, "y": cycle([1])})
    with pytest.raises(FormatError) as caught:
        table(path)
    message = str(caught.value).splitlines()
    assert message[0].endswith("t.csv: problems in its columns:")
    assert "price: 2 of 60 cells are no numbers: line 6: '12 kg', line 11: '?!'" in message[1]
    assert "--column price=category" in message[1]
    assert "age: 1 of 60 cells are no numbers: line 32: 'unknown'" in message[2]
    assert "--missing 'unknown'" in message[2]
    assert "every row is '1'" in message[3]
    train, _ = table(path, "age", columns={"price": "category"}, missing=["unknown"])
    assert "1 rows without it" in str(train.schema)


@pytest.mark.parametrize(
    "cell, words",
    [("NA", None), ("12 kg", "line 62: '12 kg'"), ("1.234,5", "line 62"), ("inf", "line 62")],
)
def test_one_bad_label_never_makes_classes_of_numbers(write, cell, words):
    labels = [f"{place * 1.37:.2f}" for place in range(N)]
    path = write({"a": [*range(N), 5], "price": [*labels, f'"{cell}"']})
    if words is None:
        assert table(path, "price")[0].task == "regression"
    else:
        with pytest.raises(FormatError, match=f"price, the label: numbers, and text: {words}"):
            table(path, "price")


def test_a_label_with_a_class_per_row_is_refused(write):
    path = write({"x": cycle([1, 2, 3]), "name": [f"n{place}" for place in range(N)]})
    with pytest.raises(FormatError, match=r"60 classes in 60 rows.*--label"):
        table(path, "name")
    with pytest.raises(FormatError, match=r"(?s)no column is left.*:\n  column.*\n  name"):
        table(path, "x")


def test_dates_are_no_labels(write):
    days = [f"2012-01-{1 + place % 28:02}" for place in range(N)]
    with pytest.raises(FormatError, match=r"day, the label: dates.*--label"):
        table(write({"x": cycle([1.5, 2]), "day": days}), "day")


@pytest.fixture
def text_file(tmp_path):
    def make(text):
        path = tmp_path / "t.csv"
        path.write_text(text)
        return path

    return make


PREAMBLE = "Sales of 2020\n\nin euros\n"
PREAMBLES = {
    "lines before the header": (PREAMBLE + "day,y\n1,2.5\n2,3.5\n3,5.5\n", 4, 2),
    "a header that ends in a comma": (PREAMBLE + "day,y,\n1,2.5\n2,3.5\n3,5.5\n", 4, 2),
    "a quoted cell of several lines": ('"a\nb\nc"\nday,y,z\n1,2.5,0\n2,3.5,1\n', 4, 3),
}


@pytest.mark.parametrize("text, line, width", PREAMBLES.values(), ids=PREAMBLES)
def test_lines_before_the_table_are_left_out_and_said(text_file, text, line, width):
    path = text_file(text)
    words = rf"begins in line {line}, with rows of {width} cells; the lines before are left out"
    with pytest.warns(UserWarning, match=words):
        found = read_columns(path)
    assert found.names == ("day", "y", "z")[:width]
    assert found.column("y")[:2] == ["2.5", "3.5"] and found.where([0], "y").startswith("line 5")


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2,3\n4,5,6\n7,8,9\n",  # numbers do not name columns
        "a,b,c,d\nx,y\n1,2\n3,4\n",  # the first line is wider
        "a\nx,y,z\nu,v,w\np,q,r\n",  # nothing tells a header from a row
        PREAMBLE + "day,y\n1,2.5\n2,3.5\nTotal\n",
    ],
)
def test_other_rows_of_another_width_are_refused(text_file, text):
    with pytest.raises(FormatError, match=r"another width.*Take out the lines.*--delimiter"):
        read_columns(text_file(text))


def test_a_decimal_sign_changes_nothing_where_no_number_has_one(text_file):
    rows = "\n".join(f"{i};{i % 7},5;{i % 2}" for i in range(1, 41))
    train, _ = table(text_file(f"id;size;y\n{rows}\n"), "y", decimal=",")
    assert str(train.schema).splitlines()[1:] == [
        "id      identifier  counts the rows; left out",
        "size    number      0.5 to 6.5, with decimal commas",
        "y       label       2 classes, not numbers: 0, 1",
    ]


def test_options_are_checked(write):
    path = write({"a": cycle([1, 2]), "b": cycle([3, 4]), "price": cycle([0, 1])})
    with pytest.raises(ArgumentError, match=r"which column is the label.*--label"):
        table(path)
    with pytest.raises(ArgumentError, match="Did you mean 'price'"):
        table(path, "prise")
    with pytest.raises(ArgumentError, match="has no feature c"):
        table(path, "price", drop=["c"])
    with pytest.raises(ArgumentError, match="column a has an unknown role; given: nummer"):
        table(path, "price", columns={"a": "nummer"})
    with pytest.raises(ArgumentError, match="unknown decimal sign"):
        table(path, "price", decimal=";")
    train, _ = table(path, -1, drop=["a"])
    assert train.feature_names == ("b",)
    with pytest.raises(FormatError, match="a: no dates"):
        table(path, "price", columns={"a": "date:%d/%m/%Y"})


def test_only_a_counter_to_learn_from_is_kept(write):
    train, _ = table(write({"a": [*range(N)], "y": [f"{1.37 * place:.2f}" for place in range(N)]}))
    assert train.schema.columns[0].role == "number"
    assert "no other column is left" in train.schema.columns[0].reason


def test_ambiguous_dates_are_said_aloud(write):
    train, _ = table(write({"day": cycle(["01/02/2012", "03/04/2013"]), "y": cycle([0, 1])}))
    assert "%d/%m/%Y fits too: --column day=date:%d/%m/%Y" in str(train.schema)
    path = write({"day": cycle(["01/02/2012", "03/04/2013"]), "y": cycle([0, 1])})
    train, _ = table(path, columns={"day": "date:%d/%m/%Y"})
    assert train.schema.columns[0].notation == {"format": "%d/%m/%Y"}


# -- other tables ------------------------------------------------------------------------------


@pytest.fixture
def trained(write):
    train, test = table(write(PEOPLE), label="bought")
    return train, test, json.loads(json.dumps(train.describe()))


def test_a_schema_comes_back_from_json(trained):
    train, _, record = trained
    schema = Schema.from_config(record["schema"])
    assert schema == train.schema and str(schema) == str(train.schema)
    assert EncodeTable(record["transform"]["features"]) == train.transform
    for change in ({"columns": 3}, {"columns": []}, {"classes": 3}, {"columns": [{"name": "x"}]}):
        with pytest.raises(FormatError, match="schema does not fit"):
            Schema.from_config({**record["schema"], **change})


def test_another_table_is_read_as_training_was(trained, write):
    train, _, record = trained
    whole = open_like(write(PEOPLE), record)
    assert len(whole) == N
    x = read_inputs(write(PEOPLE), record)
    np.testing.assert_array_equal(x, whole[:][0])
    turned = {name: PEOPLE[name] for name in reversed(PEOPLE)} | {"more": cycle(["x"])}
    turned["income"] = [f"{1000.5 + 37 * place}" for place in range(N)]  # written otherwise
    turned["city"] = cycle(["Rome", "Oslo", "", "Paris"])  # Paris is new
    again = read_inputs(write(turned, "o.tsv", "\t"), record)
    city = train.transform.blocks[4]
    assert again[3, city.start : city.stop].tolist() == [1, 0, 0, 0]
    same = np.delete(np.arange(x.shape[1]), np.arange(city.start, city.stop))
    np.testing.assert_allclose(again[:, same], x[:, same], rtol=1e-6)


def test_another_table_that_does_not_fit_is_refused(trained, write):
    record = trained[2]
    with pytest.raises(FormatError, match=r"lacks columns: income, joined; given: columns"):
        few = {name: PEOPLE[name] for name in PEOPLE if name not in ("income", "joined")}
        read_inputs(write(few), record)
    with pytest.raises(FormatError) as caught:
        share = ["5", *PEOPLE["share"][1:]]
        read_inputs(write({**PEOPLE, "age": cycle(["old"]), "share": share}), record)
    assert "age (number): line 2: 'old', line 3: 'old'" in str(caught.value)
    assert "share (number): line 2: '5'" in str(caught.value)
    with pytest.raises(FormatError, match="did not know: perhaps"):
        open_like(write({**PEOPLE, "bought": cycle(["perhaps"])}), record)
    with pytest.raises(FormatError, match="lacks the label's column 'bought'"):
        open_like(write({n: c for n, c in PEOPLE.items() if n != "bought"}), record)
    renamed = {("sold" if n == "bought" else n): c for n, c in PEOPLE.items()}
    assert len(open_like(write(renamed), record, label="sold")) == N


def test_a_regression_reads_targets_as_they_are_written(write):
    path = write({"x": cycle([1, 2, 3]), "y": [f'"€1.{place:03},5"' for place in range(N)]})
    train, test = table(path, decimal=",")
    values = np.concatenate([train.arrays[1], test.arrays[1]])
    assert sorted(values[:, 0]) == [1000.5 + place for place in range(N)]
    record = json.loads(json.dumps(train.describe()))
    assert open_like(path, record).arrays[1].shape == (N, 1)


def test_open_dataset_takes_the_same_options(write):
    path = write(PEOPLE)
    train, _ = open_dataset(path, label="age", drop=["note"], columns={"zip": "identifier"})
    assert train.task == "regression" and "zip" not in train.feature_names
    with pytest.raises(TypeError, match="labell"):
        open_dataset(path, labell="age")


def test_data_frames_decide_by_their_types(write):
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(
        {
            "zip": pandas.Series(cycle([123, 456, 789]), dtype="category"),
            "when": pandas.date_range("2012-01-01", periods=N),
            "x": DRAW.normal(size=N),
            "y": cycle(["a", "b"]),
        }
    )
    train, _ = table(frame, "y")
    roles = [column.role for column in train.schema.columns]
    assert roles == ["category", "date", "number", "label"]
    path = write({name: frame[name].astype(str) for name in frame})
    assert table(path, "y")[0].schema.columns[0].role == "number"


def test_parquet_gives_what_csv_gives(write, tmp_path):
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    pytest.importorskip("pyarrow", reason="needs the extra `tables`")
    path = write({"x": cycle([1.5, 2.25]), "z": cycle(["a", "b", "c"]), "y": cycle([0, 1])})
    pandas.read_csv(path).to_parquet(tmp_path / "t.parquet")
    for left, right in zip(open_dataset(path), open_dataset(tmp_path / "t.parquet"), strict=True):
        np.testing.assert_array_equal(left[:][0], right[:][0])
        np.testing.assert_array_equal(left[:][1], right[:][1])


def test_a_model_learns_from_a_table(write):
    """A number, a category and a date each decide; a wide net finds it."""
    n = 400
    x, kind = DRAW.normal(size=n).round(3), DRAW.choice(["a", "b", "c"], n)
    target = (x + (kind == "b") > 0.5).astype(int)
    train, test = table(write({"x": x, "kind": kind, "y": target}))
    model = cr.nn.Sequential(
        cr.nn.Linear(*train.input_shape, 16), cr.nn.ReLU(), cr.nn.Linear(16, 2)
    )
    optimizer = cr.optim.Adam(model.parameters(), lr=0.02)
    trainer = cr.Trainer(model, cr.nn.CrossEntropyLoss(), optimizer, progress=False)
    trainer.fit(train, epochs=15)
    assert trainer.evaluate(test)["accuracy"] > 0.9


def test_time_grows_with_the_rows(growth, tmp_path):
    def read(n):
        path = tmp_path / "t.csv"
        path.write_text("a,b,y\n" + "".join(f"{i},k{i % 900},{i % 2}\n" for i in range(n)))
        decide(read_columns(path), Reading("y"))

    assert growth(read, 4000) < 8
