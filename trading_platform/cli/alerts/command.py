"""``alerts``: shows incidents, acknowledges and silences them, and runs what tells people (docs/alerts.md)."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json, table
from trading_platform.cli.parameters import Because, By, end_of, this_user
from trading_platform.domain.alerts.observers import START_ONE, without_incidents
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import rfc3339, utc_now
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from datetime import datetime

    from trading_platform.domain.alerts.incidents import Incident

alerts = typer.Typer(help="What is wrong, and messages of it: list, show, acknowledge, silence.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Number = Annotated[int, typer.Argument(help="Number of the incident, without #.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(alerts, name="alerts")


@alerts.command("list")
def list_incidents(
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    at_least: Annotated[Severity, typer.Option(help="Lowest severity.")] = Severity.INFO,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """List what is wrong now, and how the ways to people are.

    Example: trading-platform alerts list
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.alerts.incidents import IncidentStore
    from trading_platform.stores.alerts.outbox import NotificationOutbox

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        database, now = platform.stores.database, platform.clock()
        found = IncidentStore(database).listed(open_only=not every, at_least=at_least, limit=limit)
        silences = IncidentStore(database).silences(now)
        channels = NotificationOutbox(database).channels()
        observers = IncidentStore(database).observers()
    if json:
        print_json(
            {
                "incidents": [_as_dict(each) for each in found],
                "silences": [
                    {
                        "number": s.silence.number,
                        "pattern": s.silence.pattern,
                        "until": rfc3339(s.silence.until),
                        "by": s.created_by,
                        "because": s.because,
                    }
                    for s in silences
                ],
                "channels": [{**vars(each), "oldest": _text(each.oldest)} for each in channels],
                "observers": [{"name": each.name, "seen_at": rfc3339(each.seen_at)} for each in observers],
            }
        )
        return
    if not found:
        out.print(without_incidents(observers, now), highlight=False)
    else:
        columns = ("#", "severity", "what", "since (UTC)", "state", "message")
        rows = [
            (
                each.number,
                each.problem.severity.value,
                str(each.key),
                f"{each.since:%m-%d %H:%M}",
                _state(each),
                each.problem.message,
            )
            for each in found
        ]
        out.print(table("Incidents", columns, rows, right=("#",), keys=("#",)))
    for each in silences:
        out.print(
            f"Silence {each.silence.number}: {each.silence.pattern} until {each.silence.until:%Y-%m-%d %H:%M} UTC, "
            f"by {each.created_by}: {each.because}",
            highlight=False,
        )
    for state in channels:
        if state.waiting or state.parked:
            out.print(
                f"{state.channel}: {state.waiting} messages wait, {state.parked} can never be sent. "
                f"{state.error or ''}",
                highlight=False,
            )
    if found and all(each.is_silent(now) for each in observers):
        out.print(f"Nothing looks for problems now: {START_ONE}", highlight=False)


@alerts.command()
def show(number: Number, json: Json = False) -> None:
    """Show an incident.

    Example: trading-platform alerts show 17
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.alerts.incidents import IncidentStore

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = IncidentStore(platform.stores.database).get(number)
    values = _as_dict(found)
    if json:
        print_json(values)
        return
    rows = [(name.replace("_", " "), value) for name, value in values.items() if value not in (None, "", {})]
    out.print(table(f"Incident #{number}", ("field", "value"), rows, keys=("field",)))


@alerts.command()
def ack(number: Number, because: Because, by: By = None, json: Json = False) -> None:
    """Acknowledge an incident: it is not repeated; its end still is a message.

    Example: trading-platform alerts ack 17 --because "the exchange is down, announced"
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.alerts.incidents import IncidentStore

    with open_platform(load_settings()) as platform:
        store = IncidentStore(platform.stores.database)
        found = store.acknowledge(number, by=by or this_user(), because=because, at=platform.clock())
    if json:
        print_json(_as_dict(found))
    else:
        out.print(f"Incident #{number} ({found.key}) is acknowledged by {found.acknowledged_by}.", highlight=False)


