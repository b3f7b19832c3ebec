"""The command ``stream`` by the clock of a soak: ``python -m soak.stream CLOCK``; settings from the environment."""

# ruff: noqa: E402 - what waits must find the pace

from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any

from soak.clock import SharedClock, pace_threads, run_paced

pace_threads()

from trading_platform.cli.live.stream import open_stream, run_until_stopped, when_possible
from trading_platform.cli.live.stream_feeds import Wanted
from trading_platform.embedded.stack import running_stack
from trading_platform.settings import load_settings
from trading_platform.streaming.log_lines import LogLines, log_lines


def main() -> None:
    """Streams until SIGTERM."""
    settings, clock = load_settings(), SharedClock(Path(sys.argv[1]))
    logging.setLogRecordFactory(partial(_record, clock))
    with (
        log_lines(LogLines(monotonic=lambda: clock().timestamp(), clock=clock)) as log,
        when_possible(partial(running_stack, settings)),
        when_possible(partial(open_stream, settings, Wanted(), clock=clock.receiver)) as process,
    ):
        run_paced(lambda: run_until_stopped(process, log=log))


def _record(clock: SharedClock, *args: Any, **options: Any) -> logging.LogRecord:
    """A record with the time of the market, by which a minute of the log is one of the soak."""
    record = logging.LogRecord(*args, **options)
    record.created = clock().timestamp()
    return record


if __name__ == "__main__":
    main()
