"""The operators themselves. One entry each: spellings, canonical call, scale, ONNX. See :mod:`fxpasses.operators`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .operators import Operator, Scaling, Spelling, Vocabulary

_METHOD = "Tensor."


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _spell(parameters: str, *targets: Any, **fixed: Any) -> tuple[Spelling, ...]:
    """The same positional parameters for several targets."""
    return tuple(Spelling(target, _names(parameters), fixed=fixed) for target in targets)


def _layers() -> list[Operator]:
    convs = {
        "conv1d": (nn.Conv1d, 0, "Conv"),
        "conv2d": (nn.Conv2d, 0, "Conv"),
        "conv3d": (nn.Conv3d, 0, "Conv"),
        "conv_transpose1d": (nn.ConvTranspose1d, 1, "ConvTranspose"),
        "conv_transpose2d": (nn.ConvTranspose2d, 1, "ConvTranspose"),
        "conv_transpose3d": (nn.ConvTranspose3d, 1, "ConvTranspose"),
        "linear": (nn.Linear, 0, "Gemm"),
    }
    table = [
        Operator(name, layers=(layer,), scaling=Scaling.OWN, weight_axis=axis, onnx=(onnx,))
        for name, (layer, axis, onnx) in convs.items()
    ]
    table += [
        Operator("embedding", layers=(nn.Embedding,), scaling=Scaling.OWN, onnx=("Gather",)),
        Operator(
            "batch_norm",
            layers=(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
            onnx=("BatchNormalization",),
            why_float="a BatchNorm that no layer absorbed: no runtime has it in int8",
        ),
        Operator("layer_norm", layers=(nn.LayerNorm,), onnx=("LayerNormalization",), why_float=_NORM),
        Operator("group_norm", layers=(nn.GroupNorm,), onnx=("GroupNormalization",), why_float=_NORM),
        Operator("prelu", layers=(nn.PReLU,), onnx=("PRelu",), why_float="its slopes are learned; no int8 kernel"),
        Operator(
            "attention",
            layers=(nn.MultiheadAttention,),
            onnx=("MatMul", "Softmax"),
            why_float="one opaque layer to the tracer; capture(method='export') opens it",
        ),
        Operator(
            "recurrent",
            layers=(nn.LSTM, nn.GRU, nn.RNN),
            onnx=("LSTM", "GRU", "RNN"),
            why_float="static int8 has no recurrent kernel",
        ),
    ]
    return table


_NORM = "needs the mean and variance of its input in float: no int8 kernel in either runtime"
_FLOAT_MATH = "no int8 kernel in either runtime"


def _unary(
    name: str,
    function: Callable[..., Any],
    *targets: Any,
    settings: str = "",
    onnx: str = "",
    fixed_range: tuple[float, float] | None = None,
) -> Operator:
    """An elementwise operator of one tensor."""
    parameters = f"input {settings} inplace"
    modules = [t for t in targets if isinstance(t, type)]
    others = [t for t in targets if not isinstance(t, type)]
    functions = () if function in others else (function,)
    return Operator(
        name,
        function,
        settings=_names(settings),
        spellings=_spell(parameters, *functions, *others) + _spell(settings, *modules),
        scaling=Scaling.FIXED if fixed_range else Scaling.OWN,
        fixed_range=fixed_range,
        elementwise=True,
        onnx=(onnx,) if onnx else (),
    )


def _clip() -> Operator:
    hardtanh = {"min_val": "min", "max_val": "max"}
    return Operator(
        "clip",
        torch.clamp,
        settings=("min", "max"),
        spellings=(
            *_spell("input min max", torch.clamp, torch.clip, "Tensor.clamp", "Tensor.clip", "aten.clamp", "aten.clip"),
            *_spell("input min max", "Tensor.clamp_", "Tensor.clip_", "aten.clamp_", torch.clamp_, torch.clip_),
            *_spell("input min", "Tensor.clamp_min", torch.clamp_min, "aten.clamp_min", "Tensor.clamp_min_"),
            *_spell("input max", "Tensor.clamp_max", torch.clamp_max, "aten.clamp_max", "Tensor.clamp_max_"),
            Spelling(F.hardtanh, _names("input min_val max_val inplace"), hardtanh),
            Spelling(F.hardtanh_, _names("input min_val max_val"), hardtanh),
            Spelling("aten.hardtanh", _names("input min_val max_val"), hardtanh, {"min": -1.0, "max": 1.0}),
            Spelling("aten.hardtanh_", _names("input min_val max_val"), hardtanh, {"min": -1.0, "max": 1.0}),
            Spelling(nn.Hardtanh, _names("min_val max_val"), hardtanh),
            *_spell("input inplace", F.relu6, "aten.relu6", "aten.relu6_", min=0.0, max=6.0),
            *_spell("", nn.ReLU6, min=0.0, max=6.0),
        ),
        scaling=Scaling.OWN,
        elementwise=True,
        onnx=("Clip",),
    )


def _activations() -> list[Operator]:
    relu = _unary("relu", torch.relu, F.relu, F.relu_, torch.relu_, "Tensor.relu", "Tensor.relu_", "aten.relu",
                  "aten.relu_", nn.ReLU, onnx="Relu")  # fmt: skip
    return [
        relu,
        _clip(),
        _unary("hardswish", F.hardswish, "aten.hardswish", "aten.hardswish_", nn.Hardswish, onnx="HardSwish"),
        _unary("hardsigmoid", F.hardsigmoid, "aten.hardsigmoid", "aten.hardsigmoid_", nn.Hardsigmoid,
               onnx="HardSigmoid", fixed_range=(0.0, 255 / 256)),  # fmt: skip
        _unary("sigmoid", torch.sigmoid, F.sigmoid, "Tensor.sigmoid", "Tensor.sigmoid_", "aten.sigmoid",
               "aten.sigmoid_", nn.Sigmoid, onnx="Sigmoid", fixed_range=(0.0, 255 / 256)),  # fmt: skip
        _unary("silu", F.silu, "aten.silu", "aten.silu_", nn.SiLU, onnx="Sigmoid"),
        _unary("gelu", F.gelu, "aten.gelu", nn.GELU, settings="approximate", onnx="Gelu"),
        _unary("mish", F.mish, "aten.mish", "aten.mish_", nn.Mish, onnx="Mish"),
        _unary("elu", F.elu, "aten.elu", "aten.elu_", nn.ELU, settings="alpha", onnx="Elu"),
        _unary("leaky_relu", F.leaky_relu, "aten.leaky_relu", "aten.leaky_relu_", nn.LeakyReLU,
               settings="negative_slope", onnx="LeakyRelu"),  # fmt: skip
        _unary("tanh", torch.tanh, F.tanh, "Tensor.tanh", "Tensor.tanh_", "aten.tanh", nn.Tanh, onnx="Tanh",
               fixed_range=(-1.0, 127 / 128)),  # fmt: skip
        Operator(
            "softmax",
            torch.softmax,
            settings=("dim",),
            spellings=(
                *_spell("input dim _stacklevel dtype", F.softmax),
                *_spell("input dim dtype", torch.softmax, "Tensor.softmax", "aten.softmax", "aten._softmax"),
                *_spell("dim", nn.Softmax),
            ),
            onnx=("Softmax",),
            why_float="a softmax over int8 logits loses its tail",
        ),
    ]


def _binary(name: str, function: Callable[..., Any], *targets: Any, onnx: str, int8: bool = True) -> Operator:
    return Operator(
        name,
        function,
        tensors=2,
        settings=("alpha",) if name in ("add", "sub") else ("rounding_mode",) if name == "div" else (),
        spellings=_spell("input other alpha" if name in ("add", "sub") else "input other", function, *targets),
        scaling=Scaling.OWN if int8 else Scaling.FLOAT,
        onnx=(onnx,),
        why_float="" if int8 else _FLOAT_MATH,
    )


def _arithmetic() -> list[Operator]:
    m = _METHOD
    return [
        _binary("add", torch.add, operator.add, operator.iadd, m + "add", m + "add_", m + "__add__", "aten.add",
                "aten.add_", onnx="Add"),  # fmt: skip
        _binary("sub", torch.sub, operator.sub, operator.isub, m + "sub", m + "sub_", "aten.sub", "aten.sub_",
                onnx="Sub", int8=False),  # fmt: skip
        _binary("mul", torch.mul, operator.mul, operator.imul, m + "mul", m + "mul_", "aten.mul", "aten.mul_",
                onnx="Mul"),  # fmt: skip
        _binary("div", torch.div, operator.truediv, operator.itruediv, m + "div", m + "div_", "aten.div", "aten.div_",
                onnx="Div", int8=False),  # fmt: skip
        _binary("matmul", torch.matmul, operator.matmul, torch.bmm, m + "matmul", m + "bmm", "aten.matmul", "aten.bmm",
                "aten.mm", onnx="MatMul"),  # fmt: skip
        Operator(
            "cat",
            torch.cat,
            settings=("dim",),
            spellings=_spell("input dim", torch.cat, torch.concat, torch.concatenate, "aten.cat", "aten.concat"),
            scaling=Scaling.OWN,
            onnx=("Concat",),
        ),
    ]


def _pools() -> list[Operator]:
    m = _METHOD
    return [
        *(
            Operator(
                f"max_pool{d}d",
                getattr(torch, f"max_pool{d}d"),
                settings=_names("kernel_size stride padding dilation ceil_mode"),
                spellings=(
                    *_spell("input kernel_size stride padding dilation ceil_mode return_indices",
                            getattr(F, f"max_pool{d}d")),  # fmt: skip
                    *_spell("input kernel_size stride padding dilation ceil_mode",
                            getattr(torch, f"max_pool{d}d"), f"aten.max_pool{d}d"),  # fmt: skip
                    *_spell("kernel_size stride padding dilation ceil_mode", getattr(nn, f"MaxPool{d}d")),
                ),
                scaling=Scaling.SHARED,
                onnx=("MaxPool",),
            )
            for d in (1, 2, 3)
        ),
        Operator(
            "avg_pool2d",
            F.avg_pool2d,
            settings=_names("kernel_size stride padding ceil_mode count_include_pad divisor_override"),
            spellings=(
                *_spell("input kernel_size stride padding ceil_mode count_include_pad divisor_override",
                        F.avg_pool2d, "aten.avg_pool2d"),  # fmt: skip
                *_spell("kernel_size stride padding ceil_mode count_include_pad divisor_override", nn.AvgPool2d),
            ),
            scaling=Scaling.OWN,
            onnx=("AveragePool",),
        ),
        Operator(
            "adaptive_avg_pool2d",
            F.adaptive_avg_pool2d,
            settings=("output_size",),
            spellings=(
                *_spell("input output_size", F.adaptive_avg_pool2d, "aten.adaptive_avg_pool2d"),
                *_spell("output_size", nn.AdaptiveAvgPool2d),
            ),
            scaling=Scaling.OWN,
            onnx=("GlobalAveragePool",),
        ),
        Operator(
            "mean",
            torch.mean,
            settings=_names("dim keepdim"),
            spellings=_spell("input dim keepdim dtype", torch.mean, m + "mean", "aten.mean"),
            scaling=Scaling.OWN,
            onnx=("ReduceMean",),
        ),
    ]


def _shapes() -> list[Operator]:
    m = _METHOD

    def shape(name: str, function: Any, parameters: str, *targets: Any, modules: tuple[Any, ...] = (),
              onnx: str = "Reshape") -> Operator:  # fmt: skip
        settings = " ".join(parameters.split()[1:])
        return Operator(
            name,
            function,
            settings=_names(settings),
            spellings=_spell(parameters, function, *targets) + _spell(settings, *modules),
            scaling=Scaling.SHARED,
            onnx=(onnx,),
        )

    return [
        shape("flatten", torch.flatten, "input start_dim end_dim", m + "flatten", "aten.flatten",
              modules=(nn.Flatten,)),  # fmt: skip
        shape("reshape", torch.reshape, "input shape", m + "reshape", m + "view", "aten.reshape", "aten.view",
              "aten._unsafe_view"),  # fmt: skip
        shape("permute", torch.permute, "input dims", m + "permute", "aten.permute", onnx="Transpose"),
        shape("transpose", torch.transpose, "input dim0 dim1", m + "transpose", "aten.transpose", torch.swapaxes,
              onnx="Transpose"),  # fmt: skip
        shape("squeeze", torch.squeeze, "input dim", m + "squeeze", "aten.squeeze", onnx="Squeeze"),
        shape("unsqueeze", torch.unsqueeze, "input dim", m + "unsqueeze", "aten.unsqueeze", onnx="Unsqueeze"),
        shape("chunk", torch.chunk, "input chunks dim", m + "chunk", "aten.chunk", onnx="Split"),
        shape("split", torch.split, "input split_size_or_sections dim", m + "split", "aten.split",
              "aten.split_with_sizes", onnx="Split"),  # fmt: skip
        shape("slice", operator.getitem, "input index", onnx="Slice"),
        shape("pixel_shuffle", F.pixel_shuffle, "input upscale_factor", "aten.pixel_shuffle",
              modules=(nn.PixelShuffle,), onnx="DepthToSpace"),  # fmt: skip
        shape("channel_shuffle", F.channel_shuffle, "input groups", "aten.channel_shuffle",
              modules=(nn.ChannelShuffle,)),  # fmt: skip
        shape("expand", torch.Tensor.expand, "input size", m + "expand", "aten.expand", onnx="Expand"),
        shape("roll", torch.roll, "input shifts dims", m + "roll", "aten.roll", onnx="Concat"),
        shape("pad", F.pad, "input pad mode value", "aten.pad", "aten.constant_pad_nd", onnx="Pad"),
        Operator(
            "interpolate",
            F.interpolate,
            settings=_names("size scale_factor mode align_corners recompute_scale_factor antialias"),
            spellings=(
                *_spell("input size scale_factor mode align_corners recompute_scale_factor antialias", F.interpolate),
                *_spell("size scale_factor mode align_corners recompute_scale_factor", nn.Upsample),
            ),
            scaling=Scaling.OWN,
            onnx=("Resize",),
        ),
        Operator(
            "identity",
            None,
            spellings=(
                *_spell("input", m + "contiguous", m + "detach", m + "clone", torch.clone, "aten.clone",
                        "aten.contiguous", "aten.detach", "aten.alias", "aten.lift_fresh_copy"),  # fmt: skip
                *_spell("input p training inplace", F.dropout, torch.dropout, F.dropout1d, F.dropout2d, F.dropout3d,
                        F.alpha_dropout, F.feature_alpha_dropout, "aten.dropout"),  # fmt: skip
                *_spell("input p mode training", "torchvision.ops.stochastic_depth.stochastic_depth"),
                *_spell("", nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
                        nn.FeatureAlphaDropout),  # fmt: skip
            ),
            scaling=Scaling.SHARED,
        ),
    ]


VOCABULARY = Vocabulary([*_layers(), *_activations(), *_arithmetic(), *_pools(), *_shapes()])
"""Every operator the toolkit knows."""
