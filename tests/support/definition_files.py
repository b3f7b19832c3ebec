"""Files of definitions of features, written for a test."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

HEAD = """
import polars as pl
from trading_platform.domain.features import Feature, Label, bars, benchmark, feature, indicator, peers
"""

GAP = """
Feature(
    name="overnight_gap",
    category="technical",
    description="Open against the close before",
    formula="open_t / close_(t-1) - 1",
    inputs=[bars("open", "close")],
    lookback_days=1,
    warm_up=1,
    compute=pl.col("open") / pl.col("close").shift(1) - 1,
)
""".strip()


def write(folder: Path, name: str, text: str) -> Path:
    """A file of that text after the usual imports, which take three lines."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(HEAD + dedent(text))
    return file


def declared(name: str, compute: str, inputs: str = 'bars("close")', warm_up: int = 5, **more: str) -> str:
    """The text of a feature."""
    others = "".join(f", {key}={value}" for key, value in more.items())
    return (
        f'{name} = Feature(name="{name}", category="technical", description="D", formula="F", inputs=[{inputs}], '
        f"lookback_days=5, warm_up={warm_up}, compute={compute}{others})\n"
    )


def label(name: str, horizon: int, compute: str) -> str:
    """The text of a label of closes."""
    return (
        f'{name} = Label(name="{name}", description="D", formula="F", inputs=[bars("close")], horizon={horizon}, '
        f"compute={compute})\n"
    )
