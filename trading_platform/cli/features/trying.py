"""``features test``: tries the definitions of a file before they are used."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from trading_platform.cli.output import out, print_json, print_labelled, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.domain.features.trial.invented_market import Market
    from trading_platform.domain.features.trial.try_definition import Finding
    from trading_platform.domain.time import Timeframe
    from trading_platform.stores.features.definitions import DefinitionError, Definitions

_COLOURS = {"passed": "green", "warn": "yellow", "failed": "bold red"}


def try_file(
    file: Annotated[Path, typer.Argument(help="File with definitions.")],
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", "-s", callback=in_capitals, help="Use this symbol's stored bars, not invented ones."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Begins the invented bars and the choice of random times.", min=0)] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Try the definitions of a file: type, values, warm-up, look-ahead, splits and speed.

    Look-ahead is found by cutting off and by changing the future at random times. Nothing is stored. The code of the
    file runs. The exit code is 1 if a definition has an error or fails an examination.

    Example: trading-platform features test mine.py --symbol SPY
    """
    from trading_platform.domain.features.trial.invented_market import invented_market
    from trading_platform.domain.features.trial.try_definition import rows_to_try, try_definition
    from trading_platform.domain.time import Timeframe

    definitions = _definitions(file)
    names = [name for name, own in definitions.files.items() if own == file.name]
    by_length: dict[Timeframe, list[str]] = {}
    for name in names:
        each = definitions.features.features.get(name)
        by_length.setdefault(Timeframe(each.frequency) if each else Timeframe.D1, []).append(name)
    markets = {
        length: invented_market(rows_to_try(definitions.features, own), seed, length)
        if symbol is None
        else _stored_market(symbol, length)
        for length, own in by_length.items()
    }
    found = [
        finding
        for length, own in by_length.items()
        for name in own
        for finding in try_definition(definitions.features, name, markets[length], seed=seed, timer=time.perf_counter)
    ]
    errors = [error for error in definitions.errors if error.file == file.name]
    failed = bool(errors) or any(finding.verdict == "failed" for finding in found)
    if json:
        print_json(
            {
                "bars": ", ".join(dict.fromkeys(market.name for market in markets.values())),
                "errors": [str(error) for error in errors],
                "findings": [
                    {"name": each.name, "check": each.check, "result": each.verdict.value, "detail": each.detail}
                    for each in found
                ],
            }
        )
    else:
        _print_findings(found)
        print_errors(errors)
        if names:
            _print_end(file, failed=failed)
    if failed:
        raise typer.Exit(1)


def _definitions(file: Path) -> Definitions:
    """The definitions of a file, together with those of the configured folder, which they may use."""
    from trading_platform.settings import load_settings
    from trading_platform.stores.features.definitions import files_of, load_files

    path = file.expanduser().resolve()
    if not path.is_file():
        raise InvalidRequest(
            f"There is no file {file}.",
            expected="a Python file with definitions of features or labels",
            received=str(file),
            remedy="check the path; docs/own-features.md shows such a file",
        )
    others = [each for each in files_of(load_settings().definitions_directory) if each.name != path.name]
    return load_files([*others, path])


def _stored_market(symbol: str, timeframe: Timeframe) -> Market:
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.derived.stored_market import stored_market

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        return stored_market(platform.stores, symbol, platform.clock(), timeframe)


def _print_findings(found: Sequence[Finding]) -> None:
    for name in dict.fromkeys(each.name for each in found):
        own = [each for each in found if each.name == name]
        rows = [(each.check, Text(each.verdict.value, _COLOURS[each.verdict.value]), each.detail) for each in own]
        out.print(table(name, ("examination", "result", "finding"), rows))


def _print_end(file: Path, *, failed: bool) -> None:
    if failed:
        out.print(f"{file.name} is not ready: correct what failed, and try it again.", highlight=False)
        return
    out.print(
        f"{file.name} passed. Put it into the folder that FEATURE_DEFINITIONS names, and "
        "`trading-platform features backfill` computes its values.",
        highlight=False,
    )


def print_errors(errors: Sequence[DefinitionError]) -> None:
    """Prints why files or definitions are left out."""
    for error in errors:
        print_labelled(out, "Left out:", str(error), "bold red")
