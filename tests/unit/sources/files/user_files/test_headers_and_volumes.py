"""Headers in other languages, and columns of volumes with other names and units."""

from __future__ import annotations

import pytest
from user_file import closes, days, read, refusal, table, volumes

from trading_platform.sources.files.content.options import DecimalSign

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


@pytest.mark.parametrize("counts", [["1.133", "3.935", "998", "2.005", "7"], ["12.5", "13.5", "9", "8", "7"]])
@pytest.mark.parametrize("volume", [None, "0"])
def test_a_fraction_of_a_tick_is_refused(counts: list[str], volume: str | None) -> None:
    header = f"{PRICES},<TICKVOL>" + ("" if volume is None else ",<VOL>")
    rows = [
        [*row[:5], count, *([] if volume is None else [volume])] for row, count in zip(days(100), counts, strict=True)
    ]
    words = refusal("KO.csv", table(header, rows))
    assert "would be a fraction of one" in words or "give the decimal sign" in words
    assert "would be a fraction of one" in refusal("KO.csv", table(header, rows), decimal=DecimalSign.POINT)


@pytest.mark.parametrize("unknown", ["-1", "", "0"])
def test_volumes_that_are_none_give_way_to_ticks(unknown: str) -> None:
    rows = [[*row[:5], 7, "0" if number else unknown] for number, row in enumerate(days(100, count=2))]
    found = read("KO.csv", table(f"{PRICES},<TICKVOL>,<VOL>", rows))["KO"]
    assert volumes(found) == [7, 7]
    assert "tick volume from <TICKVOL>" in found.assumption


@pytest.mark.parametrize("other", ["Turnover", "Quote Volume", "note"])
def test_a_damaged_cell_is_rejected_and_no_other_kind_of_column(other: str) -> None:
    rows = [[*row[:5], cell, 5000] for row, cell in zip(days(100, count=3), ["12.34.56", "", ""], strict=True)]
    found = read("KO.csv", table(f"{PRICES},Volume,{other}", rows))["KO"]
    assert found.rejected["reason"].to_list() == ["unreadable_number", "missing_value", "missing_value"]
    assert "zero" not in found.assumption


def test_a_column_of_words_is_no_volume() -> None:
    rows = [[*row[:5], "high"] for row in days(100)]
    found = read("KO.csv", table(f"{PRICES},Volume", rows))["KO"]
    assert volumes(found) == [None] * 5
    assert "Volume holds no numbers, such as 'high'" in found.assumption
