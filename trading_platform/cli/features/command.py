"""``features``: lists and shows the definitions of features and labels, tries those of a file, and computes them.

``features test`` is in :mod:`trading_platform.cli.features.trying`, ``features backfill`` in
:mod:`trading_platform.cli.features.building`, ``features audit`` in :mod:`trading_platform.cli.features.auditing`,
``features snapshots`` in :mod:`trading_platform.cli.features.snapshots`, ``features training-set`` in
:mod:`trading_platform.cli.features.training`.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from trading_platform.cli.features.auditing import audit
from trading_platform.cli.features.building import backfill
from trading_platform.cli.features.months import edges_of, monthly, print_months
from trading_platform.cli.features.snapshots import snapshot, snapshots
from trading_platform.cli.features.training import training_set
from trading_platform.cli.features.trying import print_errors, try_file
from trading_platform.cli.output import out, print_json, table
from trading_platform.cli.parameters import in_capitals

if TYPE_CHECKING:
    from trading_platform.stores.features.definitions import Definitions
    from trading_platform.stores.features.files import FeatureStore

features = typer.Typer(
    help="Definitions of features and labels: list, show, try and compute them; audit of their values.",
    no_args_is_help=True,
)
features.command("test")(try_file)
features.command()(backfill)
features.command()(audit)
features.command()(snapshots)
features.add_typer(snapshot, name="snapshot")
features.command("training-set")(training_set)

_COLUMNS = ("name", "version", "category", "frequency", "needs", "needed by", "defined in")
_MOST_SYMBOLS = 10
_FREQUENCIES = {
    "1d": "a value a day; in hourly rows, of the 24 hours until the row",
    "1h": "a value an hour, of hourly bars; in hourly rows only",
}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(features, name="features")


@features.command("list")
def list_features(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List all features and labels: the platform's own and those of the folder FEATURE_DEFINITIONS.

    Example: trading-platform features list
    """
    from trading_platform.settings import load_settings
    from trading_platform.stores.features.catalog import catalog_entries
    from trading_platform.stores.features.definitions import load_definitions

    definitions = load_definitions(load_settings().definitions_directory)
    entries = catalog_entries(definitions)
    if json:
        print_json({"definitions": entries, "errors": [str(error) for error in definitions.errors]})
    else:
        for kind, title in (("feature", "Features"), ("label", "Labels, which look ahead and are no features")):
            own = [entry for entry in entries if entry["kind"] == kind]
            if own:
                out.print(table(title, _COLUMNS, [_row(entry) for entry in own], right=("version",), keys=("name",)))
        for entry in entries:
            if entry["awaits"]:
                out.print(f"{entry['feature_name']}: {entry['awaits']}", highlight=False)
        print_errors(definitions.errors)
    if definitions.errors:
        raise typer.Exit(1)


def _row(entry: dict[str, Any]) -> tuple[Any, ...]:
    return (
        entry["feature_name"],
        entry["version"],
        entry["category"],
        entry["frequency"],
        ", ".join(entry["dependencies"]),
        ", ".join(entry["needed_by"]),
        entry["defined_in"] or "",
    )


