"""Errors of measuring, lowering and commands' options: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lowered_nets import images, mixed
from remedy_subjects import Case, each, int8_file, small_graph, small_net
from remedy_subjects import X as ROWS
from torch import Tensor, nn

import fxpasses
from fxpasses.agreement.runtime_agreement import runtime_agreement
from fxpasses.cli.jobs.parallel_jobs import results_of, threads_each
from fxpasses.cli.jobs.sensitivity_pipeline import quant_config
from fxpasses.cli.options.metric import metric_of
from fxpasses.cli.options.overrides import check_overrides
from fxpasses.cli.options.shared import check_threads
from fxpasses.cli.precision.lower_model import LoweredSettings
from fxpasses.export.wide_activations import check_wide_file, wide_engine
from fxpasses.measure.accuracy import compare, reference_of
from fxpasses.measure.ctc_text import as_sentences
from fxpasses.measure.detected_boxes import as_detections
from fxpasses.measure.metrics import Metric, metric_named, of_output
from fxpasses.measure.runners import first_tensor, onnx_runner, torch_runner
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.precision.weight_only import WeightOnlyConfig, to_weight_only
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.sensitivity.search.accuracy_search import Goal
from fxpasses.sensitivity.search.ratio_search import largest_ratio
from fxpasses.signature.input_check import check_inputs
from fxpasses.signature.label_check import as_classes, require_classes

MEASURE, OPTIONS, LABELS = "fxpasses/measure", "fxpasses/cli/options", torch.tensor([0, 1])
LOGITS = torch.eye(2)


class Gives(nn.Module):
    """Model that returns a given object."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found

    def forward(self, x: Tensor) -> Any:
        return self.found


def model() -> LoadedModel:
    return LoadedModel("net", small_net(), (3,), UNIT_RANGE, pretrained=True)


def own_metric(folder: Path, body: str, metric: str = "score") -> Metric:
    (folder / "own.py").write_text(body)
    found = metric_of(f"{folder / 'own.py'}:{metric}", model())
    assert found is not None
    return found


def measured(metric: Metric, labels: Any = LABELS, output: Tensor = LOGITS) -> float:
    sums = metric.start()
    sums.add(output, labels)
    return sums.value()


def compared(labels: Any = LABELS, output: Any = LOGITS, **settings: Any) -> Any:
    runner = torch_runner(Gives(output), "fp32")
    return compare([runner], [(torch.ones(2, 3), labels)], **settings)


def agreement(batches: list[Tensor]) -> Any:
    runner = torch_runner(small_net(), "fp32")
    return runtime_agreement(runner, runner, batches)


_SCORE = "def score(output, labels):\n    return {0}\n"
_WAY = "score.higher_is_better = False\n"
_CLASS = "class score:\n    higher_is_better = True\n"
_BOTH = "    def update(self, output, labels): ...\n    def compute(self): return 1.0\n"

METRIC_CASES: dict[str, Case] = {
    f"{OPTIONS}/metric.py:_callers_own": (
        lambda folder: own_metric(folder, _SCORE.format("1.0")),
        "write score.higher_is_better = False below it",
        lambda folder: own_metric(folder, _SCORE.format("1.0") + _WAY),
    ),
    f"{OPTIONS}/metric.py:_sums_of": (
        lambda folder: own_metric(folder, _CLASS).start(),
        "give it both, or write a function of (output, labels)",
        lambda folder: (own_metric(folder, _CLASS + _BOTH).start(), own_metric(folder, _SCORE.format(1) + _WAY)),
    ),
    f"{OPTIONS}/metric.py:_number": (
        lambda folder: measured(own_metric(folder, _SCORE.format("None") + _WAY)),
        "return a float for each batch",
        lambda folder: measured(own_metric(folder, _SCORE.format("0.5") + _WAY)),
    ),
    f"{OPTIONS}/metric.py:output_keys": (
        lambda _: metric_of("top1", LoadedModel("net", Gives(3), (3,), UNIT_RANGE, pretrained=True)),
        "return the outputs",
        lambda _: metric_of("top1", LoadedModel("net", Gives(LOGITS), (3,), UNIT_RANGE, pretrained=True)),
    ),
    f"{MEASURE}/metrics.py:metric_named": (
        lambda _: metric_of("top-1", model()),
        "choose one of top1",
        lambda _: metric_of("top1", model()),
    ),
    f"{MEASURE}/metrics.py:of_output": (
        lambda _: of_output(metric_named("top1"), "masks", ["boxes", "scores"]),
        "write top1@boxes, or top1 for the first",
        lambda _: (of_output(metric_named("top1"), "boxes", ["boxes"]), of_output(metric_named("top1"), None, ["a"])),
    ),
    f"{MEASURE}/metric_sums.py:required_labels": (
        lambda _: measured(metric_named("top1"), [0, 1]),
        "labels as one tensor",
        lambda _: measured(metric_named("top1"), torch.tensor([0, 1])),
    ),
    f"{MEASURE}/metric_sums.py:add": (
        lambda _: measured(metric_named("top1"), torch.zeros(2, 2, dtype=torch.long)),
        "give labels [B] for logits [B, classes]",
        lambda _: measured(metric_named("top1"), torch.zeros(2, dtype=torch.long)),
    ),
    f"{MEASURE}/metric_sums.py:add#2": (
        lambda _: measured(metric_named("mse"), torch.zeros(2, 3)),
        "labels",
        lambda _: measured(metric_named("mse"), torch.zeros(2, 2)),
    ),
    f"{MEASURE}/metric_sums.py:peak_to_noise": (
        lambda _: measured(metric_named("psnr"), torch.zeros(2, 2)),
        'choose `metric="mse"`',
        lambda _: measured(metric_named("mse"), torch.zeros(2, 2)),
    ),
    f"{MEASURE}/ctc_text.py:as_sentences": (
        lambda _: as_sentences(torch.zeros(2, 4, 5), torch.zeros(2, 3)),
        "give those, or write a path/file.py:function",
        lambda _: as_sentences(torch.zeros(2, 4, 5), torch.zeros(2, 3, dtype=torch.long)),
    ),
    f"{MEASURE}/detected_boxes.py:as_detections": (
        lambda _: as_detections(LOGITS, torch.zeros(2, 1, 5)),
        'name another output, `metric="map@KEY"`',
        lambda _: as_detections(torch.zeros(2, 6, 3), torch.zeros(2, 1, 5)),
    ),
}

