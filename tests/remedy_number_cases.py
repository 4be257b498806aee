"""Errors of arithmetic, settings and observers: code that raises one, a part of its remedy, and the code with it."""

from __future__ import annotations

import torch
from remedy_subjects import Case, config, quantize
from remedy_subjects import X as ROWS

from fxpasses.measure.benchmark import BenchSettings
from fxpasses.quantization.config import Override
from fxpasses.quantization.numbers.linear_mapping import dequantize_linear, linear_parameters, quantize_linear
from fxpasses.quantization.numbers.qparams import INT8
from fxpasses.quantization.ranges.histogram import StreamingHistogram, finite_range
from fxpasses.quantization.ranges.observer_spec import ObserverSpec, parse_observer
from fxpasses.quantization.ranges.range_search import weight_scales

X = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
WEIGHT = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(3))
_PLACE = "fxpasses/quantization/numbers/linear_mapping.py"

NUMBER_CASES: dict[str, Case] = {
    f"{_PLACE}:integer_type": (
        lambda _: quantize_linear(X, 0.1, 0, "float8"),
        "or 'uint2' to 'uint16'",
        lambda _: quantize_linear(X, 0.1, 0, "int8"),
    ),
    f"{_PLACE}:linear_parameters": (
        lambda _: linear_parameters(-1.0, 1.0, "uint8", symmetric=True),
        "use a signed type, or symmetric=False",
        lambda _: (
            linear_parameters(-1.0, 1.0, "int8", symmetric=True),
            linear_parameters(-1.0, 1.0, "uint8", symmetric=False),
        ),
    ),
    f"{_PLACE}:linear_parameters#2": (
        lambda _: linear_parameters(X.amin((0, 2, 3)), X.max()),
        "x.amin((0, 2, 3))",
        lambda _: linear_parameters(X.amin((0, 2, 3)), X.amax((0, 2, 3))),
    ),
    f"{_PLACE}:linear_parameters#3": (
        lambda _: linear_parameters(1.0, -1.0),
        "give finite ends, the lower first",
        lambda _: linear_parameters(-1.0, 1.0),
    ),
    f"{_PLACE}:_check_zero_point": (
        lambda _: quantize_linear(X, 0.1, torch.tensor(127.6), "uint8"),
        "round it",
        lambda _: quantize_linear(X, 0.1, torch.tensor(127.6).round().int(), "uint8"),
    ),
    f"{_PLACE}:_check_zero_point#2": (
        lambda _: quantize_linear(X, 0.1, 200, "int8"),
        "linear_parameters does",
        lambda _: quantize_linear(X, *linear_parameters(-1.0, 2.0, "int8"), dtype="int8"),
    ),
    f"{_PLACE}:_broadcast": (
        lambda _: quantize_linear(X, torch.full((3,), 0.1), 0, "int8"),
        "say which dimension it is for",
        lambda _: quantize_linear(X, torch.full((3,), 0.1), 0, "int8", axis=1),
    ),
    f"{_PLACE}:_broadcast#2": (
        lambda _: quantize_linear(X, torch.full((3,), 0.1), 0, "int8", axis=7),
        "name one of them",
        lambda _: quantize_linear(X, torch.full((3,), 0.1), 0, "int8", axis=1),
    ),
    f"{_PLACE}:_broadcast#3": (
        lambda _: dequantize_linear(X.to(torch.int8), torch.full((2,), 0.1), 0, axis=1),
        "[3]",
        lambda _: dequantize_linear(X.to(torch.int8), torch.full((3,), 0.1), 0, axis=1),
    ),
    "fxpasses/quantization/config.py:__post_init__#2": (
        lambda _: config(weight_search="best"),
        "use 'minmax' or 'mse'",
        lambda _: (config(weight_search="minmax"), config(weight_search="mse")),
    ),
    "fxpasses/quantization/config.py:__post_init__#3": (
        lambda _: config(rounding="learned", reestimation=True),
        "drop one of them",
        lambda _: (config(rounding="learned"), config(reestimation=True)),
    ),
    "fxpasses/quantization/config.py:__post_init__#4": (
        lambda _: config(exact=True, tie_free=False),
        "drop one of them",
        lambda _: (config(exact=True), config(tie_free=False)),
    ),
    "fxpasses/quantization/config.py:check_activation_bits#2": (
        lambda _: config(activation_bits=16, exact=True),
        "drop one of them",
        lambda _: (config(activation_bits=16), config(exact=True)),
    ),
    "fxpasses/quantization/ranges/observer_spec.py:__post_init__#2": (
        lambda _: parse_observer("minmax:3"),
        "write 'minmax'",
        lambda _: parse_observer("minmax"),
    ),
    "fxpasses/quantization/ranges/observer_spec.py:__post_init__#3": (
        lambda _: ObserverSpec("percentile", 3.0),
        "the default is 'percentile:99.999'",
        lambda _: parse_observer("percentile:99.999"),
    ),
    "fxpasses/quantization/ranges/observer_spec.py:parse_observer": (
        lambda _: parse_observer(":3"),
        "name one of minmax",
        lambda _: parse_observer("histogram"),
    ),
    "fxpasses/quantization/ranges/range_search.py:weight_scales": (
        lambda _: weight_scales(WEIGHT, 0, INT8, "best"),
        "use 'minmax' or 'mse'",
        lambda _: (weight_scales(WEIGHT, 0, INT8, "minmax"), weight_scales(WEIGHT, 0, INT8, "mse")),
    ),
    "fxpasses/quantization/ranges/range_search.py:weight_scales#2": (
        lambda _: weight_scales(WEIGHT / 0, 0, INT8),
        "load weights whose float model works",
        lambda _: weight_scales(WEIGHT, 0, INT8),
    ),
    "fxpasses/quantization/ranges/histogram.py:__init__": (
        lambda _: StreamingHistogram(100),
        "choose a power of two from 2 to 16384",
        lambda _: (StreamingHistogram(2), StreamingHistogram(16384)),
    ),
    "fxpasses/quantization/ranges/histogram.py:finite_range": (
        lambda _: finite_range(X.int()),
        "keep the operator that reads it in float",
        lambda _: quantize([ROWS], overrides=(Override("linear", keep_float=True),)),
    ),
    "fxpasses/measure/benchmark.py:__post_init__": (
        lambda _: BenchSettings(batches=()),
        "ask for 1 or more",
        lambda _: BenchSettings(batches=(1,)),
    ),
}
