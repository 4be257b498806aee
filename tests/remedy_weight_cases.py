"""Errors of weight files: a file that raises one, a part of its remedy, and the file with the remedy."""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from remedy_subjects import Case, each
from small_nets import assert_same_weights, small_net, state_of
from torch import Tensor, nn

from fxpasses.models.weights.files import check_weight_file
from fxpasses.models.weights.load import load_weights

WEIGHTS = "models/weights"


def loaded(path: Path, key: str | None = None, of: nn.Module | None = None) -> nn.Module:
    """A net with the weights of a file."""
    net = small_net() if of is None else of
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is taken and converted is told
        load_weights(net, path, key)
    return net


def saved(folder: Path, content: Any, name: str = "w.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


def state(outputs: int = 4) -> dict[str, Tensor]:
    return state_of(small_net(outputs))


def with_first(change: Any) -> dict[str, Tensor]:
    """Weights whose first tensor is changed."""
    found = state()
    return found | {"0.weight": change(found["0.weight"])}


def with_damaged_versions(kept: bool) -> Any:
    found = OrderedDict(state())
    found._metadata = {"0": "new"}  # type: ignore[attr-defined]  # where torch keeps them
    return found if kept else dict(found)


def script(folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript
        torch.jit.save(torch.jit.script(small_net()), folder / "s.pt")
    return folder / "s.pt"


def state_of_script(folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return saved(folder, torch.jit.load(script(folder)).state_dict())


def pickled(folder: Path) -> Path:
    (folder / "p.pt").write_bytes(pickle.dumps(small_net()))
    return folder / "p.pt"


def cut(folder: Path) -> Path:
    path = saved(folder, state())
    path.write_bytes(path.read_bytes()[:200])
    return path


def twins() -> dict[str, Any]:
    return {"params": state(), "params_ema": state()}


def of_the_key(folder: Path) -> None:
    content = twins()
    for key, weights in content.items():
        net = small_net()
        net.load_state_dict(weights)
        assert_same_weights(loaded(saved(folder, content), key), net)


WEIGHT_CASES: dict[str, Case] = {
    f"{WEIGHTS}/files.py:check_weight_file": (
        lambda _: check_weight_file(Path("w.h5")),
        "name a .pt, .pth or .safetensors file",
        lambda _: each(check_weight_file, (Path("w.pt"),), (Path("w.pth"),), (Path("w.safetensors"),)),
    ),
    f"{WEIGHTS}/kinds.py:plain_tensors": (
        lambda folder: loaded(saved(folder, with_first(lambda x: x.to(torch.float8_e4m3fn)))),
        "save it as a dense tensor of float32",
        lambda folder: loaded(saved(folder, with_first(lambda x: x.to(torch.float8_e4m3fn).float()))),
    ),
    f"{WEIGHTS}/kinds.py:as_the_model_has": (
        lambda folder: loaded(saved(folder, with_first(lambda x: (100 * x).to(torch.int8)))),
        "save the weights of the float model, as float32",
        lambda folder: loaded(saved(folder, state())),
    ),
    f"{WEIGHTS}/load.py:read_checkpoint": (
        lambda folder: loaded(saved(folder, state(), "w.onnx")),
        "give a .pt, .pth or .safetensors file with a state dict",
        lambda folder: loaded(saved(folder, state(), "w.pth")),
    ),
    f"{WEIGHTS}/load.py:_read_torch": (
        lambda folder: loaded(script(folder)),
        "save its state_dict() instead",
        lambda folder: loaded(state_of_script(folder)),
    ),
    f"{WEIGHTS}/load.py:_code": (
        lambda folder: loaded(pickled(folder)),
        "save its weights alone: torch.save(model.state_dict(), 'weights.pt')",
        lambda folder: loaded(saved(folder, pickle.loads(pickled(folder).read_bytes()).state_dict(), "weights.pt")),  # noqa: S301
    ),
    f"{WEIGHTS}/load.py:_corrupt": (
        lambda folder: loaded(cut(folder)),
        "download or copy the file again",
        lambda folder: loaded(saved(folder, state())),
    ),
    f"{WEIGHTS}/readings.py:_state": (
        lambda folder: loaded(saved(folder, with_damaged_versions(True))),
        "save the tensors alone: torch.save(dict(model.state_dict()), path)",
        lambda folder: loaded(saved(folder, with_damaged_versions(False))),
    ),
    f"{WEIGHTS}/readings.py:_no_state_dict": (
        lambda folder: loaded(saved(folder, {"params": state()}), "ema"),
        '`weights_key="params"`',
        lambda folder: loaded(saved(folder, {"params": state()}), "params"),
    ),
    f"{WEIGHTS}/readings.py:_no_state_dict#2": (
        lambda folder: loaded(saved(folder, [1, 2])),
        "save it with torch.save(model.state_dict(), path)",
        lambda folder: loaded(saved(folder, small_net().state_dict())),
    ),
    f"{WEIGHTS}/readings.py:_does_not_fit": (
        lambda folder: loaded(saved(folder, state(5))),
        "use the weights of exactly this model, or the model of exactly these weights",
        lambda folder: (loaded(saved(folder, state(4))), loaded(saved(folder, state(5)), of=small_net(5))),
    ),
    f"{WEIGHTS}/readings.py:_several": (
        lambda folder: loaded(saved(folder, twins())),
        '`weights_key="params"` or `weights_key="params_ema"`',
        of_the_key,
    ),
}
