"""The task of a training run: classes, classes of pixels, or a loss of the caller's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxpasses
from fxpasses.cli.jobs.task_losses import loss_for
from fxpasses.errors import InputError
from fxpasses.graph.stages import graph_facts
from fxpasses.measure.metrics import metric_named, of_output
from fxpasses.training import RunSettings
from fxpasses.training.runs.task_loss import class_loss, own_loss

SHORT = RunSettings(epochs=3, lr=0.02, frozen_share=0.3)
CPU = torch.device("cpu")
ALONE = fxpasses.capture(nn.Linear(2, 3).eval(), torch.randn(2, 2))
"""A graph with one output, which is a tensor."""


class Regressor(nn.Module):
    """A regressor of two inputs with two named outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 16), nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        features = F.relu(self.left(left) + self.right(right))
        return {"value": self.head(features), "features": features}


def measured(model: nn.Module, batches: list[Any]) -> float:
    with torch.no_grad():
        errors = [F.mse_loss(model(*inputs)["value"], target) for inputs, target in batches]
    return float(torch.stack(errors).mean())


def regression(count: int) -> list[Any]:
    made = []
    for _ in range(count):
        left, right = torch.randn(16, 4), torch.randn(16, 6)
        made.append(((left, right), (left[:, :1] - right[:, :1]).tanh()))
    return made


def test_a_regressor_learns_with_a_loss_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, batches = Regressor().eval(), regression(30)
    seen = []
    int8 = fxpasses.train_quantized(
        model,
        batches[0][0],
        batches,
        settings=SHORT,
        loss=lambda outputs, target: F.mse_loss(outputs["value"], target),
        on_step=lambda now: seen.append(now.accuracy),
    )
    fresh = regression(8)
    assert measured(int8, fresh) < measured(model, fresh) / 2
    assert set(seen) == {None}
    curve = graph_facts(int8).training_curve
    assert curve[-1].loss < curve[0].loss / 2 and {point.accuracy for point in curve} == {None}
    path = fxpasses.export.to_onnx(int8, tmp_path / "regressor.onnx")
    assert fxpasses.export.parity(int8, [inputs for inputs, _ in fresh], onnx_path=path).logits.max_lsb == 0


def test_batches_of_dicts_and_of_several_inputs_train_the_same() -> None:
    batches = regression(4)
    forms: list[list[Any]] = [
        batches,
        [(left, right, y) for (left, right), y in batches],
        [{"right": right, "labels": y, "left": left} for (left, right), y in batches],
    ]
    found = []
    for form in forms:
        torch.manual_seed(1)
        int8 = fxpasses.train_quantized(
            Regressor().eval(),
            batches[0][0],
            form,
            settings=RunSettings(epochs=1),
            calibration=[inputs for inputs, _ in batches],
            loss=lambda outputs, target: F.mse_loss(outputs["value"], target),
        )
        found.append(int8(*batches[0][0])["value"])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_classes_of_pixels_need_no_loss() -> None:
    """Labels of -100 do not count, neither in the loss nor in what is right."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()
    images = [torch.randn(4, 1, 8, 8) for _ in range(20)]
    batches = [(x, torch.where(x[:, 0].abs() < 0.1, -100, (x[:, 0] > 0).long())) for x in images]
    int8 = fxpasses.train_quantized(model, images[0], batches, settings=RunSettings(epochs=4, lr=0.1, distillation=0.0))
    accuracy = graph_facts(int8).training_curve[-1].accuracy
    assert accuracy is not None and accuracy > 90
    x, labels = batches[0]
    counts = labels != -100
    assert float((int8(x).argmax(1) == labels)[counts].double().mean()) > 0.9


def test_right_answers_are_counted_in_samples() -> None:
    logits = torch.eye(3)[torch.tensor([[0, 1], [2, 2]])].permute(0, 2, 1)
    labels = torch.tensor([[0, -100], [2, 1]])
    _, right = class_loss(RunSettings())(logits, labels, None, 2)
    assert right is not None and float(right) == pytest.approx(2 * 2 / 3)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (torch.zeros(3, requires_grad=True), r"gave a tensor of shape \[3\]\n"),
        (torch.zeros(()), "gave a tensor of shape .* that depends on no weight"),
        (0.5, "gave float"),
    ],
)
def test_a_loss_is_one_number_with_a_gradient(found: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        own_loss(lambda outputs, labels: found, CPU)(None, None, None, 1)


def test_a_loss_that_fails_is_told_with_its_line() -> None:
    def loss(outputs: Any, labels: Any) -> Tensor:
        raise ValueError("no such output")

    with pytest.raises(InputError, match=r"(?s)the loss failed\n  at: .*test_task_loss.*ValueError: no such output"):
        own_loss(loss, CPU)(None, None, None, 1)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("mse", lambda out, y: F.mse_loss(out, y)),
        ("psnr", lambda out, y: F.mse_loss(out, y)),
        ("mae", lambda out, y: F.l1_loss(out, y)),
    ],
)
def test_losses_of_metrics_take_labels_without_dimensions_of_one(metric: str, expected: Any) -> None:
    out, labels = torch.randn(5, 1), torch.randn(5)
    loss = loss_for(metric_named(metric), ALONE)
    assert loss is not None
    torch.testing.assert_close(loss(out, labels), expected(out, labels.view(5, 1)), rtol=0, atol=0)
    named = loss_for(of_output(metric_named(metric), "b", ["a", "b"]), ALONE)
    assert named is not None
    found = named({"a": labels, "b": out}, labels)
    torch.testing.assert_close(found, expected(out, labels.view(5, 1)), rtol=0, atol=0)


def test_miou_trains_the_pixels_that_it_counts() -> None:
    out, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    labels[0, 0, 0], labels[1, 1, 1] = 255, -1
    loss = loss_for(metric_named("miou"), ALONE)
    assert loss is not None
    counted = torch.where((labels == 255) | (labels < 0), -100, labels)
    assert torch.equal(loss(out, labels), F.cross_entropy(out, counted))
    larger = F.interpolate(out, size=(8, 8), mode="bilinear", align_corners=False)
    labels = torch.randint(0, 3, (2, 8, 8))
    assert torch.equal(loss(out, labels), F.cross_entropy(larger, labels))


def test_f1_trains_one_class_or_several() -> None:
    out, one, several = torch.randn(4, 3), torch.arange(4) % 3, torch.randint(0, 2, (4, 3))
    loss = loss_for(metric_named("f1"), ALONE)
    assert loss is not None
    assert torch.equal(loss(out, one), F.cross_entropy(out, one))
    assert torch.equal(loss(out, several), F.binary_cross_entropy_with_logits(out, several.float()))


def test_classes_of_one_output_keep_the_distillation() -> None:
    assert loss_for(None, ALONE) is None and loss_for(metric_named("top5"), ALONE) is None
    out, labels = torch.randn(4, 3), torch.arange(4) % 3
    loss = loss_for(None, fxpasses.capture(Regressor().eval(), (torch.randn(2, 4), torch.randn(2, 6))))
    assert loss is not None and torch.equal(loss({"logits": out}, labels), F.cross_entropy(out, labels))
    with pytest.raises(InputError, match=r"(?s)with the metric map.*none follows.*train_quantized"):
        loss_for(metric_named("map"), ALONE)