@alerts.command()
def silence(
    pattern: Annotated[
        str | None, typer.Argument(help="Of component:rule:subject, * for any text: `feed:symbol_silent:*`.")
    ] = None,
    until: Annotated[str | None, typer.Option("--for", "--until", help="A span (30m, 4h, 2d) or a time.")] = None,
    because: Annotated[str, typer.Option("--because", help="The reason, kept with it.")] = "",
    end: Annotated[int | None, typer.Option("--end", help="End the silence of this number instead.")] = None,
    by: By = None,
) -> None:
    """Tell nobody of some incidents for a while; they are kept and listed nevertheless.

    Example: trading-platform alerts silence "feed:symbol_silent:*" --for 4h --because maintenance
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.alerts.incidents import IncidentStore

    if end is None and (pattern is None or until is None or not because):
        raise InvalidRequest(
            "A silence needs a pattern, an end and a reason.",
            expected='such as "feed:symbol_silent:*" --for 4h --because maintenance, or --end NUMBER',
            received="less than that",
            remedy="give all three; `trading-platform alerts list` shows the names of incidents and the silences",
        )
    with open_platform(load_settings()) as platform:
        store, now = IncidentStore(platform.stores.database), platform.clock()
        if end is not None:
            store.end_silence(end, now)
            out.print(f"Silence {end} has ended.", highlight=False)
            return
        made = store.silence(pattern or "", end_of(until or "", now), by=by or this_user(), because=because, at=now)
    out.print(
        f"Silence {made.silence.number}: nobody is notified of {made.silence.pattern} until "
        f"{made.silence.until:%Y-%m-%d %H:%M} UTC.",
        highlight=False,
    )


@alerts.command()
def run(
    seconds: Annotated[float | None, typer.Option("--duration", min=1, help="Stop after this many seconds.")] = None,
) -> None:
    """Look at what is wrong and tell people, until Ctrl-C or SIGTERM; `stream` and Dagster do the same while they run.

    Example: trading-platform alerts run
    """
    from trading_platform.resources.alerts import open_alert_watch
    from trading_platform.settings import load_settings
    from trading_platform.streaming.log_lines import log_lines
    from trading_platform.workflows.alerts.watch import EVERY

    with log_lines(), open_alert_watch(load_settings()) as watch:
        out.print("Looking at what is wrong. Stop with Ctrl-C.")
        began = time.monotonic()
        while seconds is None or time.monotonic() - began < seconds:
            found = watch.tick()
            if found is not None and found.message is not None:
                logging.getLogger(__name__).info("message %d was written", found.message)
            time.sleep(EVERY if seconds is None else min(EVERY, max(0.0, seconds - (time.monotonic() - began))))


@alerts.command("test")
def send_test(json: Json = False) -> None:
    """Send a test message to every way to people that is configured, and say which took it.

    Example: trading-platform alerts test
    """
    from trading_platform.domain.alerts.delivery import CannotBeSent, TryLater
    from trading_platform.embedded.stack import running_stack
    from trading_platform.resources.alerts import notifiers_of
    from trading_platform.settings import load_settings

    settings, results = load_settings(), {}
    with running_stack(settings) as servers:
        for notifier in notifiers_of(settings, lambda: servers.redis_url):
            try:
                notifier.send("A test of the ways to people: nothing is wrong.", Severity.INFO, [], utc_now())
                results[notifier.name] = "taken"
            except (TryLater, CannotBeSent) as error:
                results[notifier.name] = error.reason
    if json:
        print_json(results)
    else:
        out.print(table("Ways to people", ("way", "result"), list(results.items()), keys=("way",)))
    if any(result != "taken" for result in results.values()):
        raise typer.Exit(1)


def _state(incident: Incident) -> str:
    if incident.ended_at is not None:
        return f"over {incident.ended_at:%m-%d %H:%M}"
    if incident.acknowledged_by is not None:
        return f"acknowledged by {incident.acknowledged_by}"
    if incident.hidden_by is not None:
        return f"because of #{incident.hidden_by}"
    return "notified" if incident.notified_at else "new"


def _as_dict(incident: Incident) -> dict[str, object]:
    problem = incident.problem
    return {
        "number": incident.number,
        "component": problem.key.component,
        "rule": problem.key.rule,
        "subject": problem.key.subject,
        "severity": problem.severity.value,
        "message": problem.message,
        "source": problem.source,
        "since": rfc3339(incident.since),
        "seen_at": rfc3339(incident.seen_at),
        "times": incident.times,
        "ended_at": _text(incident.ended_at),
        "notified_at": _text(incident.notified_at),
        "because_of": incident.hidden_by,
        "acknowledged_at": _text(incident.acknowledged_at),
        "acknowledged_by": incident.acknowledged_by,
        "acknowledged_because": incident.acknowledged_because,
        "details": dict(problem.details),
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
