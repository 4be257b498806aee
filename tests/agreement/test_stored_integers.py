"""A few stored images with the digest of their integers, which another machine is compared with."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_graphs import fresh_inputs, own_copy, quantized
from tiny_nets.all_nets import TINY
from torch import fx

from fxpasses.agreement.stored_integers import (
    IMAGES,
    StoredComparison,
    StoredIntegers,
    compare_with_stored,
    store_integers,
    stored_inputs,
)
from fxpasses.errors import InputError
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.torch_int8 import to_torch

NAME = "residual_block"


def stored(folder: Path, gm: fx.GraphModule) -> tuple[Path, StoredIntegers]:
    onnx_path = to_onnx(gm, folder / "model.onnx")
    return onnx_path, store_integers(
        gm, to_torch(gm), onnx_path, fresh_inputs(TINY[NAME], 1, 7), folder / "integers.npz"
    )


def altered() -> fx.GraphModule:
    """Change one weight of a graph by one step."""
    gm = own_copy(quantized(NAME))
    weight = next(b for n, b in gm.named_buffers() if n.endswith("weight") and b.dtype is torch.int8)
    weight.flatten()[0] += -1 if int(weight.flatten()[0]) > 0 else 1
    return gm


def test_the_same_machine_gives_the_same(tmp_path: Path) -> None:
    gm = quantized(NAME)
    onnx_path, entry = stored(tmp_path, gm)
    assert (entry.images, entry.exact) == (IMAGES, True)
    assert len(stored_inputs(tmp_path / "integers.npz")[0]) == IMAGES
    found = compare_with_stored(gm, onnx_path, tmp_path / "integers.npz", entry)
    assert found.same_integers and not found.is_broken
    assert found.max_lsb == {"torch": 0, "onnxruntime": 0}
    assert str(found) == f"the same integers as on {entry.cpu} ({IMAGES} images)"
    assert StoredIntegers.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_one_weight_off_is_seen(tmp_path: Path) -> None:
    _, entry = stored(tmp_path, quantized(NAME))
    other = altered()
    found = compare_with_stored(other, to_onnx(other, tmp_path / "other.onnx"), tmp_path / "integers.npz", entry)
    assert found.is_broken and not found.same_integers
    assert f"other integers than on {entry.cpu}" in str(found)


def test_onnxruntime_alone_off_is_seen(tmp_path: Path) -> None:
    gm = quantized(NAME)
    _, entry = stored(tmp_path, gm)
    path = to_onnx(altered(), tmp_path / "other.onnx")
    found = compare_with_stored(gm, path, tmp_path / "integers.npz", entry)
    assert not found.same_integers
    assert found.max_lsb["torch"] == 0 <= found.max_lsb["onnxruntime"]


def test_a_net_that_was_not_exact_breaks_no_promise() -> None:
    entry = StoredIntegers("some CPU", {}, 4, exact=False, sha256="0")
    assert not StoredComparison(entry, {"torch": 1}, same_integers=False).is_broken
    assert StoredComparison(replace(entry, exact=True), {"torch": 1}, same_integers=False).is_broken


@pytest.mark.parametrize("entry", [{}, {"cpu": 1}, {"cpu": "", "kernels": 3, "images": 4, "exact": True, "sha256": ""}])
def test_an_entry_of_something_else(entry: dict[str, object]) -> None:
    with pytest.raises(InputError, match="integers is not what was written"):
        StoredIntegers.from_json(entry)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="moved or deleted"):
        stored_inputs(tmp_path / "none.npz")
    path = tmp_path / "integers.npz"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match="cannot read"):
        stored_inputs(path)
    content = io.BytesIO()
    np.savez(content, input_0=np.array([object()], dtype=object))
    path.write_bytes(content.getvalue())
    with pytest.raises(InputError, match="cannot read"):
        stored_inputs(path)


def test_outputs_of_another_model_are_refused(tmp_path: Path) -> None:
    gm = quantized(NAME)
    onnx_path, entry = stored(tmp_path, gm)
    np.savez(tmp_path / "integers.npz", input_0=fresh_inputs(TINY[NAME], 1)[0].numpy(), output_0=np.zeros((1, 3)))
    with pytest.raises(InputError, match="outputs of another model"):
        compare_with_stored(gm, onnx_path, tmp_path / "integers.npz", entry)


def test_arrays_of_something_else(tmp_path: Path) -> None:
    gm = quantized(NAME)
    onnx_path, entry = stored(tmp_path, gm)
    floats = np.zeros((1, 3), np.float32)
    for arrays, said in (
        ({"input_0": floats}, "not every output is there"),
        ({"input_1": floats, "output_0": floats}, "not every input is there"),
        ({"input_0": np.zeros((1, 3)), "output_0": floats}, "it holds inputs of float64 .*, and the model takes"),
        ({"input_0": floats[0], "output_0": floats}, "it holds inputs of float32"),
        ({"input_0": floats, "input_1": floats, "output_0": floats}, "it holds"),
    ):
        np.savez(tmp_path / "integers.npz", **arrays)
        with pytest.raises(InputError, match=f"(?s){said}.*fix: copy it again, or quantize again"):
            compare_with_stored(gm, onnx_path, tmp_path / "integers.npz", entry)
