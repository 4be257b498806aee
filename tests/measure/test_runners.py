"""Runners: both runtimes with one interface and the threads asked for; every unusable file gives a clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.measure.runners import first_tensor, onnx_runner, session_options, torch_runner, torch_threads

FLOAT_ROUNDING = 1e-6
"""Rounding error of a sum of five float32 products of values below 4: a few units in the last place of 16."""


@pytest.fixture
def linear() -> nn.Linear:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(5, 3)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return layer


@pytest.fixture
def linear_onnx(linear: nn.Linear, tmp_path: Path) -> Path:
    """The same layer as a file for batches of 2."""
    weights = {"w": linear.weight, "b": linear.bias}
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [numpy_helper.from_array(w.detach().numpy(), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "linear.onnx"
    onnx.save(model, path)
    return path


def test_both_runtimes_give_the_same_logits(linear: nn.Linear, linear_onnx: Path) -> None:
    x = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    ours, theirs = torch_runner(linear, "fp32"), onnx_runner(linear_onnx, "fp32")
    assert (ours.name, ours.runtime, theirs.name, theirs.runtime) == (
        ("torch fp32", "torch", "onnxruntime fp32", "onnxruntime")
    )
    assert not ours(x).requires_grad
    assert float((ours(x) - theirs(x)).abs().max()) <= FLOAT_ROUNDING
    assert torch.equal(ours(x), linear(x).detach())


def test_torch_runs_on_the_threads_asked_for_and_gives_them_back() -> None:
    class Threads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.get_num_threads()

    before = torch.get_num_threads()
    runner = torch_runner(Threads(), "fp32", threads=before + 1)
    assert float(runner(torch.zeros(1))) == before + 1
    assert float(runner.at_threads(before + 2)(torch.zeros(1))) == before + 2
    assert torch.get_num_threads() == before


def test_threads_are_given_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), torch_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_onnxruntime_gets_its_threads_and_all_optimisations(linear_onnx: Path) -> None:
    one = onnx_runner(linear_onnx, "fp32")
    two = one.at_threads(2)
    assert one.at_threads(1) is one
    assert two.threads == 2
    assert two.session.get_session_options().intra_op_num_threads == 2
    options = session_options(1)
    assert options.graph_optimization_level.name == "ORT_ENABLE_ALL"
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_a_module_in_training_mode_is_put_in_eval_mode() -> None:
    runner = torch_runner(nn.Dropout(0.5).train(), "fp32")
    assert torch.equal(runner(torch.ones(100)), torch.ones(100))


@pytest.mark.parametrize(
    "output", [torch.ones(2), (torch.ones(2), None), [torch.ones(2)], {"out": torch.ones(2), "aux": 1}]
)
def test_the_logits_are_the_first_tensor(output: Any) -> None:
    assert torch.equal(first_tensor(output, "net"), torch.ones(2))


@pytest.mark.parametrize("output", [None, (), {}, "text"])
def test_an_output_without_a_tensor_is_refused(output: object) -> None:
    with pytest.raises(InputError, match=r"net gave a .*\n.*logits are a tensor"):
        first_tensor(output, "net")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot open .*none\.onnx\n.*no such file"):
        onnx_runner(tmp_path / "none.onnx", "fp32")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a folder"):
        onnx_runner(tmp_path, "fp32")


@pytest.mark.parametrize("keep", [0, 40])
def test_a_corrupt_file_is_refused(linear_onnx: Path, keep: int) -> None:
    linear_onnx.write_bytes(linear_onnx.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"onnxruntime [\d.]+ refuses .*linear\.onnx"):
        onnx_runner(linear_onnx, "fp32")


def test_a_shape_the_file_does_not_take_is_refused(linear_onnx: Path) -> None:
    runner = onnx_runner(linear_onnx, "fp32")
    with pytest.raises(InputError, match=r"does not take inputs \[\(3, 5\)\]"):
        runner(torch.from_numpy(np.zeros((3, 5), np.float32)))


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_below_one_is_refused(linear: nn.Linear, linear_onnx: Path, threads: int) -> None:
    with pytest.raises(InputError, match=r"threads: .*\n.*at least one"):
        torch_runner(linear, "fp32", threads)
    with pytest.raises(InputError, match=r"threads: .*\n.*at least one"):
        onnx_runner(linear_onnx, "fp32", threads)
