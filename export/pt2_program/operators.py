"""Operators that a ``.pt2`` file may call; they are looked up in our own tables, never as attributes named in a file.

From ``aten`` these are operators that compute new tensors from tensors: every spelling of the vocabulary
(:mod:`fxpasses.graph.operator_table`), and the mathematics, shapes and factories that models use with them. Operators
that write to their arguments, read files, access memory by strides, or return uninitialized memory are not allowed.
From ``fxpasses`` all are allowed. From ``torchvision`` those that check their indices: RoI pools read the image named
by a box without a check.
"""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

import torch

from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.precision import ops as _precision_ops
from fxpasses.precision import recurrent_ops as _recurrent_ops
from fxpasses.precision import stored_ops as _stored_ops
from fxpasses.quantization.numbers import ops as _ops
from fxpasses.quantization.selection import first_topk as _first_topk

from ..pt2_records.records import RefusedError, shown

REGISTERED = (_ops, _first_topk, _precision_ops, _recurrent_ops, _stored_ops)
"""Modules that register the operators of :data:`_OURS` when imported."""

_OURS = frozenset(
    "quantize dequantize dequantize_per_channel pixels first_topk sign matmul_nbits matmul_dynamic lstm_dynamic "
    "gru_dynamic lstm_stored gru_stored".split()
)

