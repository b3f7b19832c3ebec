"""What the columns of a header hold, by their names: in English, Spanish, German, French, Italian and Portuguese.

:mod:`trading_platform.sources.files.recognition.formats` makes a format of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from trading_platform.sources.files.content.column_names import plain_name
from trading_platform.sources.files.content.zone_names import is_zone_name

OHLC = ("open", "high", "low", "close")
RANGE = frozenset(("open", "high", "low"))
"""What only bars have."""

_TIMES = (
    "timeutc opentime datetime timestamp time timelocal gmttime localtime unixtimestamp unix ts windowstart "
    "timeperiodstart starttime transacttime tradetime createdtime date dtyyyymmdd fechahora fechayhora datahora "
    "datumzeit dateheure fecha datum data t index"
).split()
_ALIASES = {
    "time": _TIMES,
    "open": (
        "open o openprice priceopen pxopen apertura abertura eroffnung eroffn eroffnungskurs ouverture ouv "
        "precioapertura"
    ).split(),
    "high": (
        "high h highprice pricehigh pxhigh max maximo maxima massimo hoch tageshoch hochst hochstkurs haut plushaut"
    ).split(),
    "low": ("low l lowprice pricelow pxlow min minimo minima tief tagestief tiefst tiefstkurs bas plusbas").split(),
    "close": (
        "close c closeprice priceclose pxlast cierre fechamento chiusura schluss schlusskurs cloture clot last "
        "closelast ultimo zuletzt dernier"
    ).split(),
    "volume": ["volume", "vol", "v", "tickvolume", "tickvol", "basevolume", "volumebtc"],
    "bid": ["bid", "bidprice"],
    "ask": ["ask", "askprice", "offer"],
    "price": ["price", "tradeprice", "lastprice"],
    "quantity": ["quantity", "qty", "size", "amount", "volume", "vol", "tradesize"],
    "suspicious": ["suspicious"],
    **{f"{side}_{name}": [f"{side}{name}"] for side in ("bid", "ask") for name in OHLC},
}
_DATES = ("date", "dtyyyymmdd", "fecha", "datum", "data")
_CLOCKS = ("time", "hora", "uhrzeit", "zeit", "heure", "ora")
_LOCAL_NAMES = frozenset(("timelocal", "localtime"))
_INDEX_NAMES = frozenset(("", "unnamed0", "indexlevel0", "price"))
_ZONED = re.compile(r"^(?P<base>.*[^\s_(\[])[\s_]*[\s_(\[](?P<zone>[A-Za-z]{1,4}|[A-Za-z]+/[A-Za-z_/]+)[)\]]?$")
_ZONE_WORDS = frozenset(
    "UTC GMT Z EST EDT ET CST CDT CT MST MDT MT PST PDT PT CET CEST EET EEST BST JST HKT IST MSK".split()
)
_ZONE_COLUMNS = ("timezone", "tz", "tzname", "timezonename", "exchangetimezone")


@dataclass(frozen=True)
class NamedZone:
    """The zone that a header or a column of zones names.

    Attributes:
        name: its name in the IANA database, None if the words do not name one.
        words: what the file says, for the report.
    """

    name: str | None
    words: str


def roles_of(names: Sequence[str]) -> dict[str, str]:
    """The roles of the known column names."""
    plain = [_without_zone(name) for name in names]
    found = {
        role: f"c{plain.index(alias)}"
        for role, aliases in _ALIASES.items()
        for alias in reversed(aliases)
        if alias in plain
    }
    if "time" not in found and plain and plain[0] in _INDEX_NAMES:
        found["time"] = "c0"
    if "time" not in found:
        unnamed = [index for index, name in enumerate(plain) if name in _INDEX_NAMES - {"price"}]
        found |= {"time": f"c{unnamed[-1]}"} if unnamed else {}
    found |= _date_and_clock(plain, found.get("time"))
    if "close" not in found and "price" in found and found["price"] != found.get("time") and found.keys() >= RANGE:
        found["close"] = found["price"]  # Investing.com
    return found


def _date_and_clock(plain: Sequence[str], time: str | None) -> dict[str, str]:
    """A column of dates and one of clocks, unless another column has both."""
    date = next((f"c{plain.index(name)}" for name in _DATES if name in plain), None)
    clock = next((f"c{plain.index(name)}" for name in _CLOCKS if name in plain), None)
    if date is None or clock is None or time not in (date, clock):
        return {}
    return {"time": date, "clock": clock}


def _without_zone(name: str) -> str:
    """The plain name; of a column of times without the zone in it, as in ``timestamp (UTC)`` and ``datetime_est``."""
    plain = plain_name(name)
    if plain in _TIMES:
        return plain
    zoned = _ZONED.match(name.strip())
    if zoned is None or (zoned["zone"].upper() not in _ZONE_WORDS and not is_zone_name(zoned["zone"])):
        return plain
    base = plain_name(zoned["base"])
    return base if base in _TIMES else plain


def is_local(name: str) -> bool:
    """Whether a column of times has those of the instrument's exchange."""
    return plain_name(name) in _LOCAL_NAMES


def named_zone(names: Sequence[str], roles: dict[str, str], frame: pl.DataFrame) -> NamedZone | None:
    """The zone of the times without one, as the name of their column or a column of zones says; None if none does.

    Args:
        names: the header.
        roles: what its known columns hold.
        frame: the rows.
    """
    for column in filter(None, (roles.get("time"), roles.get("clock"))):
        name = names[int(column[1:])]
        if plain_name(name) in ("timeutc", "gmttime"):
            return NamedZone("UTC", f"the zone of its column {name!r}")
        if _without_zone(name) != plain_name(name) and (zoned := _ZONED.match(name.strip())):
            return NamedZone(_known(zoned["zone"]), f"the zone of its column {name!r}")
    plain = [plain_name(name) for name in names]
    zones = next((plain.index(name) for name in _ZONE_COLUMNS if name in plain), None)
    if zones is None:
        return None
    values = frame[f"c{zones}"].cast(pl.String, strict=False).str.strip_chars().drop_nulls().unique(maintain_order=True)
    values = values.filter(values != "")
    if values.is_empty():
        return None
    shown = ", ".join(values.head(3))
    return NamedZone(_known(values[0]) if values.len() == 1 else None, f"{shown} in its column {names[zones]!r}")


def _known(word: str) -> str | None:
    """The zone that a word names for certain: EST is New York's time to some, and five hours behind UTC to others."""
    if word.upper() in ("UTC", "GMT", "Z"):
        return "UTC"
    return word if is_zone_name(word) else None
