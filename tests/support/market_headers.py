"""Names of columns in the files of vendors, for the fuzzer over readers (:mod:`market_files`)."""

from __future__ import annotations

NAMES = {
    "open": ["Open", "open", "OPEN", "<OPEN>", "1. open", "o", "Open Price", "open_price", "Apertura", "Eröffnung"],
    "high": ["High", "high", "HIGH", "<HIGH>", "2. high", "h", "Max", "high_price", "Máximo", "Hoch"],
    "low": ["Low", "low", "LOW", "<LOW>", "3. low", "l", "Min", "low_price", "Mínimo", "Tief"],
    "close": ["Close", "close", "CLOSE", "<CLOSE>", "4. close", "c", "Last", "Price", "Close/Last", "Último", "Schluß"],
}
UNKNOWN = ["Kurs", "px", "col3", "value1", "Settle", ""]
TIMES = [
    "Date",
    "date",
    "time",
    "timestamp",
    "Datetime",
    "<DATE>",
    "open_time",
    "unix",
    "Gmt time",
    "Fecha",
    "Datum",
    "time (UTC)",
    "datetime_utc",
]
EXTRA = [
    ("Change %", "-1.03%"),
    ("trades", "17"),
    ("note", "x"),
    ("Weighted_Price", "1.5"),
    ("OpenInt", "0"),
    ("count", "3"),
]
