"""Errors of calibration, conversion and lowering: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from int8_files import file_of
from remedy_subjects import Case, config, small_net
from remedy_subjects import X as ROWS
from tiny_graphs import X86, calibration_data, fresh_inputs, fused, observed, own_copy, quantized
from tiny_nets.all_nets import TINY
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.agreement.stored_integers import StoredIntegers, compare_with_stored, store_integers
from fxpasses.export import to_torch
from fxpasses.precision.half import to_half
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.exactness import require_exact
from fxpasses.quantization.ranges.observer_spec import parse_observer
from fxpasses.quantization.ranges.observers import HistogramObserver
from fxpasses.quantization.repairs.equalization import equalize
from fxpasses.quantization.repairs.observer_sweep import observed_by, sweep_observers
from fxpasses.quantization.rounding.learned_rounding import learn_rounding

QUANTIZATION, STORED, NET = "fxpasses/quantization", "fxpasses/agreement/stored_integers.py", "conv_bn_relu"
SAME_CONFIG = "fx.observe(graph, config) and fx.convert(graph, config) with the same config"
RUN_FLOAT = "run the float model on this data and look where its values leave the float range"
EXACT = QuantConfig(target="x86", exact=True)
IN_FLOAT = replace(X86, overrides=(Override("operator:relu", keep_float=True),))
SWEEP = config(observer="sweep")


class Logarithm(nn.Module):
    """The logarithm of a sum of its inputs, between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
        nn.init.ones_(self.first.weight)
        nn.init.zeros_(self.first.bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.log(self.first(x)))
        return found


class Largest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.argmax(self.layer(x), 1)


def calibrated(x: Tensor) -> None:
    graph = fxpasses.observe(fxpasses.fuse(fxpasses.capture(Logarithm().eval(), torch.ones(2, 3))), X86)
    fxpasses.calibrate(graph, [x])


