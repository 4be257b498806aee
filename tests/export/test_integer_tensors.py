"""Integer tensors are found under the names of the graph, in every artifact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from int8_files import NETS, are_equal, file_of, image_file, image_net, inputs_of, run_file
from tiny_graphs import quantized
from tiny_nets.share import each_net
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.export import to_torch
from fxpasses.export.integer_tensors import OnnxIntegers, torch_integers
from fxpasses.quantization.numbers import ops


def _integers_of_file(tmp_path: Path, content: bytes) -> OnnxIntegers:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return OnnxIntegers(path)


def _same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return all(torch.equal(ours[name].to(torch.int32), theirs[name].to(torch.int32)) for name in ours)


@pytest.mark.parametrize("name", each_net(NETS))
def test_graph_module_and_file_hold_the_same_integers(name: str, tmp_path: Path) -> None:
    gm, inputs = quantized(name), inputs_of(name)
    in_graph = torch_integers(gm, inputs)
    assert list(in_graph) == [n.name for n in gm.graph.nodes if n.target is ops.quantize]
    assert all(t.dtype is torch.uint8 for t in in_graph.values())
    for engine in ("reference", "x86"):
        assert _same(in_graph, torch_integers(to_torch(gm, engine), inputs))
    file = _integers_of_file(tmp_path, file_of(name))
    assert _same(in_graph, file.integers(inputs))
    assert are_equal(file.outputs(inputs), run_file(file_of(name), inputs))


@pytest.mark.slow
def test_names_of_padded_images(tmp_path: Path) -> None:
    images = torch.randn(2, 3, 9, 7)
    found = _integers_of_file(tmp_path, image_file()).integers((images,))
    assert _same(torch_integers(image_net(), (images,)), found)


def test_a_file_with_other_inputs(tmp_path: Path) -> None:
    file = _integers_of_file(tmp_path, file_of("cat"))
    with pytest.raises(InputError, match=r"(?s)it takes 1 inputs, not 2.*fix: use the file of this model"):
        file.outputs((torch.zeros(1), torch.zeros(1)))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*absent.onnx\n  why: there is no such file"):
        OnnxIntegers(tmp_path / "absent.onnx")


def test_no_onnx(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not an ONNX file\n  why: "):
        _integers_of_file(tmp_path, b"this is no model")
