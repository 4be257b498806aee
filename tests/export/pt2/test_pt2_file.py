"""Saved graphs are read again completely: numbers, names, recipe and log; other files are refused with a reason."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from int8_files import are_equal, exported, file_of, inputs_of, run_file
from lowered_nets import images, mixed
from tiny_graphs import X86, observed, outputs_of, quantized
from tiny_nets.share import each_net
from torch import nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.export import load, save, to_torch
from fxpasses.export.metadata import qparams_hash
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import Stage, graph_facts, stage_of
from fxpasses.precision.half import to_half
from fxpasses.quantization.numbers import ops

NETS = ("conv_bn_relu", "residual_block", "squeeze_excite", "channel_shuffle", "conv_depthwise_bn_relu6",
        "embedding_linear", "two_outputs", "dict_output", "two_inputs", "attention", "conv1d_bn_relu", "conv3d_bn_relu",
        "conv_transpose2d_bn", "constant_added", "view_with_size", "shared_conv_and_bn")  # fmt: skip


@pytest.mark.parametrize("name", each_net(NETS))
def test_round_trip(name: str, tmp_path: Path) -> None:
    gm = quantized(name)
    loaded = load(save(gm, tmp_path / "model.pt2"))
    for batch in (1, 3):
        inputs = inputs_of(name, batch)
        assert are_equal(outputs_of(loaded, inputs), outputs_of(gm, inputs))
        assert are_equal(
            outputs_of(to_torch(loaded, "reference"), inputs), outputs_of(to_torch(gm, "reference"), inputs)
        )
    assert qparams_hash(loaded) == qparams_hash(gm)
    names, expected = ([n.name for n in g.graph.nodes if n.target is ops.quantize] for g in (loaded, gm))
    assert names == expected and names


def test_structure_of_outputs_is_kept(tmp_path: Path) -> None:
    loaded = load(save(quantized("dict_output"), tmp_path / "model.pt2"))
    assert set(loaded(*inputs_of("dict_output"))) == {"features", "logits"}


def test_facts_are_restored(tmp_path: Path) -> None:
    gm = quantized("residual_block")
    loaded = load(save(gm, tmp_path / "model.pt2"))
    assert stage_of(loaded) is Stage.QUANTIZED
    found, expected = graph_facts(loaded), graph_facts(gm)
    assert (found.config, found.example_inputs) == (expected.config, expected.example_inputs)
    assert [log.name for log in pass_logs(loaded)] == [log.name for log in pass_logs(gm)]
    assert [log.result for log in pass_logs(loaded)] == [log.result for log in pass_logs(gm)]


def test_saving_leaves_the_graph_alone(tmp_path: Path) -> None:
    gm = quantized("conv_bn_relu")
    code, facts = gm.code, copy.deepcopy(graph_facts(gm))
    save(gm, tmp_path / "model.pt2")
    assert (gm.code, graph_facts(gm)) == (code, facts)


def test_saved_twice_and_saved_again(tmp_path: Path) -> None:
    first = load(save(quantized("cat"), tmp_path / "first.pt2"))
    second = load(save(first, tmp_path / "second.pt2"))
    assert qparams_hash(second) == qparams_hash(quantized("cat"))
    assert are_equal(outputs_of(second, inputs_of("cat")), outputs_of(quantized("cat"), inputs_of("cat")))


@pytest.mark.parametrize("name", ["residual_block", pytest.param("adaptive_pool_to_1", marks=pytest.mark.slow)])
def test_onnx_of_a_loaded_graph_is_that_of_the_original(name: str, tmp_path: Path) -> None:
    loaded = load(save(quantized(name), tmp_path / "model.pt2"))
    inputs = inputs_of(name)
    assert are_equal(run_file(exported(loaded), inputs), run_file(file_of(name), inputs))


_FRESH = """
import sys, torch
import fxpasses as fx
gm = fx.export.load(sys.argv[1])
torch.save(gm(torch.load(sys.argv[2], weights_only=True)), sys.argv[3])
assert "fxpasses.models" not in sys.modules, "the model's own code was imported"
"""


@pytest.mark.slow
def test_loads_in_a_process_that_does_not_know_the_model(tmp_path: Path) -> None:
    (image,) = inputs_of("residual_block")
    save(quantized("residual_block"), tmp_path / "model.pt2")
    torch.save(image, tmp_path / "x.pt")
    files = [str(tmp_path / name) for name in ("model.pt2", "x.pt", "y.pt")]
    done = subprocess.run([sys.executable, "-c", _FRESH, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "y.pt", weights_only=True)
    assert torch.equal(found, outputs_of(quantized("residual_block"), (image,))[0])


def test_an_observed_graph_is_converted_first(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"(?s)save got a graph in stage OBSERVED.*fix: int8 = fx.convert"):
        save(observed("conv_bn_relu"), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
    save(fxpasses.convert(observed("conv_bn_relu")), tmp_path / "model.pt2")


def test_a_lowered_graph_is_read_by_the_load_of_all_files(tmp_path: Path) -> None:
    gm = to_half(mixed(), "fp16")
    path = save(gm, tmp_path / "model.pt2")
    with pytest.raises(InputError, match=r"(?s)holds a LOWERED graph.*read it with fxpasses\.load"):
        load(path)
    assert torch.equal(fxpasses.load(path)(images()), gm(images()))


def test_the_name_must_end_in_pt2(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a saved graph is a .pt2 file\n  fix: name it model.pt2"):
        save(quantized("conv_bn_relu"), tmp_path / "model.pth")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="a part of the path is a file"):
        save(quantized("conv_bn_relu"), tmp_path / "file" / "model.pt2")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        load(tmp_path / "absent.pt2")
    with pytest.raises(InputError, match="it is a folder"):
        load(tmp_path)


def _with_facts(path: Path, **changed: object) -> None:
    """Rewrite the facts in a saved file."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(entries[_facts_entry(entries)])
    entries[_facts_entry(entries)] = json.dumps({k: v for k, v in (facts | changed).items() if v is not None}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def _facts_entry(entries: dict[str, bytes]) -> str:
    return next(name for name in entries if name.endswith("extra/fxpasses.json"))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"names": None}, "names"),
        ({"names": ["x_int8"]}, "zip"),
        ({"log": [{"name": "fuse"}]}, "changed"),
        ({"recipe": "{}", "example_inputs": [{"shape": [2, 5], "dtype": "nonsense"}]}, "nonsense"),
        ({"recipe": '{"setting_of_the_future": 1}'}, "setting_of_the_future"),
    ],
)
def test_damaged_facts(changed: dict[str, object], why: str, tmp_path: Path) -> None:
    path = save(quantized("conv_bn_relu"), tmp_path / "model.pt2")
    _with_facts(path, **changed)
    with pytest.raises(InputError, match=rf"(?s)model.pt2.*it is damaged.*{why}.*save the model again"):
        load(path)


