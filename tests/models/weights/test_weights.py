"""Weights from files: those that fit are loaded; others leave the module unchanged."""

from __future__ import annotations

import os
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_nets import assert_same_weights, small_net, state_of
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.models.weights.fit import why_not_loadable
from fxpasses.models.weights.load import load_weights, read_checkpoint


def test_a_plain_state_dict_is_loaded_without_a_word(tmp_path: Path) -> None:
    source, target = small_net(), small_net()
    torch.save(
        {k: v for k, v in state_of(source).items() if not k.endswith("num_batches_tracked")}, tmp_path / "net.pth"
    )
    load_weights(target, tmp_path / "net.pth")
    assert_same_weights(target, source)


def test_safetensors_are_loaded(tmp_path: Path) -> None:
    source, target = small_net(), small_net()
    save_file(state_of(source), tmp_path / "net.safetensors")
    load_weights(target, tmp_path / "net.safetensors")
    assert_same_weights(target, source)


def test_names_of_older_versions_are_translated_by_the_module(tmp_path: Path) -> None:
    from torchvision.models.vision_transformer import MLPBlock

    source, target = MLPBlock(4, 6, 0.0), MLPBlock(4, 6, 0.0)
    old = {
        name.replace("0.", "linear_1.").replace("3.", "linear_2."): value for name, value in state_of(source).items()
    }
    torch.save(old, tmp_path / "old.pt")
    load_weights(target, tmp_path / "old.pt")
    assert_same_weights(target, source)


def renamed(state: dict[str, Tensor]) -> object:
    return {("head.weight" if name == "0.weight" else name): value for name, value in state.items()}


def with_nan(state: dict[str, Tensor]) -> object:
    state["0.weight"][0, 0, 0, 0] = float("nan")
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state_of(small_net(5)), r"0.weight is \[5, 3, 3, 3\], the model has \[4, 3, 3, 3\].*and 3 more"),
        (renamed, "1 of 7 weights are missing from the file: 0.weight; 1 weights in the file are unknown.*head.weight"),
        (with_nan, "1 weights hold NaN or infinity: 0.weight"),
    ],
    ids=["shapes", "names", "nan"],
)
def test_what_does_not_fit_changes_nothing(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    net = small_net()
    before = state_of(net)
    torch.save(change(state_of(small_net())), tmp_path / "net.pt")
    with pytest.raises(InputError, match=f"(?s)net.pt does not fit Sequential.*{message}"):
        load_weights(net, tmp_path / "net.pt")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_reason_is_none_when_everything_fits(tmp_path: Path) -> None:
    torch.save(OrderedDict(state_of(small_net())), tmp_path / "net.pt")
    found = read_checkpoint(tmp_path / "net.pt")
    assert isinstance(found, OrderedDict)
    assert why_not_loadable(small_net(), found) is None


class RunsCode:
    """Object that makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"0.weight": RunsCode(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"(?s)refused to load .*evil.pt.*pickle with code in it.*state_dict"):
        load_weights(small_net(), tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(RunsCode(tmp_path / "ran")))
    with pytest.raises(InputError, match="pickle with code in it"):
        load_weights(small_net(), tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_a_whole_saved_module_is_refused_as_code(tmp_path: Path) -> None:
    torch.save(small_net(), tmp_path / "module.pt")
    with pytest.raises(InputError, match="pickle with code in it"):
        load_weights(small_net(), tmp_path / "module.pt")


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript
        torch.jit.save(torch.jit.trace(small_net().eval(), torch.zeros(1, 3, 5, 5)), tmp_path / "script.pt")
    with pytest.raises(InputError, match="TorchScript archive: a program, not weights"):
        load_weights(small_net(), tmp_path / "script.pt")


def test_weights_in_torchs_old_format_are_loaded(tmp_path: Path) -> None:
    source, target = small_net(), small_net()
    torch.save(state_of(source), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    load_weights(target, tmp_path / "old.pt")
    assert_same_weights(target, source)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)cannot open .*gone.pt.*no such file"):
        load_weights(small_net(), tmp_path / "gone.pt")
    with pytest.raises(InputError, match="it is a folder"):
        load_weights(small_net(), tmp_path)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"its ending is '\.onnx'"):
        load_weights(small_net(), tmp_path / "net.onnx")


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "text"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    if path.suffix == ".pt":
        torch.save(state_of(small_net()), path)
    else:
        save_file(state_of(small_net()), path)
    whole = path.read_bytes()
    damaged = {"truncated": whole[: len(whole) // 2], "empty": b"", "garbage": b"\x93" * 999, "text": b"404 not found"}
    path.write_bytes(damaged[damage])
    with pytest.raises(InputError, match=rf"{name} is not a readable weight file"):
        load_weights(small_net(), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "it is empty"),
        ([1, 2], "it holds a list"),
        ({"epoch": 3, "best": 0.9}, "not named tensors: epoch, best"),
        (torch.ones(3), "it holds a Tensor"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(InputError, match=f"(?s)holds no state dict.*{message}"):
        load_weights(small_net(), tmp_path / "other.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "spec"),
    [
        ("cifar10_resnet20", "cifar_resnet20"),
        ("cifar10_resnet56", "cifar_resnet56"),
        ("mnist_lenet", "lenet"),
        ("imagenet_mobilenet_v2_bnfolded", "torchvision/mobilenet_v2"),
        ("imagenet_squeezenet1_1", "torchvision/squeezenet1_1"),
    ],
)
def test_the_published_weights_fit(data_dir: Path, file: str, spec: str) -> None:
    from fxpasses.models.zoo import load_model

    assert load_model(spec, data_dir / "models" / f"{file}.pt").pretrained
