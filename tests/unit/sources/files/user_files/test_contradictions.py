"""Files that contradict themselves: what could be right in two ways is refused, and both ways are named."""

from __future__ import annotations

import pytest
from user_file import closes, days, read, refusal, table, volumes

from trading_platform.sources.files.content.options import DateOrder, DecimalSign

OHLCV = "Date,Open,High,Low,Close,Volume"


@pytest.mark.parametrize("scale", [2, 30, 1000])
def test_every_bar_twice_with_other_volumes_is_refused(scale: int) -> None:
    other = [[*row[:5], int(str(row[5])) * scale] for row in days(50)]
    words = refusal("KO.csv", table(OHLCV, days(50) + other), symbol="KO")
    assert "2.0 times each for KO, with different volumes" in words


@pytest.mark.parametrize("name", ["Turnover", "quote_volume", "amount"])
def test_every_bar_twice_with_another_turnover_is_refused(name: str) -> None:
    other = [[*row[:5], int(str(row[5])) * 7] for row in days(50)]
    words = refusal("KO.csv", table(OHLCV.replace("Volume", name), days(50) + other), symbol="KO")
    assert "with different volumes" in words


@pytest.mark.parametrize("beside", ["50110.625", "9.5"])
def test_prices_of_another_instrument_do_not_hide_a_decimal_comma(beside: str) -> None:
    prices = ["110.625", "110,935", "111.068", "110,997", "110.390"]
    rows = []
    for day, price in zip(days(50), prices, strict=True):
        rows += [[day[0], *[price] * 4, 1, "USDJPY"], [day[0], *[beside] * 4, 1, "EURUSD"]]
    text = table(f"{OHLCV};Ticker".replace(",", ";"), rows, ";")
    assert "110,935 as thousands is no price beside the others" in refusal(
        "prices.csv", text, symbol="USDJPY", decimal=DecimalSign.POINT
    )


def test_every_bar_twice_with_the_same_values_is_read() -> None:
    assert closes(read("KO.csv", table(OHLCV, days(50) * 2))["KO"]) == [51, 52, 53, 54, 55]


def test_a_corrected_volume_of_a_single_bar_is_read() -> None:
    found = read("KO.csv", table(OHLCV, [*days(50), [*days(50)[-1][:5], 7]]))["KO"]
    assert volumes(found) == [1000, 1001, 1002, 1003, 7]
    assert found.rejected["reason"].to_list() == ["duplicate"]


@pytest.mark.parametrize("amount", ["345.245", "$345.245", "1.002"])
def test_thousands_by_two_signs_in_a_column_are_refused(amount: str) -> None:
    rows = [[*row[:5], text] for row, text in zip(days(50), ["9 932,89", "8 646,5", amount, "1 002", "7"], strict=True)]
    words = refusal("KO.csv", table(OHLCV.replace(",", ";"), rows, ";"), decimal=DecimalSign.COMMA)
    assert "separate thousands by different signs" in words


@pytest.mark.parametrize("amount", ["2,650e-5", "1,234e3", "12,345.6E2"])
def test_thousands_are_not_separated_in_a_number_with_an_exponent(amount: str) -> None:
    rows = [[*row[:5], row[5]] for row in days(50)]
    rows[2] = [rows[2][0], *[f'"{amount}"'] * 4, 1]
    found = read("KO.csv", table(OHLCV, rows), decimal=DecimalSign.POINT)["KO"]
    assert closes(found) == [51, 52, 54, 55]
    assert found.rejected["reason"].to_list() == ["unreadable_number"]


def dated(dates: list[str]) -> str:
    rows = [[date, *row[1:]] for date, row in zip(dates, days(50, count=len(dates)), strict=True)]
    return table(OHLCV, rows)


@pytest.mark.parametrize(
    "dates",
    [
        "30/03 31/03 01/04 02/04 04/05 04/06 04/07 04/08",
        "28/02 29/02 03/02 03/03 03/04",
        "28/04 29/04 30/04 05/01 05/04",
        "12/01 12/02 25/11 27/11 30/11",
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_days_that_would_be_months_of_the_other_order_are_refused(dates: str, *, reverse: bool) -> None:
    listed = [f"{date}/2020" for date in dates.split()]
    assert "two orders" in refusal("KO.csv", dated(listed[::-1] if reverse else listed))


@pytest.mark.parametrize("order", [None, DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST])
def test_dates_that_only_different_orders_allow_are_refused_in_any_order_of_rows(order: DateOrder | None) -> None:
    dates = "22/12/2013 12/21/2013 01/02/2014 12/20/2013 27/12/2013 12/24/2013 01/01/2014 26/12/2013 12/17/2013"
    options = {} if order is None else {"dates": order}
    words = refusal("KO.csv", dated(dates.split()), **options)
    assert "two orders" in words
    assert "01/02/2014 is unknown" in words


def test_a_single_date_that_is_none_in_the_order_of_the_others_is_rejected_alone() -> None:
    found = read("KO.csv", dated("20/12/2013 21/12/2013 12/22/2013 23/12/2013 02/01/2014".split()))["KO"]
    assert len(closes(found)) == 4
    assert found.rejected["record"][0].startswith("12/22/2013")


@pytest.mark.parametrize("dates", ["28/02 02/03 03/03 04/05 05/05", "13/01 14/01 04/02", "14/01 15/01 02/03 03/03"])
def test_days_around_a_gap_are_read(dates: str) -> None:
    listed = [f"{date}/2020" for date in dates.split()]
    found = read("KO.csv", dated(listed), dates=DateOrder.DAY_FIRST)["KO"]
    assert len(closes(found)) == len(listed)


@pytest.mark.parametrize("order", [None, DateOrder.DAY_FIRST])
def test_days_over_the_turn_of_months_are_read(order: DateOrder | None) -> None:
    dates = ["27/03/2020", "30/03/2020", "31/03/2020", "01/04/2020", "02/04/2020", "03/04/2020", "06/04/2020"]
    options = {} if order is None else {"dates": order}
    assert len(closes(read("KO.csv", dated(dates), **options)["KO"])) == 7