def test_unknown_target_of_a_newer_version(tmp_path: Path) -> None:
    path = save(quantized("conv_bn_relu"), tmp_path / "model.pt2")
    _with_facts(path, recipe='{"target": "abacus"}')
    with pytest.raises(InputError, match="there is no target of that name"):
        load(path)


class _Spectrum(nn.Module):
    """An operator that is on no list."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.special.bessel_j0(self.conv(x))
        return out


def test_an_operator_outside_the_list_is_let_through_by_name(tmp_path: Path) -> None:
    images = torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(1))
    gm = fxpasses.quantize(_Spectrum().eval(), images[:2], [images], X86)
    with pytest.raises(InputError, match=r"save\(graph, path, operators=\['aten.special_bessel_j0'\]\)"):
        save(gm, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
    path = save(gm, tmp_path / "model.pt2", operators=["aten.special_bessel_j0"])
    remedy = r"calls torch.ops.aten.special_bessel_j0.default(?s:.*)fx.export.load\(path, operators=\['aten.name'\]\)"
    with pytest.raises(InputError, match=remedy):
        load(path)
    loaded = load(path, operators=["aten.special_bessel_j0"])
    assert are_equal(outputs_of(loaded, (images,)), outputs_of(gm, (images,)))


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch 2.11's own reader
def test_plain_torch_reads_the_file_as_well(tmp_path: Path) -> None:
    """``save`` writes an archive of torch.export, which plain torch reads, too."""
    path = save(quantized("conv_bn_relu"), tmp_path / "model.pt2")
    inputs = inputs_of("conv_bn_relu")
    found = torch.export.load(path).module()(*inputs)
    assert torch.equal(found, outputs_of(quantized("conv_bn_relu"), inputs)[0])


class Rotates(nn.Module):
    """A complex constant, and values written into slices."""

    turns: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("turns", torch.polar(torch.ones(4), torch.arange(4.0)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        y[:, :2] = y[:, :2].sigmoid()
        y[:, 7] = 0
        turned = torch.view_as_complex(y.reshape(-1, 4, 2)) * self.turns
        return torch.view_as_real(turned).flatten(1)


def test_complex_constants_and_written_slices(tmp_path: Path) -> None:
    x = torch.randn(3, 8)
    int8 = fxpasses.quantize(Rotates().eval(), x, [x], X86)
    assert torch.equal(load(save(int8, tmp_path / "m.pt2"))(x), int8(x))
