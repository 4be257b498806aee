"""x86 kernels on plain uint8 tensors: oneDNN for layers, ATen's vectorised byte kernels for the rest.

``onednn.qconv_pointwise`` and ``qlinear_pointwise`` take and give plain integer tensors. For add and cat, ATen's only
vectorised byte kernels are ``quantized.add`` and ``quantized.cat``, whose dtype is deprecated: a quint8 view of the
same memory is made for the call, with no copy. Weights are packed when the module is built.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from fxpasses.quantization.int8_calls import Int8Call, qparams_of
from .reference import ReferenceKernel, integer_table, move_integers, output_limits, through_float

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def x86_kernel(call: Int8Call) -> nn.Module | None:
    """The kernel of one integer operation on x86."""
    name = call.operator.name
    if call.shares_scale and call.clamp is None and name not in ("pad", "interpolate", *_POOLS):
        return None
    if call.x[0].grid.dtype is not torch.uint8:
        return ReferenceKernel(call)
    if name in ("conv1d", "conv2d", "conv3d"):
        return OneDnnConv(call)
    if name == "linear":
        return OneDnnLinear(call)
    if name == "add" and _same_shapes(call):
        return ByteAdd(call)
    if name == "cat" and call.clamp is None:
        return ByteCat(call)
    if call.operator.elementwise and call.clamp is None:
        return Table(call)
    if name == "adaptive_avg_pool2d":
        return GlobalAveragePool(call)
    if name == "max_pool2d" and call.clamp is None:
        return ByteMaxPool(call)
    if call.shares_scale and call.clamp is None:
        return Move(call)
    if name in ("mul", "add"):
        return FloatPointwise(call)
    return ReferenceKernel(call)


_POOLS = ("max_pool1d", "max_pool2d", "max_pool3d")


def x86_entrance(node: fx.Node) -> nn.Module:
    """Quantizes what comes in from float, into the memory layout the convolutions work in."""
    return Entrance(node)


def _same_shapes(call: Int8Call) -> bool:
    shapes = {tuple(n.meta.get("shape", ())[1:]) for n in call.inputs}
    return len(shapes) == 1


class Entrance(nn.Module):
    def __init__(self, node: fx.Node) -> None:
        super().__init__()
        q = qparams_of(node)
        self.scale, self.zero_point, self.grid = q.scale, q.zero_point, q.grid

    def forward(self, x: Tensor) -> Tensor:
        # true division: multiplying by 1/scale rounds differently
        steps = torch.div(x, self.scale).round_().add_(self.zero_point).clamp_(self.grid.low, self.grid.high)
        q = steps.to(self.grid.dtype)
        return q.contiguous(memory_format=CHANNELS_LAST[q.dim()]) if q.dim() in CHANNELS_LAST else q


class _OneDnn(nn.Module):
    """Packed weights and parameters of a oneDNN call."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        assert call.layer is not None
        layer, x, y = call.layer, call.x[0], call.y
        self.x_scale, self.x_zero, self.y_scale, self.y_zero = x.scale, x.zero_point, y.scale, y.zero_point
        self.register_buffer("weight_scale", layer.weight_scale)
        self.register_buffer("weight_zero", torch.zeros(len(layer.weight_scale), dtype=torch.int32))
        self.bias: Tensor | None = None
        if layer.bias is not None:
            self.bias = (layer.bias.double() * x.scale * layer.weight_scale.double()).float()
        self.limits = output_limits(call) if call.clamp is not None else None

    def _clamped(self, q: Tensor) -> Tensor:
        return q if self.limits is None else q.clamp_(*self.limits)


class OneDnnConv(_OneDnn):
    """``[N, C_in, *]`` uint8 -> ``[N, C_out, *]`` uint8, channels last."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__(call)
        settings, dims = call.settings, call.inputs[0].meta["shape"]
        layer = call.layer
        assert layer is not None
        self.rank = len(dims)
        self.stride, self.padding, self.dilation = (
            _all_dims(settings.get(k, d), self.rank - 2) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1))
        )
        self.groups = int(settings.get("groups", 1))
        weight = layer.weight
        if self.rank == 3:  # oneDNN's op has two spatial dimensions or three
            weight, self.stride, self.padding, self.dilation = (
                weight.unsqueeze(2), [1, *self.stride], [0, *self.padding], [1, *self.dilation]
            )  # fmt: skip
            dims = (dims[0], dims[1], 1, dims[2])
        self.packed = torch.ops.onednn.qconv_prepack(
            weight, layer.weight_scale, self.x_scale, self.x_zero, self.stride, self.padding, self.dilation,
            self.groups, list(dims),
        )  # fmt: skip
        self.rank = len(call.inputs[0].meta["shape"])

    def forward(self, q: Tensor) -> Tensor:
        if self.rank == 3:
            q = q.unsqueeze(2)
        y = torch.ops.onednn.qconv_pointwise(
            q, self.x_scale, self.x_zero, self.packed, self.weight_scale, self.weight_zero, self.bias,
            self.stride, self.padding, self.dilation, self.groups, self.y_scale, self.y_zero, torch.uint8,
            "none", [], "",
        )  # fmt: skip
        return self._clamped(y.squeeze(2) if self.rank == 3 else y)


class OneDnnLinear(_OneDnn):
    """``[*, C_in]`` uint8 -> ``[*, C_out]`` uint8."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__(call)
        assert call.layer is not None
        self.packed = torch.ops.onednn.qlinear_prepack(call.layer.weight, None)

    def forward(self, q: Tensor) -> Tensor:
        y = torch.ops.onednn.qlinear_pointwise(
            q, self.x_scale, self.x_zero, self.packed, self.weight_scale, self.weight_zero, self.bias,
            self.y_scale, self.y_zero, torch.uint8, "none", [], "",
        )  # fmt: skip
        return self._clamped(y)


