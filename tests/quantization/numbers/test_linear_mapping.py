"""The linear mapping, bit for bit compared with onnxruntime; parameters from ranges; and every error."""

from __future__ import annotations

import doctest
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.quantization.numbers import linear_mapping
from fxpasses.quantization.numbers.linear_mapping import integer_type
from fxpasses.quantization.numbers.qparams import INT7_SYMMETRIC, INT8_SYMMETRIC, IntType

DTYPES = ("int8", "uint8", "int16", "uint16", "int4", "uint4")
HELD = {"int8": 3, "uint8": 2, "int16": 5, "uint16": 4, "int4": 22, "uint4": 21}
"""ONNX's numbers of the integer types."""
OPSET = 21
"""First opset with integers of 16 and 4 bits."""

CHANNELS = 3
WITHIN_INT32 = 2.0**30
scales = st.one_of(st.floats(2.0**-100, 2.0**100, width=32), st.sampled_from([2.0**-k for k in range(12)]))
reals = st.one_of(st.floats(-300, 300, width=32), st.floats(width=32, allow_nan=False))
halves = st.integers(-(2**17), 2**17).map(lambda k: k / 2)


@cache
def onnx_session(dtype: str, quantizes: bool, axis: int) -> ort.InferenceSession:
    """Session ``x, scale, zero_point -> q`` (as int32, since numpy has no 4 bits), or ``q, scale, zero_point -> x``."""
    held, wide, real = HELD[dtype], onnx.TensorProto.INT32, onnx.TensorProto.FLOAT
    cast = [helper.make_node("Cast", [name], [f"{name}_held"], to=held) for name in ("zero_point", "q")]
    if quantizes:
        nodes = [
            cast[0],
            helper.make_node("QuantizeLinear", ["x", "scale", "zero_point_held"], ["q"], axis=axis),
            helper.make_node("Cast", ["q"], ["y"], to=wide),
        ]
    else:
        nodes = [
            *cast, helper.make_node("DequantizeLinear", ["q_held", "scale", "zero_point_held"], ["y"], axis=axis)
        ]  # fmt: skip
    given, made = ("x", wide) if quantizes else ("q", real)
    inputs = [(given, real if quantizes else wide), ("scale", real), ("zero_point", wide)]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in inputs],
        [helper.make_tensor_value_info("y", made, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, first: Any, scale: Any, zero_point: Any) -> np.ndarray[Any, Any]:
    values = (first, np.asarray(scale, np.float32), np.asarray(zero_point, np.int32))
    feeds = {i.name: v for i, v in zip(session.get_inputs(), values, strict=True)}
    found: np.ndarray[Any, Any] = session.run(None, feeds)[0]
    return found


def zero_points(dtype: str) -> st.SearchStrategy[int]:
    grid = integer_type(dtype)
    return st.integers(grid.low, grid.high)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=50)
@given(data=st.data(), x=st.lists(st.one_of(reals, halves), min_size=1, max_size=40), scale=scales)
def test_quantize_linear_is_onnxruntimes(dtype: str, data: st.DataObject, x: list[float], scale: float) -> None:
    zero_point, values = data.draw(zero_points(dtype)), np.array(x, np.float32)
    if dtype.endswith("int4"):  # onnxruntime 1.31 does not saturate where x / scale is beyond int32
        values = np.clip(values, -WITHIN_INT32 * min(scale, 1.0), WITHIN_INT32 * min(scale, 1.0)).astype(np.float32)
    found = fx.quantize_linear(torch.from_numpy(values), scale, zero_point, dtype)
    assert found.dtype is integer_type(dtype).dtype
    expected = run(onnx_session(dtype, True, 0), values, scale, zero_point)
    assert found.to(torch.int32).tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=30)
@given(data=st.data(), scale=scales)
def test_dequantize_linear_is_onnxruntimes(dtype: str, data: st.DataObject, scale: float) -> None:
    grid = integer_type(dtype)
    q = np.array(data.draw(st.lists(zero_points(dtype), min_size=1, max_size=40)), np.int32)
    zero_point = data.draw(zero_points(dtype))
    found = fx.dequantize_linear(torch.from_numpy(q).to(grid.dtype), scale, zero_point)
    assert found.dtype is torch.float32
    assert found.tolist() == run(onnx_session(dtype, False, 0), q, scale, zero_point).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_per_channel_is_onnxruntimes(dtype: str, axis: int) -> None:
    generator = torch.Generator().manual_seed(axis)
    x = torch.randn(CHANNELS, CHANNELS, CHANNELS, generator=generator) * 10
    grid, scale = integer_type(dtype), torch.rand(CHANNELS, generator=generator) + 0.01
    zero_point = torch.randint(grid.low, grid.high + 1, (CHANNELS,), generator=generator, dtype=torch.int32)
    q = fx.quantize_linear(x, scale, zero_point, dtype, axis=axis)
    expected = run(onnx_session(dtype, True, axis), x.numpy(), scale.numpy(), zero_point.numpy())
    assert q.to(torch.int32).tolist() == expected.tolist()
    back = run(onnx_session(dtype, False, axis), expected, scale.numpy(), zero_point.numpy())
    assert fx.dequantize_linear(q, scale, zero_point, axis=axis).tolist() == back.tolist()


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(0, 1e6, width=32)), min_size=1, max_size=5),
    st.sampled_from([*DTYPES, INT8_SYMMETRIC, INT7_SYMMETRIC]),
    st.booleans(),
)
def test_a_range_survives_to_half_a_step(
    spans: list[tuple[float, float]], dtype: str | IntType, symmetric: bool
) -> None:
    grid = integer_type(dtype)
    symmetric = symmetric and grid.low < 0
    low = torch.tensor([a for a, _ in spans])
    high = torch.tensor([a + width for a, width in spans])
    scale, zero_point = fx.linear_parameters(low, high, dtype, symmetric)
    assert scale.shape == zero_point.shape == low.shape
    assert not symmetric or not zero_point.any()
    x = torch.stack([low, (low + high) / 2, high, torch.zeros_like(low)])
    back = fx.dequantize_linear(fx.quantize_linear(x, scale, zero_point, dtype, 1), scale, zero_point, 1)
    rounding = x.abs() * 2.0**-22 + 2.0**-96  # float32, and ranges too small to be told from zero
    assert bool(((back - x).abs() <= scale * (0.5 + grid.levels * 2.0**-22) + rounding).all())
    assert not back[3].any()  # zero is an integer, always


