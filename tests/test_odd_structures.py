"""Every unusual structure through all steps: the same structure and values in both runtimes and from disk."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from odd_batches import BATCHES
from odd_inputs import INPUTS
from odd_operators import OPERATORS
from odd_outputs import OUTPUTS
from odd_sizes import SIZES
from odd_structures import Structure
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import fxpasses as fx
from fxpasses.signature.examples import inputs_of, tensors_in
from fxpasses.signature.free_sizes import free_sizes
from fxpasses.signature.outputs import leaves_of, tensors_of
from fxpasses.sqnr import sqnr_db

STRUCTURES = [*BATCHES, *OUTPUTS, *INPUTS, *SIZES, *OPERATORS]

FROM_FLOAT_DB = 20.0
"""Least SQNR of one layer in int8: 8 bits give 40 dB, ranges from a few samples reduce it."""
SAME_DB = 24.0
"""Least SQNR between two ways to run the same integers: an LSB, a 255th of the range, in one of ten values is 29 dB."""

QUICK = fx.QuantConfig(target="x86-avx2", equalization=False, narrow_ranges=False, bias_correction=False)


def built(case: Structure) -> nn.Module:
    torch.manual_seed(0)
    return case.build().eval()


def made(case: Structure, samples: int) -> Any:
    """Inputs that are the same at every call."""
    torch.manual_seed(samples)
    return case.make(samples)


def call(model: Any, given: Any) -> Any:
    """Call a module by name if the inputs are a dict that the model does not take for one input."""
    with torch.no_grad():
        if isinstance(given, dict):
            return model(given) if "rows" in given else model(**given)
        return model(*given)


@pytest.mark.parametrize("case", STRUCTURES, ids=lambda case: case.name)
def test_learns_which_dimensions_are_free(case: Structure) -> None:
    gm = fx.capture(built(case), case.make(case.samples), dynamic=case.dynamic)
    assert list(free_sizes(gm).inputs) == case.free


def steps(case: Structure) -> Any:
    return pytest.param(case, id=case.name, marks=[] if case.quick else pytest.mark.slow)


@pytest.mark.parametrize("case", [steps(case) for case in STRUCTURES])
@pytest.mark.filterwarnings("ignore")  # torch warns of its own deprecations while it exports
def test_goes_all_the_way(case: Structure, tmp_path: Path) -> None:
    model, sizes = built(case), (case.samples, case.other)
    example, *batches = (made(case, n) for n in (case.samples, *sizes))
    int8 = fx.quantize(model, example, batches, QUICK, dynamic=case.dynamic)
    fast = fx.export.to_torch(int8)
    program = fx.export.exported_program(int8)
    onnx = fx.export.to_onnx(int8, tmp_path / "net.onnx", program=program)
    loaded = fx.export.load(fx.export.save(int8, tmp_path / "net.pt2", program=program))
    report = fx.export.parity(int8, batches, onnx_path=onnx)
    assert report.images >= 1 and report.logits.max_lsb <= 1 and report.max_lsb_at_any_node <= 1
    for samples in sizes:
        given = made(case, samples)
        expected = call(model, given)
        graph = tensors_of(call(int8, given))
        assert structure(call(fast, given)) == structure(expected)
        assert structure(call(loaded, given), plain=True) == structure(expected, plain=True)
        assert_near(tensors_of(call(fast, given)), graph, SAME_DB)
        assert_near(tensors_of(call(loaded, given)), graph, float("inf"))
        assert_near(in_onnxruntime(onnx, inputs_of(int8, given, "a batch")), graph, SAME_DB)
        if all(x.is_floating_point() for x in tensors_of(expected)):
            assert_near(graph, tensors_of(expected), FROM_FLOAT_DB)


def structure(value: Any, *, plain: bool = False) -> Any:
    """Types and keys, with a word for each tensor; ``plain``: dataclasses as dicts, as a file has them."""
    if isinstance(value, Tensor):
        return str(value.dtype)
    if isinstance(value, dict):
        kind = dict if plain or type(value) is OrderedDict else type(value)  # a graph writes plain dicts, in order
        return kind, {k: structure(v, plain=plain) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value), [structure(v, plain=plain) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return (dict if plain else type(value)), {k: structure(v, plain=plain) for k, v in vars(value).items()}
    return value


def in_onnxruntime(path: Path, inputs: tuple[Any, ...]) -> list[Tensor]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    feed = dict(zip(names, [x.numpy() for x in tensors_in(inputs)], strict=True))
    return [torch.from_numpy(y) for y in session.run(None, feed)]


def assert_near(found: list[Tensor], expected: list[Tensor], least_db: float) -> None:
    assert [(x.shape, x.dtype) for x in found] == [(x.shape, x.dtype) for x in expected]
    for a, b in zip(found, expected, strict=True):
        if not b.is_floating_point():
            assert torch.equal(a, b)
            continue
        noise = float((a.double() - b.double()).square().sum())
        db = sqnr_db(float(b.double().square().sum()), noise)
        assert noise < 1e-12 or (db is not None and db >= least_db)


def test_there_are_many() -> None:
    names = [case.name for case in STRUCTURES]
    assert len(names) >= 100 and len(set(names)) == len(names)
    assert all(list(leaves_of(case.make(case.samples))) for case in STRUCTURES)
    assert any(pytree.tree_leaves(case.make(1)) for case in STRUCTURES)
