"""The command ``stream`` by the clock of a soak: ``python -m soak.stream CLOCK``; settings from the environment."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from soak.clock import SharedClock, run_paced
from trading_platform.cli.live.stream import open_stream, run_until_stopped, when_possible
from trading_platform.cli.live.stream_feeds import Wanted
from trading_platform.embedded.stack import running_stack
from trading_platform.settings import load_settings
from trading_platform.streaming.log_lines import log_lines


def main() -> None:
    """Streams until SIGTERM."""
    settings, clock = load_settings(), SharedClock(Path(sys.argv[1]))
    with (
        log_lines() as log,
        when_possible(partial(running_stack, settings)),
        when_possible(partial(open_stream, settings, Wanted(), clock=clock.receiver)) as process,
    ):
        run_paced(lambda: run_until_stopped(process, log=log))


if __name__ == "__main__":
    main()
