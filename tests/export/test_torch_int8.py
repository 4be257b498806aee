"""to_torch: the engine it chooses, and its refusals."""

from __future__ import annotations

import pytest
import torch
from contracts import fingerprint
from tiny_graphs import PAIR_SAFE, fresh_inputs, fused, outputs_of, own_copy, quantized
from tiny_nets.all_nets import TINY
from torch import nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.export.engines import saturation
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.export.engines.x86.layers import PackedConv
from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.config import QuantConfig


def kernels(module: nn.Module) -> set[type[nn.Module]]:
    return {type(m) for m in module.modules() if not list(m.children())}


@pytest.mark.parametrize(
    ("target", "kernel"),
    [("x86", PackedConv), ("x86-avx2", PackedConv), ("arm", PackedConv), ("cuda", ReferenceKernel)],
)
def test_the_engine_of_the_target(target: str, kernel: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """On machines whose kernels do not saturate; tests/export/engines/test_engines_exact_layers.py has the others."""
    monkeypatch.setattr(saturation, "saturates", lambda engine: False)
    assert kernel in kernels(to_torch(quantized("conv_bn_relu", QuantConfig(target=target, observer="minmax"))))


def test_an_engine_by_name() -> None:
    gm = quantized("conv_bn_relu", PAIR_SAFE)
    assert PackedConv in kernels(to_torch(gm, "x86"))
    assert kernels(to_torch(gm, "reference")) == {ReferenceKernel}
    assert to_torch(gm, "plain") is gm


def test_it_is_the_public_call() -> None:
    assert fxpasses.export.to_torch is to_torch


def test_the_result_is_a_module_in_eval_mode() -> None:
    for engine in ("x86", "reference", "plain"):
        module = to_torch(quantized("squeeze_excite"), engine)
        assert not any(m.training for m in module.modules())


def test_it_runs_with_gradients_wanted_and_without() -> None:
    """Integers have no gradient, but a request for one is no error."""
    (x,) = fresh_inputs(TINY["conv_bn_relu"], 1)
    for engine in ("x86", "reference", "plain"):
        module = to_torch(quantized("conv_bn_relu"), engine)
        plain = outputs_of(module, (x,))[0]
        wanted = module(x.clone().requires_grad_())
        with torch.inference_mode():
            inferred = module(x)
        assert torch.equal(wanted, plain) and torch.equal(inferred, plain) and not wanted.requires_grad


def test_the_graph_is_left_alone() -> None:
    gm = own_copy(quantized("residual_block"))
    before = fingerprint(gm)
    outputs_of(to_torch(gm, "x86"), fresh_inputs(TINY["residual_block"], 1))
    assert fingerprint(gm) == before


@pytest.mark.parametrize(
    ("engine", "fix"), [("x68", "did you mean 'x86'"), ("tensorrt", "choose one of x86, cuda, ref")]
)
def test_an_unknown_engine(engine: str, fix: str) -> None:
    with pytest.raises(InputError, match=f"engine '{engine}'\n.*there is no engine of that name\n.*{fix}"):
        to_torch(quantized("conv_bn_relu"), engine)


@pytest.mark.parametrize("engine", ["x86", "reference", "plain"])
def test_engines_of_the_cpu_are_not_for_gpus(engine: str) -> None:
    with pytest.raises(InputError, match=f"engine '{engine}' on device 'cuda'\n.*computes on the CPU\n.*engine='cuda'"):
        to_torch(quantized("conv_bn_relu"), engine, device="cuda")
    to_torch(quantized("conv_bn_relu"), engine, device="cpu")


def test_activations_of_16_bits_have_no_kernels_on_gpus() -> None:
    wide = quantized("conv_bn_relu", QuantConfig(activation_bits=16, observer="minmax"))
    with pytest.raises(InputError, match=r"engine 'plain' on device 'cuda'\n.*\n.*leave device out"):
        to_torch(wide, device="cuda")


def test_a_device_of_no_name() -> None:
    with pytest.raises(InputError, match=r"device 'gpu'\n.*torch knows no device of that name"):
        to_torch(quantized("conv_bn_relu"), device="gpu")


def test_a_graph_of_another_stage() -> None:
    with pytest.raises(GraphError, match=r"(?s)to_torch got a graph in stage FLOAT.*fix: int8 = fx.convert"):
        to_torch(fused("conv_bn_relu"))


def test_a_model_that_was_not_captured() -> None:
    with pytest.raises(GraphError, match="to_torch got a Linear that was not captured"):
        to_torch(nn.Linear(2, 2))  # type: ignore[arg-type]  # what the test is about