def test_numbers_written_out() -> None:
    assert [float(p) for p in fx.linear_parameters(-1.0, 3.0, "uint8")] == [pytest.approx(4 / 255), 64]
    assert [float(p) for p in fx.linear_parameters(-1.0, 3.0, "int8")] == [pytest.approx(4 / 255), -64]
    assert [float(p) for p in fx.linear_parameters(-1.0, 3.0, "int8", symmetric=True)] == [pytest.approx(3 / 127), 0]
    assert [float(p) for p in fx.linear_parameters(1.0, 3.0, "uint4")] == [pytest.approx(0.2), 0]
    assert [float(p) for p in fx.linear_parameters(0.0, 0.0, "uint16")] == [1, 0]
    scale, zero_point = fx.linear_parameters(-1.0, 2.0, "int4")
    x = torch.tensor([-9.0, -0.07, 0.55, 9.0])
    assert fx.quantize_linear(x, scale, zero_point, "int4").tolist() == [-8, -3, 0, 7]


def test_types_by_every_spelling() -> None:
    assert integer_type(torch.uint8) == integer_type("uint8") == IntType(torch.uint8, 0, 255)
    assert integer_type("uint2") == IntType(torch.uint8, 0, 3)
    assert integer_type("int12") == IntType(torch.int16, -2048, 2047)
    assert integer_type(INT8_SYMMETRIC) is INT8_SYMMETRIC


def test_other_floats_and_what_is_given_stays() -> None:
    x = torch.tensor([0.1, 0.25, -0.3])
    before = x.clone()
    doubles = fx.quantize_linear(x.double(), 0.1, 0, "int8")
    assert doubles.tolist() == fx.quantize_linear(x.half(), 0.1, 0, "int8").tolist() == [1, 2, -3]
    q = doubles.to(torch.int32)
    assert fx.dequantize_linear(q, 0.5).tolist() == [0.5, 1.0, -1.5]
    assert torch.equal(x, before) and q.tolist() == [1, 2, -3]
    assert fx.quantize_linear(x, torch.tensor(0.1), torch.tensor(3), "int8").tolist() == [4, 5, 0]


def test_the_example_of_the_documentation() -> None:
    assert doctest.testmod(linear_mapping).failed == 0


X = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X.int(), 0.1), r"x of torch.int32(.|\n)*real numbers are quantized"),
        (([0.5], 0.1), "x of list"),
        ((X, 0.0), r"scale 0(.|\n)*positive finite"),
        ((X, -1.0), "scale -1"),
        ((X, float("nan")), "scale nan"),
        ((X, 1e300), "scale inf"),
        ((X, torch.tensor([1.0, float("inf")]), 0, "int8", 0), "scale inf"),
        ((X, 0.1, 128), r"zero point 128(.|\n)*-128 to 127"),
        ((X, 0.1, -1, "uint8"), "zero point -1"),
        ((X, 0.1, 0.5), r"zero point that is a float"),
        ((X, torch.ones(2)), r"scale of shape \[2\](.|\n)*where no axis is given"),
        ((X, torch.ones(2), 0, "int8", 1), r"scale of shape \[2\](.|\n)*dimension 1 has 3 indices"),
        ((X, 0.1, torch.zeros(2, 1).int(), "int8", 0), r"zero_point of shape \[2, 1\]"),
        ((X, torch.ones(2), 0, "int8", 2), r"axis 2(.|\n)*has 2 dimensions"),
        ((X, 0.1, 0, "int32"), r"dtype 'int32'(.|\n)*'int2' to 'int16'"),
        ((X, 0.1, 0, torch.float16), "dtype 'float16'"),
    ],
)
def test_errors_of_quantize_linear(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fx.quantize_linear(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((X, 0.1), r"q of torch.float32(.|\n)*integers are dequantized"), ((X.bool(), 0.1), "q of torch.bool"),
     ((X.int(), 0.0), "scale 0"), ((X.int(), torch.ones(3)), "no axis")],
)  # fmt: skip
def test_errors_of_dequantize_linear(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fx.dequantize_linear(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((2.0, 1.0), "no quantization range"), ((0.0, float("inf")), "no quantization range"),
     ((0.0, 1e300), "no quantization range"),
     ((X, X), r"ends of shapes \[2, 3\](.|\n)*two numbers, or two of each channel"),
     ((torch.zeros(2), 1.0), r"ends of shapes \[2\] and \[\]"),
     ((0.0, 1.0, "uint8", True), r"a symmetric mapping to uint8(.|\n)*signed type")],
)  # fmt: skip
def test_errors_of_linear_parameters(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fx.linear_parameters(*arguments)
