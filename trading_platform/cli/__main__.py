"""Where the command line begins: the list of commands and the version are printed without loading anything."""

from __future__ import annotations

import importlib.util
import sys

_NOT_HERE = """\
Error: The commands do not run on this system, because it has none of the file locks that the platform needs.
  Expected: Linux or macOS
  To do: run them on one of these, on Windows in WSL. The client, trading_platform.client, works here with DATABASE_URL
         and REDIS_URL.
"""


def main() -> None:
    """Runs the command line."""
    from trading_platform.cli.commands import help_text, version_text
    from trading_platform.cli.ending import end_with, end_without_freeing, write_output

    if sys.argv[1:] in (["-h"], ["--help"]):
        raise SystemExit(write_output(help_text()))
    if sys.argv[1:] == ["--version"]:
        raise SystemExit(write_output(f"{version_text()}\n"))
    if importlib.util.find_spec("fcntl") is None:
        sys.stderr.write(_NOT_HERE)
        raise SystemExit(2)
    end_without_freeing()
    from trading_platform.cli.main import main as run

    try:
        run()
    except SystemExit as ended:
        end_with(ended.code)
        raise


if __name__ == "__main__":
    main()
