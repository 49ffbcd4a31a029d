"""What text means: a notation holds for a whole column or not at all."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data.values import (
    Numbers,
    date_formats,
    find_numbers,
    find_pair,
    looks_numeric,
    read_date,
)

COLUMNS = {
    "plain": (["1", "-2.5", "+.5", "1e3"], [1, -2.5, 0.5, 1000]),
    "thousands": (["1,234", "999", "12,345,678.9"], [1234, 999, 12345678.9]),
    "currency": (["$1,234.50", "-$5", "$ 7"], [1234.5, -5, 7]),
    "currency behind": (["12 €", "7€", "-3 €"], [12, 7, -3]),
    "brackets": (["(1,234)", "5"], [-1234, 5]),
    "percent": (["5%", "12.5 %", "-3%"], [0.05, 0.125, -0.03]),
    "decimal comma": (["3,14", "-0,5", "12"], [3.14, -0.5, 12]),
    "decimal comma and thousands": (["1.234,5", "2,25"], [1234.5, 2.25]),
    "spaces": (["1 234,5", "12"], [1234.5, 12]),
    "no-break spaces": (["1\u202f234", "12"], [1234, 12]),
    "Swiss": (["1'234.50", "12"], [1234.5, 12]),
}


@pytest.mark.parametrize("texts, values", COLUMNS.values(), ids=COLUMNS)
def test_numbers_as_the_world_writes_them(texts, values):
    notation = find_numbers(texts)
    # A percent is divided by 100, which rounds once.
    assert [notation.read(text) for text in texts] == pytest.approx(values, rel=1e-15)
    assert all(map(looks_numeric, texts))


@pytest.mark.parametrize(
    "texts",
    [
        ["5%", "3"],
        ["$5", "€5"],
        ["1,23", "1.23"],
        ["1,2345", "1.5"],
        ["12 kg"],
        ["1-2"],
        ["--5"],
        ["(5"],
        ["5)"],
        ["(-5)"],
        ["$"],
        ["%"],
        ["1.2.3"],
        ["1,,234"],
        ["0x1F"],
        ["1_000"],
        ["inf"],
        ["nan"],
        [""],
        ["١٢"],
        ["1/2"],
        ["1:30"],
        ["5 %%"],
        ["1,234 5"],
    ],
    ids=str,
)
def test_what_is_no_column_of_numbers(texts):
    assert find_numbers(texts) is None


def test_the_decimal_sign_can_be_said():
    assert find_numbers(["1,234"]).read("1,234") == 1234
    assert find_numbers(["1,234"], ",").read("1,234") == 1.234
    assert find_numbers(["1.234"], ",").read("1.234") == 1234
    assert find_numbers(["0,500"]).read("0,500") == 0.5  # no group of thousands begins with 0
    assert find_numbers(["1.25"], ",") is None


def test_a_notation_reads_nothing_else():
    euros = Numbers(",", "€")
    assert euros.read("5 €") == euros.read("5") == 5
    assert [euros.read(text) for text in ("$5", "5%", "1.25", "x", "1e999")] == [None] * 5
    assert Numbers(unit="%").read("5") is None  # 5 or 0.05?
    assert Numbers().read("1e999") is None


@given(st.floats(-1e12, 1e12).map(lambda value: round(value, 2)))
def test_a_formatted_number_comes_back(value):
    for text, decimal in (
        (f"{value:,.2f}", "."),
        (f"{value:,.2f}".translate(str.maketrans(",.", ".,")), ","),
        (f"{value:.2f}", "."),
    ):
        assert find_numbers([text], decimal).read(text) == value


def test_yes_and_no():
    assert find_pair(["TRUE", "false"]) == ("false", "true")
    assert find_pair(["Yes"]) == ("no", "yes")
    assert find_pair(["yes", "true"]) is None
    assert find_pair([]) is None


DATES = {
    "2012-03-04": "2012-03-04",
    "2012-03-04 05:06": "2012-03-04 05:06",
    "2012-03-04T05:06:07Z": "2012-03-04 05:06:07",
    "2012-03-04T07:06:07+02:00": "2012-03-04 05:06:07",
    "2012/03/04 05:06:07": "2012-03-04 05:06:07",
    "04.03.2012": "2012-03-04",
    "25/12/2012": "2012-12-25",
    "12/25/2012": "2012-12-25",
    "Mar 4 2012": "2012-03-04",
    "March 4, 2012": "2012-03-04",
    "4 Mar 2012": "2012-03-04",
    "Mar 2012": "2012-03-01",
    "12/25/2012 05:06 PM": "2012-12-25 17:06",
    "1700-01-01": "1700-01-01",
}


@pytest.mark.parametrize("text, wanted", DATES.items())
def test_dates(text, wanted):
    form = next(date_formats([text]))
    assert read_date(text, form) == datetime.fromisoformat(wanted).replace(tzinfo=UTC).timestamp()


def test_a_format_holds_for_a_whole_column():
    both = [*date_formats(["01/02/2012", "03/04/2012"])]
    assert both[:2] == ["%m/%d/%Y", "%d/%m/%Y"]
    assert next(date_formats(["01/02/2012", "25/04/2012"])) == "%d/%m/%Y"
    assert [*date_formats(["2012-01-01", "soon"])] == [*date_formats([])] == []
    assert read_date("2012-02-30", "iso") is None
