"""The rules for the files of the feature store; each is a function from an examination to its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.features.missing_values import NULL_SHARE, can_have
from trading_platform.domain.market.calendars import availability
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window, parse_timestamp
from trading_platform.stores.features.definitions import Definitions
from trading_platform.stores.features.month_files import stamps_of
from trading_platform.stores.features.recorded.content import Stamp
from trading_platform.stores.market_data.checks import SAMPLE_ROWS, feature_files, file_schema
from trading_platform.workflows.quality.check_results import Check, CheckResult, Examination, Row, Severity, finding

BATCH_SYMBOLS = 100
"""Number of symbols read at once."""

_AGAIN = "materialize the features of these partitions again"


def _schema(examination: Examination) -> CheckResult:
    rows_checked, wrong = 0, []
    store = examination.stores.features_of(examination.timeframe)
    declared = store.schema
    for symbols, window in _parts(examination):
        for name, file in feature_files(store, symbols, window):
            rows_checked += 1
            if fault := _fault(file_schema(file), _expected(examination, file, declared)):
                wrong.append({"file": name, **fault})
    return finding(
        rows_checked=rows_checked,
        failing_rows=len(wrong),
        what="feature files",
        wrong="do not have the declared columns and types",
        remedy=f"{_AGAIN}; a damaged file must be deleted first",
        sample=wrong[:SAMPLE_ROWS],
    )


def _expected(
    examination: Examination, file: Path, declared: Mapping[str, pl.DataType]
) -> dict[str, tuple[pl.DataType, bool]]:
    """The columns that a file may have, each with its type and whether it must be there.

    A column that the file's metadata does not name was not computed yet; the check ``inputs_unchanged`` names it.
    """
    known = examination.stores.features_of(examination.timeframe).definitions
    stamps = stamps_of(file) or {}

    def must_be(name: str) -> bool:
        each = known.features.features.get(name)
        return name in KEYS or (each is not None and each.awaits is None and (not stamps or name in stamps))

    return {name: (dtype, must_be(name)) for name, dtype in declared.items() if not _is_former(name, known, stamps)}


def _is_former(name: str, known: Definitions, stamps: Mapping[str, Stamp]) -> bool:
    """Whether a column was computed by another definition, which may have had another type."""
    return name in stamps and name in known.hashes and stamps[name][1] != known.hashes[name]


def _fault(
    schema: Mapping[str, pl.DataType] | None, expected: Mapping[str, tuple[pl.DataType, bool]]
) -> dict[str, str] | None:
    """The difference of a file's columns from the declared ones; None if there is none."""
    if schema is None:
        return {"expected": "a Parquet file", "actual": "unreadable"}
    differing = [
        name for name, (dtype, must) in expected.items() if (must or name in schema) and schema.get(name) != dtype
    ]
    if not differing:
        return None
    declared = {name: dtype for name, (dtype, _) in expected.items()}
    return {"expected": _named(declared, differing), "actual": _named(schema, differing)}


def _named(schema: Mapping[str, pl.DataType], names: list[str]) -> str:
    return ", ".join(f"{name}: {schema.get(name, 'absent')}" for name in names)


def _nan_share(examination: Examination) -> CheckResult:
    universe = examination.stores.instruments.all()
    shares = [
        share for symbols, window in _parts(examination) for share in _shares(examination, universe, symbols, window)
    ]
    judged = pl.concat(shares) if shares else pl.DataFrame(schema=_SHARE_SCHEMA)
    high = judged.filter(pl.col("missing") > NULL_SHARE * pl.col("values")).sort("symbol", "feature", "month")
    months = "1 month" if high.height == 1 else f"{high.height:,} months"
    return finding(
        rows_checked=int(judged["values"].sum()),
        failing_rows=int(high["missing"].sum()),
        what="values after warm-up",
        wrong=f"are missing, in {months} of a symbol's feature of which more than {NULL_SHARE:.0%} are",
        remedy="look for an unchanging price, or gaps in the bars of the symbol, its sector and its benchmark; reads "
        "can impute such values or exclude their rows (FEATURE_MISSING)",
        severity=Severity.WARN,
        sample=[_share_row(row) for row in high.head(SAMPLE_ROWS).iter_rows(named=True)],
        counts={"months of a symbol's feature judged": judged.height, "with too many missing": high.height},
    )


_SHARE_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "feature": pl.String(),
    "month": pl.String(),
    "values": pl.Int64(),
    "missing": pl.Int64(),
}


def _share_row(row: Mapping[str, object]) -> Row:
    return {**row, "share": f"{row['missing'] / row['values']:.1%}"}  # type: ignore[operator]


