"""How numbers are written: the decimal sign by the column, thousands, K, M and B, and what is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trading_platform.domain.market.bars import PRICES
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import DecimalSign, ImportOptions
from trading_platform.sources.files.reading import FileReading, read_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "Date;Open;High;Low;Close;Volume"


def read(text: str, **said: object) -> FileReading:
    content = FileContent(Path("/somewhere/FUND.csv"), None, text.encode)
    options = ImportOptions(symbol="FUND", **said)  # type: ignore[arg-type]
    return read_content(content, options, now=NOW, zone_of=lambda _symbol: "UTC")


def flat(values: list[str], separator: str = ";", volume: str = "1", form: str = "2024-01-{:02}") -> str:
    """Daily bars with one value for all four prices."""
    rows = [
        separator.join([form.format(day), *[value] * 4, volume if isinstance(volume, str) else volume[day - 2]])
        for day, value in enumerate(values, 2)
    ]
    return "\n".join([HEADER.replace(";", separator), *rows])


def closes(reading: FileReading) -> list[Decimal]:
    assert reading.rejected.is_empty(), reading.rejected.rows()
    return reading.bars["close"].to_list()


def decimals(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["1.213,03", "1.205", "1.211"], ["1213.03", "1205", "1211"]),
        (["12345,5", "12500", "12.345"], ["12345.5", "12500", "12345"]),
        (["1.234.567", "1.205", "998"], ["1234567", "1205", "998"]),
        (["0,5", "1,205", "1,2"], ["0.5", "1.205", "1.2"]),
        (["1 213,03", "1 205", "998,1"], ["1213.03", "1205", "998.1"]),
        (["1\u202f213,03", "1\u00a0205,5", "1\u202f000,1"], ["1213.03", "1205.5", "1000.1"]),
        (["1.205,00 €", "€ 1.206", "1.207"], ["1205", "1206", "1207"]),
        (["1,5e3", "1.600", "1700"], ["1500", "1600", "1700"]),
    ],
)
def test_a_decimal_comma_is_seen_in_the_column(written: list[str], meant: list[str]) -> None:
    reading = read(flat(written))
    assert closes(reading) == decimals(*meant)
    assert "the comma is the decimal sign" in reading.assumption


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["1,213.03", "1,205", "1,211.5"], ["1213.03", "1205", "1211.5"]),
        (["1,234,567", "1,205", "998"], ["1234567", "1205", "998"]),
        (["12,34,567.5", "1,205", "998"], ["1234567.5", "1205", "998"]),
        (["1'213.03", "1'205", "1'211"], ["1213.03", "1205", "1211"]),
        (["$1,182.35", "$1,183", "$999.1"], ["1182.35", "1183", "999.1"]),
        (["998.125", "1001.5", "1,205"], ["998.125", "1001.5", "1205"]),
    ],
)
def test_thousands_signs_beside_a_decimal_point(written: list[str], meant: list[str]) -> None:
    reading = read(flat(written))
    assert closes(reading) == decimals(*meant)


@pytest.mark.parametrize(
    "written", [["1.5", "2.25", "3"], ["1", "2", "3"], ["1e3", "1.1E3", "+5.5"], [".5", "5.", "1"]]
)
def test_plain_numbers_need_no_assumption(written: list[str]) -> None:
    reading = read(flat(written))
    assert closes(reading) == decimals(*written)
    assert "sign" not in reading.assumption


@pytest.mark.parametrize(
    ("written", "form"),
    [
        (["1,205", "1,213", "998"], "2024-01-{:02}"),  # a comma before three digits only
        (["1.205", "1.213", "1.211"], "{:02}.01.2024"),  # German dates and semicolons
        (["998", "1.005", "1.010"], "2024-01-{:02}"),  # a price does not fall to a thousandth
        (["1.213,03", "1,213.03", "5"], "2024-01-{:02}"),  # written in two ways
        (["1.234.567", "1,234,567", "5"], "2024-01-{:02}"),
    ],
)
def test_what_can_be_read_in_two_ways_is_asked_for(written: list[str], form: str) -> None:
    text = flat(written, form=form)
    reading = read(text)
    assert reading.rejected_whole
    assert reading.bars.is_empty()
    assert reading.rejected["reason"].to_list() == ["unreadable_number"]
    assert "--decimal point or --decimal comma" in reading.rejected["detail"][0]
    assert read(text, decimal=DecimalSign.COMMA).accepted > 0


@pytest.mark.parametrize(
    ("written", "options"),
    [
        (["109.64", "109,438", "109.5"], {}),
        (["109,64", "109.438", "109,5"], {}),
        (["109.64", "109,438", "109.5"], {"decimal": DecimalSign.POINT}),
        (["1.205", "1,205", "1.206"], {"decimal": DecimalSign.COMMA}),
    ],
)
def test_thousands_that_make_a_price_jump_are_refused(written: list[str], options: dict[str, DecimalSign]) -> None:
    reading = read(flat(written), **options)
    assert reading.rejected_whole
    assert "is no price beside the others" in reading.rejected["detail"][0]


@pytest.mark.parametrize(
    "volumes", [["2.216.382", "554,602", "998"], ["2,216,382", "554.602", "998"], ["1.234", "1,234", "5"]]
)
def test_thousands_with_both_signs_are_refused(volumes: list[str]) -> None:
    reading = read(flat(["991", "989", "988"], volume=volumes))  # type: ignore[arg-type]
    assert reading.rejected_whole
    assert "two ways" in reading.rejected["detail"][0] or "--decimal" in reading.rejected["detail"][0]


def test_prices_may_cross_a_thousand() -> None:
    assert closes(read(flat(["998.5", "1,005", "1,010"]))) == decimals("998.5", "1005", "1010")


def test_prices_of_a_bar_in_different_units_are_refused() -> None:
    rows = "\n".join(f"2024-01-0{day};12.5;1260;12.4;12.5;7" for day in range(2, 6))
    reading = read(f"{HEADER}\n{rows}")
    assert reading.rejected_whole
    assert "not in one unit" in reading.rejected["detail"][0]


def test_a_header_of_unknown_names_is_no_row() -> None:
    reading = read("Gmt time;open1;col2;px;col3;value1\n2024-01-02;1;2;1;2;5\n2024-01-03;1;2;1;2;5\n")
    assert reading.rejected_whole
    assert "open1, col2" in reading.rejected["detail"][0]


def test_three_decimals_with_a_point_are_read_and_the_assumption_said() -> None:
    reading = read(flat(["109.123", "109.456", "110.001"], separator=","))
    assert closes(reading) == decimals("109.123", "109.456", "110.001")
    assert "the point taken as the decimal sign" in reading.assumption


def test_the_given_sign_counts_and_numbers_of_the_other_are_rejected() -> None:
    text = flat(["1.205", "1.206,5", "1.5", "1,207.5"])
    comma = read(text, decimal=DecimalSign.COMMA)
    assert comma.bars["close"].to_list() == decimals("1205", "1206.5")
    assert comma.rejected["line"].to_list() == [4, 5]
    assert "is not a number: 1.5 (the decimal sign is the comma)" in comma.rejected["detail"][0]
    point = read(text, decimal=DecimalSign.POINT)
    assert point.bars["close"].to_list() == decimals("1.205", "1.5", "1207.5")
    assert point.rejected["line"].to_list() == [3]
    assert "the decimal sign is the point, as given" in point.assumption


@pytest.mark.parametrize(
    "written", ["1.23.456", "12.3456,7", "1,2,3", "1..5", "0.123,5", "1.2345.678", "12x,5", "--1,5"]
)
def test_a_number_that_fits_no_way_is_rejected(written: str) -> None:
    reading = read(flat(["1.213,03", written, "5,5"]), decimal=DecimalSign.COMMA)
    assert reading.rejected["line"].to_list() == [3]
    assert reading.rejected["reason"].to_list() == ["unreadable_number"]


def test_volumes_decide_where_prices_do_not() -> None:
    text = flat(["1.205", "1.206", "1.207"], volume=["1.234.567", "12.345", "987"])
    reading = read(text)
    assert closes(reading) == decimals("1205", "1206", "1207")
    assert reading.bars["volume"].to_list() == decimals("1234567", "12345", "987")


@pytest.mark.parametrize(
    ("volumes", "meant"),
    [
        (["90.60M", "120.29M", "1.21B"], ["90600000", "120290000", "1210000000"]),
        (["5.5K", "998", "1.25m"], ["5500", "998", "1250000"]),
        (["0.5 T", "12 B", "3 k"], ["500000000000", "12000000000", "3000"]),
    ],
)
def test_volumes_in_thousands_millions_and_billions(volumes: list[str], meant: list[str]) -> None:
    reading = read(flat(["12.25", "12.5", "12"], volume=volumes))  # type: ignore[arg-type]
    assert reading.bars["volume"].to_list() == decimals(*meant)
    assert "volumes in K, M or B, rounded by the source" in reading.assumption


def test_a_price_in_thousands_is_no_price() -> None:
    reading = read(flat(["1.5K", "2.5", "3.5"]))
    assert reading.rejected["line"].to_list() == [2]


def test_a_german_investing_file() -> None:
    text = (
        '"Date","Price","Open","High","Low","Vol.","Change %"\n'
        '"30.10.2020","3.265,40","3.282,80","3.296,90","3.226,00","120,29K","-1,03%"\n'
        '"29.10.2020","3.299,80","3.269,10","3.334","3.250,90","1,21M","1,02%"\n'
    )
    reading = read(text)
    assert reading.bars.select(*PRICES, "volume").rows() == [
        tuple(decimals("3269.1", "3334", "3250.9", "3299.8", "1210000")),
        tuple(decimals("3282.8", "3296.9", "3226", "3265.4", "120290")),
    ]


def test_trades_and_quotes_with_a_decimal_comma() -> None:
    trades = "time;price;quantity\n2024-01-02 00:00:00;1.205;0,5\n2024-01-02 00:00:30;1.206,5;1.000\n"
    reading = read(trades)
    assert reading.bars.select(*PRICES, "volume").row(0) == tuple(
        decimals("1205", "1206.5", "1205", "1206.5", "1000.5")
    )
    quotes = "time;bid;ask\n2024-01-02 00:00:00;1,20;1,30\n2024-01-02 00:00:30;1,25;1,35\n"
    assert read(quotes).bars.select(*PRICES).row(0) == tuple(decimals("1.25", "1.3", "1.25", "1.3"))


@pytest.mark.parametrize("names", ["h,o,l,h,c", "Open,Max,Min,Max,Close", "high_price,open,low,HIGH PRICE,close"])
def test_a_price_that_occurs_twice_is_refused_by_any_of_its_names(names: str) -> None:
    reading = read(f"time,{names}\n2024-01-02,3,2,1,4,2\n2024-01-03,3,2,1,4,2\n")
    assert reading.rejected_whole
    assert "twice" in reading.rejected["detail"][0]


@pytest.mark.parametrize("huge", ["1e999", "1e308", "1e-308"])
def test_a_number_beyond_floats_is_rejected_and_the_others_are_read(huge: str) -> None:
    text = flat(["1,213.5", "1,205", "1,211", "1,209.5"])
    reading = read(text.replace("1,211", huge, 1))
    assert reading.rejected["line"].to_list() in ([4], [None])
    assert reading.rejected["reason"].to_list()[0] in (
        "out_of_range",
        "too_fine",
        "unreadable_number",
        "ohlc_inconsistent",
    )
