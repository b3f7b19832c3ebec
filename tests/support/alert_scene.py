"""A watch with a clock of the test's own, over a real database and a server that answers as Telegram does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from telegram_server import TelegramServer

from trading_platform.domain.alerts.problems import Problem
from trading_platform.notifiers.telegram import Telegram
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores
from trading_platform.workflows.alerts.watch import AlertWatch, Surroundings

TOKEN = "123456:AAE"  # noqa: S105 - of nobody
EVERY = timedelta(seconds=15)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Pulse:
    """The heartbeats that were sent."""

    beats: list[bool] = field(default_factory=list)

    def beat(self, *, well: bool) -> str | None:
        self.beats.append(well)
        return None


@dataclass
class Scene:
    """A watch with its clock; ``pass_time`` lets it look as often as it would."""

    stores: Stores
    telegram: TelegramServer
    clock: Clock
    pulse: Pulse
    watch: AlertWatch
    problems: list[Problem] = field(default_factory=list)

    def pass_time(self, minutes: float) -> None:
        until = self.clock.now + timedelta(minutes=minutes)
        while self.clock.now < until:
            IncidentStore(self.stores.database).report(
                "tests", self.problems, at=self.clock.now, every=EVERY, components=["tests"]
            )
            self.watch.tick()
            self.clock.now += EVERY


def new_scene(stores: Stores, telegram: TelegramServer, folder: Path) -> Scene:
    """A scene that begins hours ago, because the database takes no events of the future."""
    ((start,),) = stores.database.rows("SELECT clock_timestamp()")
    return made_scene(stores, telegram, Clock(start - timedelta(hours=6)), Pulse(), folder)


def made_scene(stores: Stores, telegram: TelegramServer, clock: Clock, pulse: Pulse, folder: Path) -> Scene:
    """A scene of these parts."""
    around = Surroundings(stores.database, {"DATA_DIR": folder}, lambda: None, clock, clock)
    notifier = Telegram(TOKEN, "42", telegram.url)
    watch = AlertWatch(around, [notifier], pulse, frozenset({"telegram"}))
    return Scene(stores, telegram, clock, pulse, watch)


def begun_of(scene: Scene, kind: str) -> list[str]:
    """The messages in which something of a kind begins."""
    return [text for text in scene.telegram.texts if kind in text and f"Over: {kind}" not in text]


def over_of(scene: Scene, kind: str) -> list[str]:
    """The messages in which something of a kind is over."""
    return [text for text in scene.telegram.texts if f"Over: {kind}" in text]


def forget_alerts(stores: Stores) -> None:
    """Empties the tables of alerting and the system events."""
    tables = "observers, problems, incidents, silences, notifications, deliveries, system_events"
    names = ", ".join(f"audit.{name}" for name in tables.split(", "))
    with stores.database.begin() as connection:
        execute(connection, f"TRUNCATE {names} RESTART IDENTITY")
