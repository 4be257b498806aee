"""Errors of binary networks and of scores: code that raises one, a part of its remedy, and the code with the remedy."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from binary_nets import SMALL
from cli_runs import fxpasses as command
from remedy_subjects import Case, config, small_graph
from torch import fx, nn

import fxpasses
from fxpasses.binary import BinaryTraining, binarize, deploy, quantize_binary, train_binary
from fxpasses.binary.layers import LatentRule
from fxpasses.cli.commands.score_command import graph_to_score
from fxpasses.export import save
from fxpasses.export.packed_file import load_packed, packed_archive, save_packed
from fxpasses.micronet.api import score

WIDE = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 0, 1])
ONE = BinaryTraining(epochs=1)


def wide_graph() -> fx.GraphModule:
    return fxpasses.capture(nn.Sequential(nn.Linear(32, 4)).eval(), WIDE)


def binary() -> fx.GraphModule:
    return binarize(wide_graph(), "binaryconnect")


def train(batches: Any, settings: BinaryTraining = ONE, checkpoint: Path | None = None) -> nn.Module:
    return train_binary(binary(), lambda _: batches, settings, steps_per_epoch=1, checkpoint=checkpoint)


def trained_with(settings: BinaryTraining, folder: Path, name: str = "run") -> nn.Module:
    """A run with the checkpoint of another run."""
    train([(WIDE, LABELS)], ONE, folder / "run")
    return train([(WIDE, LABELS)], settings, folder / name)


def made_in(folder: Path) -> Path:
    (folder / "made").mkdir()
    return folder / "made"


def torn(folder: Path) -> Path:
    (folder / "torn").write_bytes(b"torn")
    return folder / "torn"


def changed(folder: Path) -> Path:
    """A packed file of a program that ``load`` refuses."""
    plain = io.BytesIO()
    with zipfile.ZipFile(save(wide_graph(), folder / "good.pt2")) as source, zipfile.ZipFile(plain, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"aten.linear", b"aten.linexr"))
    (folder / "m.fxbits").write_bytes(packed_archive(plain.getvalue()))
    return folder / "m.fxbits"


def observed() -> fx.GraphModule:
    graph = fxpasses.observe(small_graph(), config())
    fxpasses.calibrate(graph, [torch.randn(4, 3)])
    return graph


BINARY_CASES: dict[str, Case] = {
    "fxpasses/binary/binarizing.py:binarize": (
        lambda _: binarize(wide_graph(), "dorefa"),
        "use one of binaryconnect",
        lambda _: binarize(wide_graph(), "binaryconnect"),
    ),
    "fxpasses/binary/deployment.py:deploy_weights": (
        lambda _: deploy(wide_graph()),
        'deploy(binarize(graph, "binaryconnect"))',
        lambda _: deploy(binarize(wide_graph(), "binaryconnect")),
    ),
    "fxpasses/binary/layers.py:__post_init__": (
        lambda _: LatentRule("half"),  # type: ignore[arg-type]
        "use one of ('sign', 'stochastic', 'scaled', 'ternary')",
        lambda _: LatentRule("ternary"),
    ),
    "fxpasses/binary/layers.py:__post_init__#2": (
        lambda _: LatentRule("scaled", gradient="true"),
        "use one of ('paper', 'exact', 'clamp')",
        lambda _: LatentRule("scaled", gradient="exact"),
    ),
    "fxpasses/binary/quantized.py:quantize_binary": (
        lambda _: quantize_binary(wide_graph(), [WIDE], SMALL),
        "quantize_binary(deploy(trained), batches)",
        lambda _: quantize_binary(deploy(binary()), [WIDE], SMALL),
    ),
    "fxpasses/binary/training.py:__post_init__": (
        lambda _: BinaryTraining(epochs=0),
        "use epochs=10, lr=1e-3, last_lr=1e-5",
        lambda _: BinaryTraining(epochs=10, lr=1e-3, last_lr=1e-5),
    ),
    "fxpasses/binary/training.py:__post_init__#2": (
        lambda _: BinaryTraining(loss="hinge"),  # type: ignore[arg-type]
        "use one of ('cross_entropy', 'squared_hinge')",
        lambda _: BinaryTraining(loss="squared_hinge"),
    ),
    "fxpasses/binary/training.py:__post_init__#3": (
        lambda _: BinaryTraining(decay="step"),  # type: ignore[arg-type]
        "use one of ('exponential', 'linear', 'cosine')",
        lambda _: BinaryTraining(decay="linear"),
    ),
    "fxpasses/binary/training.py:epoch": (
        lambda _: train([(WIDE * 1e38, LABELS)], BinaryTraining(1, lr=1e30, loss="squared_hinge")),
        "lower lr, or look for NaN in the data",
        lambda _: train([(WIDE, LABELS)]),
    ),
    "fxpasses/binary/training.py:epoch#2": (
        lambda _: train([]),
        "give at least one",
        lambda _: train([(WIDE, LABELS)]),
    ),
    "fxpasses/binary/training.py:_write": (
        lambda folder: train([(WIDE, LABELS)], ONE, torn(folder) / "run"),
        "make room or the folder, and run again",
        lambda folder: train([(WIDE, LABELS)], ONE, made_in(folder) / "run"),
    ),
    "fxpasses/binary/training.py:_resume": (
        lambda folder: trained_with(BinaryTraining(epochs=2), folder),
        "name another checkpoint",
        lambda folder: trained_with(BinaryTraining(epochs=2), folder, "another"),
    ),
    "fxpasses/binary/training.py:_resume#2": (
        lambda folder: train([(WIDE, LABELS)], ONE, torn(folder)),
        "delete it, or name another",
        lambda folder: train([(WIDE, LABELS)], ONE, folder / "another"),
    ),
    "fxpasses/cli/commands/score_command.py:graph_to_score": (
        lambda folder: graph_to_score(str(save(wide_graph(), folder / "m.pt2")), folder / "w.pt", None, None),
        "leave --weights out",
        lambda folder: command("score", save(wide_graph(), folder / "m.pt2")),
    ),
    "fxpasses/micronet/api.py:score": (
        lambda _: score(wide_graph(), accumulator="8"),
        "use one of 32, exact, 16",
        lambda _: [score(wide_graph(), accumulator=wide) for wide in ("32", "exact", "16")],
    ),
    "fxpasses/micronet/api.py:_rows": (
        lambda _: score(observed()),
        "or convert the graph first",
        lambda _: score(fxpasses.convert(observed())),
    ),
    "fxpasses/micronet/api.py:_check_widths": (
        lambda _: score(wide_graph(), weight_bits=64),
        "use 16 or 8",
        lambda _: (score(wide_graph(), weight_bits=16), score(wide_graph(), weight_bits=8)),
    ),
    "fxpasses/micronet/api.py:_check_widths#2": (
        lambda _: score(fxpasses.convert(observed()), weight_bits=4),
        "leave weight_bits out, or score the FLOAT graph",
        lambda _: (score(fxpasses.convert(observed())), score(small_graph(), weight_bits=4)),
    ),
    "fxpasses/micronet/api.py:_require_unquantized": (
        lambda _: score(fxpasses.convert(observed()), freebie=True),
        "leave `freebie=True` out",
        lambda _: score(fxpasses.convert(observed())),
    ),
    "fxpasses/micronet/bases.py:find_base": (
        lambda _: score(wide_graph(), "cifar10"),
        "use one of cifar100, imagenet, wikitext, effdl",
        lambda _: [score(wide_graph(), base) for base in ("cifar100", "imagenet", "wikitext", "effdl")],
    ),
    "fxpasses/micronet/storage.py:check_block": (
        lambda _: score(wide_graph(), block=(0, 4)),
        "use 4x4",
        lambda _: score(wide_graph(), block=(4, 4)),
    ),
    "export/packed_file.py:save_packed": (
        lambda folder: save_packed(wide_graph(), folder / "m.pt2"),
        "name it m.fxbits",
        lambda folder: save_packed(wide_graph(), folder / "m.fxbits"),
    ),
    "export/packed_file.py:load_packed": (
        lambda folder: load_packed(changed(folder)),
        "save the graph again with fxpasses.export.packed_file.save_packed",
        lambda folder: load_packed(save_packed(wide_graph(), folder / "m.fxbits")),
    ),
}
