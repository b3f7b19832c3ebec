"""Headers in other languages, and columns of volumes with other names and units."""

from __future__ import annotations

import pytest
from user_file import closes, days, read, table, volumes

PRICES = "Date,Open,High,Low,Close"


@pytest.mark.parametrize(
    "header",
    [
        "Fecha;Apertura;Máximo;Mínimo;Cierre;Volumen",
        "Datum;Eröffn.;Hoch;Tief;Zuletzt;Vol.",
        "Datum;Eröffnung;Tageshoch;Tagestief;Schluß;Stücke",
        "date;ouv;haut;bas;clot;vol",
        "Data;Abertura;Máxima;Mínima;Fechamento;Volume",
        "Data;Apertura;Massimo;Minimo;Ultimo;Volume",
        "Dates;PX_OPEN;PX_HIGH;PX_LOW;PX_LAST;PX_VOLUME".replace("Dates", "Date"),
    ],
)
def test_headers_in_other_languages(header: str) -> None:
    rows = [
        ["08.01.2024", "1.210,5", "1.213,03", "1.209", "1.211,25", "12.345"],
        ["09.01.2024", "1.211,25", "1.220", "1.210", "1.215,5", "9.876"],
    ]
    found = read("SAN.csv", table(header, rows, ";"))["SAN"]
    assert found.bars.select("open", "high", "low", "close").cast(float).row(0) == (1210.5, 1213.03, 1209, 1211.25)
    assert volumes(found) == [12345, 9876]
    assert f"{found.bars['time'][1]:%Y-%m-%d}" == "2024-01-09"


@pytest.mark.parametrize(
    ("cell", "units"),
    [
        ("1.2 Mio", 1_200_000),
        ("3.4 Mrd.", 3_400_000_000),
        ("12万", 120_000),
        ("1.5亿", 150_000_000),
        ("7 Tsd", 7_000),
        ("2.5bn", 2.5e9),
    ],
)
def test_words_for_thousands_and_millions(cell: str, units: float) -> None:
    rows = [[*row[:5], cell] for row in days(100)]
    found = read("KO.csv", table(f"{PRICES},Volume", rows))["KO"]
    assert volumes(found)[0] == units
    assert "rounded by the source" in found.assumption


@pytest.mark.parametrize(
    "name", ["Volume (thousands)", "Volume (K)", "Vol (mio)", "Volume (in lots)", "BidVolume", "Shares Outstanding"]
)
def test_an_amount_of_another_unit_is_no_volume_and_is_named(name: str) -> None:
    found = read("KO.csv", table(f"{PRICES},{name}", days(100)))["KO"]
    assert volumes(found) == [None] * 5
    assert f"no volume: {name} does not say what it counts" in found.assumption


def test_unreadable_volumes_are_not_called_empty() -> None:
    rows = [[*row[:5], "1.2 mil"] for row in days(100)]
    assert "holds no numbers, such as '1.2 mil'" in read("KO.csv", table(f"{PRICES},Volume", rows))["KO"].assumption


@pytest.mark.parametrize(
    ("names", "chosen"),
    [("vol_base,vol_quote", 0), ("vol_quote,vol_base", 1), ("Umsatz,Stücke", 1), ("Volume USDT,Volume ETH", 1)],
)
def test_the_base_is_the_volume(names: str, chosen: int) -> None:
    amounts = [25_000, 10] if chosen else [10, 25_000]
    rows = [[*row[:5], *amounts] for row in days(2_500)]
    found = read("ETHUSDT.csv", table(f"{PRICES},{names}", rows))["ETHUSDT"]
    assert volumes(found) == [10] * 5
    assert closes(found)[0] == 2_501