ACCURACY_CASES: dict[str, Case] = {
    f"{MEASURE}/accuracy.py:reference_of": (
        lambda _: reference_of([torch_runner(small_net(), "int8")]),
        "add the float model",
        lambda _: reference_of([torch_runner(small_net(), "int8"), torch_runner(small_net(), "fp32")]),
    ),
    f"{MEASURE}/accuracy.py:compare": (
        lambda _: compare([torch_runner(small_net(), "fp32")], []),
        "give at least one batch",
        lambda _: compare([torch_runner(small_net(), "fp32")], [(ROWS, None)]),
    ),
    f"{MEASURE}/accuracy.py:add": (
        lambda _: compared(None, metric=metric_named("top1")),
        "give (inputs, labels) batches",
        lambda _: compared(LABELS, metric=metric_named("top1")),
    ),
    f"{MEASURE}/accuracy.py:checked_logits": (
        lambda _: compared(torch.zeros(2, 2, dtype=torch.long)),
        "give labels [B] for logits [B, classes]",
        lambda _: compared(torch.zeros(2, dtype=torch.long)),
    ),
    f"{MEASURE}/accuracy.py:checked_logits#2": (
        lambda _: compared(LABELS, LOGITS / 0),
        "check weights and preprocessing",
        lambda _: compared(LABELS, LOGITS / 1),
    ),
    f"{MEASURE}/runners.py:first_tensor": (
        lambda _: first_tensor("logits", "the model"),
        "wrap the model so that it returns its logits",
        lambda _: first_tensor({"logits": LOGITS}, "the model"),
    ),
    f"{MEASURE}/runners.py:outputs": (
        lambda folder: onnx_runner(int8_file(folder), "int8")(torch.ones(2, 9, 7, 5)),
        "give it the model's shapes",
        lambda folder: onnx_runner(int8_file(folder), "int8")(torch.ones(2, 5, 9, 7)),
    ),
    "fxpasses/agreement/runtime_agreement.py:runtime_agreement": (
        lambda _: agreement([]),
        "give at least one batch",
        lambda _: agreement([ROWS]),
    ),
    "fxpasses/signature/label_check.py:require_classes": (
        lambda _: require_classes(torch.tensor([0, 7]), 2, "the data"),
        "use a model of as many classes as the data has, or leave the other classes out of the data",
        lambda _: each(require_classes, (torch.tensor([0, 7]), 8, "it"), (torch.tensor([0]), 2, "it")),
    ),
    "fxpasses/signature/label_check.py:as_classes": (
        lambda _: as_classes(LABELS.to_sparse(), 2, "batch 0"),
        "give labels.to_dense().cpu()",
        lambda _: as_classes(LABELS.to_sparse().to_dense().cpu(), 2, "batch 0"),
    ),
    "fxpasses/signature/label_check.py:as_classes#2": (
        lambda _: as_classes(LABELS, 3, "batch 0"),
        "give labels [B]",
        lambda _: as_classes(LABELS, 2, "batch 0"),
    ),
    "fxpasses/signature/label_check.py:as_classes#3": (
        lambda _: as_classes(torch.tensor([0.5, 1]), 2, "batch 0"),
        "give int64 indices of classes",
        lambda _: as_classes(torch.tensor([0, 1]), 2, "batch 0"),
    ),
    "fxpasses/signature/input_check.py:_check_structure#2": (
        lambda _: check_inputs(small_graph(), ((ROWS, ROWS),), "batch 0"),
        "yield a tensor",
        lambda _: check_inputs(small_graph(), (ROWS,), "batch 0"),
    ),
}

