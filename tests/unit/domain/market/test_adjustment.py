"""Adjusted prices against a vendor's own, their definitions in exact fractions, and their invariants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from daily_bars import EPOCH, bars_of, read_daily
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest, QualityError
from trading_platform.domain.market.adjustment import Adjustment, Closes, adjust_bars, parse_adjustment
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES
from trading_platform.domain.market.calendars import day_begins, next_session
from trading_platform.domain.market.corporate_actions import (
    ACTION_SCHEMA,
    ActionKind,
    CorporateAction,
    actions_frame,
    simplest_ratio,
)
from trading_platform.sources.files.actions.read_actions import read_actions
from trading_platform.sources.files.content.contents import open_contents

FAR = datetime(2100, 1, 1, tzinfo=UTC)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def split(ex_date: datetime, ratio: Fraction | int, symbol: str = "TEST") -> CorporateAction:
    return CorporateAction(symbol, ex_date, ActionKind.SPLIT, ex_date, "file", ratio=Fraction(ratio))


def dividend(ex_date: datetime, amount: str, symbol: str = "TEST") -> CorporateAction:
    return CorporateAction(symbol, ex_date, ActionKind.DIVIDEND, ex_date, "file", amount=Decimal(amount))


def closes_of(bars: pl.DataFrame, actions: Sequence[CorporateAction]) -> Closes:
    """The bar before each dividend, looked for one by one."""
    found = {}
    for action in actions:
        earlier = bars.filter((pl.col("symbol") == action.symbol) & (pl.col("time") < action.ex_date))
        if earlier.height:
            found[action.symbol, action.ex_date] = (earlier["time"][-1], earlier["close"][-1])
    return found


def adjusted(
    bars: pl.DataFrame,
    actions: Sequence[CorporateAction],
    how: Adjustment = Adjustment.SPLIT,
    as_of: datetime = FAR,
) -> pl.DataFrame:
    return adjust_bars(bars, actions, closes_of(bars, actions), how, as_of, lambda action: action.ex_date)


def rounded(value: Fraction) -> Decimal:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return exact.quantize(Decimal("1e-8"), ROUND_HALF_UP)


@pytest.fixture(scope="module")
def apple(test_data: Path) -> tuple[pl.DataFrame, pl.DataFrame, list[CorporateAction]]:
    """Apple's raw bars, the vendor's export that is adjusted for the 7:1 of 2014, and the factor file's actions."""
    raw = pl.read_csv(test_data / "daily" / "AAPL_lean_daily.csv", infer_schema=False).rename({"time_local": "Date"})
    path = test_data / "daily" / "AAPL_2004-2018_yahoo.csv"
    lean = read_daily_frame(raw, "AAPL")
    content = open_contents(test_data / "daily" / "corporate_actions" / "aapl_factor_file.csv")[0]
    return lean, read_daily(path, "AAPL"), list(read_actions(content, "AAPL", lambda _: "XNYS").actions)


def read_daily_frame(raw: pl.DataFrame, symbol: str) -> pl.DataFrame:
    return raw.select(
        time=pl.col("Date").str.head(10).str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC"),
        symbol=pl.lit(symbol),
        timeframe=pl.lit("1d"),
        **{name: pl.col(name).str.to_decimal(scale=8).cast(BAR_SCHEMA[name]) for name in PRICES},
        volume=pl.col("volume"),
        source=pl.lit("file"),
        quality=pl.lit("traded"),
    ).cast(BAR_SCHEMA)  # type: ignore[arg-type]


# --- a vendor's own adjusted prices -------------------------------------------------------------------------------


def ratio_to_vendor(bars: pl.DataFrame, vendor: pl.DataFrame) -> pl.Series:
    both = bars.join(vendor.select("time", theirs="close"), on="time")
    assert both.height == vendor.height == 3379
    return both.select(pl.col("close").cast(pl.Float64) / pl.col("theirs").cast(pl.Float64))["close"]


