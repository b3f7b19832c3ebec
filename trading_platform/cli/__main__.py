"""Where the command line begins: the list of commands and the version are printed without loading anything."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line."""
    from trading_platform.cli.commands import help_text, version_text

    if sys.argv[1:] in (["-h"], ["--help"]):
        sys.stdout.write(help_text())
    elif sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"{version_text()}\n")
    else:
        from trading_platform.cli.main import main as run

        run()


if __name__ == "__main__":
    main()