OPTION_CASES: dict[str, Case] = {
    f"{OPTIONS}/overrides.py:check_overrides": (
        lambda _: check_overrides(small_graph(), QuantConfig("x86", overrides=(Override("linea", keep_float=True),))),
        "linear",
        lambda _: check_overrides(small_graph(), QuantConfig("x86", overrides=(Override("linear", keep_float=True),))),
    ),
    f"{OPTIONS}/shared.py:check_threads": (
        lambda _: check_threads(0),
        "ask for 1 to",
        lambda _: each(check_threads, (1,), (None,)),
    ),
    "fxpasses/cli/jobs/parallel_jobs.py:threads_each": (
        lambda _: threads_each(4, 0),
        "ask for 1 or more",
        lambda _: threads_each(4, 1),
    ),
    "fxpasses/cli/jobs/parallel_jobs.py:results_of": (
        lambda _: list(results_of(str, [1, 2], 2, "threads")),
        "use loky, threading",
        lambda _: list(results_of(str, [1, 2], 2, "threading")),
    ),
    "fxpasses/cli/jobs/sensitivity_pipeline.py:quant_config": (
        lambda _: quant_config("x86", ["sweep"], []),
        "quantize with it first; report.json names the observer it chose",
        lambda _: quant_config("x86", ["entropy"], []),
    ),
    "fxpasses/cli/precision/lower_model.py:__post_init__": (
        lambda _: LoweredSettings(evaluation_images=0),
        "ask for 1 or more",
        lambda _: LoweredSettings(evaluation_images=1),
    ),
    "fxpasses/sensitivity/search/accuracy_search.py:__post_init__": (
        lambda _: Goal(-1.0),
        "give 0.2 or so",
        lambda _: Goal(0.2),
    ),
    "fxpasses/sensitivity/search/ratio_search.py:_check": (
        lambda _: largest_ratio(lambda _: 0.0, -2.0),
        "give points, such as 2.0",
        lambda _: largest_ratio(lambda ratio: 10 * ratio, 2.0),
    ),
    "fxpasses/sensitivity/search/ratio_search.py:_check#2": (
        lambda _: largest_ratio(lambda _: 0.0, 2.0, tolerance=1.0),
        "use 0.01 or the like",
        lambda _: largest_ratio(lambda ratio: 10 * ratio, 2.0, tolerance=0.01),
    ),
    "fxpasses/precision/weight_only.py:__post_init__#2": (
        lambda _: WeightOnlyConfig(group_size=48),
        "use 32, 64, 128",
        lambda _: [WeightOnlyConfig(group_size=size) for size in (32, 64, 128)],
    ),
    "fxpasses/precision/weight_only.py:__post_init__#3": (
        lambda _: WeightOnlyConfig(compute="int4"),
        "use int8 or float",
        lambda _: (WeightOnlyConfig(compute="int8"), WeightOnlyConfig(compute="float")),
    ),
    "fxpasses/precision/dynamic.py:to_dynamic": (
        lambda _: to_dynamic(mixed(), "cuda"),
        "use fp16 for a GPU, or another target",
        lambda _: to_dynamic(mixed(), "x86"),
    ),
    "fxpasses/precision/linear_layers.py:lower_linear": (
        lambda _: to_weight_only(fxpasses.fuse(fxpasses.capture(nn.ReLU().eval(), ROWS)), WeightOnlyConfig()),
        "use static quantization, or fp16",
        lambda _: fxpasses.quantize(mixed(), images(2), [images()], QuantConfig(target="x86", observer="minmax")),
    ),
    "export/wide_activations.py:check_wide_file": (
        lambda _: check_wide_file("qoperator", None),
        "use form 'qdq'",
        lambda _: check_wide_file("qdq", None),
    ),
    "export/wide_activations.py:check_wide_file#2": (
        lambda _: check_wide_file("qdq", 20),
        "leave it out, or use 21",
        lambda _: each(check_wide_file, ("qdq", None), ("qdq", 21)),
    ),
    "export/wide_activations.py:wide_engine": (
        lambda _: wide_engine("x86"),
        "leave it out: 'plain' computes in float between the integers; or use 'reference'",
        lambda _: (wide_engine(None), wide_engine("reference")),
    ),
}

MEASURE_CASES: dict[str, Case] = METRIC_CASES | ACCURACY_CASES | OPTION_CASES
