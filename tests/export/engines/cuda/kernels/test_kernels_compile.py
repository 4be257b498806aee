"""Triton compiles the kernels for a real card, which this machine need not have, and reports the result."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from interpreted import needs_triton

_COMPILE = """
import json, sys
from importlib import import_module
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
asked = json.loads(sys.argv[1])
kernel = getattr(import_module("fxpasses.export.engines.cuda.kernels." + asked["file"]), asked["kernel"])
fixed = asked["fixed"] | dict(UNSIGNED=False, UNSIGNED_R=False, FLOATS=False, EVEN=True, BM=64, BN=64, BK=64)
fixed = {name: value for name, value in fixed.items() if name in kernel.arg_names}
types = {"multiplier": "*fp32", "ratios": "*fp64" if asked["kernel"] == "pool" else "*fp32"}
types |= dict.fromkeys(("bias", "limits", "phases", "of_rows", "of_columns"), "*i32")
types |= dict.fromkeys(("x", "weight", "y", "residual", "a", "b"), "*i8")
types = {n: "constexpr" if n in fixed else types.get(n, "i32") for n in kernel.arg_names}
pointers = ("x", "weight", "y", "residual", "bias", "multiplier", "a", "b")
aligned = (*pointers, "C", "N", "K", "X_CHANNELS", "Y_CHANNELS", "A_OUTER", "A_INNER", "A_ROW")
aligned += ("B_OUTER", "B_INNER", *asked["aligned"])
attrs = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(kernel.arg_names) if n in aligned}
source = ASTSource(fn=kernel, signature=types, constexprs=fixed, attrs=attrs)
options = {"num_warps": 4, "enable_fp_fusion": False}
made = compile(source, target=GPUTarget("cuda", asked["arch"], 32), options=options)
print(json.dumps({"ptx": made.asm["ptx"], "shared": made.metadata.shared}))
"""

_SIGNED = {"UNSIGNED_A": False, "UNSIGNED_B": False, "ROWS": False, "COLUMNS": False, "A_K": 1}
PRODUCTS: dict[str, dict[str, object]] = {
    "conv_gemm": {
        "file": "conv_kernels", "kernel": "conv_gemm", "fixed": {"RESIDUAL": True, "PADDED": True, "FEW": 0},
        "aligned": [],
    },
    "conv_volume": {"file": "volume_kernels", "kernel": "conv_volume", "fixed": {"RESIDUAL": True}, "aligned": []},
    "scores": {
        "file": "matrix_kernels", "kernel": "multiply_matrices", "fixed": _SIGNED | {"B_K": 1}, "aligned": ["B_COLUMN"],
    },
    "values": {
        "file": "matrix_kernels", "kernel": "multiply_matrices", "fixed": _SIGNED | {"B_COLUMN": 1}, "aligned": ["B_K"],
    },
}  # fmt: skip
"""Kernels on tensor cores; the second operand of two activations may have columns side by side, or rows."""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize(("arch", "product"), [(90, "wgmma.mma_async"), (80, "mma.sync")])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_on_int8_tensor_cores_and_nothing_is_contracted(name: str, arch: int, product: str) -> None:
    asked = json.dumps(PRODUCTS[name] | {"arch": arch})
    done = subprocess.run([sys.executable, "-c", _COMPILE, asked], capture_output=True, text=True, check=True)
    made = json.loads(done.stdout)
    lines = [line for line in made["ptx"].splitlines() if product in line]
    assert lines and all("s32.s8.s8" in line for line in lines)
    assert "fma.rn" not in made["ptx"] and "cp.async" in made["ptx"]
    assert_bytes_move_together(made["ptx"])


def assert_bytes_move_together(ptx: str) -> None:
    """Neighbouring bytes are read and written 16 at a time, not one by one."""
    assert "st.global.v4.b32" in ptx and not re.findall(r"(?:ld|st)\.global\.b8", ptx)


CHANNELWISE: dict[str, dict[str, object]] = {
    "depthwise": {"file": "conv_kernels", "kernel": "conv_depthwise", "fixed": {"RESIDUAL": True, "ONE": True}},
    "pool": {"file": "byte_kernels", "kernel": "pool", "fixed": {"MAXIMUM": True, "INSIDE_ONLY": False}},
}


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELWISE)
def test_channels_of_depthwise_layers_and_pools_are_read_together(name: str) -> None:
    asked = json.dumps(CHANNELWISE[name] | {"arch": 90, "aligned": []})
    done = subprocess.run([sys.executable, "-c", _COMPILE, asked], capture_output=True, text=True, check=True)
    assert_bytes_move_together(json.loads(done.stdout)["ptx"])
