"""Models such as FinBERT by torch and transformers, exported to ONNX, both engines compared.

These need the extra ``finbert``, which is not part of the development environment, and are skipped without it.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from fitted_encoder import MISSING, WHY, encoder_folder, fit
from tiny_models import ORDERS, WORDS, write_tokenizer

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.news.sentiment import Label
from trading_platform.stores.news.model_export import export_int8
from trading_platform.stores.news.transformer_model import load_transformer

pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(bool(MISSING), reason=WHY)]

TEXTS = ["Profit rises on the annual meeting", "shares plunges", "", "the " * 200, "meeting of shares"]
FITTED, COMPARED = 800, 400


def tiny_bert(folder: Path, labels: tuple[str, ...]) -> Path:
    from transformers import BertConfig, BertForSequenceClassification, set_seed

    set_seed(1)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    return folder


@pytest.mark.parametrize("name", ORDERS)
def test_a_tiny_bert_through_both_engines(tmp_path: Path, name: str):
    folder = tiny_bert(tmp_path, ORDERS[name])
    before = load_transformer(folder)
    done = export_int8(folder)
    torch, onnx = load_transformer(folder, engine="torch"), load_transformer(folder)
    assert (torch.engine, onnx.engine, before.engine) == ("torch", "onnx-int8", "torch")
    assert torch.revision == onnx.revision == before.revision == done.revision
    assert np.allclose(torch.probabilities(TEXTS), before.probabilities(TEXTS))
    assert np.abs(torch.probabilities(TEXTS) - onnx.probabilities(TEXTS)).max() < 0.02


def test_it_is_what_the_pipeline_of_transformers_gives(tmp_path: Path):
    from transformers import pipeline

    folder = tiny_bert(tmp_path, ORDERS["yiyanghkust/finbert-tone"])
    texts = [text for text in TEXTS if len(text) < 100]  # it takes the longest text from the class of its tokenizer
    theirs = pipeline("text-classification", str(folder), top_k=None)(texts)
    ours = load_transformer(folder, engine="torch").classify(texts)
    for one, given in zip(ours, theirs, strict=True):
        by_label = {each["label"].lower(): each["score"] for each in given}
        assert one.confidence == pytest.approx(by_label[one.label.value], abs=1e-5)
        assert one.score == pytest.approx(by_label["positive"] - by_label["negative"], abs=1e-5)


def test_weights_without_a_head_and_changed_weights_are_refused(tmp_path: Path):
    import safetensors.torch

    folder = tiny_bert(tmp_path, ORDERS["ProsusAI/finbert"])
    export_int8(folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    safetensors.torch.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"changed or added: model\.safetensors"):
        load_transformer(folder, engine="torch")
    (folder / "model.json").unlink()
    with pytest.raises(ConfigurationError, match="that of the labels included"):
        load_transformer(folder, engine="torch")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ConfigurationError, match="that transformers can load"):
        load_transformer(folder, engine="torch")


def test_an_encoder_with_the_tokenizer_of_another_is_refused(tmp_path: Path):
    folder = tiny_bert(tmp_path, ORDERS["ProsusAI/finbert"])
    for name in ("tokenizer.json", "vocab.txt"):
        shutil.copy(encoder_folder() / name, folder)
    with pytest.raises(ConfigurationError, match=r"15 tokens, as many as the weights know.*30,522 tokens"):
        load_transformer(folder)


def test_a_real_encoder_through_both_engines(
    tmp_path: Path, test_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = (Label.NEGATIVE, Label.POSITIVE, Label.NEUTRAL)  # what 0, 1 and 2 mean in the files
    texts, labels = examples(test_data, "twitter_financial_news_sent_train_half.csv", FITTED)
    fit(tmp_path, texts, labels, [f"{name}".title() for name in names])
    done = export_int8(tmp_path, texts[:300])
    others, wanted = examples(test_data, "twitter_financial_news_sent_valid.csv", COMPARED)
    found = {
        engine: [one.label for one in load_transformer(tmp_path, engine=engine).classify(others)]
        for engine in ("torch", "onnx")
    }
    same = np.mean([ours is theirs for ours, theirs in zip(*found.values(), strict=True)])
    right = np.mean([label is names[index] for label, index in zip(found["onnx"], wanted, strict=True)])
    neutral = np.mean(wanted == names.index(Label.NEUTRAL))
    with capsys.disabled():
        print(f"\n{same:.1%} same labels of {COMPARED}, {right:.3f} right, always neutral {neutral:.3f}")  # noqa: T201
    assert done.same_labels >= 0.99
    assert same >= 0.99
    assert right > neutral


def examples(folder: Path, name: str, count: int) -> tuple[list[str], np.ndarray]:
    with (folder / "sentiment" / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:: len(rows) // count][:count]
    return [row["text"] for row in rows], np.array([int(row["label"]) for row in rows])
