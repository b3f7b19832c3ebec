"""Texts of times in unusual forms, rewritten to forms that have a format of Polars.

:mod:`trading_platform.sources.files.times.utc_times` parses them.
"""

from __future__ import annotations

import re

import polars as pl

from trading_platform.sources.files.content.zone_names import is_zone_name

_DAY = r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{8})"
_CLOCK = r"\d{1,2}:\d{2}"
_ZONE = r"\s+([A-Z][A-Za-z]+/[A-Za-z_/]+)$"
_UNUSUAL = (
    r"(?i)(?:GMT|UTC)|\d[ -]?[AP]\.?M\b|^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
    rf"|^{_DAY}(?:,\s*|[_-]){_CLOCK}|^{_CLOCK}(?::\d{{2}})?\s+\S|:\d{{2}},\d|\]$"
)


def is_unusual(sample: pl.Series) -> bool:
    """Whether :func:`rewritten` would change some of these texts."""
    return bool(sample.str.contains(_UNUSUAL).any())


def common_zone(texts: pl.Series) -> str | None:
    """The zone that all of these texts name after their clock, as IBKR does; None if some name none or another."""
    zones = texts.filter(texts.fill_null("") != "").str.extract(_ZONE).unique()
    name = zones[0] if zones.len() == 1 else None
    return name if name is not None and is_zone_name(name) else None


def rewritten(texts: pl.Series, zone: str | None) -> pl.Series:
    """Times that Polars has no format for, in a form that it has one for.

    ``GMT+0700`` and ``UTC+7`` are ``+07:00``, ``GMT`` is ``UTC``; ``11-AM`` is ``11:00 AM``; weekdays and the names
    of zones after an offset are left out; ``14:30 09.01.2024`` and ``2024-01-09, 14:30`` are a day, a blank and a
    clock.

    Args:
        texts: the times.
        zone: the zone that all of them name, which is left out, too.
    """
    return (
        texts.str.replace(r"^(?i)(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+", "")
        .str.replace(r"((?:[+-]\d{1,2}(?::?\d{2})?|GMT|UTC|Z))\s*(?:\([^)]*\)|\[[A-Za-z_/]+\])$", "${1}")
        .str.replace(rf"\s+{re.escape(zone)}$" if zone else "^$", "")
        .str.replace(r"(?i)\s*(?:GMT|UTC)\s*([+-])(\d{2}):?(\d{2})$", "${1}${2}:${3}")
        .str.replace(r"(?i)\s*(?:GMT|UTC)\s*([+-])(\d{2})$", "${1}${2}:00")
        .str.replace(r"(?i)\s*(?:GMT|UTC)\s*([+-])(\d)$", "${1}0${2}:00")
        .str.replace(r"(?i)\s*GMT$", " UTC")
        .str.replace(r"(?i)([ T])(\d{1,2})[ -]?([AP])\.?M\b\.?", "${1}${2}:00 ${3}M")
        .str.replace(rf"^({_DAY})(?:,\s*|[_-])({_CLOCK})", "${1} ${2}")
        .str.replace(rf"^({_CLOCK}(?::\d{{2}})?)\s+(\S+)$", "${2} ${1}")
        .str.replace(r"^([A-Z][a-z]{2} +\d{1,2}) (\d{2}:\d{2}:\d{2}) (\d{4})$", "${1} ${3} ${2}")
        .str.replace(r"(:\d{2}),(\d{1,6})$", "${1}.${2}")
    )
