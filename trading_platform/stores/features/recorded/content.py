"""The content of a month's file, read whole, and the definitions that its metadata names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import StoreError

DEFINITIONS = "feature_definitions"
"""Key of the metadata: JSON, for each feature ``{"version": 1, "hash": "…"}``. The hash is empty where not all rows
were computed by one definition."""

Stamp = tuple[int, str]
"""Version and hash of a definition."""

_MAGIC = b"PAR1"


def content_of(file: Path) -> bytes | None:
    """The whole file, read from one handle, so that a concurrent replacement cannot mix two; None without a file.

    Raises:
        StoreError: if it is no Parquet file.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    if not (content.startswith(_MAGIC) and content.endswith(_MAGIC)):
        raise damaged(file, f"{len(content)} bytes without the Parquet magic number at both ends")
    return content


def damaged(file: Path, received: str) -> StoreError:
    """The error of a file that cannot be read."""
    return StoreError(
        f"{file} is damaged.",
        expected="a Parquet file",
        received=received,
        remedy="delete the file and rebuild the features of that month",
    )


def stamps_in(content: bytes) -> dict[str, Stamp]:
    """By which definition each column of a Parquet file was computed; columns without an entry are left out."""
    return stamps_of_metadata(pl.read_parquet_metadata(BytesIO(content)))


def stamps_of_metadata(metadata: Mapping[str, str]) -> dict[str, Stamp]:
    """The same of the metadata of a file."""
    try:
        return {name: (entry["version"], entry["hash"]) for name, entry in json.loads(metadata[DEFINITIONS]).items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