def _all_dims(value: object, dims: int) -> list[int]:
    if isinstance(value, int):
        return [value] * dims
    assert isinstance(value, Sequence)
    return [int(v) for v in value]


def _quint8_view(q: Tensor, scale: float, zero_point: int) -> Tensor:
    """The same memory as a quint8 tensor."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantized tensor creation.*")
        view = torch._empty_affine_quantized([0], scale=scale, zero_point=zero_point, dtype=torch.quint8)
    return view.set_(q.untyped_storage(), q.storage_offset(), q.shape, q.stride())  # type: ignore[call-overload]


def _byte_view(q: Tensor) -> Tensor:
    """The integers of a quint8 tensor, without a copy."""
    return torch.empty(0, dtype=torch.uint8).set_(  # type: ignore[call-overload]
        q.untyped_storage(), q.storage_offset(), q.shape, q.stride()
    )


class ByteAdd(nn.Module):
    """Two tensors of one shape -> their sum, ReLU included."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.a, self.b = ((x.scale, x.zero_point) for x in call.x)
        self.y_scale, self.y_zero = call.y.scale, call.y.zero_point

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total = torch.ops.quantized.add(
            _quint8_view(a, *self.a), _quint8_view(b, *self.b), self.y_scale, self.y_zero
        )
        return _byte_view(total)


class ByteCat(nn.Module):
    """Tensors -> one, each rescaled to the output's grid."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.dim = int(call.settings.get("dim", 0))
        self.x = [(x.scale, x.zero_point) for x in call.x]
        self.y_scale, self.y_zero = call.y.scale, call.y.zero_point
        self.equal = all(x == call.y for x in call.x)

    def forward(self, *parts: Tensor) -> Tensor:
        if self.equal:
            return torch.cat(parts, self.dim)
        views = [_quint8_view(p, *x) for p, x in zip(parts, self.x, strict=True)]
        return _byte_view(torch.ops.quantized.cat(views, self.dim, self.y_scale, self.y_zero))


class Table(nn.Module):
    """An elementwise operator as its table of 256 results."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.register_buffer("table", integer_table(call))

    def forward(self, q: Tensor) -> Tensor:
        dense = q if q.is_contiguous() or q.is_contiguous(memory_format=torch.channels_last) else q.contiguous()
        # index_select walks memory in order; the result takes the input's layout
        flat = torch.as_strided(dense, (dense.numel(),), (1,), dense.storage_offset())
        found = self.table.index_select(0, flat.to(torch.int32))
        return torch.as_strided(found, dense.shape, dense.stride())


class GlobalAveragePool(nn.Module):
    """``[N, C, H, W]`` -> ``[N, C, 1, 1]``: an exact integer sum, one multiplication, one rounding."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        _, _, height, width = call.inputs[0].meta["shape"]
        self.offset = float(height * width * call.x[0].zero_point)
        self.multiplier = call.x[0].scale / (height * width * call.y.scale)
        self.zero_point, self.limits = call.y.zero_point, output_limits(call)

    def forward(self, q: Tensor) -> Tensor:
        total = q.sum((2, 3), keepdim=True, dtype=torch.int32).double()
        steps = total.sub_(self.offset).mul_(self.multiplier).round_().add_(self.zero_point)
        return steps.clamp_(*self.limits).to(torch.uint8)


class ByteMaxPool(nn.Module):
    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        s = call.settings
        kernel = _all_dims(s["kernel_size"], 2)
        stride = s.get("stride")
        self.arguments = (
            kernel,
            _all_dims(stride, 2) if stride is not None else kernel,
            _all_dims(s.get("padding", 0), 2),
            _all_dims(s.get("dilation", 1), 2),
            bool(s.get("ceil_mode", False)),
        )

    def forward(self, q: Tensor) -> Tensor:
        return torch.ops.quantized.max_pool2d(q, *self.arguments)  # type: ignore[no-any-return]


class Move(nn.Module):
    """Pads and pools that need more than a call of the operator on integers."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, q: Tensor) -> Tensor:
        return move_integers(self.call, q)


class FloatPointwise(nn.Module):
    """mul, and add with broadcasting, through float32: exact products, one rounding."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, *inputs: Tensor) -> Tensor:
        return through_float(self.call, *inputs)