def test_raw_prices_and_the_factor_file_give_the_vendors_adjusted_closes(apple):
    """The data's README: 0.25 at the median, for the 4:1 that came after the export; single days 0.2467 to 0.2526."""
    raw, vendor, actions = apple
    ratio = ratio_to_vendor(adjusted(raw, actions), vendor)
    assert ratio.median() == pytest.approx(0.25, abs=1e-6)
    assert ratio.min() >= 0.2467 - 5e-5
    assert ratio.max() <= 0.2526 + 5e-5


def test_as_of_the_exports_own_day_there_is_no_difference_at_the_median(apple):
    raw, vendor, actions = apple
    ratio = ratio_to_vendor(adjusted(raw, actions, as_of=day("2018-01-20")), vendor)
    assert ratio.median() == pytest.approx(1, abs=4e-6)
    assert 4 * (0.2467 - 5e-5) <= ratio.min() <= ratio.max() <= 4 * (0.2526 + 5e-5)


def test_total_return_is_the_vendors_adjusted_close(apple, test_data):
    """To 0.03 %: the vendors' closes differ by a cent here and there, and with them the factors."""
    raw, _, actions = apple
    path = test_data / "daily" / "AAPL_2004-2018_yahoo.csv"
    vendor = pl.read_csv(path).select(
        time=pl.col("Date").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC"), theirs="Adj Close"
    )
    ours = adjusted(raw, actions, Adjustment.TOTAL_RETURN, day("2018-01-20")).join(vendor, on="time")
    ratio = ours.select(pl.col("close").cast(pl.Float64) / pl.col("theirs"))["close"]
    assert ratio.median() == pytest.approx(1, abs=5e-4)


def test_as_of_a_day_before_a_split_shows_no_trace_of_it(apple):
    raw, _, actions = apple
    until = raw.filter(pl.col("time") < day("2014-06-09"))
    before = day("2014-06-08")
    earlier = [action for action in actions if action.ex_date <= before]
    assert len(earlier) < len(actions)
    for how in (Adjustment.SPLIT, Adjustment.TOTAL_RETURN):
        assert adjusted(until, actions, how, before).equals(adjusted(until, earlier, how))
    after_2005 = until.filter(pl.col("time") >= day("2005-02-28"))
    assert adjusted(after_2005, actions, as_of=before).equals(after_2005)


def test_the_factor_file_tells_of_the_splits_there_were(apple):
    splits = [(f"{action.ex_date:%Y-%m-%d}", action.terms) for action in apple[2] if action.ratio]
    assert splits == [("2000-06-21", "2:1"), ("2005-02-28", "2:1"), ("2014-06-09", "7:1"), ("2020-08-31", "4:1")]
    amounts = {f"{action.ex_date:%Y-%m-%d}": action.amount for action in apple[2] if action.amount}
    assert amounts["2012-08-09"] == Decimal("2.65")
    assert amounts["2014-05-08"] == Decimal("3.29")
    assert amounts["2014-08-07"] == Decimal("0.47")
    assert amounts["2020-11-06"] == Decimal("0.205")


# --- the definition, in exact fractions ---------------------------------------------------------------------------

PRICE = st.decimals("1", "99999", places=4)
RATIO = st.sampled_from([Fraction(2), Fraction(7), Fraction(3, 2), Fraction(1, 10), Fraction(1, 7), Fraction(21, 20)])


@given(
    close=st.lists(PRICE, min_size=2, max_size=8),
    splits=st.dictionaries(st.integers(-1, 9), RATIO, max_size=3),
    paid=st.dictionaries(st.integers(-1, 9), st.decimals("0.0001", "0.0099", places=4), max_size=3),
    as_of=st.integers(-1, 9),
    how=st.sampled_from(Adjustment),
)
def test_every_bar_is_multiplied_by_what_came_between_it_and_the_moment(close, splits, paid, as_of, how):
    bars = bars_of([float(value) for value in close])
    actions = [split(EPOCH + timedelta(days=at), ratio) for at, ratio in splits.items()]
    actions += [dividend(EPOCH + timedelta(days=at), f"{amount}") for at, amount in paid.items()]
    found = adjusted(bars, actions, how, EPOCH + timedelta(days=as_of))
    for row in range(bars.height):
        price = volume = Fraction(1)
        for at in range(row + 1, as_of + 1):
            ratio = splits.get(at, Fraction(1)) if how is not Adjustment.RAW else Fraction(1)
            price, volume = price / ratio, volume * ratio
            if how is Adjustment.TOTAL_RETURN and at in paid:
                before = Fraction(bars["close"][min(at, bars.height) - 1])
                price *= 1 - Fraction(paid[at]) / (before / ratio)
        for name in PRICES:
            assert abs(found[name][row] - rounded(Fraction(bars[name][row]) * price)) <= Decimal("1e-8")
        assert found["volume"][row] == rounded(Fraction(bars["volume"][row]) * volume)


