"""Addresses with passwords: used if they are right, and never shown."""

from __future__ import annotations

import pytest

from trading_platform.domain.errors import ConfigurationError
from trading_platform.stores.addresses import checked_redis, shown_address, with_scheme

SECRET = "s3cret"  # noqa: S105 - opens nothing


@pytest.mark.parametrize(
    ("url", "same", "shown"),
    [
        ("postgresql://me:s3cret@host:5432/db", "x://me:s3cret@host:5432/db", "host"),
        ("postgres://host/db?sslmode=require", "x://host/db?sslmode=require", "host"),
        ("postgresql+psycopg2://me:p%40%2F%23@host/db", "x://me:p%40%2F%23@host/db", "host"),
        ("postgresql:///db?host=/var/run/postgresql", "x:///db?host=/var/run/postgresql", "/db"),
        ("postgresql://me@[::1]:5432/db", "x://me@[::1]:5432/db", "::1"),
    ],
)
def test_right_addresses_are_kept(url: str, same: str, shown: str) -> None:
    assert with_scheme(url, "x") == same
    assert shown_address(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@host:port/db", f"postgresql//me:{SECRET}@host", f"mysql://me:{SECRET}@host/db",
        f"postgresql://me:{SECRET} x@host/db", f"postgresql://me:%zz{SECRET}@host/db", f"postgresql://me:{SECRET}@[::1/db",
        f"postgresql://me:12/{SECRET}@host/db", f"postgresql://me:12#{SECRET}@host/db", f"postgresql://me:12?{SECRET}@h/db",
        f"host=localhost password={SECRET}", f"{SECRET}@host", SECRET, "", f"postgresql://me:1{SECRET}",
    ],
)  # fmt: skip
def test_wrong_ones_are_refused_without_a_piece_of_them(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_scheme(url, "postgresql")
    said = f"{caught.value} {caught.value.__cause__} {shown_address(url)}"
    assert SECRET not in said
    assert caught.value.__suppress_context__ or SECRET not in str(caught.value.__context__)


@pytest.mark.parametrize("url", ["redis://:s3cret@host:6379/0", "rediss://host", "unix:///run/redis.sock?db=1"])
def test_right_addresses_of_redis(url: str) -> None:
    assert checked_redis(url) == url
    assert SECRET not in shown_address(url)


@pytest.mark.parametrize(
    "url", [f"redis//:{SECRET}@host", f"redis://:{SECRET}@host:port/0", f"redis://:12/{SECRET}@host", SECRET,
            f"http://:{SECRET}@host", f"redis://:{SECRET}@[::1/0", f"redis://:12#{SECRET}@host"],
)  # fmt: skip
def test_wrong_addresses_of_redis(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_redis(url)
    assert SECRET not in f"{caught.value} {shown_address(url)}"