@features.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the feature or label.")],
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbol", "-s", callback=in_capitals, help="Symbols to show values of. Default: the first ten."),
    ] = None,
    frequency: Annotated[
        str | None, typer.Option(help="1d for the values of daily rows, 1h for those of hourly ones.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show a definition, the definitions that stored values were computed by, their distribution and its months.

    The values are those of daily rows unless --frequency says otherwise, or the feature has hourly ones only.

    Example: trading-platform features show rsi_14 -s SPY
    """
    from trading_platform.domain.features.inputs import parse_frequency
    from trading_platform.settings import load_settings
    from trading_platform.stores.features.catalog import catalog_entries
    from trading_platform.stores.features.definitions import load_definitions
    from trading_platform.stores.features.files import FeatureStore

    settings = load_settings()
    definitions = load_definitions(settings.definitions_directory)
    if name not in definitions.features.labels:
        definitions.features.known([name])
    (entry,) = (each for each in catalog_entries(definitions) if each["feature_name"] == name)
    rows_of = parse_frequency(frequency or entry["frequency"])
    store = FeatureStore(settings.features_directory, definitions=definitions, frequency=rows_of)
    if entry["kind"] == "feature":
        store.definitions.features.known([name])
    if json:
        print_json({**entry, **_values(store, name, symbols, definitions)})
        return
    _print_definition(entry)
    if entry["kind"] == "feature":
        _print_values(store, name, symbols)


def _print_definition(entry: dict[str, Any]) -> None:
    ahead = entry["horizon_bars"]
    lines = {
        "kind": f"{entry['kind']}, {entry['category']}" if entry["kind"] != entry["category"] else entry["kind"],
        "meaning": entry["description"],
        "formula": entry["computation"],
        "frequency": "" if ahead is not None else _FREQUENCIES[entry["frequency"]],
        "needs": ", ".join(entry["dependencies"]),
        "needed by": ", ".join(entry["needed_by"]) or "no other",
        "type": entry["data_type"],
        "lookback": f"{entry['lookback_days']} trading days" if ahead is None else "",
        "warm-up": f"{entry['warm_up_bars']} {'hourly ' if entry['frequency'] == '1h' else ''}bars"
        if ahead is None
        else "",
        "looks ahead": "" if ahead is None else f"{ahead} bars",
        "available": f"at the {entry['availability']}",
        "NULL": entry["awaits"] or "",
        "version": f"{entry['version']}, definition {entry['definition_hash']}",
        "defined in": entry["defined_in"] or "the platform",
    }
    out.print(Text(entry["feature_name"], "bold"))
    for label, text in lines.items():
        if text:
            written = wrap(text, out.width, initial_indent=f"  {label:<12}", subsequent_indent=" " * 14)
            out.print("\n".join(written), highlight=False)


def _print_values(store: FeatureStore, name: str, symbols: list[str] | None) -> None:
    from trading_platform.domain.charts import text_chart
    from trading_platform.workflows.derived.describe_features import distributions, stored_versions

    present = store.symbols()
    versions = stored_versions(store, name, present)
    if not versions:
        out.print("No values are stored. `trading-platform backfill` computes them.")
        return
    rows = [
        (
            "unknown" if each.version is None else each.version,
            each.definition_hash or ("several" if each.definition_hash == "" else "unknown"),
            each.months,
            "yes" if each.is_current else "no",
        )
        for each in versions
    ]
    out.print(
        table("Stored values by definition", ("version", "definition", "months", "current"), rows, right=("months",))
    )
    chosen = symbols or present[:_MOST_SYMBOLS]
    found = distributions(store, name, chosen)
    columns = ("symbol", "rows", "from", "to", "NULL", "mean", "deviation", "5 %", "median", "95 %")
    values = [
        (
            each.symbol,
            each.rows,
            f"{each.first:%Y-%m-%d}",
            f"{each.last:%Y-%m-%d}",
            f"{each.null_share:.1%}",
            *(_figure(value) for value in (each.mean, each.deviation, *each.quantiles)),
        )
        for each in found
    ]
    if values:
        out.print(table("Values", columns, values, right=(columns[1], *columns[4:]), keys=("symbol",)))
    for each in found:
        if chart := text_chart(each.values):
            out.print(f"{each.symbol:<8}{chart}", highlight=False)
    print_months(store.directory, name, store.definitions.hashes[name], [each.symbol for each in found])
    for symbol in symbols or ():
        if symbol not in {each.symbol for each in found}:
            out.print(f"{symbol}: no values are stored.", highlight=False)
    if len(present) > len(chosen) and not symbols:
        out.print(f"{len(present) - len(chosen)} more symbols have values; -s names others.", highlight=False)


def _values(store: FeatureStore, name: str, symbols: list[str] | None, definitions: Definitions) -> dict[str, Any]:
    from dataclasses import asdict

    from trading_platform.workflows.derived.describe_features import QUANTILES, distributions, stored_versions

    if name in definitions.features.labels:
        return {}
    present = store.symbols()
    found = distributions(store, name, symbols or present)
    return {
        "stored": [asdict(each) for each in stored_versions(store, name, present)],
        "months": monthly(store.directory, name, definitions.hashes[name], symbols or present),
        "bin_edges": edges_of(store.directory, name),
        "values": [
            {
                **{key: value for key, value in asdict(each).items() if key not in ("values", "quantiles")},
                "quantiles": dict(zip(map(str, QUANTILES), each.quantiles, strict=True)),
            }
            for each in found
        ],
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
