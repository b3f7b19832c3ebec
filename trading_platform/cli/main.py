"""The command line: loads the command that was asked for, and turns failures into messages and exit codes.

:mod:`trading_platform.cli.commands` lists the commands, :mod:`trading_platform.cli.__main__` is where it begins.

Exit codes: 0 done, 1 something failed or is broken, 2 the request cannot be, 130 interrupted, by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer._click.shell_completion import CompletionItem  # Typer exports no public name of it
from typer.core import TyperGroup

from trading_platform.cli.commands import COMMANDS, SUMMARY, help_text, version_text
from trading_platform.cli.ending import WRITE_ELSEWHERE, flush_output
from trading_platform.cli.output import err, print_error
from trading_platform.cli.signals import end_on_signals
from trading_platform.domain.errors import ConfigurationError, InvalidRequest, TradingPlatformError

FAILED, CANNOT_BE, INTERRUPTED = 1, 2, 130
_FULL = (errno.ENOSPC, errno.EDQUOT)

# The base class of all usage errors; Typer makes only this subclass public.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


class LoadedCommands(MutableMapping[str, Any]):
    """The commands by name; a command's module is imported when the command is looked up."""

    def __init__(self) -> None:
        self._modules = {command.name: command.module for command in COMMANDS}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            family = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")
            import_module(self._modules[name]).register(family)
            self._loaded = {**typer.main.get_group(family).commands, **self._loaded}
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class CommandGroup(TyperGroup):
    """All commands; help and completion list them without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LoadedCommands()

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """Prints the list of commands."""
        typer.echo(help_text(), nl=False)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        """The names of commands and options that begin with ``incomplete``."""
        names = [
            CompletionItem(command.name, help=command.summary)
            for command in COMMANDS
            if command.name.startswith(incomplete) and not command.hidden
        ]
        return names + super(TyperGroup, self).shell_complete(ctx, incomplete)


app = typer.Typer(
    name="trading-platform",
    help=SUMMARY,
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(version_text())
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the command."""


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
    if not as_json:
        _say_that_up_keeps_the_servers()
    if code == INTERRUPTED:
        err.print("Interrupted. Finished work is stored; run the same command again to continue.")
    lost = flush_output()
    if lost is not None and not code:
        print_error(_no_space(lost), as_json=False)
        code = FAILED
    raise SystemExit(code)


def _say_that_up_keeps_the_servers() -> None:
    """At the first command of a data directory that had to start the servers, says how later ones begin faster."""
    if "trading_platform.embedded.stack" not in sys.modules or sys.argv[1:2] == ["demo"]:
        return
    from trading_platform.embedded.stack import started_servers
    from trading_platform.settings import load_settings

    with suppress(OSError, TradingPlatformError):
        settings = load_settings()
        said = settings.root / "run" / "said-up"
        if started_servers(settings) and not said.exists():
            said.touch()
            err.print(
                "This command started PostgreSQL and stopped it again. `trading-platform up` keeps the servers running,"
                " so that commands begin at once; `trading-platform down` stops them."
            )


def _no_space(error: OSError) -> TradingPlatformError:
    return TradingPlatformError(
        "No space is left where the command writes.",
        received=str(error),
        remedy=f"if it is the output, {WRITE_ELSEWHERE}; if not, free space where the data directory is",
    )


def _print_fault(error: Exception, *, as_json: bool) -> None:
    if isinstance(error, OSError) and error.errno in _FULL:
        print_error(_no_space(error), as_json=False)  # standard output may be what is full
        return
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
    from datetime import UTC, datetime

    from trading_platform.settings import load_settings
    from trading_platform.stores.private_files import private_folder, private_opener

    try:
        folder = load_settings().logs_directory
        private_folder(folder)
        path = folder / f"failure-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
        with open(path, "w", encoding="utf-8", errors="backslashreplace", opener=private_opener) as file:
            file.write(traceback.format_exc())
    except (OSError, TradingPlatformError):
        return None
    return path
