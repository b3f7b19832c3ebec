"""Tables at the width of a terminal: numbers and short texts stay whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trading_platform.cli import output
from trading_platform.domain.errors import InvalidRequest

COLUMNS = ("symbol", "timeframe", "first", "last", "expected", "stored", "pending_confirmation", "missing", "note")
ROWS = [
    ("BTCUSD", "1m", "2013-10-06 21:34", "2026-11-30 09:12", 6_912_345, 6_900_000, 0, 12_345, "a gap of a night"),
    ("EURUSD", "1d", "2002-05-13 00:00", "2020-05-22 00:00", 4_711, 4_704, 7, 0, "a long note: " + "words " * 20),
]


def printed(width: int, columns: tuple[str, ...], rows: list[tuple[object, ...]], right: tuple[str, ...]) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    before, output.out = output.out, console
    try:
        console.print(output.table("Title", columns, rows, right=right))
    finally:
        output.out = before
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_number_and_no_time_is_broken(width: int) -> None:
    lines = printed(width, COLUMNS, ROWS, COLUMNS[4:8])
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {"6,912,345", "6,900,000", "12,345", "4,711", "2013-10-06", "21:34", "BTCUSD", "EURUSD"} <= words
    text = " ".join(" ".join(lines).split())
    for heading in ("timeframe", "pending", "confirmation", "missing"):
        assert heading in text
    assert sum("BTCUSD" in line for line in lines) == sum("EURUSD" in line for line in lines)


@pytest.mark.parametrize(
    ("columns", "right", "row"),
    [
        (("file", "rows", "accepted"), ("rows", "accepted"), ("[/odd] name [x].csv", 1_234_567, 1)),
        (("asset", "amount"), ("amount",), ("XXBT", "0.123456789012345678")),
        (tuple("abcdefgh"), tuple("bcdefgh"), ("symbol", *range(10**9, 10**9 + 7))),
    ],
)
def test_cells_are_shown_as_they_are(columns: tuple[str, ...], right: tuple[str, ...], row: tuple[object, ...]) -> None:
    lines = printed(40, columns, [row], right)
    assert max(map(len, lines)) <= 40
    text = "\n".join(lines)
    for cell in row:
        assert output.number(cell) in text


def test_an_empty_column_is_left_out() -> None:
    lines = printed(80, ("symbol", "sector", "bars"), [("SPY", None, 3), ("KO", "", 0)], ("bars",))
    assert "sector" not in " ".join(lines)


def console_of(text: io.StringIO) -> output.PlainConsole:
    return output.PlainConsole(file=text, width=100, force_terminal=True, color_system=None)


@pytest.mark.parametrize(
    "text", ["[/bold]x", "[bold]x[/]", "[link=file:///etc]x[/link]", ":smile:", "[/]", "[@click=x]"]
)
def test_a_text_is_no_markup(text: str) -> None:
    written = io.StringIO()
    console = console_of(written)
    console.print(text)
    console.print(f"before {text} after", highlight=False)
    console.print(output.table(text, ("name",), [(text,)]))
    output.print_labelled(console, f"{text}:", text, "bold red")
    assert written.getvalue().count(text) == 6


def test_control_characters_are_shown_and_do_not_command_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(output, "err", console_of(written))
    spoiled = "a\x1b]0;title\x07b\x9bc\rd\ud800e\0"
    console_of(written).print(output.table(spoiled, ("name",), [(spoiled,)]))
    console_of(written).print(spoiled)
    output.print_error(InvalidRequest(spoiled, received=spoiled), as_json=False)
    said = written.getvalue()
    assert not set(said) & {"\x07", "\x9b", "\r", "\0", "\ud800"}
    assert said.count("a\\x1b]0;title\\x07b\\x9bc\\x0dd\\ud800e\\x00") == 5
    said.encode()
