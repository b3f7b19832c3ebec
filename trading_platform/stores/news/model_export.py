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

LEAST_SAME = 0.99
"""Share of texts to which both engines must give the same label."""

_EVENTS = (
    "{} shares jump 12% after earnings beat estimates and guidance raised",
    "{} shares plunge 20% as profit warning shocks investors",
    "{} to hold annual meeting on May 3",
    "Regulator fines {} $200 million over failures in controls",
    "{} wins record order and lifts its dividend",
    "Central bank leaves rates unchanged, {} says in a note",
    "{} slips as stocks build more than expected",
    "{} cuts forecast, blames fuel costs and weak demand",
    "{} opens 14 stores in Texas",
    "{} trial meets its main goal; stock soars",
    "Analyst downgrades {} to sell",
    "{} names new chief financial officer",
)
_NAMES = "Acme;Zeta Energy;First Bank of Omega;the chip maker;a carrier;Delta Retail;Gamma Pharma;the car maker".split(
    ";"
)

SAMPLE = tuple(event.format(name) for event in _EVENTS for name in _NAMES)
"""Texts that both engines are compared with."""

_OPSET = 17
_BLOCK = 32  # weights that share a scale in the most exact form


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        name, revision: of the model, the same as before.
        form: how the weights were made eight bits: the first of :data:`FORMS` that is exact enough.
        size: of the file, in bytes.
        same_labels: share of the compared texts with the same label from both engines.
        difference: of a probability between both engines, averaged.
    """

    name: str
    revision: str
    form: str
    size: int
    same_labels: float
    difference: float


def export_int8(path: Path, sample: Sequence[str] = SAMPLE) -> Exported:
    """Writes ``model.int8.onnx`` beside ``model.safetensors``, and the manifest that makes both one revision.

    The fastest form is kept whose labels are the original's in 99 of 100 texts: how exact eight bits are differs
    between models, because a few large numbers between the layers of some take the scale from all others.

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
        source = _export(folder, draft)
        for part in path.iterdir():
            if part.is_file() and part.suffix in {".json", ".txt"} and part.name != MANIFEST:
                (draft / part.name).symlink_to(part.resolve())
        theirs = original.probabilities(sample)
        for form, make in FORMS.items():  # noqa: B007 - the form that was kept is returned
            make(source, draft / ONNX_INT8)
            ours = load_transformer(draft, engine="onnx").probabilities(sample)
            same = float(np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)))
            if same >= LEAST_SAME:
                break
        else:
            raise ConfigurationError(
                "The exported model differs from the original, and was not kept.",
                expected=f"the same label for {LEAST_SAME:.0%} of the texts",
                received=f"{same:.1%}",
                remedy="run the original with SENTIMENT_ENGINE=torch",
            )
        (draft / ONNX_INT8).replace(path / ONNX_INT8)
    make_private(path / ONNX_INT8)
    write_manifest(path, folder.name, folder.revision)
    difference = float(np.abs(ours - theirs).mean())
    return Exported(folder.name, folder.revision, form, (path / ONNX_INT8).stat().st_size, same, difference)


def _export(folder: ModelFolder, draft: Path) -> Path:
    """The model as ONNX in 32 bits, with its layers joined as ONNX Runtime has them."""
    with packages("torch", "onnx", "onnxruntime"):
        import onnx  # noqa: F401 - the exporter needs it and would fail later
        import torch
        from onnxruntime.transformers import optimizer
        from onnxruntime.transformers.fusion_options import FusionOptions

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
    options = FusionOptions("bert")
    options.enable_attention = False  # its weights would be out of reach of the forms below, and it is no faster
    optimized = optimizer.optimize_model(
        str(plain),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
        optimization_options=options,
    )
    optimized.save_model_to_file(str(joined))
    return joined


def _by_tensor(source: Path, target: Path) -> None:
    """One scale for each matrix of weights, and one for what goes into each layer; the fastest."""
    _dynamic(source, target, by_column=False)


def _by_column(source: Path, target: Path) -> None:
    """A scale for each column of weights; some slower."""
    _dynamic(source, target, by_column=True)


def _by_block(source: Path, target: Path) -> None:
    """A scale for each block of weights and of what goes into a layer; the most exact, little faster than torch."""
    with packages("onnx_ir"):
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    import onnx

    level = 4  # products of eight bits, by ONNX Runtime's numbering
    made = MatMulNBitsQuantizer(onnx.load(source), bits=8, block_size=_BLOCK, is_symmetric=True, accuracy_level=level)
    made.process()
    made.model.save_model_to_file(str(target), use_external_data_format=False)


def _dynamic(source: Path, target: Path, *, by_column: bool) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=by_column,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # joined layers have no inferred type
    )


FORMS = {"tensor": _by_tensor, "column": _by_column, "block": _by_block}
"""How weights are made eight bits, the fastest first."""
