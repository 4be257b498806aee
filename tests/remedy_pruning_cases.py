"""Errors of pruning: code that raises one, a part of its remedy, and the code with the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from remedy_subjects import Case
from torch import Tensor, fx, nn

import fxpasses
from fxpasses import pruning
from fxpasses.cli.pruning.ratio_budget import amount_of
from fxpasses.cli.pruning.recipe import read_recipe
from fxpasses.cli.pruning.steps import Pruning
from fxpasses.pruning.channels.budget import Budget, choose_within
from fxpasses.pruning.channels.channel_plan import choose_channels
from fxpasses.pruning.channels.compensation import compensate
from fxpasses.pruning.masks.masks import Masks
from fxpasses.pruning.masks.patterns import parse_pattern
from fxpasses.pruning.masks.schedules import schedule_ratios
from fxpasses.pruning.masks.selection import make_masks
from fxpasses.sensitivity.prune import check_ratios

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
LABELS = torch.tensor([0, 1])


def net() -> fx.GraphModule:
    """Two convolutions, of which the first has a BatchNorm and channels that can go."""
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 2)]
    return fxpasses.capture(nn.Sequential(*layers).eval(), IMAGES)


def without_layers() -> fx.GraphModule:
    return fxpasses.capture(nn.ReLU().eval(), IMAGES)


def masked(ratio: Any = None, **settings: Any) -> Masks:
    return make_masks(net(), ratio, **settings)


def chosen(ratio: float = 0.5, **settings: Any) -> pruning.Removal:
    found = pruning.find_dependencies(net())
    return choose_channels(found, ratio, pruning.channel_scores(found.gm, "l1"), **settings)


def within(share: float, resource: Any = "macs", **settings: Any) -> Any:
    found = pruning.find_dependencies(net())
    return choose_within(found, Budget(resource, share), pruning.channel_scores(found.gm, "l1"), **settings)


def applied(masks: Mapping[str, Tensor]) -> Any:
    return pruning.apply_masks(net(), masks)


def whole(path: str, value: bool = True) -> dict[str, Tensor]:
    return {path: torch.full((8,), value)}


def partly() -> dict[str, Tensor]:
    return {"0": torch.arange(8) > 3}


def compensated(batches: list[Any]) -> Any:
    removal = chosen()
    return compensate(removal, pruning.shrink(removal), batches)


def data(batches: list[Any]) -> pruning.ScoringData:
    return pruning.ScoringData(batches)


def saved(path: Path) -> Path:
    Masks(partly()).save(path)
    return path


def recipe(folder: Path, text: str) -> Pruning:
    (folder / "recipe.json").write_text(text)
    return read_recipe(folder / "recipe.json")


CHANNELS, MASKS, STEPS = "fxpasses/pruning/channels", "fxpasses/pruning/masks", "fxpasses/cli/pruning/steps.py"
PAIRS = [(IMAGES, LABELS)]

CHANNEL_CASES: dict[str, Case] = {
    f"{CHANNELS}/budget.py:__post_init__": (
        lambda _: Budget("mac", 0.5),  # type: ignore[arg-type]  # the error tried
        "did you mean 'macs'?",
        lambda _: Budget("macs", 0.5),
    ),
    f"{CHANNELS}/budget.py:__post_init__#2": (
        lambda _: Budget("macs", 50),
        "use macs=0.5 for half",
        lambda _: Budget.parse("macs=0.5"),
    ),
    f"{CHANNELS}/budget.py:choose_within": (
        lambda _: within(0.01, layers=["0"]),
        "ask for more, or let more layers be pruned",
        lambda _: within(0.7),
    ),
    f"{CHANNELS}/budget.py:_counted": (
        lambda _: within(0.5, "latency"),
        "give measure=",
        lambda _: within(0.7, "latency", measure=lambda removal: 1 - 0.05 * len(removal.classes)),
    ),
    f"{CHANNELS}/channel_plan.py:choose_channels": (
        lambda _: chosen(round_to=0),
        "use 8 or 16",
        lambda _: (chosen(round_to=8), chosen(round_to=16)),
    ),
    f"{CHANNELS}/channel_plan.py:groups_of": (
        lambda _: chosen(layers=["5"]),
        "choose other layers",
        lambda _: chosen(layers=["0"]),
    ),
    f"{CHANNELS}/moments.py:measure_moments": (
        lambda _: compensated([]),
        "give at least one",
        lambda _: compensated([IMAGES]),
    ),
    f"{MASKS}/criteria.py:_batch_norm_scales": (
        lambda _: make_masks(fxpasses.fuse(net()), 0.5, criterion="bn_scale", granularity="channel"),
        "use a graph that is captured and not fused, or another criterion",
        lambda _: masked(0.5, criterion="bn_scale", granularity="channel"),
    ),
    f"{MASKS}/criteria.py:check_criterion#2": (
        lambda _: masked(0.5, criterion="fpgm"),
        "use granularity='channel', or another criterion",
        lambda _: (masked(0.5, criterion="fpgm", granularity="channel"), masked(0.5, criterion="l1")),
    ),
    f"{MASKS}/criteria.py:check_criterion#3": (
        lambda _: masked(0.5, criterion="taylor"),
        "give data",
        lambda _: masked(0.5, criterion="taylor", data=data(PAIRS)),
    ),
    f"{MASKS}/data_criteria.py:scores_from_data": (
        lambda _: masked(0.5, criterion="activation", granularity="channel", data=data([])),
        "give at least one",
        lambda _: masked(0.5, criterion="activation", granularity="channel", data=data(PAIRS)),
    ),
    f"{MASKS}/data_criteria.py:scores_from_data#2": (
        lambda _: masked(0.5, criterion="taylor", data=data([(IMAGES / 0, LABELS)])),
        "look for NaN in the data",
        lambda _: masked(0.5, criterion="taylor", data=data([(IMAGES, LABELS)])),
    ),
    "fxpasses/sensitivity/prune.py:check_ratios": (
        lambda _: check_ratios([]),
        "give 0.1,0.5,0.9 or the like",
        lambda _: check_ratios([0.1, 0.5, 0.9]),
    ),
}

MASK_CASES: dict[str, Case] = {
    f"{MASKS}/layers.py:layers_matching": (
        lambda _: pruning.layers_matching(without_layers()),
        "check the model",
        lambda _: pruning.layers_matching(net()),
    ),
    f"{MASKS}/layers.py:unknown_layer": (
        lambda _: applied({"layer0": torch.ones(8, dtype=torch.bool)}),
        "the model has 0, 3, 5",
        lambda _: applied(partly()),
    ),
    f"{MASKS}/masks.py:__init__": (
        lambda _: Masks({"0": torch.ones(8)}),
        "mask.bool()",
        lambda _: Masks({"0": torch.ones(8).bool()}),
    ),
    f"{MASKS}/masks.py:_combined": (
        lambda _: Masks(partly()) & Masks({"0": torch.ones(4, dtype=torch.bool)}),
        "apply_masks takes one after the other, too",
        lambda _: pruning.apply_masks(applied(partly()), whole("0")),
    ),
    f"{MASKS}/masks.py:check_masks": (
        lambda _: applied({"0": torch.ones(5, dtype=torch.bool)}),
        "[8] for output channels",
        lambda _: applied(partly()),
    ),
    f"{MASKS}/masks.py:check_masks#2": (
        lambda _: applied(whole("0", False)),
        "keep something",
        lambda _: applied(partly()),
    ),
    f"{MASKS}/masks.py:save": (
        lambda folder: saved(folder / "absent" / "masks.safetensors"),
        "name a file that can be",
        lambda folder: saved(folder / "masks.safetensors"),
    ),
    f"{MASKS}/masks.py:load": (
        lambda folder: Masks.load(folder / "absent.safetensors"),
        "name a file Masks.save wrote",
        lambda folder: Masks.load(saved(folder / "masks.safetensors")),
    ),
    f"{MASKS}/patterns.py:parse_pattern#2": (
        lambda _: parse_pattern("block:0x4"),
        "use block:4x1 or the like",
        lambda _: parse_pattern("block:4x1"),
    ),
    f"{MASKS}/schedules.py:schedule_ratios": (
        lambda _: schedule_ratios("linear", 0.5, 3),  # type: ignore[arg-type]  # the error tried
        "use one of one-shot, iterative, cubic",
        lambda _: [schedule_ratios(name, 0.5, 3) for name in ("one-shot", "iterative", "cubic")],
    ),
    f"{MASKS}/schedules.py:schedule_ratios#2": (
        lambda _: schedule_ratios("cubic", 0.2, 3, initial=0.5),
        "turn it round",
        lambda _: schedule_ratios("cubic", 0.5, 3, initial=0.2),
    ),
    f"{MASKS}/selection.py:_check_scope": (
        lambda _: masked(0.5, scope="model"),
        "use 'layer' or 'global'",
        lambda _: (masked(0.5, scope="layer"), masked(0.5, scope="global")),
    ),
    f"{MASKS}/selection.py:_check_scope#2": (
        lambda _: masked({"0": 0.5}, scope="global"),
        "use scope='layer'",
        lambda _: masked({"0": 0.5}, scope="layer"),
    ),
    f"{MASKS}/selection.py:_granularity": (
        lambda _: masked(0.5, granularity="row"),
        "use 'weight', 'channel', '2:4' or 'block:4x1'",
        lambda _: [masked(0.5, granularity=name) for name in ("weight", "channel", "block:4x1")],
    ),
    f"{MASKS}/selection.py:_ratios": (
        lambda _: masked(0.7, granularity="2:4"),
        "leave it out",
        lambda _: masked(granularity="2:4"),
    ),
    f"{MASKS}/selection.py:_ratios#2": (
        lambda _: masked(),
        "give ratio=0.5 or the like",
        lambda _: masked(0.5),
    ),
}

COMMAND_CASES: dict[str, Case] = {
    f"{STEPS}:__post_init__": (
        lambda _: Pruning(ratio=0.5, budget=Budget("macs", 0.5)),
        "drop one of them",
        lambda _: (Pruning(ratio=0.5), Pruning(budget=Budget("macs", 0.5))),
    ),
    f"{STEPS}:__post_init__#2": (
        lambda _: Pruning(),
        "give --ratio 0.3 or the like",
        lambda _: Pruning(ratio=0.3),
    ),
    f"{STEPS}:__post_init__#3": (
        lambda _: Pruning(ratio=0.5, criterion="surgeon", granularity="weight"),
        "use --granularity channel",
        lambda _: Pruning(ratio=0.5, criterion="surgeon", granularity="channel"),
    ),
    f"{STEPS}:__post_init__#4": (
        lambda _: Pruning(ratio=0.5, schedule="cubic"),
        "give --ratio, --fine-tune 2 or more, and --granularity weight or block:4x1",
        lambda _: [Pruning(ratio=0.5, schedule="cubic", epochs=2, granularity=g) for g in ("weight", "block:4x1")],
    ),
    f"{STEPS}:__post_init__#5": (
        lambda _: Pruning(ratio=0.5, epochs=-1),
        "give --fine-tune 5",
        lambda _: Pruning(ratio=0.5, epochs=5),
    ),
    f"{STEPS}:__post_init__#6": (
        lambda _: Pruning(ratio=0.5, distill=True),
        "give --fine-tune EPOCHS, too",
        lambda _: Pruning(ratio=0.5, distill=True, epochs=1),
    ),
    "fxpasses/cli/pruning/ratio_budget.py:amount_of": (
        lambda _: amount_of(0.5, None, 1.0),
        "drop one of them, say --ratio",
        lambda _: amount_of(None, None, 1.0),
    ),
    "fxpasses/cli/pruning/recipe.py:_checked": (
        lambda folder: recipe(folder, '{"ratio": 0.5}'),
        "give the recipe.json that fxpasses prune wrote, or one like it",
        lambda folder: recipe(folder, '{"prune": {"ratio": 0.5}}'),
    ),
    "fxpasses/cli/pruning/recipe.py:_checked#2": (
        lambda folder: recipe(folder, '{"prune": {"ratio": 0.5, "share": 1}}'),
        "give the recipe.json that fxpasses prune wrote, or one like it",
        lambda folder: recipe(folder, '{"prune": {"ratio": 0.5}}'),
    ),
}

PRUNING_CASES: dict[str, Case] = CHANNEL_CASES | MASK_CASES | COMMAND_CASES
