"""Errors of commands, their folders and free sizes: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from call_folders import int8_folder
from remedy_subjects import Case, config, each, quantize, small_net
from remedy_subjects import X as ROWS
from torch import Tensor, nn

import fxpasses
from fxpasses.capturing.dynamic_sizes import image_sizes
from fxpasses.cli.folders.artifacts import artifact
from fxpasses.cli.folders.captured_model import captured_model
from fxpasses.cli.folders.fitting import logits_of
from fxpasses.cli.folders.folder import ModelChoice, model_details, open_folder, require_static
from fxpasses.cli.folders.pt2_model import program_model
from fxpasses.cli.jobs.training_data import training_batches
from fxpasses.cli.options.methods import check_method, refuse_alien_options
from fxpasses.cli.static.placing import check_placement
from fxpasses.cli.static.quantize_model import Settings
from fxpasses.cli.static.recipe_option import SettingsOrigin, _refuse_beside_search
from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE, ModelInput
from fxpasses.models.zoo import load_model
from fxpasses.sensitivity.scoring import Score, Scorer
from fxpasses.sensitivity.search.recipe_file import read_recipe

DIGIT, AGAIN = ModelInput((1, 8, 8)), "make the folder again"
FOLDERS, STATIC, CAPTURING = "fxpasses/cli/folders", "fxpasses/cli/static", "fxpasses/capturing/dynamic_sizes.py"


class Pairs(nn.Module):
    """Linear layer that gets its rows through a reshape: to one number of rows, or to that of the batch."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.layer, self.fixed = nn.Linear(6, 3), fixed

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x.reshape(2 if self.fixed else x.shape[0], 6))
        return out


class Nothing(nn.Module):
    """Model that returns no tensor."""

    def forward(self, x: Tensor) -> int:
        return len(x)


def loaded(module: nn.Module, *shape: int) -> LoadedModel:
    return LoadedModel("net", module.eval(), shape, UNIT_RANGE, pretrained=True)


def sized(dynamic: Any) -> Any:
    return fxpasses.capture(small_net(), ROWS, dynamic=dynamic)