@given(close=st.lists(PRICE, min_size=2, max_size=8), ratio=RATIO, at=st.integers(1, 7))
def test_a_split_and_its_inverse_give_raw_prices_back(close, ratio, at):
    bars = bars_of([float(value) for value in close], volume=[float(n) for n in range(1, len(close) + 1)])
    timestamp = EPOCH + timedelta(days=at)
    once = adjusted(bars, [split(timestamp, ratio)])
    back = adjusted(once, [split(timestamp, 1 / ratio)])
    for name, by in ((name, ratio) for name in PRICES):
        most = Decimal("0.5e-8") * (1 + Decimal(by.numerator) / Decimal(by.denominator))
        assert all(abs(ours - theirs) <= most for ours, theirs in zip(back[name], bars[name], strict=True))
    assert all(abs(a - b) <= Decimal("6e-8") for a, b in zip(back["volume"], bars["volume"], strict=True))
    before = bars.filter(pl.col("time") < timestamp)
    together = [split(timestamp, ratio), split(timestamp + timedelta(hours=1), 1 / ratio)]
    assert adjusted(before, together).equals(before), "factors are multiplied exactly"


@given(close=st.lists(PRICE, min_size=1, max_size=6), at=st.integers(-1, 7), known=st.integers(-1, 9))
def test_what_was_not_known_does_not_count(close, at, known):
    bars = bars_of([float(value) for value in close])
    late = CorporateAction(
        "TEST", EPOCH + timedelta(days=at), ActionKind.SPLIT, EPOCH + timedelta(days=known), "file", ratio=Fraction(2)
    )
    before = EPOCH + timedelta(days=max(at, known)) - timedelta(seconds=1)
    assert adjusted(bars, [late], as_of=before).equals(bars)


# --- edges ----------------------------------------------------------------------------------------------------------


def test_symbols_are_adjusted_each_by_its_own():
    bars = pl.concat([bars_of([8.0, 4.0], "AAA"), bars_of([9.0, 3.0], "BBB"), bars_of([1.0, 1.0], "CCC")])
    timestamp = EPOCH + timedelta(days=1)
    found = adjusted(bars, [split(timestamp, 2, "AAA"), split(timestamp, 3, "BBB")])
    assert found["close"].to_list() == [Decimal(value) for value in (4, 4, 3, 3, 1, 1)]
    assert found["volume"].to_list() == [Decimal(value) for value in (2000, 1000, 3000, 1000, 1000, 1000)]
    assert found.schema == bars.schema


def test_an_unknown_volume_stays_unknown():
    bars = bars_of([8.0, 4.0], volume=[None, 10.0])
    assert adjusted(bars, [split(EPOCH + timedelta(days=1), 2)])["volume"].to_list() == [None, Decimal(10)]


def test_a_dividend_that_cannot_be_reckoned_with_is_said():
    bars = bars_of([8.0, 4.0])
    timestamp = EPOCH + timedelta(days=1)
    with pytest.raises(QualityError, match=r"a close of 8 on 2015-01-01"):
        adjusted(bars, [dividend(timestamp, "8.00")], Adjustment.TOTAL_RETURN)
    with pytest.raises(QualityError, match="no daily bar before it"):
        adjust_bars(bars, [dividend(timestamp, "1")], {}, Adjustment.TOTAL_RETURN, FAR, lambda action: action.ex_date)
    stale = {("TEST", timestamp): (day("2014-12-01"), Decimal(8))}
    with pytest.raises(QualityError, match="a close of 8 on 2014-12-01"):
        adjust_bars(
            bars, [dividend(timestamp, "1")], stale, Adjustment.TOTAL_RETURN, FAR, lambda action: action.ex_date
        )
    assert adjusted(bars, [dividend(EPOCH, "8")], Adjustment.TOTAL_RETURN).equals(bars), "no bar is before that one"