def _shares(
    examination: Examination, universe: Mapping[str, Instrument], symbols: list[str], window: Window
) -> Iterator[pl.DataFrame]:
    """For each symbol, feature and month, the number of values after the warm-up, and how many of them are missing."""
    frame = _read(examination, symbols, window)
    features = examination.stores.features_of(examination.timeframe).definitions.features
    before = examination.live.bars_before(symbols, examination.timeframe, window.start)
    for key, own in frame.partition_by("symbol", as_dict=True).items():
        symbol = str(key[0])
        instrument = universe.get(symbol)
        names = [name for name in features.names if instrument and can_have(name, features, instrument, universe)]
        position = pl.int_range(pl.len()) + before.get(symbol, 0)
        first = {name: features.features[name].rows_before_first_of(examination.timeframe) for name in names}
        warm = {name: position >= first[name] for name in names}
        missing = {name: pl.col(name).is_null() | pl.col(name).cast(pl.Float64).is_nan() for name in names}
        counted = (
            own.select(
                pl.col("time").dt.strftime("%Y-%m").alias("month"),
                *(warm[name].alias(f"values {name}") for name in names),
                *((warm[name] & missing[name]).alias(f"missing {name}") for name in names),
            )
            .group_by("month")
            .agg(pl.all().sum().cast(pl.Int64))
        )
        rows = [
            (symbol, name, row["month"], row[f"values {name}"], row[f"missing {name}"])
            for row in counted.iter_rows(named=True)
            for name in names
        ]
        yield pl.DataFrame([row for row in rows if row[3]], schema=_SHARE_SCHEMA, orient="row")


def _available_at(examination: Examination) -> CheckResult:
    universe = examination.stores.instruments.all()
    rows_checked = failing_rows = 0
    sample: list[Row] = []
    for symbols, window in _parts(examination):
        frame = _read(examination, symbols, window)
        rows_checked += frame.height
        for key, own in frame.partition_by("symbol", as_dict=True).items():
            wrong = _wrong_rows(own, universe.get(str(key[0])), examination.timeframe)
            failing_rows += wrong.height
            sample += [
                {"symbol": symbol, "time": time.isoformat(), "detail": detail}
                for symbol, time, detail in wrong.head(SAMPLE_ROWS).iter_rows()
            ]
    return finding(
        rows_checked=rows_checked,
        failing_rows=failing_rows,
        what="rows of features",
        wrong="could be read before they were available, are duplicated, or have a value that is not finite",
        remedy=f"use none of them; {_AGAIN}",
        sample=sample[:SAMPLE_ROWS],
    )


def _wrong_rows(own: pl.DataFrame, instrument: Instrument | None, timeframe: Timeframe) -> pl.DataFrame:
    """``symbol``, ``time`` and ``detail`` of the rows of one symbol that fail the rule."""
    known = availability(instrument.calendar, timeframe, own.select("time")) if instrument else own["time"]
    floats = [name for name, dtype in own.schema.items() if dtype.is_float()]
    infinite = pl.concat_list(
        pl.when(pl.col(name).is_infinite()).then(pl.lit(name)) for name in floats
    ).list.drop_nulls()
    reasons = own.with_columns(known=known, infinite=infinite).with_columns(
        detail=pl.coalesce(
            pl.when(pl.col("available_at").is_null()).then(pl.lit("available_at is missing")),
            pl.when(pl.col("available_at") < pl.col("known")).then(
                pl.format("available at {}, known at {}", "available_at", "known")
            ),
            pl.when(pl.col("time").is_duplicated()).then(pl.lit("several rows of one time")),
            pl.when(pl.col("infinite").list.len() > 0).then(
                pl.format("infinite: {}", pl.col("infinite").list.join(", "))
            ),
        )
    )
    return reasons.filter(pl.col("detail").is_not_null()).select("symbol", "time", "detail")


def _read(examination: Examination, symbols: list[str], window: Window) -> pl.DataFrame:
    """The features of a few symbols; the last ones read are cached for the next check."""
    if examination.kept.get("read") == (symbols, window):
        kept: pl.DataFrame = examination.kept["features"]
        return kept
    try:
        frame = examination.stores.features_of(examination.timeframe).read(symbols, window)
    except pl.exceptions.PolarsError as error:
        raise StoreError(
            "The feature files cannot be read together.",
            expected="files with the declared columns and types",
            received=str(error).splitlines()[0],
            remedy=f"see the check `schema`; {_AGAIN}",
        ) from None
    examination.kept.update({"read": (symbols, window), "features": frame})
    return frame


def _parts(examination: Examination) -> Iterator[tuple[list[str], Window]]:
    """The scopes, a few symbols at a time."""
    for scope in examination.scopes:
        store = examination.stores.features_of(examination.timeframe)
        symbols = store.symbols() if scope.symbols is None else list(scope.symbols)
        window = scope.window or Window(parse_timestamp("1970-01-01"), parse_timestamp("2200-01-01"))
        for start in range(0, len(symbols), BATCH_SYMBOLS):
            yield symbols[start : start + BATCH_SYMBOLS], window


FEATURE_CHECKS: tuple[Check, ...] = (
    Check("schema", "Every file has the declared columns and types.", _schema, blocking=True),
    Check(
        "nan_share",
        "In each month at most a tenth of a symbol's values of a feature is missing after its warm-up.",
        _nan_share,
        blocking=False,
    ),
    Check(
        "available_at",
        "No row can be read before it was available, none is duplicated, no value is infinite.",
        _available_at,
        blocking=True,
    ),
)
"""All rules for the files of the assets ``features`` and ``features_1h``."""