def weights_under_a_key(folder: Path) -> LoadedModel:
    torch.save({"ema": load_model("digits_cnn").module.state_dict()}, folder / "w.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the weights that are taken are told
        return ModelChoice("digits_cnn", folder / "w.pt", weights_key="ema").load()


def program(folder: Path) -> str:
    torch.export.save(torch.export.export(small_net(), (ROWS,)), folder / "net.pt2")
    return str(folder / "net.pt2")


def written(path: Path, text: str = "") -> Path:
    path.write_text(text)
    return path


def split(spec: str, model: ModelInput = DIGIT) -> SplitSource:
    source = open_dataset(spec, model)
    assert isinstance(source, SplitSource)
    return source


def score(**known: Any) -> float:
    return Score(images=1, top1=None, loss=None, top1_agreement=None, sqnr_db=None, **known).quality


COMMAND_CASES: dict[str, Case] = {
    "fxpasses/cli/options/methods.py:check_method": (
        lambda _: check_method("int8"),
        "use static or dynamic or weight-only or fp16 or bf16",
        lambda _: each(check_method, ("static",), ("dynamic",), ("weight-only",), ("fp16",), ("bf16",)),
    ),
    "fxpasses/cli/options/methods.py:refuse_alien_options": (
        lambda _: refuse_alien_options("fp16", ["--calib"]),
        "leave it out, or use --method static",
        lambda _: each(refuse_alien_options, ("fp16", []), ("static", ["--calib"])),
    ),
    f"{STATIC}/placing.py:check_placement": (
        lambda _: check_placement("fast", config()),
        "use all or measured",
        lambda _: each(check_placement, ("all", config()), ("measured", config())),
    ),
    f"{STATIC}/placing.py:check_placement#2": (
        lambda _: check_placement("measured", config(activation_bits=16)),
        "drop one of them",
        lambda _: each(check_placement, ("all", config(activation_bits=16)), ("measured", config())),
    ),
    f"{STATIC}/recipe_option.py:__post_init__": (
        lambda folder: SettingsOrigin(folder / "recipe.toml", said=["--opset"]),
        "change the recipe, or leave it",
        lambda folder: (
            read_recipe(written(folder / "r.toml", "[files]\nopset = 13")),
            SettingsOrigin(None, said=["--opset"]),
        ),
    ),
    f"{STATIC}/recipe_option.py:_refuse_beside_search": (
        lambda _: _refuse_beside_search(Settings(config(reestimation=True))),
        "search first, then write reestimation = true into recipe.toml under [quantize]",
        lambda folder: (
            each(_refuse_beside_search, (Settings(config()),)),
            read_recipe(written(folder / "recipe.toml", "[quantize]\nreestimation = true")),
        ),
    ),
    "fxpasses/cli/jobs/training_data.py:training_batches": (
        lambda _: next(training_batches(open_dataset("random=2", ModelInput((2,))), 2, 0, augment=True)),
        "leave --augment away for this data",
        lambda _: next(training_batches(open_dataset("digits", DIGIT), 2, 0)),
    ),
    "models/data/data_source.py:training_batches": (
        lambda _: split("random=1x8x8").training_batches(),
        "choose a labelled data set",
        lambda _: next(split("digits").training_batches()),
    ),
    "fxpasses/sensitivity/scoring.py:quality": (
        lambda _: score(),
        'name a metric: `metric="mse"`',
        lambda _: score(metric=0.5, falls=True),
    ),
    "fxpasses/sensitivity/scoring.py:score": (
        lambda _: Scorer(small_net(), lambda: []),
        "give at least one batch",
        lambda _: Scorer(small_net(), lambda: [(ROWS, None)]),
    ),
    "fxpasses/signature/examples.py:inputs_of": (
        lambda _: quantize([{"x": ROWS}]),
        "give a dict with exactly those keys, or a tuple in that order",
        lambda _: (quantize([{"input": ROWS}]), quantize([(ROWS,)])),
    ),
}

FOLDER_CASES: dict[str, Case] = {
    f"{FOLDERS}/artifacts.py:artifact": (
        lambda folder: artifact(folder, "model.int8.onnx"),
        AGAIN,
        lambda folder: artifact(int8_folder(folder / "made"), "model.int8.onnx"),
    ),
    f"{FOLDERS}/folder.py:open_folder": (
        lambda folder: open_folder(folder / "absent"),
        "name a folder that fxpasses quantize wrote",
        lambda folder: open_folder(int8_folder(folder / "made")),
    ),
    f"{FOLDERS}/folder.py:open_folder#2": (
        lambda folder: open_folder(folder),
        AGAIN,
        lambda folder: open_folder(int8_folder(folder / "made")),
    ),
    f"{FOLDERS}/folder.py:require_static": (
        lambda folder: require_static({"method": "fp16"}, folder, "parity"),
        "read report.json there",
        lambda folder: open_folder(int8_folder(folder / "made"))["variants"],
    ),
    f"{FOLDERS}/folder.py:_details": (
        lambda folder: model_details({}, folder),
        AGAIN,
        lambda folder: model_details({"model_details": {"spec": "lenet"}}, folder),
    ),
    f"{FOLDERS}/folder.py:load": (
        lambda _: ModelChoice("digits_cnn", weights_key="ema").load(),
        "give --weights FILE",
        weights_under_a_key,
    ),
    f"{FOLDERS}/pt2_model.py:program_model": (
        lambda folder: program_model(program(folder), folder / "w.pt", None),
        "leave --weights out",
        lambda folder: program_model(program(folder), None, None),
    ),
    f"{FOLDERS}/fitting.py:logits_of": (
        lambda _: logits_of(loaded(Nothing(), 3)),
        "return the logits from forward",
        lambda _: logits_of(loaded(small_net(), 3)),
    ),
    f"{FOLDERS}/factory_inputs.py:told_what_to_return": (
        lambda _: captured_model(replace(loaded(small_net(), 5), name="net.py:make")),
        "let the factory return (module, (C, H, W)), or (module, example_inputs): a tuple of tensors",
        lambda _: captured_model(replace(loaded(small_net(), 3), name="net.py:make")),
    ),
    f"{FOLDERS}/captured_model.py:captured_model": (
        lambda _: captured_model(loaded(Pairs(True), 6)),
        "take sizes from tensors where they are needed, x.shape[0]",
        lambda _: captured_model(loaded(Pairs(False), 6)),
    ),
}

SIZE_CASES: dict[str, Case] = {
    f"{CAPTURING}:wanted_dims": (
        lambda _: sized({"x": {0: "rows"}}),
        "name one of input",
        lambda _: sized({"input": {0: "rows"}}),
    ),
    f"{CAPTURING}:image_sizes": (
        lambda _: image_sizes(small_net(), (ROWS,)),
        "fx.quantize(..., dynamic={name: {dimension: size}}) frees any dimension",
        lambda _: sized({"input": {0: "rows"}}),
    ),
    f"{CAPTURING}:_checked_dim": (
        lambda _: sized({"input": {5: "rows"}}),
        "use a number from 0 to 1",
        lambda _: sized({"input": {0: "rows"}}),
    ),
    f"{CAPTURING}:_checked_name": (
        lambda _: sized({"input": {0: 7}}),
        '{"input": {0: "height"}}',
        lambda _: sized({"input": {0: "height"}}),
    ),
    f"{CAPTURING}:_other_size": (
        lambda _: sized({"input": {1: "columns"}}),
        "leave it out, or write the model so that it takes other sizes",
        lambda _: sized(None),
    ),
}


COMMAND_CASES |= FOLDER_CASES | SIZE_CASES
