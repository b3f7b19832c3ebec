"""``features training-set``: joins features to the symbols and times of a file, each as it was available then."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer

from trading_platform.cli.output import out, print_json, progress_bars, table
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    import polars as pl

    from trading_platform.domain.features.declaration import Frequency

Said = TypeVar("Said")

_SPAN = re.compile(r"(\d{1,6})(m|h|d)")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def training_set(
    spine: Annotated[
        Path, typer.Option("--spine", help="File .csv or .parquet with the columns symbol and time; others are kept.")
    ],
    names: Annotated[str, typer.Option("--names", "-n", help="Features, separated by commas.")],
    to: Annotated[Path, typer.Option("--to", help="File .parquet to write.")],
    tolerance: Annotated[
        list[str] | None,
        typer.Option(help="NULL where a value was available for longer: 5d, 12h, 30m, or of one feature, rsi_14=5d."),
    ] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Add the column null_reasons.")] = False,
    frequency: Annotated[
        list[str] | None,
        typer.Option(help="Join from daily (1d) or hourly (1h) rows: of all features, or of one, returns_1d=1h."),
    ] = None,
    recorded_as_of: Annotated[
        str | None, typer.Option(help="What was stored at a time, before later corrections.")
    ] = None,
    save: Annotated[str | None, typer.Option(help="Save it as a snapshot of this name, too.")] = None,
    as_of: Annotated[str, typer.Option("--as-of", help="Column of the times in the spine.")] = "time",
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Join features to the symbols and times of a file, each as it was available at its time.

    A time has its zone (2024-01-31T14:30:00Z), or it is a date, which means its midnight in UTC. Symbols may be in
    small letters. The order of the rows is kept; so are further columns.

    Example: trading-platform features training-set --spine trades.csv --names rsi_14,returns_5d --to training.parquet
    """
    from trading_platform.client.market_data import MarketData
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    spans, lengths = _tolerances(tolerance or [], wanted), _frequencies(frequency or [], wanted)
    with open_platform(load_settings(), role=Role.DASHBOARD) as platform, progress_bars(quiet=json) as progress:
        client = MarketData(platform.stores, platform.clock)
        rows = client.training_set(
            _read(spine, as_of),
            wanted,
            as_of=as_of,
            tolerance=spans,
            reasons=reasons,
            frequency=lengths,
            recorded_as_of=recorded_as_of,
            save=save,
            to=to,
            progress=progress,
        )
    counts = _counts(to, list(dict.fromkeys(wanted)), reasons=reasons)
    if json:
        print_json({"file": str(to), "rows": rows, "features": counts})
        return
    causes = sorted({cause for each in counts for cause in each.get("null_reasons", {})})
    cells = [
        (each["name"], rows - each["nulls"], each["nulls"], *(each["null_reasons"].get(cause, 0) for cause in causes))
        for each in counts
    ]
    columns = ("feature", "values", "NULL", *causes)
    out.print(table("Training set", columns, cells, right=columns[1:], keys=("feature",)))
    saved = f" and saved as the snapshot {save}" if save else ""
    out.print(f"{rows:,} rows written to {to}{saved}.", highlight=False)


def _read(file: Path, as_of: str) -> pl.LazyFrame:
    """The spine of a file, which is read when it is needed; symbols in capitals."""
    import polars as pl

    if file.suffix not in (".csv", ".parquet") or not file.is_file():
        raise InvalidRequest(
            f"{file} cannot be read as a spine.",
            expected="an existing file that ends in .csv or .parquet",
            received="no such file" if not file.is_file() else file.name,
            remedy="name a file with the columns symbol and time",
        )
    try:
        if file.suffix == ".parquet":
            frame = pl.scan_parquet(file, hive_partitioning=False, glob=False)
        else:
            # A symbol such as 7203 or a date is a text, whatever it looks like.
            header = pl.scan_csv(file, infer_schema=False, glob=False).collect_schema()
            texts = {name: pl.String for name in ("symbol", as_of) if name in header}
            frame = pl.scan_csv(file, infer_schema_length=None, schema_overrides=texts, glob=False)
        if frame.collect_schema().get("symbol") == pl.String:
            frame = frame.with_columns(pl.col("symbol").str.to_uppercase())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidRequest(
            f"{file} cannot be read as a spine.",
            expected="a CSV or Parquet file with the columns symbol and time",
            received=(str(error).splitlines() or [type(error).__name__])[0],
            remedy="correct the file",
        ) from error
    return frame


def _tolerances(texts: Sequence[str], names: Sequence[str]) -> dict[str, timedelta]:
    """The tolerance of each feature that has one."""

    def span(text: str) -> timedelta | None:
        found = _SPAN.fullmatch(text)
        return None if found is None else int(found[1]) * _UNITS[found[2]]

    return _named(texts, names, span, "tolerance", "a number of days, hours or minutes: 5d, 12h, 30m", "rsi_14=5d")


def _frequencies(texts: Sequence[str], names: Sequence[str]) -> dict[str, Frequency]:
    """The frequency of each feature that has one."""
    from trading_platform.domain.features.declaration import Frequency

    known = {text: text for text in get_args(Frequency)}
    return _named(texts, names, known.get, "frequency", " or ".join(known), "rsi_14=1h")


def _named(
    texts: Sequence[str], names: Sequence[str], read: Callable[[str], Said | None], what: str, form: str, example: str
) -> dict[str, Said]:
    """What is said of each feature; what is said without a name is of all that have nothing of their own."""
    named: dict[str, Said] = {}
    for text in texts:
        name, _, said = text.rpartition("=")
        found = read(said)
        if found is None or name in named:
            raise InvalidRequest(
                f"A {what} cannot be read." if found is None else f"A {what} is given twice.",
                expected=f"{form}, or that of one feature: {example}",
                received=shown(text),
                remedy="write it in one of these forms, each feature once",
            )
        named[name] = found
    if "" not in named:
        return named
    of_all = named.pop("")
    return {**dict.fromkeys(names, of_all), **named}


def _counts(file: Path, names: Sequence[str], *, reasons: bool) -> list[dict[str, Any]]:
    """How many values of each feature are NULL in a written file, by reason where those were asked for."""
    import polars as pl

    scanned = pl.scan_parquet(file, hive_partitioning=False, glob=False)
    nulls = scanned.select(pl.col(names).null_count()).collect().row(0, named=True)
    counts: list[dict[str, Any]] = [{"name": name, "nulls": nulls[name], "null_reasons": {}} for name in names]
    for each in counts if reasons else ():
        why = scanned.select(pl.col("null_reasons").struct.field(each["name"]).alias("why"))
        found = why.drop_nulls().group_by("why").len().collect()
        each["null_reasons"] = dict(sorted(found.iter_rows()))
    return counts