_MORE_ATEN = frozenset(
    # elementwise, one tensor
    "abs acos acosh alias asin asinh atan atanh bitwise_not ceil celu clone contiguous cos cosh deg2rad detach "
    "erf erfc erfinv exp exp2 expm1 floor frac glu gelu hardshrink isfinite isinf isnan lgamma lift_fresh_copy "
    "log log10 log1p log2 log_sigmoid logical_not logit nan_to_num neg negative positive rad2deg reciprocal round "
    "rsqrt selu sgn sign sin sinc sinh softplus softshrink special_expit sqrt square tan threshold to trunc "
    "type_as _to_copy dropout alpha_dropout feature_dropout native_dropout rrelu clamp_max clamp_min "
    # elementwise, two tensors and more
    "__and__ __or__ __xor__ addcdiv addcmul atan2 bitwise_and bitwise_or bitwise_xor eq floor_divide fmax fmin "
    "fmod ge greater greater_equal gt hypot le lerp less less_equal logaddexp logical_and logical_or logical_xor "
    "lt masked_fill maximum minimum ne not_equal pow remainder rsub where xlogy isclose "
    # reductions and orders
    "all amax amin aminmax any argmax argmin argsort cosine_similarity cummax cummin cumprod cumsum "
    "frobenius_norm linalg_norm linalg_vector_norm log_softmax _log_softmax logsumexp max mean median min norm "
    "pairwise_distance prod softmax _softmax sort std std_mean sum topk var var_mean "
    # products
    "addbmm addmm addmv baddbmm bilinear bmm cdist chain_matmul cosine_similarity cross dot einsum inner kron "
    "matmul mm mv outer tensordot vdot _scaled_dot_product_attention_math linalg_matrix_norm "
    # shapes and selections
    "atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors broadcast_to cartesian_prod channel_shuffle "
    "chunk column_stack diag diag_embed diagonal dstack expand expand_as flatten flip fliplr flipud gather hstack "
    "im2col index index_select meshgrid moveaxis movedim narrow numpy_T one_hot permute pixel_shuffle "
    "pixel_unshuffle ravel repeat repeat_interleave reshape reshape_as roll rot90 scatter scatter_add select "
    "select_scatter slice slice_scatter split split_with_sizes squeeze stack swapaxes swapdims t take "
    "take_along_dim tensor_split tile transpose tril triu unbind unflatten unfold unsqueeze view view_as vsplit "
    "vstack hsplit dsplit index_add index_fill index_put diagonal_scatter bucketize searchsorted col2im "
    # factories
    "arange eye full full_like linspace logspace new_full new_ones new_zeros ones ones_like scalar_tensor "
    "tril_indices triu_indices zeros zeros_like hann_window hamming_window "
    # layers, pools, norms, interpolation
    "_adaptive_avg_pool2d _adaptive_avg_pool3d _native_batch_norm_legit_no_training _weight_norm "
    "adaptive_avg_pool1d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "affine_grid_generator avg_pool1d avg_pool3d constant_pad_nd conv_tbc convolution embedding_bag "
    "fractional_max_pool2d grid_sampler grid_sampler_2d grid_sampler_3d gru gru_cell instance_norm lstm lstm_cell "
    "max_pool2d_with_indices max_pool3d_with_indices native_batch_norm native_group_norm native_layer_norm pad "
    "reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d "
    "rms_norm rnn_relu rnn_tanh rnn_relu_cell rnn_tanh_cell upsample_bicubic2d upsample_bilinear2d "
    "upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d "
    "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa "
    "max_pool1d_with_indices max_unpool2d max_unpool3d fractional_max_pool3d renorm pdist mse_loss l1_loss "
    # the same under other names, and as graphs without views spell them
    "absolute arccos arccosh arcsin arcsinh arctan arctan2 arctanh concatenate row_stack fix ger adjoint mT mH "
    "matrix_H expand_copy permute_copy select_copy slice_copy squeeze_copy t_copy transpose_copy unsqueeze_copy "
    "view_copy narrow_copy detach_copy alias_copy lift_fresh resolve_conj resolve_neg conj unsafe_chunk unsafe_split "
    "unsafe_split_with_sizes native_channel_shuffle copy fill zero "
    # rarer functions, reductions and orders
    "bitwise_left_shift bitwise_right_shift copysign digamma float_power frexp gcd heaviside i0 igamma igammac isin "
    "isneginf isposinf isreal kthvalue lcm ldexp logaddexp2 logcumsumexp mvlgamma nextafter polygamma signbit "
    "count_nonzero corrcoef cov diff mode msort nanmean nanmedian nanquantile nansum quantile trapezoid trapz "
    "cumulative_trapezoid nuclear_norm trace special_digamma special_entr special_erf special_erfc special_erfcx "
    "special_erfinv special_exp2 special_expm1 special_gammaln special_i0 special_i0e special_i1 special_i1e "
    "special_log1p special_log_ndtr special_log_softmax special_logit special_logsumexp special_ndtr special_ndtri "
    "special_psi special_round special_sinc special_softmax special_xlog1py special_xlogy "
    # linear algebra
    "addr det inverse logdet slogdet pinverse matrix_exp linalg_cholesky linalg_cholesky_ex linalg_cross linalg_det "
    "linalg_eigh linalg_eigvalsh linalg_inv linalg_inv_ex linalg_matmul linalg_matrix_exp linalg_multi_dot linalg_pinv "
    "linalg_qr linalg_slogdet linalg_solve linalg_solve_ex linalg_solve_triangular linalg_svd linalg_svdvals "
    "linalg_vecdot "
    # what values choose
    "argwhere diagflat index_copy index_reduce masked_scatter masked_select nonzero nonzero_numpy put scatter_reduce "
    "unique_dim unique_consecutive _unique2 "
    # spectra and complex numbers, as audio nets use them
    "fft_fftn fft_ifftn fft_rfftn fft_irfftn fft_fftshift fft_ifftshift fft_fftfreq fft_rfftfreq "
    "fft_fft fft_fft2 fft_ifft fft_ifft2 fft_irfft fft_irfft2 fft_rfft fft_rfft2 stft istft view_as_complex "
    "view_as_real real imag conj_physical complex polar angle "
    # sizes
    "sym_size sym_numel sym_stride".split()
)
_TORCHVISION = frozenset("deform_conv2d nms".split())
_CHECKS = frozenset(
    "_assert_async _assert_scalar _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size".split()
)
"""Assertions of torch.export, which a loaded graph leaves out; their arguments are not read."""

