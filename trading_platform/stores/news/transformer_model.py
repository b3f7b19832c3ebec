"""Runs a transformer model of sentiment such as FinBERT, by ONNX Runtime or by torch.

:mod:`trading_platform.stores.news.model_folder` has the files and their checks. The packages are those of the extra
``finbert``; ONNX Runtime and tokenizers are enough for a model that was exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.news.sentiment import Sentiment, sentiment_of
from trading_platform.stores.news.model_folder import (
    TOKENIZER,
    TOKENIZER_CONFIG,
    VOCABULARY,
    Engine,
    ModelFolder,
    open_model_folder,
    read_json,
    wrong_folder,
)

Ids = NDArray[np.int64]
Forward = Callable[[Ids, Ids], NDArray[np.float64]]
"""Logits for the ids of the tokens of some texts, and a mask that is 0 where they are filled up."""

_BATCH = 16  # texts; more at once are no faster on a processor
_LONGEST = 10_000  # characters: more than 512 tokens have


class TransformerModel:
    """A transformer that classifies texts.

    Args:
        folder: its folder.
        tokenizer: makes tokens of texts.
        forward: runs it.
    """

    is_slow = True

    def __init__(self, folder: ModelFolder, tokenizer: Any, forward: Forward) -> None:
        self._folder, self._tokenizer, self._forward = folder, tokenizer, forward
        self.name, self.revision, self.engine = folder.name, folder.revision, folder.engine

    def classify(self, texts: Sequence[str]) -> list[Sentiment]:
        """The sentiment of each text, in order."""
        labels = self._folder.labels
        return [sentiment_of(dict(zip(labels, row, strict=True))) for row in self.probabilities(texts).tolist()]

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities of the outputs: a row for each text.

        Raises:
            ConfigurationError: if the model gives anything but a number for each label.
        """
        cut = [text[:_LONGEST].encode("utf-8", "replace").decode() for text in texts]
        ids = [found.ids or [self._folder.padding] for found in self._tokenizer.encode_batch(cut)]
        outputs = len(self._folder.labels)
        logits = np.empty((len(ids), outputs))
        for batch in batches_by_length([len(one) for one in ids]):
            found = self._forward(*_filled_up([ids[at] for at in batch], self._folder.padding))
            if found.shape != (len(batch), outputs) or not np.isfinite(found).all():
                raise ConfigurationError(
                    "The model of sentiment gives something else than a number for each label.",
                    expected=f"{outputs} finite numbers for each of {len(batch)} texts",
                    received=f"an array of shape {found.shape}",
                    remedy="fetch the model again with `trading-platform news model fetch`, and export it again",
                )
            logits[batch] = found
        powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return shares


def load_transformer(path: Path, *, engine: Engine = "auto", revision: str | None = None) -> TransformerModel:
    """The model of a folder.

    Args:
        path: the folder.
        engine: ``onnx`` or ``torch``; ``auto`` prefers an exported model of eight bits.
        revision: the revision that it must have; None: any.

    Raises:
        ConfigurationError: if its files do not belong together, or packages are missing.
    """
    folder = open_model_folder(path, engine=engine, revision=revision)
    tokenizer = load_tokenizer(folder)
    forward = _torch_forward(folder) if folder.engine == "torch" else _onnx_forward(folder)
    return TransformerModel(folder, tokenizer, forward)


