"""Transformers of torch.nn with attention masks: their layers become int8, in one file for both runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import transformer

import fxpasses as fx
from fxpasses.capturing.causal_hints import without_causal_hints
from fxpasses.graph.stages import CaptureMethod, graph_facts

WIDTH, LENGTH = 16, 6
causal = nn.Transformer.generate_square_subsequent_mask


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(WIDTH, 4)
        self.register_buffer("mask", causal(LENGTH))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.body(x, self.mask))
        return found


class MadeMask(Encoder):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.body(x, causal(x.shape[1])))
        return found


class GivenMask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Encoder()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.net.head(self.net.body(x, mask))
        return found


class Told(Encoder):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.body(x, self.mask, is_causal=True))
        return found


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(WIDTH, 2, 32, batch_first=True)
        self.body, self.query = nn.TransformerDecoder(layer, 1), nn.Parameter(torch.randn(5, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(self.query.expand(x.shape[0], -1, -1), x, tgt_mask=causal(5))
        return found


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Transformer(WIDTH, 2, 1, 1, 32, batch_first=True), nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.body(x, x[:, :4], tgt_mask=causal(4), src_key_padding_mask=x[..., 0] > 9))
        return found


@pytest.mark.parametrize("kind", [Encoder, MadeMask, GivenMask, Told, Decoder, Both])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:The PyTorch API of nested tensors")
def test_all_layers_are_int8(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = kind().eval()
    mask = (causal(LENGTH),) if kind is GivenMask else ()
    batches: list[Any] = [(torch.randn(4, LENGTH, WIDTH), *mask) for _ in range(2)]
    int8 = fx.quantize(net, batches[0], batches)
    assert graph_facts(int8).capture_method is CaptureMethod.EXPORT
    assert not [n for n in int8.graph.nodes if n.op == "call_module" and "float" in str(n.target)]
    linears = sum(isinstance(m, nn.Linear | nn.MultiheadAttention) for m in net.modules())
    assert sum("linear" in str(n.target) for n in int8.graph.nodes) >= linears
    path = fx.export.to_onnx(int8, tmp_path / "m.onnx")
    report = fx.export.parity(int8, batches, onnx_path=path)
    assert report.max_lsb_at_any_node == 0 and report.logits.max_lsb == 0
    with torch.no_grad():
        noise = (int8(*batches[1]) - net(*batches[1])).square().mean() / net(*batches[1]).square().mean()
    assert noise < 1e-2


def test_the_function_of_torch_is_put_back() -> None:
    before = transformer._detect_is_causal_mask

    def fail() -> None:
        with without_causal_hints():
            assert transformer._detect_is_causal_mask is not before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert transformer._detect_is_causal_mask is before


def test_without_the_function_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(transformer, "_detect_is_causal_mask")
    with without_causal_hints():
        assert not hasattr(transformer, "_detect_is_causal_mask")
