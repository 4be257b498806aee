"""Checkpoints of trainings: the one reading that fits is taken with a warning, others are refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_nets import assert_same_weights, small_net, state_of
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.models.weights.load import load_weights

State = dict[str, Tensor]
Wrap = Callable[[State], Any]


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def other(state: State) -> State:
    """Weights with other values, such as a moving average."""
    return {name: value + 1 for name, value in state.items()}


def of_lightning(state: State) -> Any:
    weights = {**prefixed("model.", state), "loss.weight": torch.ones(4)}
    return {"state_dict": weights, "hyper_parameters": {"lr": 1}, "epoch": 3}


OPTIMIZER = {"state": {0: {"step": torch.ones(1)}}}
READINGS: dict[str, tuple[Wrap, str]] = {
    "state_dict": (lambda s: {"state_dict": s, "epoch": 3, "optimizer": OPTIMIZER}, "under 'state_dict'"),
    "net": (lambda s: {"net": s, "acc": 91.2}, "under 'net'"),
    "params_ema": (lambda s: {"params_ema": s}, "under 'params_ema'"),
    "model_state": (lambda s: {"model_state": s}, "under 'model_state'"),
    "a key in a key": (lambda s: {"checkpoint": {"weights": s}}, "under 'checkpoint.weights'"),
    "DataParallel": (lambda s: prefixed("module.", s), "without the prefix 'module.'"),
    "compiled DataParallel": (lambda s: prefixed("module._orig_mod.", s), "without the prefix 'module._orig_mod.'"),
    "Lightning": (
        of_lightning,
        "under 'state_dict', without the prefix 'model.'; beside them and left out: loss.weight",
    ),
    "equal twins": (lambda s: {"params": s, "params_ema": dict(s)}, "under 'params'"),
    "a number among the weights": (lambda s: {**s, "epoch": 3}, "as they are; beside them and left out: epoch"),
    "another net's beside them": (lambda s: {"generator": s, "critic": {"0.weight": torch.ones(1)}}, "'generator'"),
}


@pytest.mark.parametrize("name", READINGS)
def test_the_one_reading_that_fits_is_taken_and_told(tmp_path: Path, name: str) -> None:
    wrap, told = READINGS[name]
    source, target = small_net(), small_net()
    torch.save(wrap(state_of(source)), tmp_path / "net.ckpt")
    with pytest.warns(UserWarning, match="net.ckpt: the weights are those .*" + re.escape(told)):
        load_weights(target, tmp_path / "net.ckpt")
    assert_same_weights(target, source)


def two_prefixes(state: State) -> Any:
    return {"state_dict": {**prefixed("model.", other(state)), **prefixed("ema_model.", state)}}


TWINS: dict[str, tuple[Wrap, str, str]] = {
    "keys": (lambda s: {"params": other(s), "params_ema": s}, "params", "params_ema"),
    "prefixes": (two_prefixes, "state_dict/model.", "state_dict/ema_model."),
}


@pytest.mark.parametrize("name", TWINS)
def test_twins_of_other_values_are_refused_and_their_keys_named(tmp_path: Path, name: str) -> None:
    wrap, first, key = TWINS[name]
    source, target = small_net(), small_net()
    before = state_of(target)
    torch.save(wrap(state_of(source)), tmp_path / "ema.pth")
    fix = re.escape(f'fix: `weights_key="{first}"` or `weights_key="{key}"`')
    with pytest.raises(InputError, match=r"(?s)ema.pth fits Sequential in 2 ways.*" + fix):
        load_weights(target, tmp_path / "ema.pth")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    for named in (key, key.rpartition("/")[2].removesuffix(".")):
        with pytest.warns(UserWarning, match="the weights are those"):
            load_weights(target, tmp_path / "ema.pth", named)
        assert_same_weights(target, source)


def test_a_key_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    torch.save({"params": state_of(small_net())}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"(?s)no weights under 'ema'.*there are params.*fix: `weights_key=.params.`"):
        load_weights(small_net(), tmp_path / "net.pth", "ema")
    torch.save(state_of(small_net()), tmp_path / "plain.pth")
    with pytest.raises(InputError, match=r"(?s)no weights under 'ema'.*leave `weights_key` out"):
        load_weights(small_net(), tmp_path / "plain.pth", "ema")


def test_what_does_not_fit_is_said_of_the_closest_reading(tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed("model.", state_of(small_net(5)))}, tmp_path / "net.pth")
    said = r"(?s)\(read under 'state_dict', without the prefix 'model.'\).*\[5, 3, 3, 3\]"
    with pytest.raises(InputError, match=said):
        load_weights(small_net(), tmp_path / "net.pth")


def test_extra_weights_are_not_dropped_without_a_prefix_to_tell_them_by(tmp_path: Path) -> None:
    torch.save({**state_of(small_net()), "extra.weight": torch.ones(1)}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"1 weights in the file are unknown to the model: extra\.weight"):
        load_weights(small_net(), tmp_path / "net.pth")


def test_names_of_older_versions_are_renamed_behind_a_prefix(tmp_path: Path) -> None:
    from torchvision.models.vision_transformer import MLPBlock

    source, target = nn.Sequential(MLPBlock(4, 6, 0.0)), nn.Sequential(MLPBlock(4, 6, 0.0))
    old = {n.replace("0.0.", "0.linear_1.").replace("0.3.", "0.linear_2."): v for n, v in state_of(source).items()}
    torch.save({"state_dict": prefixed("module.", old)}, tmp_path / "old.pt")
    with pytest.warns(UserWarning, match="without the prefix 'module.'"):
        load_weights(target, tmp_path / "old.pt")
    assert_same_weights(target, source)
