"""Folders of tiny models of sentiment, made without torch: a table of three numbers a word, averaged over a text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import BertWordPieceTokenizer

WORDS = "[PAD] [UNK] [CLS] [SEP] shares profit rises surges falls plunges meeting of annual the on".split()
MEANING = {"rises": "positive", "surges": "positive", "falls": "negative", "plunges": "negative"}
ORDERS = {
    "ProsusAI/finbert": ("positive", "negative", "neutral"),
    "yiyanghkust/finbert-tone": ("Neutral", "Positive", "Negative"),
    "mrm8488/distilroberta-finetuned-financial-news-sentiment-analysis": ("negative", "neutral", "positive"),
}
"""The labels of published models, in the order of their cards."""


def tiny_model(
    folder: Path, labels: Sequence[str] = ORDERS["ProsusAI/finbert"], *, weights: str = "model.int8.onnx"
) -> Path:
    """Makes a folder with configuration, tokenizer and weights in ONNX."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, labels)
    write_tokenizer(folder, WORDS)
    write_onnx(folder / weights, labels)
    return folder


def write_config(folder: Path, labels: Sequence[str], **more: object) -> None:
    """Writes ``config.json`` as published models have it."""
    config: Mapping[str, object] = {
        "model_type": "bert",
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "vocab_size": len(WORDS),
        "pad_token_id": 0,
        "max_position_embeddings": 64,
        **more,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def write_tokenizer(folder: Path, words: Sequence[str], *, lowercase: bool = True) -> None:
    """Writes ``vocab.txt``, ``tokenizer.json`` and ``tokenizer_config.json``."""
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=lowercase).save(str(folder / "tokenizer.json"))
    settings = {"do_lower_case": lowercase, "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_onnx(
    file: Path, labels: Sequence[str], *, inputs: Sequence[str] = ("input_ids", "attention_mask"), scale: float = 4.0
) -> None:
    """Writes a model: the mean of what its words mean, and neutral where they mean nothing."""
    names = [label.lower() for label in labels]
    table = np.zeros((len(WORDS), len(labels)), dtype=np.float32)
    for row, word in enumerate(WORDS):
        table[row, names.index(MEANING[word]) if word in MEANING else names.index("neutral")] = scale / 4
    table[[WORDS.index(word) for word in MEANING]] *= 8
    ids, mask = inputs
    nodes = [
        helper.make_node("Gather", ["table", ids], ["vectors"]),
        helper.make_node("Cast", [mask], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counted", "last"], ["columns"]),
        helper.make_node("Mul", ["vectors", "columns"], ["known"]),
        helper.make_node("ReduceSum", ["known", "middle"], ["sums"], keepdims=0),
        helper.make_node("ReduceSum", ["counted", "middle"], ["lengths"], keepdims=1),
        helper.make_node("Div", ["sums", "lengths"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", len(labels)])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "middle"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))