def test_prices_too_large_to_be_kept_are_said():
    with pytest.raises(QualityError, match="too large"):
        adjusted(bars_of([9e9, 1.0]), [split(EPOCH + timedelta(days=1), Fraction(1, 1000))])


@pytest.mark.parametrize("ratio", [10**9, Fraction(1, 10**9)])
def test_splits_beyond_all_prices_are_said(ratio):
    """Thirty of a billion: no factor of twelve digits is like it, and one of zero would make prices zero."""
    bars = bars_of([8.0] * 40)
    with pytest.raises(QualityError, match="too large"):
        adjusted(bars, [split(EPOCH + timedelta(days=number), ratio) for number in range(1, 31)])


@pytest.mark.parametrize(
    "terms",
    [{}, {"ratio": Fraction(0)}, {"ratio": Fraction(2), "amount": Decimal(1)}, {"amount": Decimal(1)}],
)
def test_a_split_without_a_proper_ratio_is_none(terms):
    with pytest.raises(InvalidRequest, match="has invalid terms"):
        CorporateAction("TEST", EPOCH, ActionKind.SPLIT, EPOCH, "file", **terms)


def test_adjustments_have_three_names():
    assert [parse_adjustment(name) for name in ("raw", "split", "total_return")] == list(Adjustment)
    with pytest.raises(InvalidRequest, match="raw, split, total_return"):
        parse_adjustment("both")


def test_actions_become_a_frame():
    frame = actions_frame([split(EPOCH, Fraction(3, 2)), dividend(EPOCH, "0.5")])
    assert dict(frame.schema) == ACTION_SCHEMA
    assert frame["new_shares"].to_list() == [3, None]
    assert frame["amount"].to_list() == [None, Decimal("0.5")]


@pytest.mark.parametrize(("shown", "meant"), [("6.9999934", "7"), ("0.66666667", "2/3"), ("1.05", "21/20"), ("2", "2")])
def test_the_simplest_ratio_explains_a_rounded_one(shown, meant):
    assert simplest_ratio(Fraction(shown), Fraction(1, 100_000)) == Fraction(meant)


def test_a_day_begins_at_the_exchanges_midnight():
    assert day_begins("XNYS", day("2014-06-09")) == datetime(2014, 6, 9, 4, tzinfo=UTC)
    assert day_begins("XNYS", day("2014-12-09")) == datetime(2014, 12, 9, 5, tzinfo=UTC)
    assert day_begins("XTKS", day("2014-12-09")) == datetime(2014, 12, 8, 15, tzinfo=UTC)
    assert day_begins("24/7", day("2014-12-09")) == day("2014-12-09")
    assert next_session("XNYS", day("2014-07-03")) == day("2014-07-07")


# --- files ------------------------------------------------------------------------------------------------------------


def reading(tmp_path: Path, text: str, symbol: str | None = "TEST"):
    path = tmp_path / "actions.csv"
    path.write_text(text)
    return read_actions(open_contents(path)[0], symbol, lambda _: "XNYS")


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path):
    found = reading(
        tmp_path,
        "kind,symbol,ratio,ex_date,amount,currency\n"
        "split,AAPL,7:1,2014-06-09,,\nsplit,C,1/10,2011-05-09,,\ndividend,KO,,2024-06-14,0.485,USD\n",
        symbol=None,
    )
    assert [(action.symbol, action.terms) for action in found.actions] == [
        ("AAPL", "7:1"),
        ("C", "1:10"),
        ("KO", "0.485 USD"),
    ]
    assert found.actions[0].known_at == datetime(2014, 6, 9, 4, tzinfo=UTC)
    assert found.rejected.is_empty()


