"""Names of ``torch.ao.quantization`` that its users may try here, and the call of this package to use instead."""

from __future__ import annotations

_STEPS = "fx.observe(fx.fuse(fx.capture(model.eval(), example_inputs)), fx.QuantConfig())"
_CONVERTED = "int8 = fx.convert(observed), then fx.export.to_torch(int8) for int8 kernels"
_TRAINING = "fx.prepare_training(graph, batches), or fx.train_quantized for all of it"
_CONFIG = 'fx.QuantConfig(); its target="x86" or "arm" takes the place of a backend\'s name'

INSTEAD = {
    "prepare_fx": f"{_STEPS}; or all of it in one call: fx.quantize(model, example_inputs, batches)",
    "prepare_pt2e": f"{_STEPS}; or all of it in one call: fx.quantize(model, example_inputs, batches)",
    "prepare": f"{_STEPS}; or all of it in one call: fx.quantize(model, example_inputs, batches)",
    "convert_fx": _CONVERTED,
    "convert_pt2e": _CONVERTED,
    "convert_to_reference_fx": "fx.convert(observed): its result is the reference",
    "prepare_qat_fx": _TRAINING,
    "prepare_qat_pt2e": _TRAINING,
    "prepare_qat": _TRAINING,
    "quantize_qat": _TRAINING,
    "fuse_fx": "fx.fuse(fx.capture(model.eval(), example_inputs))",
    "fuse_modules": "fx.fuse(fx.capture(model.eval(), example_inputs)), which finds what can be fused",
    "quantize_fx": "fx.quantize(model, example_inputs, batches)",
    "quantize_dynamic": "fxpasses quantize MODEL --data DATA --method dynamic --out DIR",
    "get_default_qconfig": _CONFIG,
    "get_default_qconfig_mapping": _CONFIG,
    "get_default_qat_qconfig": "fx.TrainingConfig()",
    "get_default_qat_qconfig_mapping": "fx.TrainingConfig()",
    "default_qconfig": _CONFIG,
    "QConfig": _CONFIG,
    "QConfigMapping": "fx.QuantConfig(overrides=(...)), each an Override of fxpasses.quantization.api",
    "BackendConfig": "fxpasses/graph/operator_table.py, one table of operators for all engines",
    "QuantStub": "nothing: fx.capture sees where integers begin",
    "DeQuantStub": "nothing: fx.capture sees where integers end",
    "FakeQuantize": _TRAINING,
    "HistogramObserver": 'fx.QuantConfig(observer="histogram"), the default',
    "MinMaxObserver": 'fx.QuantConfig(observer="minmax")',
    "MovingAverageMinMaxObserver": 'fx.QuantConfig(observer="moving_average")',
    "quantize_per_tensor": 'fx.quantize_linear(x, scale, zero_point, "uint8")',
    "quantize_per_channel": 'fx.quantize_linear(x, scales, zero_points, "int8", axis)',
    "dequantize": "fx.dequantize_linear(integers, scale, zero_point)",
}
"""By name of torch.ao; no public name of the package is among them."""
