"""The folder of a transformer model of sentiment such as FinBERT: which files it has, and whether they belong together.

A folder has ``config.json``, ``tokenizer.json`` (or ``vocab.txt`` of a BERT), and weights in ``model.safetensors``,
``model.int8.onnx`` or ``model.onnx``. Formats that can execute, such as pickles, are never opened. ``model.json`` is
the platform's own: the model's name and revision, and hashes of the files of that revision. This module loads no
library of models; :mod:`trading_platform.stores.news.transformer_model` runs them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.news.sentiment import Label, labels_in_order
from trading_platform.stores.atomic_files import replace_file

Engine = Literal["auto", "onnx", "torch"]

CONFIG, TOKENIZER, VOCABULARY, TOKENIZER_CONFIG = "config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json"
SAFETENSORS, ONNX_INT8, ONNX = "model.safetensors", "model.int8.onnx", "model.onnx"
MANIFEST = "model.json"

PARTS = (CONFIG, TOKENIZER, VOCABULARY, TOKENIZER_CONFIG)
"""What belongs to a revision beside the weights, as far as a folder has it."""

_ENGINES = {ONNX_INT8: "onnx-int8", ONNX: "onnx", SAFETENSORS: "torch"}
_CHOICES: dict[Engine, tuple[str, ...]] = {
    "auto": (ONNX_INT8, ONNX, SAFETENSORS),
    "onnx": (ONNX_INT8, ONNX),
    "torch": (SAFETENSORS,),
}
_CAN_EXECUTE = frozenset((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".joblib"))
_LONGEST_NAME, _LONGEST_REVISION = 50, 64  # columns of news.news_sentiment
_LARGEST_JSON = 2**20
_MOST_TOKENS = 512


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose parts belong together.

    Attributes:
        path: the folder.
        weights: name of the file of weights that is run.
        name: name of the model, at most 50 characters.
        revision: its publisher's, or a hash of its files.
        engine: what runs the weights: ``onnx-int8``, ``onnx`` or ``torch``.
        labels: of the outputs, in their order.
        vocabulary: number of tokens that the weights know.
        most_tokens: length at which texts are cut.
        padding: id of the token that fills up texts.
        architecture: ``model_type`` of the configuration.
    """

    path: Path
    weights: str
    name: str
    revision: str
    engine: str
    labels: tuple[Label, ...]
    vocabulary: int
    most_tokens: int
    padding: int
    architecture: str


def open_model_folder(path: Path, *, engine: Engine = "auto", revision: str | None = None) -> ModelFolder:
    """Opens the folder of a model, and checks that its files are of one revision.

    Args:
        path: the folder.
        engine: ``onnx`` or ``torch``; ``auto`` prefers an exported model of eight bits.
        revision: the revision that it must have; None: any.

    Raises:
        ConfigurationError: for a missing or changed file, weights that can execute, unknown labels or another revision.
    """
    weights = _weights(path, engine)
    config = read_json(path / CONFIG)
    labels = labels_in_order(_labels(config))
    name, found = _identity(path, weights, config)
    if revision is not None and revision != found:
        raise ConfigurationError(
            "The model of sentiment has another revision than the settings name.",
            expected=revision,
            received=found,
            remedy="set SENTIMENT_MODEL to the folder of that revision, or correct SENTIMENT_REVISION",
        )
    padding, vocabulary = _number(config, "pad_token_id", 0), _number(config, "vocab_size", None)
    positions = _number(config, "max_position_embeddings", _MOST_TOKENS)
    architecture = str(config.get("model_type", ""))
    if "roberta" in architecture:
        positions -= padding + 1  # they count positions from behind the padding
    return ModelFolder(
        path=path,
        weights=weights,
        name=name,
        revision=found,
        engine=_ENGINES[weights],
        labels=labels,
        vocabulary=vocabulary,
        most_tokens=min(_MOST_TOKENS, positions),
        padding=padding,
        architecture=architecture,
    )


def write_manifest(path: Path, name: str, revision: str) -> None:
    """Notes the name and revision of a model, with hashes of the files that belong to it."""
    files = {each.name: _hash(each) for each in _known_files(path)}
    text = json.dumps({"model": name, "revision": revision, "files": files}, indent=1, ensure_ascii=False)
    replace_file(path / MANIFEST, f"{text}\n".encode())


