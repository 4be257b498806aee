"""Errors of training: code that raises one, a part of its remedy, and the code with the remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from remedy_subjects import Case
from torch import nn
from training_nets import SHORT, calibration, float_graph, frozen, images, labelled, prepared, small

import fxpasses
from fxpasses.cli.folders.folder import ModelChoice
from fxpasses.cli.jobs.training_data import training_batches
from fxpasses.cli.options.methods import refuse_beside_qat
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE, ModelInput
from fxpasses.models.training.loop import TrainConfig, train
from fxpasses.models.zoo import load_model
from fxpasses.quantization.config import QuantConfig
from fxpasses.training import RunSettings, TrainingConfig, TrainingRun
from fxpasses.training.config import check_training_bits
from fxpasses.training.distributed import check_alike
from fxpasses.training.frozen.trained_integers import require_same_integers
from fxpasses.training.runs.merged_ranges import merge_ranges
from fxpasses.training.runs.run_data import RunData
from fxpasses.training.runs.run_settings import check_positive


def _observed(observer: str) -> torch.fx.GraphModule:
    graph = fxpasses.observe(fxpasses.fuse(float_graph()), QuantConfig(observer=observer))
    fxpasses.calibrate(graph, calibration())
    return graph


def _broken() -> torch.fx.GraphModule:
    graph = prepared()
    with torch.no_grad():
        graph.get_parameter("second.step")[0] = float("nan")
    return graph


def _run(data: Any = None, settings: RunSettings = SHORT) -> TrainingRun:
    batches = labelled() if data is None else data
    return TrainingRun(prepared(), RunData(batches, 4), settings, small(), calibration())


def _saved(folder: Path) -> Path:
    path = folder / "checkpoint.pt"
    _run().save(path)
    return path


def _torn(folder: Path) -> Path:
    path = _saved(folder)
    path.write_bytes(path.read_bytes()[:1000])
    return path


def _weights(folder: Path) -> Path:
    """A file that is no checkpoint."""
    torch.save({"weight": torch.zeros(2)}, folder / "weights.pt")
    return folder / "weights.pt"


def _moved() -> torch.fx.GraphModule:
    """A frozen graph whose biases have changed."""
    graph = frozen()
    with torch.no_grad():
        for name, parameter in graph.named_parameters():
            if name.endswith("bias"):
                parameter.add_(200.0)
    return graph


def _of_version_1(folder: Path) -> Path:
    torch.save({"format": "fxpasses training checkpoint 1"}, folder / "old.pt")
    return folder / "old.pt"


def _resumed_from_new(folder: Path) -> None:
    path = _torn(folder)
    path.unlink()
    _run().save(path)
    _run().resume(path)


def _epochs(batches: object = None, net: nn.Module | None = None, **settings: Any) -> nn.Module:
    """A plain training of a linear layer, or of a net."""
    given: Any = [(torch.eye(3), torch.tensor([0, 1, 1]))] if batches is None else batches
    return train(nn.Linear(3, 2) if net is None else net, lambda epoch: given, TrainConfig(**{"epochs": 1} | settings))


_PLAIN, _NAN = torch.eye(3), torch.full((1, 3), float("nan"))
_CLASSES = torch.tensor([0, 1, 1])
LOOP_CASES: dict[str, Case] = {
    "models/training/loop.py:__post_init__": (
        lambda _: _epochs(epochs=0),
        "choose epochs >= 1 and lr > 0",
        lambda _: _epochs(epochs=1, lr=0.01),
    ),
    "models/training/loop.py:__post_init__#2": (
        lambda _: _epochs(optimizer="adam"),
        "choose one",
        lambda _: (_epochs(optimizer="sgd"), _epochs(optimizer="adamw")),
    ),
    "models/training/loop.py:epoch": (
        lambda _: _epochs([(_NAN, _CLASSES[:1])]),
        "lower the learning rate, or look for NaN in the data",
        lambda _: _epochs([(_NAN.nan_to_num(), _CLASSES[:1])], lr=0.001),
    ),
    "models/training/loop.py:epoch#2": (
        lambda _: _epochs([]),
        "give at least one",
        lambda _: _epochs([(_PLAIN, _CLASSES)]),
    ),
    "models/training/loop.py:_outputs": (
        lambda _: _epochs([(_PLAIN[:1], _CLASSES[:1])], nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))),
        "choose another `batch`, or data that the model takes",
        lambda _: _epochs([(_PLAIN, _CLASSES)], nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))),
    ),
    "models/training/loop.py:_logits": (
        lambda _: _epochs(net=nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))),
        "train a model that returns logits [B, classes]",
        lambda _: _epochs(net=nn.Linear(3, 2)),
    ),
    "fxpasses/cli/jobs/training_data.py:training_batches#2": (
        lambda folder: next(training_batches(_own(folder, "((x, x), y)", _two_inputs()), 2, 0)),
        "train it yourself, and give --weights",
        lambda folder: ModelChoice("digits_cnn", _weights_of(folder)).load(),
    ),
    "fxpasses/cli/jobs/training_data.py:_labelled_batches": (
        lambda folder: next(training_batches(_own(folder, "x", ModelInput((3,))), 2, 0)),
        "give (inputs, labels) batches",
        lambda folder: next(training_batches(_own(folder, "(x, y)", ModelInput((3,))), 2, 0)),
    ),
}


def _two_inputs() -> Any:
    examples = (torch.ones(2, 3), torch.ones(2, 3))
    return LoadedModel("net", nn.Bilinear(3, 3, 2), (3,), UNIT_RANGE, pretrained=True, examples=examples)


def _own(folder: Path, batch: str, model: Any) -> Any:
    (folder / "own.py").write_text(
        f"import torch\n\nx, y = torch.ones(2, 3), torch.arange(2)\nmake = lambda: [{batch}]\n"
    )
    return open_dataset(f"{folder / 'own.py'}:make", model)


def _weights_of(folder: Path) -> Path:
    torch.save(load_model("digits_cnn").module.state_dict(), folder / "w.pt")
    return folder / "w.pt"


TRAINING_CASES: dict[str, Case] = {
    "fxpasses/training/config.py:check_training_bits": (
        lambda _: check_training_bits("weight_bits", 1),
        "a whole number from 2 to 8",
        lambda _: check_training_bits("weight_bits", 2),
    ),
    "fxpasses/training/config.py:__post_init__": (
        lambda _: TrainingConfig(ranges="guessed"),  # type: ignore[arg-type]  # no such ranges
        "'learned' or 'observed'",
        lambda _: TrainingConfig(ranges="observed"),
    ),
    "fxpasses/training/config.py:_check_quant": (
        lambda _: TrainingConfig(quant=QuantConfig(activation_bits=16)),
        "leave it out of TrainingConfig.quant",
        lambda _: TrainingConfig(quant=QuantConfig()),
    ),
    "fxpasses/training/runs/merged_ranges.py:merge_ranges": (
        lambda _: merge_ranges(_observed("minmax")),
        'QuantConfig(observer="histogram")',
        lambda _: merge_ranges(_observed("histogram")),
    ),
    "fxpasses/training/training_facts.py:require_open": (
        lambda _: fxpasses.freeze_training(frozen()),
        "fx.convert_trained(graph)",
        lambda _: fxpasses.convert_trained(frozen()),
    ),
    "fxpasses/training/frozen/freeze.py:_require_sound": (
        lambda _: fxpasses.freeze_training(_broken()),
        "from the last good checkpoint",
        lambda _: fxpasses.freeze_training(prepared()),
    ),
    "fxpasses/training/runs/run_settings.py:check_positive": (
        lambda _: check_positive("lr", -1.0, 0.01),
        "use the default, 0.01",
        lambda _: check_positive("lr", 0.01, 0.01),
    ),
    "fxpasses/training/runs/run_data.py:_length": (
        lambda _: RunData(lambda epoch: labelled()),
        "pass steps_per_epoch",
        lambda _: RunData(lambda epoch: labelled(), 4),
    ),
    "fxpasses/training/runs/run_data.py:__init__": (
        lambda _: RunData([]),
        "give at least one",
        lambda _: RunData(labelled(1)),
    ),
    "fxpasses/training/runs/run_data.py:_labelled": (
        lambda _: RunData([images(1)]).next(),
        "fx.prepare_training, train, fx.convert_trained",
        lambda _: fxpasses.convert_trained(fxpasses.prepare_training(float_graph(), calibration())),
    ),
    "fxpasses/training/runs/training_run.py:_diverged": (
        lambda _: _run([(x * float("nan"), y) for x, y in labelled()]).step(),
        "look for NaN in the data",
        lambda _: _run().step(),
    ),
    "fxpasses/training/runs/checkpoint_file.py:read_checkpoint#2": (
        lambda folder: _run().resume(_torn(folder)),
        "remove it and start again",
        _resumed_from_new,
    ),
    "fxpasses/training/runs/checkpoint_file.py:read_checkpoint#3": (
        lambda folder: _run(settings=replace(SHORT, lr=0.5)).resume(_saved(folder)),
        "resume with the same model and settings",
        lambda folder: _run().resume(_saved(folder)),
    ),
    "fxpasses/training/runs/checkpoint_file.py:read_checkpoint": (
        lambda folder: _run().resume(folder / "none.pt"),
        "give the path of a checkpoint",
        lambda folder: _run().resume(_saved(folder)),
    ),
    "fxpasses/training/runs/checkpoint_file.py:_require_checkpoint": (
        lambda folder: _run().resume(_of_version_1(folder)),
        "start the training again",
        _resumed_from_new,
    ),
    "fxpasses/training/runs/checkpoint_file.py:_require_checkpoint#2": (
        lambda folder: _run().resume(_weights(folder)),
        "give the file that training wrote",
        lambda folder: _run().resume(_saved(folder)),
    ),
    "fxpasses/training/runs/checkpoint_file.py:write_checkpoint": (
        lambda folder: _run().save(_weights(folder) / "checkpoint.pt"),
        "choose another place",
        lambda folder: _run().save(folder / "checkpoint.pt"),
    ),
    "fxpasses/training/distributed.py:check_alike": (
        lambda _: check_alike([[2, 8, 3], [2, 7, 3]], "shapes"),
        "drop_last=True",
        lambda _: check_alike([[2, 8, 3], [2, 8, 3]], "shapes"),
    ),
    "fxpasses/training/runs/run_data.py:next": (
        lambda _: RunData(lambda epoch: [], 4).next(),
        "give a list, or a loader",
        lambda _: RunData(lambda epoch: labelled(), 4).next(),
    ),
    "fxpasses/training/runs/run_settings.py:__post_init__": (
        lambda _: RunSettings(weight_decay=-1.0),
        "use the default, 0.0001",
        lambda _: RunSettings(weight_decay=0.0001),
    ),
    "fxpasses/training/runs/run_settings.py:__post_init__#2": (
        lambda _: RunSettings(ema=1.0),
        "use 0 for none",
        lambda _: RunSettings(ema=0),
    ),
    "fxpasses/training/runs/run_settings.py:__post_init__#3": (
        lambda _: RunSettings(frozen_share=2),
        "use the default, 0.2",
        lambda _: RunSettings(frozen_share=0.2),
    ),
    "fxpasses/training/frozen/trained_integers.py:require_same_integers": (
        lambda _: require_same_integers(_moved().eval(), fxpasses.convert_trained(frozen()), (images(1),)),
        "please report it",
        lambda _: require_same_integers(_moved().eval(), fxpasses.convert_trained(_moved()), (images(1),)),
    ),
    "fxpasses/training/runs/training_run.py:_outputs": (
        lambda _: _run([(x[:, :2], y) for x, y in labelled()]).step(),
        "batches of the shape the model was captured with",
        lambda _: _run().step(),
    ),
    "fxpasses/cli/options/methods.py:refuse_beside_qat": (
        lambda _: refuse_beside_qat(is_trained=False, given=["--lr"]),
        "add --qat EPOCHS",
        lambda _: refuse_beside_qat(is_trained=True, given=["--qat", "--lr"]),
    ),
    "fxpasses/cli/options/methods.py:refuse_beside_qat#2": (
        lambda _: refuse_beside_qat(is_trained=True, given=["--qat", "--recipe"]),
        "drop one of them",
        lambda _: refuse_beside_qat(is_trained=True, given=["--qat"]),
    ),
}
TRAINING_CASES |= LOOP_CASES
