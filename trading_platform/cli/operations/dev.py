"""The command ``dev``: the Dagster UI with its daemon, ended whole.

How the processes are started and ended is in :mod:`trading_platform.cli.operations.dev_session`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trading_platform.cli.output import err
from trading_platform.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from trading_platform.settings import Settings

_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(dev)


def dev(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; whoever can reach it may start runs. See docs/operations.md.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on. Default: 3000, or a free one if that is taken."),
    ] = None,
    log_level: Annotated[
        Literal["critical", "error", "warning", "info", "debug"], typer.Option(help="What to log of Dagster.")
    ] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="Log as JSON for machines.")] = False,
) -> None:
    """Open the Dagster UI and run its daemon, until Ctrl-C or SIGTERM; no process of it is left then.

    Runs under way are interrupted. Exit codes: 0 after SIGTERM or when its terminal is closed, 130 after Ctrl-C, 1 if
    Dagster ended by itself. Its home is DAGSTER_HOME, by default the folder dagster in DATA_DIR.

    Example: trading-platform dev --port 3001
    """
    from trading_platform.cli.operations.dev_session import run_session
    from trading_platform.resources.dagster_incidents import session_file
    from trading_platform.resources.dagster_instance import DEFINITIONS
    from trading_platform.settings import load_settings

    settings = load_settings()
    if port:
        _refuse_taken(host, port)
    environment = _environment(settings)
    home = _home(settings, environment)
    command = [sys.executable, "-m", "dagster", "dev", "-m", DEFINITIONS, "--host", host]
    command += ["--port", str(port)] if port else []
    command += ["--log-level", log_level, "--log-format", "json" if as_json else "colored"]
    with session_file(settings.root) as was_killed:
        if was_killed:
            _note_down(settings, "Dagster was killed with `trading-platform dev`.", since_last_tick=True)
        ended = run_session(command, environment | {"DAGSTER_HOME": str(home)}, home)
    if ended.asked_by is None:
        err.print(f"Dagster ended by itself, with exit code {ended.code}; what it said about it is above.")
        _note_down(settings, f"Dagster's daemon, webserver or code server ended; `dev` gives exit code {ended.code}.")
        raise typer.Exit(1)
    raise typer.Exit(_INTERRUPTED if ended.asked_by == signal.SIGINT else 0)


def _note_down(settings: Settings, message: str, *, since_last_tick: bool = False) -> None:
    """Leaves it in the system events; a database that is away too does not keep anything from starting or ending."""
    from trading_platform.domain.errors import TradingPlatformError
    from trading_platform.resources.dagster_incidents import note_down

    try:
        note_down(settings, message, since_last_tick=since_last_tick)
    except TradingPlatformError as error:
        err.print(f"The system events do not have it: {error}")


def _refuse_taken(host: str, port: int) -> None:
    """Reports an address that is in use; Dagster's webserver would report it and keep running without serving."""
    import socket

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigurationError(
            "The Dagster UI cannot have this address.",
            expected="an address of this machine and a port that nothing listens on",
            received=f"{host}:{port}: {error.strerror or error}",
            remedy="choose another --port, or leave it out for one that is free",
        ) from None


def _environment(settings: Settings) -> dict[str, str]:
    """The command's environment, made independent of the present folder, which is another for Dagster.

    Dagster would read a ``.env`` there, and prefer it to the environment. What such a file says besides settings is
    handed on, for it is meant for whatever is started here; the settings themselves every process reads from it.
    """
    from dotenv import dotenv_values

    from trading_platform.settings import SETTINGS_FILE, Settings, settings_file

    file = settings_file()
    extra = dotenv_values(file) if file else {}
    environment = {name: value for name, value in extra.items() if value and name.lower() not in Settings.model_fields}
    paths = {name.upper(): str(value.expanduser().absolute()) for name, value in settings if isinstance(value, Path)}
    environment |= {name: value for name, value in os.environ.items() if name.upper() not in paths}
    return environment | paths | {SETTINGS_FILE: str(file or "")}


def _home(settings: Settings, environment: Mapping[str, str]) -> Path:
    """Dagster's home: the folder that DAGSTER_HOME names, or one in the data directory, made ready."""
    from trading_platform.resources.dagster_instance import prepare_home

    named = environment.get("DAGSTER_HOME")
    if not named:
        return prepare_home(settings)
    home = Path(named).expanduser()
    if not home.is_dir():
        raise ConfigurationError(
            "Dagster's home is missing.",
            expected="a folder with a dagster.yaml",
            received=f"DAGSTER_HOME={named}, which is no folder",
            remedy="make it, or leave DAGSTER_HOME out for the platform's own",
        )
    return home.absolute()