_SYMBOLIC: dict[str, Callable[..., Any]] = {
    **{f"_operator.{f.__name__}": f for f in (
        *(operator.eq, operator.ne, operator.le, operator.ge, operator.lt, operator.gt, operator.neg, operator.pos),
        *(operator.mul, operator.add, operator.sub, operator.floordiv, operator.mod, operator.truediv),
        *(operator.and_, operator.or_),
    )},
    **{f"torch.{f.__name__}": f for f in (
        *(torch.sym_not, torch.sym_int, torch.sym_float, torch.sym_ite, torch.sym_max, torch.sym_min),
    )},
    "math.trunc": math.trunc,
}  # fmt: skip
"""Arithmetic of sizes, without powers and shifts, since three of these can need more digits than there is memory."""

_FIX = "if you know the file, name the operator: fx.export.load(path, operators=['aten.name'])"


def is_check(target: str) -> bool:
    """Whether a node is an assertion, which is left out."""
    namespace, name = _aten(target)
    return namespace == "aten" and name.partition(".")[0] in _CHECKS


def is_listed(namespace: str, packet: str) -> bool:
    """Whether a file may call an operator, or an assertion, which is left out."""
    return packet in _LISTED.get(namespace, frozenset)() or (namespace == "aten" and packet in _CHECKS)


def operator_of(target: str, more: Collection[str] = ()) -> Callable[..., Any]:
    """The function that a target names.

    Args:
        more: names such as ``"aten.fft_rfft"`` or ``"torchvision.roi_align"`` that the caller adds to the list.
    """
    if target in _SYMBOLIC:
        return _SYMBOLIC[target]
    namespace, name = _aten(target)
    packet, _, overload = name.partition(".")
    found = None
    if is_listed(namespace, packet) or (namespace in _LISTED and f"{namespace}.{packet}" in more):
        if namespace == "torchvision":
            importlib.import_module("torchvision")  # which registers its operators
        found = _overloads(namespace, packet).get(overload)
    if found is None:
        raise RefusedError(
            f"models/model.json calls {shown(target)}, which is not on the list of operators of saved graphs; "
            "reading it may run code",
            _FIX,
        )
    return found


def _aten(target: str) -> tuple[str, str]:
    """Namespace and name: ``("aten", "add.Tensor")`` for ``torch.ops.aten.add.Tensor``; empty for other texts."""
    parts = target.split(".")
    if len(parts) != 5 or parts[:2] != ["torch", "ops"]:
        return "", ""
    return parts[2], f"{parts[3]}.{parts[4]}"


@cache
def _aten_names() -> frozenset[str]:
    spelled = {
        spelling.target.removeprefix("aten.")
        for op in VOCABULARY.by_name.values()
        for spelling in op.spellings
        if isinstance(spelling.target, str) and spelling.target.startswith("aten.")
    }
    return frozenset(name for name in spelled | _MORE_ATEN if not (name.endswith("_") and not name.endswith("__")))


_LISTED: dict[str, Callable[[], frozenset[str]]] = {
    "aten": _aten_names,
    "fxpasses": lambda: _OURS,
    "torchvision": lambda: _TORCHVISION,
}
"""The operators of each namespace that a file may call; the caller may add others from these namespaces by name."""


@cache
def _overloads(namespace: str, packet: str) -> dict[str, Callable[..., Any]]:
    """The overloads of a listed operator that do not write to arguments, by name."""
    found = getattr(getattr(torch.ops, namespace), packet, None)  # names on our list, or given by the caller
    if not isinstance(found, torch._ops.OpOverloadPacket):
        return {}
    made: dict[str, Callable[..., Any]] = {}
    for name in found.overloads():
        overload = getattr(found, name)
        if isinstance(overload, torch._ops.OpOverload) and not overload._schema.is_mutable:
            made[name] = overload
    return made


def is_symbolic(function: Callable[..., Any]) -> bool:
    """Whether a function computes sizes, and so takes its arguments by position only."""
    return not isinstance(function, torch._ops.OpOverload)


def gives_a_list(target: object) -> bool:
    """Whether a call gives a list of tensors, whose number is one of its sizes."""
    if not isinstance(target, torch._ops.OpOverload):
        return False
    return any(isinstance(r.real_type, torch.ListType) for r in target._schema.returns)
