"""Triton compiles the kernels for a real card, which this machine need not have, and reports the result."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from interpreted import needs_triton

_COMPILE = """
import json
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from fxpasses.export.engines.cuda.kernels import conv_kernels
kernel = conv_kernels.conv_gemm
real = {"multiplier": "*fp32", "ratios": "*fp32", "bias": "*i32", "limits": "*i32"}
bytes_ = {name: "*i8" for name in ("x", "weight", "y", "residual")}
fixed = dict(UNSIGNED=False, UNSIGNED_R=False, RESIDUAL=True, FLOATS=False, PADDED=True, FEW=0, EVEN=True)
fixed |= dict(BM=64, BN=64, BK=64)
types = {n: "constexpr" if n in fixed else (real | bytes_).get(n, "i32") for n in kernel.arg_names}
aligned = ("x", "weight", "y", "residual", "bias", "multiplier", "C", "N", "X_CHANNELS", "Y_CHANNELS")
attrs = {(kernel.arg_names.index(n),): [["tt.divisibility", 16]] for n in aligned}
source = ASTSource(fn=kernel, signature=types, constexprs=fixed, attrs=attrs)
made = compile(source, target=GPUTarget("cuda", ARCH, 32), options={"num_warps": 4, "enable_fp_fusion": False})
print(json.dumps({"ptx": made.asm["ptx"], "shared": made.metadata.shared}))
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize(("arch", "product"), [("90", "wgmma.mma_async"), ("80", "mma.sync")])
def test_products_are_on_int8_tensor_cores_and_nothing_is_contracted(arch: str, product: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE.replace("ARCH", arch)], capture_output=True, text=True, check=True
    )
    made = json.loads(done.stdout)
    lines = [line for line in made["ptx"].splitlines() if product in line]
    assert lines and all("s32.s8.s8" in line for line in lines)
    assert "fma.rn" not in made["ptx"] and "cp.async" in made["ptx"]