def test_what_cannot_be_an_action_is_refused_with_its_reason(tmp_path):
    found = reading(
        tmp_path,
        "ex_date,kind,ratio,amount\n09.06.2014,split,7:1,\n2014-06-09,merger,7:1,\n2014-06-09,split,0:1,\n"
        "2014-06-09,split,seven,\n2014-06-09,dividend,,-1\n2014-06-09,split,,\n2014-06-09,split,7:1,\n"
        "2014-06-09,split,7:1,\n2014-06-09,split,1:1,\n",
    )
    assert found.rows == len(found.actions) + found.rejected.height == 9
    assert found.rejected.select("line", "reason").rows() == [
        (2, "unreadable_time"),
        (3, "unsupported"),
        (4, "out_of_range"),
        (5, "unreadable_number"),
        (6, "out_of_range"),
        (7, "missing_value"),
        (9, "duplicate"),
        (10, "out_of_range"),
    ]


def test_what_a_factor_file_cannot_mean_is_refused(tmp_path):
    found = reading(
        tmp_path,
        "20140102,0.9,0.5,10\n20140101,0.9,0.5,10\nx,0.9,0.5,10\n20140301,1.0,0.5,10\n20140401,0.9,1,0\n20501231,1,1,0\n",
    )
    assert found.rejected.select("line", "reason").rows() == [
        (2, "out_of_range"),
        (3, "unreadable_time"),
        (4, "out_of_range"),
        (5, "out_of_range"),
    ]
    assert [(f"{action.ex_date:%Y-%m-%d}", action.kind, action.terms) for action in found.actions] == [
        ("2014-01-03", "dividend", "1"),
        ("2014-03-03", "split", "2:1"),
    ]


def test_a_split_and_a_dividend_of_one_day_count_in_the_new_shares(tmp_path):
    """Before: 100 a share, of which 2 are paid, then two shares for one. After: 1 a share."""
    found = reading(tmp_path, "20140106,0.98,0.5,100\n20501231,1,1,0\n")
    assert [(action.kind, action.terms) for action in found.actions] == [("split", "2:1"), ("dividend", "1")]
    bars = bars_of([100.0, 49.0], start=day("2014-01-06"))
    total = adjusted(bars, found.actions, Adjustment.TOTAL_RETURN)
    assert total["close"].to_list() == [Decimal(49), Decimal(49)]


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n", "\x00\xff"])
def test_a_file_of_something_else_is_refused_as_a_whole(tmp_path, text):
    found = reading(tmp_path, text)
    assert found.actions == ()
    assert found.rejected.height == 1
    assert found.rejected["line"].to_list() == [None]


@given(
    heading=st.sampled_from(["ex_date,kind,ratio,amount,currency,known_at", "symbol,ex_date,kind,ratio,amount", ""]),
    rows=st.lists(
        st.lists(
            st.one_of(
                st.text(max_size=8),
                st.sampled_from(
                    ["2014-06-09", "20140609", "99991231", "split", "dividend", "7:1", "1e400", "-0", "A", "x"]
                ),
            ),
            min_size=3,
            max_size=6,
        ),
        max_size=4,
    ),
)
def test_whatever_a_file_says_no_row_is_lost_and_nothing_breaks(tmp_path_factory, heading, rows):
    text = "\n".join([heading, *(",".join(cell.replace("\n", " ") for cell in row) for row in rows)])
    path = tmp_path_factory.mktemp("fuzz") / "actions.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    found = read_actions(open_contents(path)[0], "TEST", lambda _: "24/7")
    if found.format == "table":
        assert len(found.actions) + found.rejected["row_count"].sum() == found.rows


def test_somebody_must_say_whose_actions_a_file_has(tmp_path):
    for text in ("20140102,0.9,0.5,10\n", "ex_date,kind\n2014-01-01,split\n"):
        with pytest.raises(InvalidRequest, match="--symbol"):
            reading(tmp_path, text, symbol=None)
