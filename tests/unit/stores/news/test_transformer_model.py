"""Models such as FinBERT by ONNX Runtime: labels by name, tokenizers of the same revision, nothing that can execute.

Those that need torch are in ``test_torch_models.py`` beside this.
"""

from __future__ import annotations

import json
import pickle
import shutil
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_models import ORDERS, WORDS, tiny_model, write_config, write_onnx, write_tokenizer

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.news.sentiment import Label
from trading_platform.resources.news import sentiment_model
from trading_platform.settings import Settings
from trading_platform.stores.news.model_file import own_model
from trading_platform.stores.news.model_folder import write_manifest
from trading_platform.stores.news.transformer_model import (
    TransformerModel,
    batches_by_length,
    load_transformer,
    packages,
)

TEXTS = ["Profit rises", "shares plunges", "annual meeting of the shares", "", "on " * 200 + "rises", "\ud800 surges"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "model")


@pytest.mark.parametrize("name", ORDERS)
def test_labels_of_published_models_are_read_by_name(tmp_path: Path, name: str):
    model = load_transformer(tiny_model(tmp_path, ORDERS[name]))
    assert model.engine == "onnx-int8"
    found = model.classify(TEXTS[:3])
    assert [one.label for one in found] == [Label.POSITIVE, Label.NEGATIVE, Label.NEUTRAL]
    assert found[0].score > 0.3 > -0.3 > found[1].score


@pytest.mark.parametrize(
    "labels", [("LABEL_0", "LABEL_1", "LABEL_2"), ("positive", "negative"), ("joy", "anger", "neutral")]
)
def test_unknown_labels_are_refused(folder: Path, labels: tuple[str, ...]):
    write_config(folder, labels)
    with pytest.raises(ConfigurationError, match=r"negative, neutral and positive, in any order") as refused:
        load_transformer(folder)
    assert labels[0] in str(refused.value)


def test_no_labels_are_refused(folder: Path):
    for given in (None, [], {"a": "positive"}, "positive"):
        write_config(folder, ORDERS["ProsusAI/finbert"], id2label=given)
        with pytest.raises(ConfigurationError, match="labels"):
            load_transformer(folder)


def test_the_tokenizer_of_another_model_is_refused(folder: Path):
    write_tokenizer(folder, [*WORDS, "more"])
    with pytest.raises(ConfigurationError, match=r"15 tokens, as many as the weights know.*16 tokens"):
        load_transformer(folder)


def test_the_tokenizer_of_another_revision_is_refused(folder: Path):
    write_manifest(folder, "tiny", "abc")
    assert load_transformer(folder).revision == "abc"
    write_tokenizer(folder, [*WORDS[:4], *reversed(WORDS[4:])])  # as many words
    with pytest.raises(ConfigurationError, match=r"the files of revision abc of tiny.*tokenizer\.json"):
        load_transformer(folder)


def test_a_vocabulary_in_another_order_is_refused(folder: Path):
    (folder / "vocab.txt").write_text("\n".join([*WORDS[:4], *reversed(WORDS[4:])]), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"not the one.*the tokens of vocab\.txt"):
        load_transformer(folder)


def test_other_case_and_padding_are_refused(folder: Path):
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({"do_lower_case": False}))
    with pytest.raises(ConfigurationError, match="do_lower_case"):
        load_transformer(folder)
    settings.write_text(json.dumps({"pad_token": "[UNK]"}))
    with pytest.raises(ConfigurationError, match="is token 1"):
        load_transformer(folder)


def test_a_vocabulary_alone_is_a_tokenizer(folder: Path):
    with_file = load_transformer(folder).probabilities(TEXTS)
    (folder / "tokenizer.json").unlink()
    assert np.array_equal(load_transformer(folder).probabilities(TEXTS), with_file)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ConfigurationError, match="neither"):
        load_transformer(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "tf_model.h5"])
def test_weights_that_could_execute_are_never_opened(folder: Path, name: str):
    (folder / "model.int8.onnx").unlink()
    (folder / name).write_bytes(pickle.dumps(print))
    with pytest.raises(ConfigurationError, match=f"{name}, which may execute code"):
        load_transformer(folder)


def test_what_is_no_folder_of_a_model(folder: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="no such folder"):
        load_transformer(tmp_path / "absent")
    with pytest.raises(ConfigurationError, match=r"model\.safetensors"):
        load_transformer(folder, engine="torch")
    (folder / "model.int8.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigurationError, match=r"model\.int8\.onnx is a model of ONNX"):
        load_transformer(folder)
    for content in ("{", "[]", "[" * 10_000, " " * 2_000_000):
        (folder / "config.json").write_text(content)
        with pytest.raises(ConfigurationError, match=r"config\.json"):
            load_transformer(folder)


def test_weights_with_other_inputs_or_numbers(folder: Path):
    write_onnx(folder / "model.int8.onnx", ORDERS["ProsusAI/finbert"], inputs=("tokens", "attention_mask"))
    with pytest.raises(ConfigurationError, match="input_ids"):
        load_transformer(folder)
    write_onnx(folder / "model.int8.onnx", ORDERS["ProsusAI/finbert"], scale=float("nan"))
    with pytest.raises(ConfigurationError, match="a number for each label"):
        load_transformer(folder).classify(["Profit rises"])


def test_a_text_gets_the_same_alone_and_among_others(folder: Path):
    model = load_transformer(folder)
    many = TEXTS * 20
    together = model.probabilities(many)
    alone = np.concatenate([model.probabilities([text]) for text in TEXTS])
    assert np.allclose(together, np.tile(alone, (20, 1)), atol=1e-6)
    assert model.classify([]) == []


def test_batches_are_of_texts_of_about_one_length():
    lengths = [int(length) for length in np.random.default_rng(1).integers(1, 512, 200)]
    batches = list(batches_by_length(lengths))
    assert sorted(at for batch in batches for at in batch) == list(range(200))
    edges = [(min(lengths[at] for at in batch), max(lengths[at] for at in batch)) for batch in batches]
    assert all(before[1] <= after[0] for before, after in pairwise(edges))


def test_name_and_revision(folder: Path, tmp_path: Path):
    first = load_transformer(folder)
    other = Path(shutil.copytree(folder, tmp_path / "model2"))
    assert (first.name, load_transformer(other).revision) == ("model", first.revision)
    write_onnx(other / "model.int8.onnx", ORDERS["ProsusAI/finbert"], scale=5.0)
    assert load_transformer(other).revision != first.revision
    write_manifest(folder, "ProsusAI/finbert", "4556d13015211d73dccd3fdd39d39232506f3e43")
    named = load_transformer(folder, revision="4556d13015211d73dccd3fdd39d39232506f3e43")
    assert named.name == "ProsusAI/finbert"
    with pytest.raises(ConfigurationError, match="SENTIMENT_REVISION"):
        load_transformer(folder, revision="main")


def test_the_settings_choose_the_model(folder: Path):
    assert sentiment_model(Settings(_env_file=None)) is own_model()
    chosen = sentiment_model(Settings(_env_file=None, sentiment_model=folder, sentiment_engine="onnx"))
    assert isinstance(chosen, TransformerModel)
    assert (chosen.engine, chosen.is_slow) == ("onnx-int8", True)


def test_missing_packages_are_named():
    with pytest.raises(ConfigurationError, match=r"pip install 'trading-platform\[finbert\]'"), packages("absent"):
        import_module("absent")


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_without_torch_the_extra_is_named(folder: Path):
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"torch.*pip install 'trading-platform\[finbert\]'"):
        load_transformer(folder, engine="torch")