def read_json(file: Path) -> dict[str, Any]:
    """An object in a file of JSON.

    Raises:
        ConfigurationError: if it cannot be read, or is too large for a configuration.
    """
    try:
        if file.stat().st_size > _LARGEST_JSON:
            raise ValueError("more than 1 MB")  # noqa: TRY301 - one error for all that is wrong with the file
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")  # noqa: TRY301, TRY004 - as above
    except (OSError, ValueError, RecursionError) as error:
        raise wrong_folder(file.parent, f"{file.name}: an object of JSON, at most 1 MB", str(error)[:200]) from None
    return found


def wrong_folder(path: Path, expected: str, received: str, remedy: str | None = None) -> ConfigurationError:
    """The error for a folder that is not one of a model."""
    return ConfigurationError(
        f"The folder {path} has no model of sentiment that can be run.",
        expected=expected,
        received=received,
        remedy=remedy or "fetch the model again with `trading-platform news model fetch`, or correct SENTIMENT_MODEL",
    )


def _weights(path: Path, engine: Engine) -> str:
    if not path.is_dir():
        raise wrong_folder(path, "a folder with config.json, a tokenizer and weights", "no such folder")
    present = sorted(each.name for each in path.iterdir() if each.is_file())
    wanted = _CHOICES[engine]
    for name in wanted:
        if name in present:
            return name
    if unsafe := [name for name in present if Path(name).suffix in _CAN_EXECUTE]:
        raise wrong_folder(
            path,
            f"weights in {' or '.join(wanted)}",
            f"{', '.join(unsafe)}, which may execute code when they are opened",
            "use a revision of the model that has model.safetensors",
        )
    remedy = "export it with `trading-platform news model export`, or set SENTIMENT_ENGINE=auto"
    other = SAFETENSORS in present and engine == "onnx"
    raise wrong_folder(
        path, f"weights in {' or '.join(wanted)}", ", ".join(present) or "no file", remedy if other else None
    )


def _identity(path: Path, weights: str, config: Mapping[str, Any]) -> tuple[str, str]:
    """Name and revision: what the manifest says, if the files are those of it; else the folder's and a hash."""
    used = [each for each in _known_files(path) if each.name in {weights, *PARTS}]
    found = {each.name: _hash(each) for each in used}
    if not (path / MANIFEST).exists():
        together = hashlib.sha256("".join(f"{name}{found[name]}" for name in sorted(found)).encode()).hexdigest()[:16]
        return str(config.get("_name_or_path") or path.name).rsplit("/", 1)[-1][-_LONGEST_NAME:], together
    manifest = read_json(path / MANIFEST)
    hashes, name, revision = (manifest.get(key) for key in ("files", "model", "revision"))
    if not isinstance(hashes, dict) or not isinstance(name, str) or not isinstance(revision, str):
        raise wrong_folder(path, f"{MANIFEST} with model, revision and files", "another content")
    changed = sorted(each for each in found if hashes.get(each) != found[each])
    missing = sorted(each for each in hashes if each in PARTS and each not in found)
    if changed or missing:
        raise wrong_folder(
            path,
            f"the files of revision {revision} of {name}, as {MANIFEST} lists them",
            f"changed or added: {', '.join(changed) or 'none'}; missing: {', '.join(missing) or 'none'}",
        )
    if not 0 < len(name) <= _LONGEST_NAME or not 0 < len(revision) <= _LONGEST_REVISION:
        raise wrong_folder(path, f"a name of at most {_LONGEST_NAME} characters", f"{name} {revision}"[:200])
    return name, revision


def _known_files(path: Path) -> Sequence[Path]:
    return [path / name for name in (*PARTS, *_ENGINES) if (path / name).is_file()]


def _hash(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise wrong_folder(file.parent, f"{file.name} can be read", str(error)[:200]) from None


def _labels(config: Mapping[str, Any]) -> dict[int, str]:
    given = config.get("id2label")
    try:
        return {int(index): str(name) for index, name in dict(given or {}).items()}
    except (TypeError, ValueError):
        return {-1: str(given)[:200]}  # refused with what came


def _number(config: Mapping[str, Any], name: str, default: int | None) -> int:
    given = config.get(name)
    found = default if given is None else given
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ConfigurationError(
            "The configuration of the model of sentiment cannot be used.",
            expected=f"{name} in {CONFIG}, a whole number",
            received=str(given)[:100],
            remedy="fetch the model again with `trading-platform news model fetch`",
        )
    return found
