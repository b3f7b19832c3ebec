"""Locates the SQL files, in a checkout and in an installed package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


def sql_directory() -> Path:
    """The folder ``sql`` of the checkout, or its copy in an installed package."""
    packaged = _PACKAGE / "sql"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "sql"


@cache
def query(name: str) -> str:
    """The statement in ``sql/queries/<name>.sql``, with psycopg's named parameters."""
    return (sql_directory() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
