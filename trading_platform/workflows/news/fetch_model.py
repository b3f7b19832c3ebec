"""Fetches a model of sentiment such as FinBERT into a folder of its own, once for each revision."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

from trading_platform.stores.atomic_files import os_errors_as_store_errors
from trading_platform.stores.news.model_folder import ModelFolder, open_model_folder, write_manifest
from trading_platform.stores.news.transformer_model import load_tokenizer
from trading_platform.stores.private_files import make_private, private_folder

_SHOWN = 12  # characters of a commit that name its folder


class Download(Protocol):
    """What a hub gave; ``sources/news/model_hub`` has such."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def revision(self) -> str:
        """Commit of its files."""


def fetch_model(download: Callable[[Path], Download], folder: Path) -> ModelFolder:
    """Downloads a model, checks it, and puts it into place whole.

    Args:
        download: downloads into a folder.
        folder: where models are kept, a folder for each revision.

    Raises:
        ConfigurationError: if the files do not belong together; nothing is kept then.
        SourceError: if the download failed.
        StoreError: if the disk is full.
    """
    with os_errors_as_store_errors(folder):
        private_folder(folder)
        draft = Path(mkdtemp(dir=folder, prefix=".fetch-"))
        try:
            done = download(draft)
            shutil.rmtree(draft / ".cache", ignore_errors=True)  # the library's notes about its downloads
            write_manifest(draft, done.name, done.revision)
            load_tokenizer(open_model_folder(draft))
            for file in draft.iterdir():
                make_private(file)
            place = folder / f"{done.name.replace('/', '--')}-{done.revision[:_SHOWN]}"
            if not place.exists():
                draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return open_model_folder(place)
