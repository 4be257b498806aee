"""Tiny nets as files of opsets 13 to 17: the bits of opset 18, IR versions of their time, and notes that stay."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from int8_files import NETS, exported, file_of, inputs_of, model_of
from older_models import differing_opsets, older, operators
from tiny_graphs import fresh_inputs, fused, quantized
from tiny_nets.all_nets import TINY
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.audit.audit_file import audit
from fxpasses.errors import GraphError
from fxpasses.export import parity, to_onnx
from fxpasses.export.older_opsets.forms import BASE
from fxpasses.export.older_opsets.lower import ir_version
from fxpasses.export.onnx_forms.qoperator import to_qoperator
from fxpasses.export.onnx_reader import metadata
from fxpasses.export.onnx_writer.node_notes import note_nodes
from fxpasses.export.onnx_writer.write import onnx_model
from fxpasses.formats.node_notes import TENSOR
from fxpasses.quantization.config import QuantConfig

INT8_NETS = ("residual_block", "attention", "split_uneven")
FLOAT_NETS = ("layer_norm", "interpolate_bilinear")
FORMS = ("float", "qdq", "qoperator")


@cache
def newer(name: str, form: str) -> bytes:
    """A tiny net as a file of opset 18."""
    if form == "float":
        return exported(fused(name), verify=False, opset=BASE)
    return file_of(name) if form == "qdq" and name in NETS else int8_forms(name)[form]


@cache
def int8_forms(name: str) -> dict[str, bytes]:
    """Both forms of a QUANTIZED tiny net, of one export."""
    gm = quantized(name)
    model = onnx_model(gm, opset=BASE)
    note_nodes(model, gm)
    qdq = ir.to_proto(model).SerializeToString()
    to_qoperator(model)
    return {"qdq": qdq, "qoperator": ir.to_proto(model).SerializeToString()}


def check_all_opsets(name: str, form: str) -> None:
    assert differing_opsets(newer(name, form), inputs_of(name)) == []


@pytest.mark.parametrize(
    "name", [n if n != "attention" else pytest.param(n, marks=pytest.mark.slow) for n in INT8_NETS]
)
def test_int8_files_have_the_same_bits(name: str) -> None:
    check_all_opsets(name, "qdq")


@pytest.mark.parametrize("name", INT8_NETS[:1])
def test_integer_operators_have_the_same_bits(name: str) -> None:
    check_all_opsets(name, "qoperator")


@pytest.mark.parametrize("name", FLOAT_NETS)
def test_float_files_have_the_same_bits(name: str) -> None:
    check_all_opsets(name, "float")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", sorted(TINY))
def test_every_tiny_net(name: str, form: str) -> None:
    assert differing_opsets(newer(name, form), fresh_inputs(TINY[name], 5)) == []


@pytest.mark.parametrize(("opset", "version"), [(13, 7), (14, 7), (15, 8), (16, 8), (17, 8)])
def test_versions_of_old_runtimes(opset: int, version: int) -> None:
    proto = model_of(older(file_of("conv_bn_relu"), opset))
    assert (proto.ir_version, ir_version(opset)) == (version, version)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", opset)]


class Normed(nn.Module):
    """Convolution, LayerNorm, hard swish and a linear head; ``[B, 3, 6, 5]`` to ``[B, 4]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.hardswish(self.conv(x)).flatten(2).transpose(1, 2)
        out: Tensor = self.head(self.norm(y)).mean(1)
        return out


IMAGES = torch.randn(8, 3, 6, 5, generator=torch.Generator().manual_seed(1))


@cache
def normed() -> fx.GraphModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = Normed().eval()
    return fxpasses.quantize(model, IMAGES[:2], [IMAGES], QuantConfig(target="x86-avx2", observer="minmax"))


@pytest.fixture(scope="module")
def old_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_onnx(normed(), tmp_path_factory.mktemp("old") / "m.onnx", opset=13)


def test_an_old_file_runs_as_its_graph_does(old_file: Path) -> None:
    assert "LayerNormalization" not in operators(old_file.read_bytes())
    assert parity(normed(), [IMAGES], onnx_path=old_file).max_lsb_at_any_node == 0


def test_notes_and_metadata_are_those_of_opset_18(old_file: Path, tmp_path: Path) -> None:
    old, new = (onnx.load(path) for path in (old_file, to_onnx(normed(), tmp_path / "m.onnx", verify=False)))
    assert metadata(old) == metadata(new)
    noted = [{p.value for n in m.graph.node for p in n.metadata_props if p.key == TENSOR} for m in (old, new)]
    assert noted[0] == noted[1] and len(noted[0]) == 3
    assert [o.name for o in old.graph.output] == [o.name for o in new.graph.output]


def test_the_audit_says_the_same_of_both(tmp_path: Path) -> None:
    for name, content in (("old", older(newer("residual_block", "qdq"), 13)), ("new", newer("residual_block", "qdq"))):
        (tmp_path / name).write_bytes(content)
    old, new = audit(tmp_path / "old"), audit(tmp_path / "new")
    assert (old.opset, new.opset, old.ok) == (13, 18, True)
    assert old.summary == new.summary


class Sampled(nn.Module):
    """A convolution and a grid sample, which ONNX has from opset 16 on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor, grid: Tensor) -> Tensor:
        return nn.functional.grid_sample(self.conv(x), grid, align_corners=False)


@pytest.mark.slow
def test_a_refusal_names_the_node_and_the_opset_that_has_it(tmp_path: Path) -> None:
    inputs = (torch.randn(2, 3, 4, 4), torch.rand(2, 3, 3, 2))
    gm = fxpasses.fuse(fxpasses.capture(Sampled().eval(), inputs))
    with pytest.raises(GraphError, match=r"(?s)opset 13 for node 'grid_sampl.*it is a GridSample.*use opset=16"):
        to_onnx(gm, tmp_path / "m.onnx", opset=13)
    assert not list(tmp_path.iterdir())
    assert onnx.load(to_onnx(gm, tmp_path / "m.onnx", opset=16)).opset_import[0].version == 16
