"""Registers the commands, and turns failures into messages and exit codes.

Exit codes: 0 done, 1 something failed or is broken, 2 the request cannot be, 130 interrupted, by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import typer

from trading_platform.cli.demo import command as demo
from trading_platform.cli.live import replay, stream
from trading_platform.cli.live import simulate_exchange as exchange
from trading_platform.cli.market_data import backfill, data, gaps, imports, instruments, outages, verify
from trading_platform.cli.market_data import corporate_actions as actions
from trading_platform.cli.operations import account, archive, database, dev, limits, stack
from trading_platform.cli.output import err, print_error
from trading_platform.cli.signals import end_on_signals
from trading_platform.domain.errors import ConfigurationError, InvalidRequest, TradingPlatformError
from trading_platform.settings import load_settings

FAILED, CANNOT_BE, INTERRUPTED = 1, 2, 130

# The base class of all usage errors; Typer makes only this subclass public.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="trading-platform",
    help="The data platform of a trading bot: verified bars, indicators and features.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for family in (
    demo,
    dev,
    stack,
    exchange,
    imports,
    actions,
    instruments,
    backfill,
    data,
    replay,
    stream,
    outages,
    limits,
    account,
    gaps,
    verify,
    archive,
    database,
):
    family.register(app)


def main() -> None:
    """Runs the command line; never shows a traceback."""
    end_on_signals()
    as_json = "--json" in sys.argv
    try:
        code = app(
            standalone_mode=not as_json
        )  # in standalone mode Typer ends the process and prints usage errors as text
    except SystemExit as ended:
        code = ended.code
    except UsageError as error:
        print_error(_as_invalid_request(error), as_json=as_json)
        code = CANNOT_BE
    except TradingPlatformError as error:
        print_error(error, as_json=as_json)
        code = CANNOT_BE if isinstance(error, (InvalidRequest, ConfigurationError)) else FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0
    except Exception as error:  # noqa: BLE001 - the last resort: a message for the person, the traceback in a file
        _print_fault(error, as_json=as_json)
        code = FAILED
    if code == INTERRUPTED:
        err.print("Interrupted. Finished work is stored; run the same command again to continue.")
    _flush_output()
    raise SystemExit(code)


def _flush_output() -> None:
    """Writes what is buffered; a reader that has left, as ``head`` does, is no failure of the command."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes again when it ends, and would report the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_fault(error: Exception, *, as_json: bool) -> None:
    where = _keep_traceback()
    print_error(
        TradingPlatformError(
            f"The command failed with an unexpected error: {type(error).__name__}: {error}",
            remedy=f"report it with {where}" if where else "report it",
        ),
        as_json=as_json,
    )


def _as_invalid_request(error: typer.BadParameter) -> InvalidRequest:
    """The error of a wrong option or argument, for JSON output; a person gets Typer's own message."""
    command = error.ctx.command_path if error.ctx else "trading-platform"
    return InvalidRequest(error.format_message(), remedy=f"see {command} --help")


def _keep_traceback() -> Path | None:
    try:
        folder = load_settings().logs_directory
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"failure-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except (OSError, TradingPlatformError):
        return None
    return path
