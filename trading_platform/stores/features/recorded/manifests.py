"""The manifest of a snapshot: what was read, from which files, by which definitions.

``_snapshots/NAME.json``; :mod:`trading_platform.stores.features.recorded.snapshots` writes and reads them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.texts import shown
from trading_platform.domain.time import rfc3339

_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Contents:
    """What a snapshot is of; the caller who read it knows.

    Attributes:
        parameters: the request: names, window, tolerance …, as JSON has them.
        recorded_as_of: the time of the state that was read, UTC; None for the one at ``created_at``.
        spine: hash of the spine of a training set (:func:`hash_of`); None without one.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    recorded_as_of: datetime | None = None
    spine: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A saved snapshot.

    Attributes:
        name: its name.
        created_at: when it was saved, UTC.
        data: the object with its rows.
        rows: their number.
        columns: their columns, with the types in Polars' words.
        months: the objects that it was read from, by the files' names: ``symbol=AAPL/2024-01/features.parquet``.
        definitions: for each feature of the months version and hash of the definitions that it was computed by;
            several where the months are not all of one.
        code: versions of the platform and of Polars.
        contents: what it is of.
    """

    name: str
    created_at: datetime
    data: str
    rows: int
    columns: Mapping[str, str]
    months: Mapping[str, str]
    definitions: Mapping[str, Sequence[tuple[int, str]]]
    code: Mapping[str, str]
    contents: Contents

    @property
    def objects(self) -> set[str]:
        """All objects that it needs."""
        return {self.data, *self.months.values()}

    def as_dict(self) -> dict[str, Any]:
        """The manifest as JSON has it."""
        times = {"created_at": rfc3339(self.created_at)}
        contents = asdict(self.contents)
        if self.contents.recorded_as_of is not None:
            contents["recorded_as_of"] = rfc3339(self.contents.recorded_as_of)
        return {"format": _FORMAT} | asdict(self) | times | {"contents": contents}

    def text(self) -> bytes:
        """The file.

        Raises:
            InvalidRequest: if the parameters are not of JSON.
        """
        try:
            return json.dumps(self.as_dict(), indent=1, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                "The parameters of a snapshot cannot be stored.",
                expected="numbers, texts, truth values, and lists and mappings of these",
                received=str(error),
                remedy="leave the others out",
            ) from None


def check_name(name: str) -> str:
    """The name of a snapshot, which is that of a file.

    Raises:
        InvalidRequest: if it is none.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidRequest(
        "This is not a name of a snapshot.",
        expected="up to 100 letters, digits, dots, dashes and underscores, a letter or a digit in front",
        received=shown(name),
        remedy="choose a name such as momentum-2024-03",
    )


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        FileNotFoundError: if it is not there.
        StoreError: if it is damaged or of a later version.
    """
    try:
        return _manifest(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged.",
            expected=f"the manifest of a snapshot in format {_FORMAT}",
            received=f"{type(error).__name__}: {error}",
            remedy="restore it from a backup; or delete it, and the snapshot with it",
        ) from None


def _manifest(entry: dict[str, Any]) -> Manifest:
    if entry.pop("format") != _FORMAT:
        raise ValueError("another format")
    contents = entry.pop("contents")
    recorded = contents.pop("recorded_as_of")
    entry["created_at"] = datetime.fromisoformat(entry["created_at"])
    entry["definitions"] = {name: [(v, h) for v, h in found] for name, found in entry["definitions"].items()}
    at = None if recorded is None else datetime.fromisoformat(recorded)
    return Manifest(**entry, contents=Contents(recorded_as_of=at, **contents))


def hash_of(frame: pl.DataFrame) -> str:
    """A hash of a frame's columns, their types and all values in their order: of its Arrow stream."""
    buffer = BytesIO()
    frame.rechunk().write_ipc_stream(buffer, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
    return hashlib.sha256(buffer.getbuffer()).hexdigest()
