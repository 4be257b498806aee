"""Saturation is measured on the kernels; layers that it could change are computed in another way, with the same
integers.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from tiny_graphs import quantized
from weight_pairs import LAYERS, pair_weights, saturated_in_torch

from fxpasses.cpu import cpu_flags, has_vnni, is_x86
from fxpasses.export.engines import saturation
from fxpasses.export.engines.saturation import is_exact, saturates
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import find_int8_calls


def test_the_answer_is_that_of_layers_made_to_saturate() -> None:
    channels, kernel, size, _ = LAYERS[2]
    assert saturates("onednn") is bool(saturated_in_torch(pair_weights(channels, kernel), "onednn", size))


@pytest.mark.skipif(not is_x86() or not cpu_flags(), reason="not an x86 CPU that tells its flags")
@pytest.mark.skipif("ONEDNN_MAX_CPU_ISA" in os.environ, reason="oneDNN was asked to use older instructions")
def test_onednn_is_exact_where_the_cpu_has_vnni() -> None:
    assert saturates("onednn") is not has_vnni(cpu_flags())


@pytest.mark.skipif(not is_x86() or "avx2" not in cpu_flags(), reason="not an x86 CPU with AVX2")
@pytest.mark.slow
def test_older_instructions_are_noticed_on_a_newer_cpu() -> None:
    code = "from fxpasses.export.engines.saturation import saturates; print(saturates('onednn'))"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_an_engine_that_is_not_there_computes_nothing_exactly() -> None:
    safe = next(iter(find_int8_calls(quantized("conv_bn_relu", QuantConfig(target="x86-avx2"))).values()))
    assert saturates("no such engine") and not is_exact("no such engine", safe)


def test_safe_weights_are_exact_on_any_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    safe = list(find_int8_calls(quantized("conv_bn_relu", QuantConfig(target="x86-avx2"))).values())
    full = list(find_int8_calls(quantized("conv_bn_relu", QuantConfig(target="x86"))).values())
    monkeypatch.setattr(saturation, "saturates", lambda engine: True)
    assert all(is_exact("onednn", call) for call in safe)
    assert not all(is_exact("onednn", call) for call in full)
    monkeypatch.setattr(saturation, "saturates", lambda engine: False)
    assert all(is_exact("onednn", call) for call in full)


def test_weights_of_sixteen_channels_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that gives half of the sum is called saturating."""
    saturation.saturates.cache_clear()
    monkeypatch.setattr(saturation, "_convolved", lambda engine: torch.full((1,), 64.0))
    assert saturates("onednn")
    saturation.saturates.cache_clear()
    monkeypatch.setattr(saturation, "_convolved", lambda engine: torch.full((1,), 126.0))
    monkeypatch.setattr(saturation, "_multiplied", lambda engine: torch.full((1,), 127.0))
    assert not saturates("onednn")
    saturation.saturates.cache_clear()
