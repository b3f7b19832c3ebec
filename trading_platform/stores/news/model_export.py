"""Exports a transformer model of sentiment to ONNX with weights of eight bits, which run some times faster.

Needs the extra ``finbert`` whole. The exported model is compared with the original before it is kept.
:mod:`trading_platform.stores.news.transformer_model` runs both.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from trading_platform.domain.errors import ConfigurationError
from trading_platform.stores.news.model_folder import (
    MANIFEST,
    ONNX_INT8,
    ModelFolder,
    open_model_folder,
    write_manifest,
)
from trading_platform.stores.news.transformer_model import load_torch_model, load_transformer, packages
from trading_platform.stores.private_files import make_private

LARGEST_DIFFERENCE = 0.1
"""Of a probability between both engines, averaged over texts; a working export has some thousandths."""

SAMPLE = (
    "Acme shares jump 12% after earnings beat estimates and guidance raised",
    "Acme shares plunge 20% as profit warning shocks investors",
    "Acme to hold annual meeting on May 3",
    "Regulator fines bank $200 million over failures in controls",
    "Chip maker wins record order and lifts its dividend",
    "Central bank leaves rates unchanged",
    "Oil slips as stocks build more than expected",
    "Airline cuts forecast, blames fuel costs and weak demand",
    "Retailer opens 14 stores in Texas",
    "Drug maker's trial meets its main goal; stock soars",
    "Analyst downgrades car maker to sell",
    "Company names new chief financial officer",
)
"""Texts that both engines are compared with."""

_OPSET = 17


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        name, revision: of the model, the same as before.
        size: of the file, in bytes.
        same_labels: share of the compared texts with the same label from both engines.
        difference: of a probability between both engines, averaged.
    """

    name: str
    revision: str
    size: int
    same_labels: float
    difference: float


def export_int8(path: Path, sample: Sequence[str] = SAMPLE) -> Exported:
    """Writes ``model.int8.onnx`` beside ``model.safetensors``, and the manifest that makes both one revision.

    Args:
        path: the folder of the model.
        sample: texts that both engines are compared with.

    Raises:
        ConfigurationError: if the folder is not one of a model, packages are missing, or the exported model differs
            from the original; nothing is kept then.
    """
    original = load_transformer(path, engine="torch")
    folder = open_model_folder(path, engine="torch")
    with TemporaryDirectory(dir=path, prefix=".export-") as drafts:
        draft = Path(drafts)
        _quantize(_export(folder, draft), draft / ONNX_INT8)
        for part in path.iterdir():
            if part.is_file() and part.suffix in {".json", ".txt"} and part.name != MANIFEST:
                (draft / part.name).symlink_to(part.resolve())
        exported = load_transformer(draft, engine="onnx")
        ours, theirs = exported.probabilities(sample), original.probabilities(sample)
        difference = float(np.abs(ours - theirs).mean())
        if difference > LARGEST_DIFFERENCE:
            raise ConfigurationError(
                "The exported model differs from the original, and was not kept.",
                expected=f"probabilities that differ by at most {LARGEST_DIFFERENCE} on average",
                received=f"{difference:.3f}",
                remedy="run the original with SENTIMENT_ENGINE=torch",
            )
        (draft / ONNX_INT8).replace(path / ONNX_INT8)
    make_private(path / ONNX_INT8)
    write_manifest(path, folder.name, folder.revision)
    same = float(np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)))
    return Exported(folder.name, folder.revision, (path / ONNX_INT8).stat().st_size, same, difference)


def _export(folder: ModelFolder, draft: Path) -> Path:
    """The model as ONNX in 32 bits, with its layers joined as ONNX Runtime has them."""
    with packages("torch", "onnx", "onnxruntime"):
        import onnx  # noqa: F401 - the exporter needs it and would fail later
        import torch
        from onnxruntime.transformers import optimizer

    model = load_torch_model(folder)
    model.set_attn_implementation("eager")  # the form in which attention is recognised and joined

    class Logits(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    plain, joined = draft / "plain.onnx", draft / "joined.onnx"
    ids = torch.full((2, 8), max(folder.padding, 1) + 1, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    free = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of the exporter, and constants that it traces
        torch.onnx.export(
            Logits(),
            (ids, mask),
            str(plain),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": free, "attention_mask": free, "logits": {0: "texts"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    config = model.config
    if folder.architecture != "bert":
        return plain
    optimized = optimizer.optimize_model(
        str(plain),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
    )
    optimized.save_model_to_file(str(joined))
    return joined


def _quantize(source: Path, target: Path) -> None:
    """Weights of eight bits; what the layers pass on is scaled to eight bits while the model runs."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # joined layers have no inferred type
    )
