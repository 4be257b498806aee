"""LOWERED graphs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lowered_nets import images, mixed

from fxpasses.errors import InputError
from fxpasses.export.pt2.lowered import load_lowered
from fxpasses.export.pt2.save_and_load import save
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.precision.half import to_half
from fxpasses.precision.weight_only import to_weight_only


@pytest.mark.parametrize("lower", [lambda g: to_half(g, "fp16"), to_dynamic, to_weight_only])
def test_it_comes_back_as_it_was(lower: object, tmp_path: Path) -> None:
    lowered = lower(mixed())  # type: ignore[operator]  # one of the functions above
    loaded = load_lowered(save(lowered, tmp_path / "model.pt2"))
    with torch.no_grad():
        assert torch.equal(loaded(images()), lowered(images()))


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a saved graph is a \.pt2 file"):
        save(to_dynamic(mixed()), tmp_path / "model.bin")
    with pytest.raises(InputError, match="there is no such file"):
        load_lowered(tmp_path / "none.pt2")
    (tmp_path / "bad.pt2").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"no \.pt2 archive, or damaged"):
        load_lowered(tmp_path / "bad.pt2")
