"""The command ``systemd``: unit files that keep the platform running and start again what dies.

``docs/operations.md`` describes their use, and what Docker Compose needs instead.
"""

from __future__ import annotations

import sys
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out
from trading_platform.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from trading_platform.settings import Settings

STORES, STREAM, DAGSTER = (f"trading-platform-{part}.service" for part in ("stores", "stream", "dagster"))

_STORES = """\
# Starts PostgreSQL and Redis of the platform, unless settings name other servers, and brings the schema up to date.
[Unit]
Description=trading-platform: its servers

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=$folder
Environment="DATA_DIR=$data_dir" PYTHONUNBUFFERED=1
ExecStart=$program up
ExecStop=$program down
TimeoutStartSec=600
TimeoutStopSec=180

[Install]
WantedBy=default.target
"""

_PROCESS = """\
# $purpose
[Unit]
Description=trading-platform: $description
Requires=$stores
After=$stores network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
WorkingDirectory=$folder
Environment="DATA_DIR=$data_dir" PYTHONUNBUFFERED=1
ExecStart=$program $arguments
Restart=always
RestartSec=5
# The process ends its own children. A server that it had to start again is used by the others, too.
KillMode=process
TimeoutStopSec=90

[Install]
WantedBy=default.target
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(systemd)


def systemd(
    folder: Annotated[
        Path, typer.Argument(help="Where to write them; those of the user by default.", file_okay=False)
    ] = Path("~/.config/systemd/user"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
) -> None:
    """Write systemd units that run the stream and Dagster, and start again whatever dies.

    They have the paths of this installation and its DATA_DIR; other settings come from the .env in the present folder.
    Existing units of these names are replaced.

    Example: trading-platform systemd
    """
    from trading_platform.settings import load_settings

    target = folder.expanduser().absolute()
    units = unit_files(load_settings(), Path.cwd(), port)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            (target / name).write_text(text)
    except OSError as error:
        raise ConfigurationError(
            f"The units cannot be written to {target}.",
            expected="a folder that the present user can write to",
            received=f"{type(error).__name__}: {error}",
            remedy="name another folder",
        ) from error
    out.print(f"Written to {target}: {', '.join(units)}.")
    out.print(f"Start them now and at every login:\n  systemctl --user enable --now {STREAM} {DAGSTER}", soft_wrap=True)
    out.print("Start them at boot, without a login:\n  loginctl enable-linger")


def unit_files(settings: Settings, folder: Path, port: int) -> dict[str, str]:
    """The text of each unit by its file name.

    Args:
        settings: where the data is.
        folder: where the processes work, and find their ``.env``.
        port: port of the Dagster UI.

    Raises:
        ConfigurationError: if a path has a character that a unit cannot hold.
    """
    program = Path(sys.executable).with_name("trading-platform")
    paths = {"folder": _path(folder), "data_dir": _path(settings.root), "program": f'"{_path(program)}"'}
    stream = {"purpose": "The live feeds.", "description": "live feeds", "arguments": "stream"}
    dagster = {
        "purpose": "The Dagster UI with its daemon: schedules, sensors and runs.",
        "description": "Dagster",
        "arguments": f"dev --port {port}",
    }
    return {
        STORES: Template(_STORES).substitute(paths),
        STREAM: Template(_PROCESS).substitute(paths, stores=STORES, **stream),
        DAGSTER: Template(_PROCESS).substitute(paths, stores=STORES, **dagster),
    }


def _path(path: Path) -> str:
    """A path as units take it: ``%`` begins a specifier there."""
    text = str(path)
    if any(character in text for character in "\"'\\\n$"):
        raise ConfigurationError(
            "A unit cannot hold this path.",
            expected="a path without quotation marks, backslashes and dollar signs",
            received=text,
            remedy="move the folder, or set DATA_DIR to another",
        )
    return text.replace("%", "%%")
