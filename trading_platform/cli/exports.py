"""Writes frames to the files that a user names: Parquet as it is, CSV as a spreadsheet can open it safely."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import StoreError, StoreFull

if TYPE_CHECKING:
    import polars as pl

_FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that spreadsheets take for a formula (OWASP, CSV injection)."""


def write_frame(frame: pl.DataFrame, file: Path) -> None:
    """Writes a temporary file and renames it, so that a reader never sees an incomplete file.

    Nobody but the user can read it. In a CSV file a text that a spreadsheet would run as a formula has an apostrophe
    before it; it can come from an imported file.

    Raises:
        StoreError: if it cannot be written.
    """
    from polars.exceptions import PolarsError

    handle, name = -1, ""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=file.suffix)
        os.close(handle)
        if file.suffix == ".csv":
            without_formulas(frame).write_csv(name)
        else:
            frame.write_parquet(name)
        Path(name).replace(file)
    except (OSError, PolarsError) as error:
        if name:
            Path(name).unlink(missing_ok=True)
        reason = str(getattr(error, "strerror", None) or error)
        raise (StoreFull if "no space left" in reason.lower() else StoreError)(
            f"{file} could not be written; nothing is left behind.",
            received=reason,
            remedy="choose a folder that exists, is writable and has free space",
        ) from None


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with an apostrophe before each text that begins as a formula; numbers stay as they are."""
    import polars as pl

    texts = pl.col(pl.String)
    return frame.with_columns(pl.when(texts.str.contains(_FORMULA)).then("'" + texts).otherwise(texts).name.keep())
