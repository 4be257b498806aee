"""Bad input on the real command line: exit 2 (130 for Ctrl-C), one clear message, no incomplete files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cli_runs import OLD, SMALL, Run, fxpasses, fxpasses_process, is_refused, quickstart, tree

FACTORIES = """
import torch
from torch import nn

class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1

class Dead(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.out = nn.Linear(3, 2)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x):
        return self.out(torch.relu(self.conv(x)).mean((2, 3)))

def untraceable():
    return Branching().eval(), (1, 8, 8)

def dead():
    return Dead().eval(), (1, 8, 8)

def training():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), (1, 8, 8)

def no_model():
    return 3

def raises():
    raise RuntimeError("the weights are on another disk")

def good():
    return [torch.randn(8, 1, 8, 8) for _ in range(4)]

def constant():
    return [torch.full((8, 1, 8, 8), 0.5) for _ in range(4)]

def nan():
    batches = good()
    batches[1][0, 0, 0, 0] = float("nan")
    return batches

def empty():
    return []

def wrong_shape():
    return [torch.randn(8, 1, 9, 9)]

def wrong_dtype():
    return [torch.randint(255, (8, 1, 8, 8))]
"""


@pytest.fixture
def factories(tmp_path: Path) -> Path:
    """A file of the caller's with good and bad models and data."""
    (tmp_path / "mine.py").write_text(FACTORIES)
    return tmp_path / "mine.py"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that already holds a report, which must not change."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_bytes(OLD)
    return tmp_path / "out"


def quantize(out: Path, model: str, data: str, *options: str | Path) -> Run:
    return fxpasses("quantize", model, "--data", data, "--out", out, "--no-bench", "--threads", "1", *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("resnet18", "--data", "digits"), "unknown model 'resnet18'"),
        (("cifar_resnet21", "--data", "digits"), "did you mean 'cifar_resnet"),
        (("torchvision/resnet81", "--data", "digits"), "did you mean 'resnet18'?"),
        (("digits_cnn", "--data", "digit"), "did you mean 'digits'?"),
        (("digits_cnn", "--data", "mnist"), "mnist=DIR"),
        (("digits_cnn", "--data", "mnist=/no/such/folder"), "it does not exist"),
        (("digits_cnn", "--data", "random=1x9x9"), "its inputs are 1x9x9, the model takes 1x8x8"),
        (("digits_cnn", "--data", "digits", "--target", "x68"), "did you mean 'x86'?"),
        (("digits_cnn", "--data", "digits", "--observer", "historgam"), "did you mean 'histogram'?"),
        (("digits_cnn", "--data", "digits", "--method", "int3"), "there is no such method"),
        (("digits_cnn", "--data", "digits", "--calib", "0"), "at least one is needed"),
        (("digits_cnn", "--data", "digits", "--calib", "99999"), "digits has only 1438"),
        (("digits_cnn", "--data", "digits", "--eval", "0"), "evaluation images: 0"),
        (("digits_cnn", "--data", "digits", "--threads", "0"), "threads: 0"),
        (("digits_cnn", "--data", "digits", "--keep-float", "fatures.1"), "it matches no node"),
        (("digits_cnn", "--data", "digits", "--labels", "x.json"), "only images=DIR has one"),
        (("digits_cnn", "--data", "digits", "--weights", "/no/such/file.pt"), "there is no such file"),
        (("no_such_file.py:net", "--data", "digits"), "there is no such file"),
    ],
)
def test_names_and_numbers(out: Path, options: tuple[str, ...], said: str) -> None:
    is_refused(fxpasses("quantize", *options, "--out", out), said, out)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("untraceable", 'mine.py", line 7, in forward'),
        ("no_model", "a model is a torch.nn.Module"),
        ("raises", "the weights are on another disk"),
        ("absent", "has no function 'absent'"),
        ("", "no function is given after the file"),
    ],
)
def test_models_of_the_caller(out: Path, factories: Path, model: str, said: str) -> None:
    is_refused(quantize(out, f"{factories}:{model}", "random=1x8x8"), said, out)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nan", "it holds NaN or infinity"),
        ("empty", "the factory gave no batch"),
        ("wrong_shape", "batch 0 has the shape 8x1x9x9"),
        ("wrong_dtype", "torch.int64"),
    ],
)
def test_data_of_the_caller(out: Path, factories: Path, data: str, said: str) -> None:
    is_refused(quantize(out, "digits_cnn", f"{factories}:{data}"), said, out)


@pytest.mark.parametrize(
    ("model", "data"), [pytest.param("digits_cnn", "constant", marks=pytest.mark.slow), ("dead", "good")]
)
def test_constant_activations_are_no_error(tmp_path: Path, factories: Path, model: str, data: str) -> None:
    named = model if model == "digits_cnn" else f"{factories}:{model}"
    done = quantize(tmp_path / "new", named, f"{factories}:{data}", "--calib", "16")
    assert done.code == 0, done.err
    assert (tmp_path / "new" / "model.int8.onnx").is_file()


class _Payload:
    """Object whose pickle is a program that makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("how", ["pickle", "torch.save", "state dict"])
def test_a_pickle_with_code_is_not_run(tmp_path: Path, out: Path, how: str) -> None:
    canary, weights = tmp_path / "canary", tmp_path / "weights.pt"
    if how == "pickle":
        weights.write_bytes(pickle.dumps(_Payload(canary)))
    else:
        torch.save(_Payload(canary) if how == "torch.save" else {"conv.weight": _Payload(canary)}, weights)
    in_a_process_of_its_own = how == "state dict"
    start = fxpasses_process if in_a_process_of_its_own else fxpasses
    is_refused(start("quantize", *SMALL, "--weights", weights, "--out", out), "it is a pickle with code in it", out)
    assert not canary.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", "cut short"])
def test_corrupt_weights(tmp_path: Path, out: Path, suffix: str, content: bytes | str) -> None:
    weights = tmp_path / f"weights{suffix}"
    if isinstance(content, str):
        torch.save({"a": torch.zeros(1000)}, weights)
        content = weights.read_bytes()[:500]
    weights.write_bytes(content)
    is_refused(fxpasses("quantize", *SMALL, "--weights", weights, "--out", out), "is not a readable weight file", out)


def test_weights_of_another_shape(tmp_path: Path, out: Path) -> None:
    weights = tmp_path / "weights.pt"
    state = torch.load(quickstart()[0] / "digits_cnn.pt", weights_only=True)
    name = next(iter(state))
    torch.save(state | {name: torch.zeros(2, 3)}, weights)
    done = fxpasses("quantize", *SMALL, "--weights", weights, "--out", out)
    is_refused(done, f"{name} is [2, 3], the model has", out)


def test_out_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    is_refused(fxpasses("quantize", *SMALL, "--out", tmp_path / "file" / "below"), "is a file, not a folder")
    is_refused(fxpasses("quantize", *SMALL, "--out", tmp_path / "file"), "cannot write")
    assert tree(tmp_path) == {"file": OLD}


def test_train_on_data_without_labels(tmp_path: Path) -> None:
    done = fxpasses("train", "digits_cnn", "--data", "random=1x8x8", "--out", tmp_path / "w.pt")
    is_refused(done, "it has no labels")
    is_refused(fxpasses("train", "digits_cnn", "--data", "digits", "--out", tmp_path / "w.h5"), "'.h5'")
    assert list(tmp_path.iterdir()) == []
