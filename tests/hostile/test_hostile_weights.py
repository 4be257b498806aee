"""Weight files with other content than weights: refused by name, or converted with a warning."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses, is_refused
from safetensors.torch import save
from weight_cases import CONVERTED, REFUSED, Change, damaged_files, file_of

from fxpasses.errors import InputError
from fxpasses.models.nets.digits_cnn import DigitsCnn
from fxpasses.models.weights.load import load_weights

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FEW, MANY = 30, 270


def _load(path: Path) -> DigitsCnn:
    net = DigitsCnn()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    try:
        load_weights(net, path)
    except InputError:
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        raise
    return net


@pytest.mark.parametrize(("name", "change"), CONVERTED.items())
def test_what_means_the_same_is_converted(name: str, change: Change, tmp_path: Path) -> None:
    state = DigitsCnn().state_dict()
    (tmp_path / "w.pt").write_bytes(file_of(change(state)))
    net = _load(tmp_path / "w.pt")
    if name not in ("expanded", "half", "bfloat16"):
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert all(p.dtype == torch.float32 and p.layout == torch.strided for p in net.parameters())


def test_a_conversion_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(file_of(CONVERTED["half"](DigitsCnn().state_dict())))
    with pytest.warns(UserWarning, match=r"w\.pt: .* more converted from float16 to float32"):
        _load(tmp_path / "w.pt")


@pytest.mark.parametrize(("name", "change"), REFUSED.items())
def test_what_is_no_weight_is_refused(name: str, change: Change, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(file_of(change(DigitsCnn().state_dict())))
    with pytest.raises(InputError, match=r"(?s)w\.pt.*fix: "):
        _load(tmp_path / "w.pt")


@pytest.mark.parametrize("kind", ["complex", "int64", "bool", "fp8", "quantized", "nested", "meta"])
def test_the_weight_is_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(file_of(REFUSED[kind](DigitsCnn().state_dict())))
    with pytest.raises(InputError, match=r"(?s)the weight \S+\.weight"):
        _load(tmp_path / "w.pt")


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    for name in ("w.pt", "zero.pt"):
        run = ("quantize", "digits_cnn", "--weights", tmp_path / name, "--data", "digits", "--out", tmp_path / "o")
        is_refused(fxpasses(*run), "only files are read")


def _damage(suffix: str, count: int, tmp_path: Path) -> None:
    state = DigitsCnn().state_dict()
    content = save(state) if suffix == ".safetensors" else file_of(state)
    refused = 0
    for changed in damaged_files(content, count):
        path = tmp_path / f"w{suffix}"
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                _load(path)
            except InputError as error:
                refused += "fix: " in str(error)
    assert refused > count / 4


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_some_damaged_files(suffix: str, tmp_path: Path) -> None:
    _damage(suffix, FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_many_damaged_files(suffix: str, tmp_path: Path) -> None:
    _damage(suffix, MANY, tmp_path)
