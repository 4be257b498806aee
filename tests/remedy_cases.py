"""Errors of capture, quantization and pruning: code that raises one, a part of its remedy, and the code with the
remedy.
"""

from __future__ import annotations

import torch
from remedy_subjects import (
    Case,
    Detector,
    InPlaceState,
    Returns,
    SetsDefaultDtype,
    WithLayers,
    X,
    calibrated,
    config,
    loaded,
    pruned,
    quantize,
    small_graph,
    small_net,
)
from tiny_graphs import X86, fused, observed
from torch import nn

import fxpasses
from fxpasses.export import to_torch
from fxpasses.precision.half import to_half
from fxpasses.precision.weight_only import WeightOnlyConfig
from fxpasses.pruning.channels.budget import Budget
from fxpasses.pruning.masks.criteria import check_criterion
from fxpasses.pruning.masks.patterns import parse_pattern
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.numbers.linear_mapping import dequantize_linear, linear_parameters, quantize_linear
from fxpasses.quantization.ranges.observer_spec import parse_observer

GRAPH_CASES: dict[str, Case] = {
    # capture
    "fxpasses/capturing/checks.py:require_eval": (
        lambda _: fxpasses.capture(small_net().train(), X),
        "capture(model.eval(), example_inputs)",
        lambda _: fxpasses.capture(small_net().train().eval(), X),
    ),
    "fxpasses/capturing/checks.py:require_values": (
        lambda _: fxpasses.capture(small_net().to("meta"), X),
        "model.to_empty(device='cpu'), then model.load_state_dict(...)",
        lambda _: fxpasses.capture(loaded(small_net().to("meta").to_empty(device="cpu")), X),
    ),
    "fxpasses/capturing/checks.py:run_model": (
        lambda _: fxpasses.capture(small_net(), (X, X)),
        "a tuple with one entry for each argument of forward",
        lambda _: fxpasses.capture(small_net(), (X,)),
    ),
    "fxpasses/capturing/checks.py:run_model#2": (
        lambda _: fxpasses.capture(SetsDefaultDtype(True).eval(), X),
        "give dtype= to the calls that need it",
        lambda _: fxpasses.capture(SetsDefaultDtype(False).eval(), X),
    ),
    "fxpasses/capturing/checks.py:require_plain_output": (
        lambda _: fxpasses.capture(Returns(False).eval(), X),
        "returns a tensor, a tuple or a dict",
        lambda _: fxpasses.capture(Returns(True).eval(), X),
    ),
    "fxpasses/capturing/checks.py:require_same_twice": (
        lambda _: fxpasses.capture(InPlaceState().eval(), X),
        "no randomness in eval mode",
        lambda _: fxpasses.capture(InPlaceState().eval(), (X, False)),
    ),
    "fxpasses/capturing/attempts.py:capture": (
        lambda _: fxpasses.capture(small_net(), X, method="export", leaves=["0"]),
        "capture(..., method='trace', leaves=[...])",
        lambda _: fxpasses.capture(small_net(), X, method="trace", leaves=["0"]),
    ),
    "fxpasses/capturing/symbolic_trace.py:_require_modules": (
        lambda _: fxpasses.capture(small_net(), X, leaves=["absent"]),
        "name a module that exists",
        lambda _: fxpasses.capture(small_net(), X, leaves=["1"]),
    ),
    "fxpasses/capturing/symbolic_trace.py:_with_remedy": (
        lambda _: fxpasses.capture(nn.Sequential(nn.Linear(3, 4), WithLayers()).eval(), X, method="trace"),
        "keep its module whole, in float: capture(..., leaves=['1'])",
        lambda _: fxpasses.capture(nn.Sequential(nn.Linear(3, 4), WithLayers()).eval(), X, leaves=["1"]),
    ),
    "fxpasses/capturing/torch_export.py:_not_exportable": (
        lambda _: fxpasses.capture(Detector().eval(), X, method="export"),
        "capture the part that holds the layers, model.get_submodule('backbone')",
        lambda _: fxpasses.capture(Detector().eval().get_submodule("backbone"), X),
    ),
    # stages
    "fxpasses/graph/stages.py:check_stage": (
        lambda _: to_torch(small_graph()),
        "int8 = fx.convert(observed_graph)",
        lambda _: to_torch(fxpasses.convert(observed("conv_bn_relu"))),
    ),
    # calibration
    "fxpasses/quantization/ranges/first_samples.py:batches_of": (
        lambda _: quantize(None),
        "fx.quantize(model, x, [x])",
        lambda _: quantize([X]),
    ),
    "fxpasses/quantization/ranges/calibration.py:checked_batches": (
        lambda _: quantize([]),
        "pass at least one batch",
        lambda _: quantize([X]),
    ),
    "fxpasses/signature/input_check.py:check_inputs": (
        lambda _: quantize([(X, X, X)]),
        "a tuple of exactly the model's inputs",
        lambda _: quantize([(X,)]),
    ),
    "fxpasses/signature/input_check.py:_check_structure#3": (
        lambda _: quantize([X.numpy()]),
        "yield a tensor",
        lambda _: quantize([torch.from_numpy(X.numpy())]),
    ),
    "fxpasses/signature/input_check.py:_check_tensor": (
        lambda _: quantize([X.double()]),
        "exactly as the example inputs",
        lambda _: quantize([X.double().float()]),
    ),
    "fxpasses/signature/input_check.py:_check_values": (
        lambda _: quantize([X / 0]),
        "check the preprocessing of that data",
        lambda _: quantize([X / 1]),
    ),
    "fxpasses/quantization/int8/float32_layers.py:require_float32": (
        lambda _: fxpasses.quantize(small_net().half(), X.half(), [X.half()], X86),
        "use model.float(), with example inputs and batches in float32",
        lambda _: fxpasses.quantize(small_net().half().float(), X.half().float(), [X.half().float()], X86),
    ),
    "fxpasses/quantization/int8/planned_scales.py:_nothing_seen": (
        lambda _: fxpasses.convert(fxpasses.observe(fused("conv_bn_relu"), X86)),
        "fx.calibrate(graph, batches)",
        lambda _: fxpasses.convert(calibrated(fxpasses.observe(fused("conv_bn_relu"), X86))),
    ),
    # settings
    "fxpasses/quantization/config.py:check_weight_bits": (
        lambda _: config(weight_bits=9),
        "use 8 for speed alone, 4 for smaller files",
        lambda _: (config(weight_bits=8), config(weight_bits=4)),
    ),
    "fxpasses/quantization/config.py:check_activation_bits": (
        lambda _: config(activation_bits=7),
        "use 8 for speed",
        lambda _: config(activation_bits=8),
    ),
    "fxpasses/quantization/repair_table.py:check_smoothing": (
        lambda _: config(smoothing=2.0),
        "use 0.5, as published",
        lambda _: (config(smoothing=0.5), config(smoothing="auto")),
    ),
    "fxpasses/quantization/repair_table.py:_check_rounding": (
        lambda _: config(rounding="up"),
        "use 'nearest' or 'learned'",
        lambda _: (config(rounding="nearest"), config(rounding="learned")),
    ),
    "fxpasses/quantization/config.py:_check_group_size": (
        lambda _: config(weight_bits=4, group_size=7),
        "use 16 or 32",
        lambda _: (config(weight_bits=4, group_size=16), config(weight_bits=4, group_size=32)),
    ),
    "fxpasses/quantization/config.py:_check_group_size#2": (
        lambda _: config(group_size=16),
        "leave it out, or use weight_bits=4",
        lambda _: (config(), config(group_size=16, weight_bits=4)),
    ),
    "fxpasses/quantization/config.py:__post_init__": (
        lambda _: Override(match="conv"),
        "give it keep_float=True, an observer or weight_bits",
        lambda _: (Override("conv", keep_float=True), Override("conv", observer="minmax")),
    ),
    "fxpasses/quantization/numbers/targets.py:find_target": (
        lambda _: QuantConfig(target="x87"),
        "did you mean 'x86'?",
        lambda _: QuantConfig(target="x86"),
    ),
    "fxpasses/quantization/ranges/observer_spec.py:__post_init__": (
        lambda _: config(observer="minmaxx"),
        "did you mean 'minmax'?",
        lambda _: config(observer="minmax"),
    ),
    "fxpasses/quantization/ranges/observer_spec.py:parse_observer#2": (
        lambda _: parse_observer("percentile:many"),
        "'percentile:99.99'",
        lambda _: parse_observer("percentile:99.99"),
    ),
    "fxpasses/precision/half.py:to_half": (
        lambda _: to_half(small_graph(), "fp8"),
        "use fp16 or bf16",
        lambda _: (to_half(small_graph(), "fp16"), to_half(small_graph(), "bf16")),
    ),
    "fxpasses/precision/weight_only.py:__post_init__": (
        lambda _: WeightOnlyConfig(bits=5),
        "use 8 or 4",
        lambda _: (WeightOnlyConfig(bits=8), WeightOnlyConfig(bits=4)),
    ),
    # the linear mapping by hand
    "fxpasses/quantization/numbers/linear_mapping.py:quantize_linear": (
        lambda _: quantize_linear(X.long(), 0.1, 0),
        "give a float32 tensor",
        lambda _: quantize_linear(X.long().float(), 0.1, 0),
    ),
    "fxpasses/quantization/numbers/linear_mapping.py:dequantize_linear": (
        lambda _: dequantize_linear(X, 0.1, 0),
        "give what quantize_linear returned",
        lambda _: dequantize_linear(quantize_linear(X, 0.1, 0), 0.1, 0),
    ),
    "fxpasses/quantization/numbers/linear_mapping.py:_check_scale": (
        lambda _: quantize_linear(X, 0.0, 0),
        "linear_parameters(low, high) gives one",
        lambda _: quantize_linear(X, *linear_parameters(0.0, 0.0, "int8")),
    ),
    # pruning
    "fxpasses/pruning/masks/patterns.py:parse_pattern": (
        lambda _: parse_pattern("3:2"),
        "use 2:4 or 1:2",
        lambda _: (parse_pattern("2:4"), parse_pattern("1:2")),
    ),
    "fxpasses/pruning/masks/criteria.py:check_criterion": (
        lambda _: check_criterion("l11", "channel", has_data=False),
        "did you mean 'l1'?",
        lambda _: check_criterion("l1", "channel", has_data=False),
    ),
    "fxpasses/pruning/channels/budget.py:parse": (
        lambda _: Budget.parse("half"),
        "use macs=0.5 or the like",
        lambda _: Budget.parse("macs=0.5"),
    ),
    "fxpasses/pruning/masks/selection.py:check_ratio": (
        lambda _: pruned(small_graph(), 50),
        "did you mean 0.5?",
        lambda _: pruned(small_graph(), 0.5),
    ),
}
