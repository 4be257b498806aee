"""The operators: one entry each with spellings, canonical call, scaling and ONNX (:mod:`fxpasses.graph.operators`)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from . import binary_ops
from . import spelling_rules as rules
from .int8_refusals import refuses_average, refuses_binary, refuses_cat, refuses_global_average, refuses_pad
from .operators import Convert, Operator, Scaling, Spelling, Trait, Vocabulary

_METHOD = "Tensor."


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _spell(parameters: str, *targets: Any, **fixed: Any) -> tuple[Spelling, ...]:
    """Spellings with the same positional parameters for several targets."""
    return tuple(Spelling(target, _names(parameters), fixed=fixed) for target in targets)


def _converted(parameters: str, convert: Convert, *targets: Any, **fixed: Any) -> tuple[Spelling, ...]:
    """Spellings whose arguments are rewritten by a rule."""
    return tuple(Spelling(target, _names(parameters), fixed=fixed, convert=convert) for target in targets)


_CONV = "input weight bias stride padding dilation groups"
_CONV_TRANSPOSE = "input weight bias stride padding output_padding groups dilation"


def _layer(name: str, *layers: type[nn.Module], functions: tuple[Spelling, ...] = (), **facts: Any) -> Operator:
    """A layer with parameters; :mod:`fxpasses.capturing.lifting` turns its functional spellings into modules."""
    return Operator(name, layers=layers, spellings=functions, **facts)


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
    def functions(name: str) -> tuple[Spelling, ...]:
        if name == "linear":
            return _spell("input weight bias", F.linear, "aten.linear")
        order = _CONV_TRANSPOSE if "transpose" in name else _CONV
        return _spell(order, getattr(F, name), getattr(torch, name), f"aten.{name}")

    return [
        *(
            _layer(name, layer, functions=functions(name), scaling=Scaling.OWN, weight_axis=axis, onnx=(onnx,),
                   channel_axis=-1 if name == "linear" else 1)
            for name, (layer, axis, onnx) in convs.items()
        ),
        _layer("embedding", nn.Embedding, scaling=Scaling.OWN, channel_axis=-1, onnx=("Gather",), functions=(
            *_spell("input weight padding_idx max_norm norm_type scale_grad_by_freq sparse", F.embedding),
            *_spell("weight input padding_idx scale_grad_by_freq sparse", torch.embedding, "aten.embedding"),
        )),
        *_norms(),
        _layer("prelu", nn.PReLU, onnx=("PRelu",), why_float="its slopes are learned; no int8 kernel",
               functions=_spell("input weight", F.prelu, torch.prelu, "Tensor.prelu", "aten.prelu")),
        _layer("attention", nn.MultiheadAttention, onnx=("MatMul", "Softmax"),
               why_float="one opaque layer to the tracer; capture(method='export') opens it"),
        _layer("recurrent", nn.LSTM, nn.GRU, nn.RNN, onnx=("LSTM", "GRU", "RNN"),
               why_float="static int8 has no recurrent kernel; dynamic quantization has one for LSTM and GRU"),
    ]


def _norms() -> list[Operator]:
    settings = "training momentum eps cudnn_enabled"
    no_training = "aten._native_batch_norm_legit_no_training"
    return [
        _layer(
            "batch_norm", nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d,
            functions=(
                *_spell(f"input running_mean running_var weight bias {settings}", F.batch_norm),
                *_spell(f"input weight bias running_mean running_var {settings}", torch.batch_norm, "aten.batch_norm",
                        "aten.native_batch_norm"),
                *_spell("input weight bias running_mean running_var momentum eps", no_training, training=False),
            ),
            onnx=("BatchNormalization",),
            why_float="no layer could absorb this BatchNorm, and no runtime has an int8 kernel for it",
        ),
        _layer("layer_norm", nn.LayerNorm, channel_axis=-1, onnx=("LayerNormalization",), why_float=_NORM,
               functions=_spell("input normalized_shape weight bias eps cudnn_enable", F.layer_norm, torch.layer_norm,
                                "aten.layer_norm", "aten.native_layer_norm")),
        _layer("group_norm", nn.GroupNorm, onnx=("GroupNormalization",), why_float=_NORM,
               functions=_spell("input num_groups weight bias eps cudnn_enabled", F.group_norm, torch.group_norm,
                                "aten.group_norm")),
    ]


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
            *_converted("input min max", rules.plain_bounds, torch.clamp, torch.clip, torch.clamp_, torch.clip_,
                        "Tensor.clamp", "Tensor.clip", "Tensor.clamp_", "Tensor.clip_", "aten.clamp", "aten.clip",
                        "aten.clamp_", "aten.clip_"),
            *_converted("input min", rules.plain_bounds, "Tensor.clamp_min", torch.clamp_min, torch.clamp_min_,
                        "aten.clamp_min", "aten.clamp_min_", "Tensor.clamp_min_"),
            *_converted("input max", rules.plain_bounds, "Tensor.clamp_max", torch.clamp_max, torch.clamp_max_,
                        "aten.clamp_max", "aten.clamp_max_", "Tensor.clamp_max_"),
            *(Spelling(target, _names("input min_val max_val inplace"), hardtanh, {"min": -1.0, "max": 1.0})
              for target in (F.hardtanh, F.hardtanh_, "aten.hardtanh", "aten.hardtanh_")),
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
                  "aten.relu_", nn.ReLU, onnx="Relu")
    return [
        relu,
        _clip(),
        _unary("hardswish", F.hardswish, "aten.hardswish", "aten.hardswish_", nn.Hardswish, onnx="HardSwish"),
        _unary("hardsigmoid", F.hardsigmoid, "aten.hardsigmoid", "aten.hardsigmoid_", nn.Hardsigmoid,
               onnx="HardSigmoid", fixed_range=(0.0, 255 / 256)),
        _unary("sigmoid", torch.sigmoid, F.sigmoid, "Tensor.sigmoid", "Tensor.sigmoid_", "aten.sigmoid",
               "aten.sigmoid_", torch.sigmoid_, nn.Sigmoid, onnx="Sigmoid", fixed_range=(0.0, 255 / 256)),
        _unary("silu", F.silu, "aten.silu", "aten.silu_", nn.SiLU, onnx="Sigmoid"),
        _unary("gelu", F.gelu, "aten.gelu", nn.GELU, settings="approximate", onnx="Gelu"),
        _unary("mish", F.mish, "aten.mish", "aten.mish_", nn.Mish, onnx="Mish"),
        Operator(
            "elu",
            F.elu,
            settings=("alpha",),
            spellings=(
                *_spell("input alpha inplace", F.elu, F.elu_),
                *_spell("input alpha scale input_scale", "aten.elu", "aten.elu_"),
                *_spell("alpha", nn.ELU),
            ),
            scaling=Scaling.OWN,
            elementwise=True,
            onnx=("Elu",),
        ),
        _unary("leaky_relu", F.leaky_relu, F.leaky_relu_, "aten.leaky_relu", "aten.leaky_relu_", nn.LeakyReLU,
               settings="negative_slope", onnx="LeakyRelu"),
        _unary("sign", binary_ops.sign, "fxpasses.sign", settings="smooth", onnx="Where",
               fixed_range=(-128 / 127, 1.0)),
        _unary("tanh", torch.tanh, torch.tanh_, F.tanh, "Tensor.tanh", "Tensor.tanh_", "aten.tanh", "aten.tanh_",
               nn.Tanh, onnx="Tanh", fixed_range=(-1.0, 127 / 128)),
        Operator(
            "softmax",
            torch.softmax,
            settings=("dim",),
            required=("dim",),
            spellings=(
                *_spell("input dim _stacklevel dtype", F.softmax),
                *_spell("input dim dtype", torch.softmax, "Tensor.softmax", "aten.softmax"),
                *_spell("input dim half_to_float", "aten._softmax"),
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
                "aten.add_", onnx="Add"),
        _binary("sub", torch.sub, torch.subtract, operator.sub, operator.isub, m + "sub", m + "sub_", m + "subtract",
                "aten.sub", "aten.sub_", "aten.subtract", onnx="Sub", int8=False),
        _binary("mul", torch.mul, torch.multiply, operator.mul, operator.imul, m + "mul", m + "mul_", m + "multiply",
                "aten.mul", "aten.mul_", "aten.multiply", onnx="Mul"),
        _binary("div", torch.div, torch.divide, torch.true_divide, operator.truediv, operator.itruediv, m + "div",
                m + "div_", m + "divide", m + "true_divide", "aten.div", "aten.div_", "aten.divide",
                "aten.true_divide", onnx="Div", int8=False),
        _binary("matmul", torch.matmul, operator.matmul, operator.imatmul, torch.bmm, torch.mm, m + "matmul",
                m + "bmm", m + "mm", "aten.matmul", "aten.bmm", "aten.mm", onnx="MatMul"),
        Operator(
            "scaled_dot_product_attention",
            F.scaled_dot_product_attention,
            tensors=3,
            settings=_names("attn_mask dropout_p is_causal scale enable_gqa"),
            spellings=tuple(
                Spelling(target, _names("query key value attn_mask dropout_p is_causal scale enable_gqa"),
                         {"query": "input", "key": "other", "value": "third"})
                for target in (F.scaled_dot_product_attention, "aten.scaled_dot_product_attention")
            ),
            onnx=("MatMul", "Softmax"),
            why_float="one fused kernel around a softmax, which loses its tail in int8",
        ),
        Operator(
            "cat",
            torch.cat,
            settings=("dim",),
            spellings=(
                *_spell("input dim", torch.cat, torch.concat, torch.concatenate, "aten.cat", "aten.concat"),
                *_converted("input", rules.beside, torch.hstack, torch.column_stack, "aten.hstack",
                            "aten.column_stack"),
                *_converted("input", rules.below, torch.vstack, torch.row_stack, "aten.vstack", "aten.row_stack"),
                *_converted("input", rules.behind, torch.dstack, "aten.dstack"),
            ),
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
                            getattr(F, f"max_pool{d}d")),
                    *_spell("input kernel_size stride padding dilation ceil_mode",
                            getattr(torch, f"max_pool{d}d"), f"aten.max_pool{d}d"),
                    *_spell("kernel_size stride padding dilation ceil_mode return_indices",
                            getattr(nn, f"MaxPool{d}d")),
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
                        F.avg_pool2d, "aten.avg_pool2d"),
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
                *_spell("input output_size", F.adaptive_avg_pool2d, "aten.adaptive_avg_pool2d",
                        "aten._adaptive_avg_pool2d"),
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


def _moves(
    name: str,
    function: Any,
    parameters: str,
    *targets: Any,
    modules: tuple[Any, ...] = (),
    others: tuple[Spelling, ...] = (),
    variadic: bool = False,
    positional: int = 0,
    onnx: str = "Reshape",
) -> Operator:
    """An operator that moves or selects values; ``others`` are spellings with arguments of their own."""
    names = _names(parameters)
    return Operator(
        name,
        function,
        positional=names[1 : 1 + positional],
        settings=names[1 + positional :],
        spellings=(
            *(Spelling(target, names, variadic=variadic) for target in (function, *targets)),
            *(Spelling(module, names[1:]) for module in modules),
            *others,
        ),
        scaling=Scaling.SHARED,
        onnx=(onnx,),
    )


def _shapes() -> list[Operator]:
    m = _METHOD
    views = tuple(
        Spelling(target, ("input", "shape"), variadic=True, convert=rules.reshape_to_sizes)
        for target in (m + "view", "aten.view")
    )
    sizes = {"split_size": "split_size_or_sections", "split_sizes": "split_size_or_sections"}
    splits = tuple(
        Spelling(target, ("input", size, "dim"), sizes)
        for target, size in ((m + "split", "split_size"), ("aten.split", "split_size"),
                             ("aten.split_with_sizes", "split_sizes"), (m + "split_with_sizes", "split_sizes"))
    )
    return [
        _moves("flatten", torch.flatten, "input start_dim end_dim", m + "flatten", "aten.flatten",
               modules=(nn.Flatten,)),
        _moves("reshape", torch.reshape, "input shape", m + "reshape", "aten.reshape", "aten._unsafe_view",
               others=views, variadic=True),
        _moves("permute", torch.permute, "input dims", m + "permute", "aten.permute", variadic=True,
               others=_converted("input source destination", rules.moved_dims, torch.movedim, torch.moveaxis,
                                 m + "movedim", m + "moveaxis", "aten.movedim", "aten.moveaxis"), onnx="Transpose"),
        _moves("transpose", torch.transpose, "input dim0 dim1", m + "transpose", "aten.transpose",
               torch.swapaxes, torch.swapdims, m + "swapaxes", m + "swapdims",
               others=(*_converted("input", rules.swap_two_dims, torch.t, m + "t", "aten.t", "aten.numpy_T"),
                       *_converted("input", rules.swap_last_dims, torch.adjoint, m + "adjoint", "aten.adjoint",
                                   "aten.mT"),
                       *_converted("input name", rules.swap_last_dims, "getattr.mT"),
                       *_converted("input name", rules.swap_two_dims, "getattr.T")),
               onnx="Transpose"),
        _moves("squeeze", torch.squeeze, "input dim", m + "squeeze", "aten.squeeze", onnx="Squeeze"),
        _moves("unsqueeze", torch.unsqueeze, "input dim", m + "unsqueeze", "aten.unsqueeze", onnx="Unsqueeze"),
        _moves("chunk", torch.chunk, "input chunks dim", m + "chunk", "aten.chunk", onnx="Split"),
        _moves("split", torch.split, "input split_size_or_sections dim", others=splits, onnx="Split"),
        _moves("unbind", torch.unbind, "input dim", m + "unbind", "aten.unbind", onnx="Split"),
        _moves("slice", operator.getitem, "input index", others=_slices(), positional=1, onnx="Slice"),
        _moves("pixel_shuffle", F.pixel_shuffle, "input upscale_factor", "aten.pixel_shuffle",
               modules=(nn.PixelShuffle,), onnx="DepthToSpace"),
        _moves("channel_shuffle", F.channel_shuffle, "input groups", "aten.channel_shuffle",
               modules=(nn.ChannelShuffle,)),
        _moves("expand", torch.Tensor.expand, "input size", m + "expand", "aten.expand", variadic=True,
               onnx="Expand"),
        _moves("roll", torch.roll, "input shifts dims", m + "roll", "aten.roll", onnx="Concat"),
        _moves("pad", F.pad, "input pad mode value", "aten.pad", others=_pads(), onnx="Pad"),
        _interpolate(),
        _identity(),
    ]


def _slices() -> tuple[Spelling, ...]:
    m = _METHOD
    return (
        *_converted("input dim start end step", rules.slice_to_index, "aten.slice",
                    dim=0, start=None, end=None, step=1),
        *_converted("input dim index", rules.select_to_index, "aten.select", torch.select, m + "select"),
        *_converted("input dim start length", rules.narrow_to_index, "aten.narrow", torch.narrow, m + "narrow"),
    )


def _pads() -> tuple[Spelling, ...]:
    modules: dict[tuple[Any, ...], dict[str, Any]] = {
        (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d): {"value": 0.0},
        (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d): {"mode": "reflect"},
        (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d): {"mode": "replicate"},
        (nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d): {"mode": "circular"},
    }
    return (
        *_converted("input pad value", rules.pad_with_value, "aten.constant_pad_nd"),
        *(Spelling(kind, ("padding", "value"), {"padding": "pad"})
          for kind in (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)),
        *(Spelling(kind, ("padding",), {"padding": "pad"}, fixed) for kinds, fixed in modules.items()
          for kind in kinds),
    )


def _interpolate() -> Operator:
    modes = {
        **{f"upsample_nearest{d}d": "nearest" for d in (1, 2, 3)},
        **{f"_upsample_nearest_exact{d}d": "nearest-exact" for d in (1, 2, 3)},
        "upsample_linear1d": "linear",
        "upsample_bilinear2d": "bilinear",
        "upsample_trilinear3d": "trilinear",
        "upsample_bicubic2d": "bicubic",
    }
    names = {True: "input output_size scale_factors", False: "input output_size align_corners scale_factors"}
    sizes = {"output_size": "size", "scale_factors": "scale_factor"}
    aten = tuple(
        Spelling(f"aten.{kind}", _names(names["nearest" in mode]), sizes, {"mode": mode}, convert=rules.upsample_sizes)
        for kind, mode in modes.items()
    )
    modules = (nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
    return Operator(
        "interpolate",
        F.interpolate,
        settings=_names("size scale_factor mode align_corners recompute_scale_factor antialias"),
        spellings=(
            *_spell("input size scale_factor mode align_corners recompute_scale_factor antialias", F.interpolate),
            *_spell("size scale_factor mode align_corners recompute_scale_factor", *modules),
            *aten,
        ),
        scaling=Scaling.OWN,
        onnx=("Resize",),
    )


def _identity() -> Operator:
    m = _METHOD
    return Operator(
        "identity",
        None,
        spellings=(
            *_spell("input", m + "contiguous", m + "detach", m + "clone", torch.clone, torch.detach, "aten.clone",
                    "aten.contiguous", "aten.detach", "aten.alias", "aten.lift_fresh_copy"),
            *_spell("input p training inplace", F.dropout, torch.dropout, torch.dropout_, F.dropout1d, F.dropout2d,
                    F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, "aten.dropout", "aten.dropout_",
                    "aten.feature_dropout", "aten.feature_dropout_", "aten.alpha_dropout", "aten.alpha_dropout_"),
            *_spell("input p mode training", "torchvision.ops.stochastic_depth.stochastic_depth"),
            *_spell("", nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
                    nn.FeatureAlphaDropout),
        ),
        scaling=Scaling.SHARED,
    )


_CONVS = "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"
_RESHAPES = "flatten reshape permute transpose squeeze unsqueeze"
_AVERAGES = "avg_pool2d adaptive_avg_pool2d mean"
_TRAITS = {
    Trait.ABSORBS: f"{_CONVS} linear add mul matmul cat avg_pool2d adaptive_avg_pool2d",
    Trait.JOINS: "add cat",
    Trait.LIGHT: "add mul cat",
    Trait.GIVES_FLOATS: "linear",
    Trait.RUNS_ON_INTEGERS: f"{_RESHAPES} slice expand roll",
    Trait.KEEPS_CHANNELS: "relu leaky_relu max_pool1d max_pool2d max_pool3d avg_pool2d adaptive_avg_pool2d interpolate",
    Trait.MIXES: "matmul scaled_dot_product_attention softmax attention recurrent batch_norm layer_norm group_norm",
    Trait.VIEWS: f"{_RESHAPES} chunk split unbind slice expand identity",  # pixel_shuffle, pad and roll always copy
    Trait.COMMUTES: "add mul",
    Trait.BY_VALUE: "add sub mul div",
    Trait.MULTIPLIES: f"mul matmul {_AVERAGES}",
    Trait.AVERAGES: _AVERAGES,
    Trait.REORDERS: "permute transpose",
    Trait.RESHAPES: "flatten reshape squeeze unsqueeze",
    Trait.SPLITS: "chunk split unbind",
    Trait.FILLS: "pad",
    Trait.FLOAT_SUMS: "conv_transpose1d conv_transpose2d conv_transpose3d",
    Trait.LOOKS_UP: "embedding",
    Trait.PASSES: "identity",
    Trait.NORMALIZES: "batch_norm",
    Trait.TO_SIZE: "adaptive_avg_pool2d",
    Trait.MAXIMA: "max_pool1d max_pool2d max_pool3d",
    Trait.CONTRACTS: "matmul",
    Trait.SIGNS: "sign",
    Trait.OPAQUE: "attention recurrent",
    Trait.BINARY: "conv2d linear",
    Trait.RESCALES: "conv1d conv2d conv3d linear layer_norm",
}
_WINDOW_DIMS = {"max_pool1d": 1, "max_pool2d": 2, "max_pool3d": 3, "avg_pool2d": 2, "adaptive_avg_pool2d": 2}
_REFUSES = {
    "add": refuses_binary,
    "mul": refuses_binary,
    "matmul": refuses_binary,
    "cat": refuses_cat,
    "adaptive_avg_pool2d": refuses_global_average,
    "avg_pool2d": refuses_average,
    "pad": refuses_pad,
}


def _is_nearest(node: fx.Node) -> bool:
    return node.kwargs.get("mode", "nearest") in ("nearest", "nearest-exact")


_SELECTS = {"interpolate": _is_nearest}


def _with_columns(operators: Iterable[Operator]) -> list[Operator]:
    """The operators with their further columns from the tables above."""
    having = {trait: _names(names) for trait, names in _TRAITS.items()}
    found = [
        replace(
            entry,
            traits=frozenset(trait for trait, names in having.items() if entry.name in names),
            refuses=_REFUSES.get(entry.name),
            selects=_SELECTS.get(entry.name),
            window_dims=_WINDOW_DIMS.get(entry.name),
        )
        for entry in operators
    ]
    unknown = {*_REFUSES, *_SELECTS, *_WINDOW_DIMS, *chain(*having.values())} - {entry.name for entry in found}
    assert not unknown, f"no such operators: {sorted(unknown)}"
    return found


VOCABULARY = Vocabulary(_with_columns([*_layers(), *_activations(), *_arithmetic(), *_pools(), *_shapes()]))
"""Every operator that the toolkit knows."""
