"""The weights of the platform's own model of sentiment, in a form that cannot execute: arrays and a JSON of labels."""

from __future__ import annotations

import hashlib
import json
import zipfile
from functools import cache
from pathlib import Path

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.news.linear_sentiment import LinearModel, check_model
from trading_platform.domain.news.sentiment import labels_in_order

MODEL_FILE = Path(__file__).parent / "models" / "linear.npz"
"""The weights that the package comes with; SOURCES.md beside them has origin and licence of the texts."""

_NAME = "linear"
_LARGEST = 4 * 2**20


@cache
def own_model() -> LinearModel:
    """The model that the package comes with."""
    return load_model(MODEL_FILE)


def load_model(path: Path) -> LinearModel:
    """The model of a file.

    Raises:
        ConfigurationError: if it cannot be read, or is no such model.
    """
    import numpy as np

    try:
        body = path.read_bytes()
        if len(body) > _LARGEST:
            raise ValueError(f"{len(body):,} bytes")  # noqa: TRY301 - one error for all that is wrong with the file
        with np.load(path, allow_pickle=False) as arrays:
            labels = {int(index): name for index, name in json.loads(bytes(arrays["labels"]).decode()).items()}
            model = LinearModel(
                weights=arrays["weights"],
                scales=arrays["scales"],
                biases=arrays["biases"],
                importance=arrays["importance"],
                importance_scale=float(arrays["importance_scale"]),
                labels=labels_in_order(labels),
                name=_NAME,
                revision=hashlib.sha256(body).hexdigest()[:16],
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            "The weights of the model of sentiment cannot be read.",
            expected="arrays of numpy without objects, at most 4 MB",
            received=f"{type(error).__name__}: {error}"[:200],
            remedy="install the platform again, or train the model with benchmarks/train_news_sentiment.py",
        ) from None
    return check_model(model, labels)
