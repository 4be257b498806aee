"""Training in one call."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_nets import FEW_BITS, SHORT, calibration, images, labelled, small

import fxpasses
from fxpasses.cli.jobs.training_data import training_batches
from fxpasses.errors import InputError
from fxpasses.graph.stages import Stage, graph_facts, stage_of
from fxpasses.models.datasets import open_dataset
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.models.zoo import load_model
from fxpasses.training.runs.run_settings import RunSettings


def trained(path: Path | None = None, *, resume: bool = False, steps: list[int] | None = None) -> torch.fx.GraphModule:
    return fxpasses.train_quantized(
        small(),
        images(0, 2),
        labelled(),
        FEW_BITS,
        SHORT,
        calibration=calibration(),
        checkpoint=path,
        checkpoint_every=3,
        resume=resume,
        on_step=None if steps is None else lambda progress: steps.append(progress.step),
    )


def test_a_model_and_data_in_an_int8_graph_out(tmp_path: Path) -> None:
    before = {k: v.clone() for k, v in small().state_dict().items()}
    int8 = trained(tmp_path / "run.pt")
    assert stage_of(int8) is Stage.QUANTIZED and int8(images(1)).shape == (8, 4)
    assert [point.phase for point in graph_facts(int8).training_curve] == ["open", "open", "frozen"]
    assert all(torch.equal(v, before[k]) for k, v in small().state_dict().items()) and not small().training
    steps: list[int] = []
    again = trained(tmp_path / "run.pt", resume=True, steps=steps)
    assert steps == [7, 8]  # the last checkpoint was of step 6
    assert all(torch.equal(a, b) for a, b in zip(int8.buffers(), again.buffers(), strict=True))


def test_the_loader_calibrates_where_nothing_else_does() -> None:
    int8 = fxpasses.train_quantized(small(), images(0, 2), labelled(), FEW_BITS, SHORT)
    assert stage_of(int8) is Stage.QUANTIZED


def test_data_without_labels() -> None:
    with pytest.raises(InputError, match="trains on"):
        fxpasses.train_quantized(small(), images(0, 2), [images(1)], FEW_BITS, SHORT)


@pytest.mark.slow
def test_random_weights_survive_that_statistics_are_held() -> None:
    """Few epochs at a high rate, as from the command line: held earlier, the net does not recover."""
    model = load_model("digits_cnn")
    data = open_dataset("digits", model)
    images = [batch.clone() for batch in data.calibration(1024, 64)]
    settings = RunSettings(epochs=3, lr=0.05, distillation=0.0)
    steps = -(-data.calibration_images // 64)
    int8 = fxpasses.train_quantized(
        *(model.module, model.example_inputs(), lambda epoch: training_batches(data, 64, epoch)),
        settings=settings,
        calibration=images,
        steps_per_epoch=steps,
    )
    assert evaluate_top1(fxpasses.export.to_torch(int8), data.evaluation()) > 85
