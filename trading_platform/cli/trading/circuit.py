"""``circuit``: shows the circuit breakers, and pauses trading or lets it go on (docs/reconciliation.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json, table
from trading_platform.cli.parameters import Because, By, end_of, this_user
from trading_platform.domain.time import rfc3339

if TYPE_CHECKING:
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.stores.trading.pauses import PauseStore

circuit = typer.Typer(help="The circuit breakers: show them, pause trading, let it go on.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(circuit, name="circuit")


@circuit.command()
def show(json: Json = False) -> None:
    """Show each circuit breaker, and why trading is paused.

    Example: trading-platform circuit show
    """
    from trading_platform.workflows.trading.circuit import words_of

    with _opened() as (platform, pauses, circuits):
        now = platform.clock()
        going, state = pauses.going(now), pauses.state(now)
    states = {**circuits, "trading": state}
    if json:
        print_json(
            {
                "circuits": states,
                "pauses": [
                    {
                        "number": each.number,
                        "began_at": rfc3339(each.began_at),
                        "began_by": each.began_by,
                        "because": each.because,
                        "until": None if each.until is None else rfc3339(each.until),
                        "trials_left": each.trials_left,
                    }
                    for each in going
                ],
            }
        )
        return
    out.print(table("Circuit breakers", ("component", "state"), sorted(states.items()), keys=("component",)))
    out.print(words_of(state, going), highlight=False)


@circuit.command("open")
def open_circuit(
    because: Because,
    until: Annotated[
        str | None, typer.Option("--for", "--until", help="A span (30m, 4h, 2d) or a time. Default: until a reset.")
    ] = None,
    by: By = None,
) -> None:
    """Pause trading: no order can be placed; cancelling and recording fills go on.

    Example: trading-platform circuit open --because "the broker behaves oddly" --for 2h
    """
    with _opened() as (platform, pauses, _):
        now = platform.clock()
        end = None if until is None else end_of(until, now)
        made = pauses.begin(by=by or this_user(), because=because, at=now, until=end)
    ends = "a reset" if made.until is None else f"{made.until:%Y-%m-%d %H:%M} UTC"
    out.print(f"Trading is paused until {ends}.", highlight=False)


@circuit.command()
def reset(
    because: Because,
    trial: Annotated[
        int | None, typer.Option("--trial", min=1, help="Half-open: let so many orders through, then pause again.")
    ] = None,
    by: By = None,
) -> None:
    """Let trading go on, after a person has looked at the reason of the pause.

    Example: trading-platform circuit reset --because "the missing fill is booked"
    """
    with _opened() as (platform, pauses, _):
        if trial is not None:
            pauses.try_orders(trial, platform.clock())
            out.print(f"{trial} orders can be placed as a trial; then trading is paused again.", highlight=False)
            return
        ended = pauses.end(by=by or this_user(), because=because, at=platform.clock())
    out.print(f"Trading goes on; {len(ended)} pauses ended.", highlight=False)


@contextmanager
def _opened() -> Iterator[tuple[PlatformContext, PauseStore, dict[str, str]]]:
    """The pauses and the circuits of feeds; at the end the state of trading is copied for agents."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.redis.live import LiveStore
    from trading_platform.stores.trading.pauses import PauseStore
    from trading_platform.workflows.trading.circuit import copy_circuit

    with open_platform(load_settings()) as platform:
        database, url = platform.stores.database, platform.redis_url()
        if url is None:
            yield platform, PauseStore(database), {}
            return
        with closing(LiveStore(url)) as live:
            yield platform, PauseStore(database), live.circuits()
            copy_circuit(database, live, platform.clock())