def equalized(x: Tensor) -> None:
    first = nn.Conv2d(3, 4, 1)
    nn.init.constant_(first.weight, 1e38)
    net = nn.Sequential(first, nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    equalize(fxpasses.capture(net, torch.ones(2, 3, 2, 2)), [x])


def converted(observing: QuantConfig, converting: QuantConfig) -> fx.GraphModule:
    graph = fxpasses.observe(fused(NET), observing)
    fxpasses.calibrate(graph, calibration_data(TINY[NET]))
    return fxpasses.convert(graph, converting)


def with_weights_of(bad: float) -> fx.GraphModule:
    graph = own_copy(observed("linear_relu_linear"))
    weight = next(p for name, p in graph.named_parameters() if name.endswith("weight"))
    weight.data[0, 0] = bad
    return fxpasses.convert(graph)


def swept(rows: int, settings: QuantConfig = SWEEP) -> None:
    graph = fxpasses.observe(fxpasses.fuse(fxpasses.capture(small_net(), ROWS)), settings)
    sweep_observers(graph, [torch.randn(rows, 3)], ["minmax"])


def watched_by(spec: str) -> object:
    source = HistogramObserver()
    source(torch.linspace(-1, 1, 100))
    return observed_by(parse_observer(spec), source)


def rounded(batches: list[Tensor], rounding: str = "learned") -> fx.GraphModule:
    """Images of free size, with weights rounded to what is nearest, or by learning."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    graph = fxpasses.observe(fxpasses.fuse(fxpasses.capture(net, batches[0])), X86)
    fxpasses.calibrate(graph, batches)
    if rounding == "nearest":
        return fxpasses.convert(graph, replace(X86, rounding="nearest"))
    return learn_rounding(graph, batches, steps=1)


def images(*sizes: int) -> list[Tensor]:
    return [torch.randn(2, 3, size, size) for size in sizes]


def _for_bfloat16(x: Tensor) -> Tensor:
    if x.dtype is not torch.bfloat16:
        raise RuntimeError("no kernel for it")
    return x


def _with_function(function: Any) -> fx.GraphModule:
    """A graph that calls a function of its own behind its first layer."""
    graph = own_copy(fused("conv_bn_relu"))
    layer = next(node for node in graph.graph.nodes if node.op == "call_module")
    with graph.graph.inserting_after(layer):
        made = graph.graph.call_function(function, (layer,))
    made.meta = dict(layer.meta)
    layer.replace_all_uses_with(made, delete_user_cb=lambda user: user is not made)
    graph.recompile()
    return graph


def half(net: nn.Module, example: Tensor, kept: str = "") -> fx.GraphModule:
    graph = fxpasses.fuse(fxpasses.capture(net.eval(), example))
    return to_half(graph, "fp16", [kept] if kept else [])


@cache
def entry(folder: Path) -> StoredIntegers:
    """Integers of a net, stored in a folder with its file."""
    graph = quantized(NET)
    (folder / "m.onnx").write_bytes(file_of(NET))
    return store_integers(graph, to_torch(graph), folder / "m.onnx", fresh_inputs(TINY[NET], 1), folder / "i.npz")


def compared(folder: Path, **arrays: Any) -> None:
    """Compare with stored arrays, of which some are changed; None leaves one out."""
    found = entry(folder)
    if arrays:
        with np.load(folder / "i.npz") as stored:
            kept = {name: value for name, value in (dict(stored) | arrays).items() if value is not None}
        np.savez(folder / "i.npz", **kept)
    compare_with_stored(quantized(NET), folder / "m.onnx", folder / "i.npz", found)


def stored_again(folder: Path) -> None:
    entry.cache_clear()
    compared(folder)


def looked_at() -> None:
    """The float model has the values that no observer takes; other data calibrates."""
    assert not Logarithm()(-torch.ones(2, 3)).isfinite().all()
    calibrated(torch.ones(2, 3))


def proved_on_avx2() -> None:
    require_exact(quantized("conv_bn_relu", replace(EXACT, target="x86-avx2")), pair_safe=True)
    assert quantized("conv_bn_relu") is not None, "without exact"


STORED_CASES: dict[str, Case] = {
    f"{STORED}:from_json": (
        lambda _: StoredIntegers.from_json({"cpu": 1}),
        "quantize again",
        lambda folder: StoredIntegers.from_json(entry(folder).to_json()),
    ),
    f"{STORED}:_read": (
        lambda folder: compared(folder, output_0=None),
        "copy it again, or quantize again",
        stored_again,
    ),
    f"{STORED}:compare_with_stored": (
        lambda folder: compared(folder, input_0=np.zeros((1, 3), np.float32)),
        "copy it again, or quantize again",
        stored_again,
    ),
    f"{STORED}:compare_with_stored#2": (
        lambda folder: compared(folder, output_0=np.zeros((1, 3), np.float32)),
        "copy it again, or quantize again",
        stored_again,
    ),
}

INTEGER_CASES: dict[str, Case] = {
    f"{QUANTIZATION}/ranges/calibration.py:_at_observer": (
        lambda _: calibrated(-torch.ones(2, 3)),
        RUN_FLOAT,
        lambda _: looked_at(),
    ),
    f"{QUANTIZATION}/repairs/channel_rescaling.py:run_node": (
        lambda _: equalized(torch.full((2, 3, 2, 2), 1e3)),
        RUN_FLOAT,
        lambda _: equalized(torch.full((2, 3, 2, 2), 1e-30)),
    ),
    f"{QUANTIZATION}/int8/planned_scales.py:_known_qparams": (
        lambda _: converted(IN_FLOAT, X86),
        SAME_CONFIG,
        lambda _: (converted(IN_FLOAT, IN_FLOAT), converted(X86, X86)),
    ),
    f"{QUANTIZATION}/int8/convert.py:_convert_layer": (
        lambda _: with_weights_of(float("nan")),
        "load weights whose float model works",
        lambda _: with_weights_of(0.5),
    ),
    f"{QUANTIZATION}/int8/exactness.py:require_exact": (
        lambda _: require_exact(quantized("conv_bn_relu", EXACT), pair_safe=True),
        'convert it anew with QuantConfig(target="x86-avx2"), or drop exact',
        lambda _: proved_on_avx2(),
    ),
    f"{QUANTIZATION}/int8/exactness.py:require_exact#2": (
        lambda _: quantized("layer_norm", EXACT),
        "drop exact, or keep those nodes out of the int8 graph (Override(match=..., keep_float=True))",
        lambda _: (
            quantized("layer_norm"),
            quantized("layer_norm", replace(EXACT, overrides=(Override("*", keep_float=True),))),
        ),
    ),
    f"{QUANTIZATION}/repairs/observer_sweep.py:_waiting": (
        lambda _: swept(8, config(observer="minmax")),
        'observe with QuantConfig(observer="sweep")',
        lambda _: swept(8),
    ),
    f"{QUANTIZATION}/repairs/observer_sweep.py:_halves": (
        lambda _: swept(1),
        "pass more: 100 to 500 images do well",
        lambda _: swept(100),
    ),
    f"{QUANTIZATION}/repairs/observer_sweep.py:observed_by": (
        lambda _: watched_by("moving_average"),
        "search with histogram, percentile, minmax or entropy",
        lambda _: [watched_by(spec) for spec in ("histogram", "percentile", "minmax", "entropy")],
    ),
    f"{QUANTIZATION}/rounding/learned_rounding.py:_first_samples": (
        lambda _: rounded(images(6, 8)),
        "QuantConfig(rounding='nearest'), or inputs of one size with the batch in front",
        lambda _: (rounded(images(6, 8), "nearest"), rounded(images(6, 6))),
    ),
    "fxpasses/precision/half.py:_between_casts": (
        lambda _: half(Largest(), ROWS, "argmax*"),
        "do not keep it in float",
        lambda _: half(Largest(), ROWS),
    ),
    "fxpasses/precision/lowered.py:of": (
        lambda _: to_half(_with_function(_for_bfloat16), "fp16"),
        "choose another precision",
        lambda _: to_half(_with_function(_for_bfloat16), "bf16"),
    ),
}
INTEGER_CASES |= STORED_CASES