def batches_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts, those of about the same length together, so that little is filled up."""
    order = sorted(range(len(lengths)), key=lambda at: lengths[at])
    for start in range(0, len(order), _BATCH):
        yield order[start : start + _BATCH]


def load_tokenizer(folder: ModelFolder) -> Any:
    """The tokenizer of a folder, as transformers would load it.

    Raises:
        ConfigurationError: if it is not the one that the weights were trained with, or the package is missing.
    """
    with packages("tokenizers"):
        from tokenizers import BertWordPieceTokenizer, Tokenizer

    settings = read_json(folder.path / TOKENIZER_CONFIG) if (folder.path / TOKENIZER_CONFIG).is_file() else {}
    file, vocabulary = folder.path / TOKENIZER, folder.path / VOCABULARY
    if not file.is_file() and not (vocabulary.is_file() and folder.architecture == "bert"):
        raise wrong_folder(folder.path, f"{TOKENIZER}, or {VOCABULARY} of a BERT", "neither")
    try:
        if file.is_file():
            tokenizer = Tokenizer.from_file(str(file))
        else:
            lower = bool(settings.get("do_lower_case", True))
            tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=lower)._tokenizer  # noqa: SLF001 - itself
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        raise wrong_folder(folder.path, f"{TOKENIZER} of the tokenizers library", str(error)[:200]) from None
    _check_tokenizer(folder, tokenizer, settings)
    tokenizer.no_padding()
    tokenizer.enable_truncation(folder.most_tokens)
    return tokenizer


def _check_tokenizer(folder: ModelFolder, tokenizer: Any, settings: dict[str, Any]) -> None:
    """Refuses a tokenizer of other weights, with which every score would be wrong and none would look so."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if size != folder.vocabulary:
        raise _wrong_tokenizer(f"{folder.vocabulary:,} tokens, as many as the weights know", f"{size:,} tokens")
    padding = settings.get("pad_token")
    if isinstance(padding, str) and tokenizer.token_to_id(padding) != folder.padding:
        found = tokenizer.token_to_id(padding)
        raise _wrong_tokenizer(f"{padding} is token {folder.padding}, as in config.json", f"it is token {found}")
    if tokenizer.post_processor is None:
        raise _wrong_tokenizer("a tokenizer that marks begin and end of a text", "none that does")
    if (folder.path / VOCABULARY).is_file():
        tokens = (folder.path / VOCABULARY).read_text(encoding="utf-8").rstrip("\n").split("\n")
        known = tokenizer.get_vocab(with_added_tokens=True)
        other = next((token for at, token in enumerate(tokens) if known.get(token) != at), None)
        if other is not None:
            raise _wrong_tokenizer(f"the tokens of {VOCABULARY}, in its order", f"another number for {other[:50]!r}")
    lower = getattr(tokenizer.normalizer, "lowercase", None)
    wanted = settings.get("do_lower_case")
    if isinstance(lower, bool) and isinstance(wanted, bool) and lower != wanted:
        raise _wrong_tokenizer(f"do_lower_case is {wanted}, as in {TOKENIZER_CONFIG}", f"lowercase is {lower}")


def _wrong_tokenizer(expected: str, received: str) -> ConfigurationError:
    return ConfigurationError(
        "The tokenizer is not the one that the model of sentiment was trained with.",
        expected=expected,
        received=received,
        remedy="take tokenizer and weights from the same revision, as `trading-platform news model fetch` does",
    )


class packages:  # noqa: N801 - reads as a statement: with packages("torch")
    """Converts a missing package to an error that names the extra.

    Args:
        names: what is imported in the body.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Raises the error of the platform for one of the import."""
        if isinstance(error, ImportError):
            raise ConfigurationError(
                "Models such as FinBERT need packages that are not installed.",
                expected=" and ".join(self._names),
                received=str(error)[:200],
                remedy="pip install 'trading-platform[finbert]'",
            ) from None


def _onnx_forward(folder: ModelFolder) -> Forward:
    with packages("onnxruntime"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about the graph, which nobody here can change
    try:
        session = onnxruntime.InferenceSession(
            str(folder.path / folder.weights), options, providers=["CPUExecutionProvider"]
        )
        inputs = {each.name for each in session.get_inputs()}
    except Exception as error:  # noqa: BLE001 - the library has a class of its own for each fault
        raise wrong_folder(folder.path, f"{folder.weights} is a model of ONNX", str(error)[:200]) from None
    known = {"input_ids", "attention_mask", "token_type_ids"}
    if not {"input_ids", "attention_mask"} <= inputs <= known:
        raise wrong_folder(folder.path, f"inputs {', '.join(sorted(known))}", ", ".join(sorted(inputs)))

    def forward(ids: Ids, mask: Ids) -> NDArray[np.float64]:
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (logits, *_) = session.run(None, {name: given[name] for name in inputs})
        return np.asarray(logits, dtype=np.float64)

    return forward


def load_torch_model(folder: ModelFolder) -> Any:
    """The model of ``model.safetensors``, as transformers loads it; code of the folder is never run.

    Raises:
        ConfigurationError: if it cannot be loaded, has weights missing, or packages are missing.
    """
    with packages("torch", "transformers", "safetensors"):
        import safetensors.torch  # noqa: F401 - else transformers would fail later
        import torch  # noqa: F401 - as above
        from transformers import AutoModelForSequenceClassification
        from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model, notes = AutoModelForSequenceClassification.from_pretrained(
            str(folder.path),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parts do
        raise wrong_folder(folder.path, "weights that transformers can load", str(error)[:300]) from None
    if missing := sorted(notes["missing_keys"]):
        raise wrong_folder(
            folder.path, "weights of all layers, that of the labels included", f"none of {', '.join(missing)}"[:300]
        )
    return model.eval()


def _torch_forward(folder: ModelFolder) -> Forward:
    model = load_torch_model(folder)
    import torch

    def forward(ids: Ids, mask: Ids) -> NDArray[np.float64]:
        with torch.inference_mode():
            found = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits
        return np.asarray(found.numpy(), dtype=np.float64)

    return forward


def _filled_up(ids: Sequence[Sequence[int]], padding: int) -> tuple[Ids, Ids]:
    longest = max(map(len, ids))
    filled = np.full((len(ids), longest), padding, dtype=np.int64)
    mask = np.zeros_like(filled)
    for row, one in enumerate(ids):
        filled[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return filled, mask
