"""Reads the file of a user's own rules; :mod:`trading_platform.domain.quality.own_rules` says what is in it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from trading_platform.domain.quality.own_rules import OwnRule, own_rules_of, unreadable_rules


def read_own_rules(path: Path, assets: Mapping[str, pl.DataFrame]) -> tuple[OwnRule, ...]:
    """The rules of a TOML file, each tried on its assets.

    Args:
        path: the file.
        assets: an empty frame with the columns of each asset that can have rules.

    Raises:
        ConfigurationError: if the file cannot be read, or a rule in it cannot be evaluated.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise unreadable_rules(str(path), str(error)) from None
    return own_rules_of(content, str(path), assets)
