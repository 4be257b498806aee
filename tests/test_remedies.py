"""Each error's remedy is tried on an input that raises it: what raises it, and the same with the remedy taken.

``golden/untried_remedies.txt`` lists the places whose remedy nothing here tries. It may only become shorter: a new
error gets its remedy tried here. ``pytest --update-golden`` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from error_sites import error_sites, site_at
from tiny_graphs import X86, captured, fresh_inputs, fused, observed, quantized
from torch import Tensor, fx, nn

import fxpasses
from fxpasses import pruning
from fxpasses.errors import FxPassesError
from fxpasses.export import exported_program, load, parity, save, to_onnx, to_torch
from fxpasses.export.optimizer import optimize_onnx
from fxpasses.export.runners import onnx_runner, torch_runner
from fxpasses.models.tiny import TINY
from fxpasses.precision.half import to_half
from fxpasses.precision.weight_only import WeightOnlyConfig
from fxpasses.pruning.budget import Budget
from fxpasses.pruning.criteria import check_criterion
from fxpasses.pruning.patterns import parse_pattern
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.linear_mapping import dequantize_linear, linear_parameters, quantize_linear
from fxpasses.quantization.observer_spec import parse_observer

SITES = error_sites()
UNTRIED = Path(__file__).parent / "golden" / "untried_remedies.txt"
X = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
IMAGES = fresh_inputs(TINY["conv_bn_relu"], 5)

Case = tuple[Callable[[Path], Any], str, Callable[[Path], Any]]


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()


def _graph() -> fx.GraphModule:
    return fxpasses.capture(_net(), X)


def _quantize(batches: Any, **settings: Any) -> fx.GraphModule:
    return fxpasses.quantize(_net(), X, batches, QuantConfig(target="x86", **({"observer": "minmax"} | settings)))


def _config(**settings: Any) -> QuantConfig:
    return QuantConfig(target="x86", **settings)


class _WithLayers(nn.Module):
    """Asks a value, between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out * 2 if float(out.sum()) > 1e9 else out


class _Detector(nn.Module):
    """Layers in a backbone, and a forward that loops over as many boxes as values say."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.anchors = _net(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.backbone(x)
        kept = [row for row in scores if float(row.sum()) > -1e9]
        return torch.stack(kept) if len(kept) else scores


class _InPlaceState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor, noise: bool = True) -> Tensor:
        out: Tensor = self.layer(x)
        return out + torch.rand(1) if noise else out


class _Returns(nn.Module):
    def __init__(self, wrapped: bool) -> None:
        super().__init__()
        self.layer, self.wrapped = nn.Linear(3, 4), wrapped

    def forward(self, x: Tensor) -> Any:
        y = self.layer(x)
        return {"y": y} if self.wrapped else {"y": object()}


class _SetsDefaultDtype(nn.Module):
    def __init__(self, changes: bool) -> None:
        super().__init__()
        self.layer, self.changes = nn.Linear(3, 4), changes

    def forward(self, x: Tensor) -> Tensor:
        if self.changes:
            torch.set_default_dtype(torch.float64)
        out: Tensor = self.layer(x) + torch.zeros(4, dtype=torch.float32)
        return out


def _int8_file(folder: Path, name: str = "conv_bn_relu") -> Path:
    return to_onnx(quantized(name), folder / f"{name}.onnx", verify=False)


def _float_file(folder: Path) -> Path:
    return to_onnx(_graph(), folder / "float.onnx", verify=False)


def _pruned(graph: fx.GraphModule, ratio: float) -> Any:
    return pruning.choose_channels(pruning.find_dependencies(graph), ratio, pruning.channel_scores(graph, "l1"))


def _lowered() -> fx.GraphModule:
    return to_half(fused("conv_bn_relu"), "fp16")


def _save_lowered(folder: Path) -> Path:
    from fxpasses.export.pt2_lowered import save_lowered

    return save_lowered(_lowered(), folder / "l.pt2")


CASES: dict[str, Case] = {
    # capture
    "fxpasses/capture_checks.py:require_eval": (
        lambda _: fxpasses.capture(_net().train(), X),
        "capture(model.eval(), example_inputs)",
        lambda _: fxpasses.capture(_net().train().eval(), X),
    ),
    "fxpasses/capture_checks.py:require_values": (
        lambda _: fxpasses.capture(_net().to("meta"), X),
        "model.to_empty(device='cpu'), then model.load_state_dict(...)",
        lambda _: fxpasses.capture(_loaded(_net().to("meta").to_empty(device="cpu")), X),
    ),
    "fxpasses/capture_checks.py:run_model": (
        lambda _: fxpasses.capture(_net(), (X, X)),
        "a tuple with one entry for each argument of forward",
        lambda _: fxpasses.capture(_net(), (X,)),
    ),
    "fxpasses/capture_checks.py:run_model#2": (
        lambda _: fxpasses.capture(_SetsDefaultDtype(True).eval(), X),
        "give dtype= to the calls that need it",
        lambda _: fxpasses.capture(_SetsDefaultDtype(False).eval(), X),
    ),
    "fxpasses/capture_checks.py:require_plain_output": (
        lambda _: fxpasses.capture(_Returns(False).eval(), X),
        "returns a tensor, a tuple or a dict",
        lambda _: fxpasses.capture(_Returns(True).eval(), X),
    ),
    "fxpasses/capture_checks.py:require_same_twice": (
        lambda _: fxpasses.capture(_InPlaceState().eval(), X),
        "no randomness in eval mode",
        lambda _: fxpasses.capture(_InPlaceState().eval(), (X, False)),
    ),
    "fxpasses/tracing.py:capture": (
        lambda _: fxpasses.capture(_net(), X, method="export", leaves=["0"]),
        "capture(..., method='trace', leaves=[...])",
        lambda _: fxpasses.capture(_net(), X, method="trace", leaves=["0"]),
    ),
    "fxpasses/symbolic_trace.py:_require_modules": (
        lambda _: fxpasses.capture(_net(), X, leaves=["absent"]),
        "name a module that exists",
        lambda _: fxpasses.capture(_net(), X, leaves=["1"]),
    ),
    "fxpasses/symbolic_trace.py:_with_remedy": (
        lambda _: fxpasses.capture(nn.Sequential(nn.Linear(3, 4), _WithLayers()).eval(), X, method="trace"),
        "keep its module whole, in float: capture(..., leaves=['1'])",
        lambda _: fxpasses.capture(nn.Sequential(nn.Linear(3, 4), _WithLayers()).eval(), X, leaves=["1"]),
    ),
    "fxpasses/exporting.py:_not_exportable": (
        lambda _: fxpasses.capture(_Detector().eval(), X, method="export"),
        "capture the part that holds the layers, model.get_submodule('backbone')",
        lambda _: fxpasses.capture(_Detector().eval().get_submodule("backbone"), X),
    ),
    # stages
    "fxpasses/stages.py:check_stage": (
        lambda _: to_torch(_graph()),
        "int8 = fx.convert(observed_graph)",
        lambda _: to_torch(fxpasses.convert(observed("conv_bn_relu"))),
    ),
    "export/pt2_file.py:save": (
        lambda folder: save(_lowered(), folder / "m.pt2"),
        "save_lowered(graph, path)",
        _save_lowered,
    ),
    # calibration
    "fxpasses/quantization/first_samples.py:batches_of": (
        lambda _: _quantize(None),
        "fx.quantize(model, x, [x])",
        lambda _: _quantize([X]),
    ),
    "fxpasses/quantization/calibration.py:checked_batches": (
        lambda _: _quantize([]),
        "pass at least one batch",
        lambda _: _quantize([X]),
    ),
    "fxpasses/quantization/calibration.py:_check_batch": (
        lambda _: _quantize([(X, X)]),
        "a tuple of exactly the model's inputs (no labels)",
        lambda _: _quantize([(X,)]),
    ),
    "fxpasses/quantization/calibration.py:_check_batch#2": (
        lambda _: _quantize([X.numpy()]),
        "yield a tensor",
        lambda _: _quantize([torch.from_numpy(X.numpy())]),
    ),
    "fxpasses/quantization/calibration.py:_check_batch#3": (
        lambda _: _quantize([X.double()]),
        "exactly as the example inputs",
        lambda _: _quantize([X.double().float()]),
    ),
    "fxpasses/quantization/calibration.py:_check_batch#4": (
        lambda _: _quantize([X / 0]),
        "check the preprocessing of that data",
        lambda _: _quantize([X / 1]),
    ),
    "fxpasses/quantization/float32_layers.py:require_float32": (
        lambda _: fxpasses.quantize(_net().half(), X.half(), [X.half()], X86),
        "use model.float(), with example inputs and batches in float32",
        lambda _: fxpasses.quantize(_net().half().float(), X.half().float(), [X.half().float()], X86),
    ),
    "fxpasses/quantization/planned_scales.py:take_out_observers": (
        lambda _: fxpasses.convert(fxpasses.observe(fused("conv_bn_relu"), X86)),
        "fx.calibrate(graph, batches)",
        lambda _: fxpasses.convert(_calibrated(fxpasses.observe(fused("conv_bn_relu"), X86))),
    ),
    # settings
    "fxpasses/quantization/config.py:check_weight_bits": (
        lambda _: _config(weight_bits=9),
        "use 8 for speed alone, 4 for smaller files",
        lambda _: (_config(weight_bits=8), _config(weight_bits=4)),
    ),
    "fxpasses/quantization/config.py:check_activation_bits": (
        lambda _: _config(activation_bits=7),
        "use 8 for speed",
        lambda _: _config(activation_bits=8),
    ),
    "fxpasses/quantization/config.py:check_smoothing": (
        lambda _: _config(smoothing=2.0),
        "use 0.5, as published",
        lambda _: (_config(smoothing=0.5), _config(smoothing="auto")),
    ),
    "fxpasses/quantization/config.py:_check_group_size": (
        lambda _: _config(weight_bits=4, group_size=7),
        "use 16 or 32",
        lambda _: (_config(weight_bits=4, group_size=16), _config(weight_bits=4, group_size=32)),
    ),
    "fxpasses/quantization/config.py:_check_group_size#2": (
        lambda _: _config(group_size=16),
        "leave it out, or use weight_bits=4",
        lambda _: (_config(), _config(group_size=16, weight_bits=4)),
    ),
    "fxpasses/quantization/config.py:__post_init__": (
        lambda _: Override(match="conv"),
        "give it keep_float=True, an observer or weight_bits",
        lambda _: (Override("conv", keep_float=True), Override("conv", observer="minmax")),
    ),
    "fxpasses/quantization/targets.py:find_target": (
        lambda _: QuantConfig(target="x87"),
        "did you mean 'x86'?",
        lambda _: QuantConfig(target="x86"),
    ),
    "fxpasses/quantization/observer_spec.py:__post_init__": (
        lambda _: _config(observer="minmaxx"),
        "did you mean 'minmax'?",
        lambda _: _config(observer="minmax"),
    ),
    "fxpasses/quantization/observer_spec.py:parse_observer#2": (
        lambda _: parse_observer("percentile:many"),
        "'percentile:99.99'",
        lambda _: parse_observer("percentile:99.99"),
    ),
    "fxpasses/precision/half.py:to_half": (
        lambda _: to_half(_graph(), "fp8"),
        "use fp16 or bf16",
        lambda _: (to_half(_graph(), "fp16"), to_half(_graph(), "bf16")),
    ),
    "fxpasses/precision/weight_only.py:__post_init__": (
        lambda _: WeightOnlyConfig(bits=5),
        "use 8 or 4",
        lambda _: (WeightOnlyConfig(bits=8), WeightOnlyConfig(bits=4)),
    ),
    # the linear mapping by hand
    "fxpasses/quantization/linear_mapping.py:quantize_linear": (
        lambda _: quantize_linear(X.long(), 0.1, 0),
        "give a float32 tensor",
        lambda _: quantize_linear(X.long().float(), 0.1, 0),
    ),
    "fxpasses/quantization/linear_mapping.py:dequantize_linear": (
        lambda _: dequantize_linear(X, 0.1, 0),
        "give what quantize_linear returned",
        lambda _: dequantize_linear(quantize_linear(X, 0.1, 0), 0.1, 0),
    ),
    "fxpasses/quantization/linear_mapping.py:_check_scale": (
        lambda _: quantize_linear(X, 0.0, 0),
        "linear_parameters(low, high) gives one",
        lambda _: quantize_linear(X, *linear_parameters(0.0, 0.0, "int8")),
    ),
    # pruning
    "fxpasses/pruning/patterns.py:parse_pattern": (
        lambda _: parse_pattern("3:2"),
        "use 2:4 or 1:2",
        lambda _: (parse_pattern("2:4"), parse_pattern("1:2")),
    ),
    "fxpasses/pruning/criteria.py:check_criterion": (
        lambda _: check_criterion("l11", "channel", has_data=False),
        "did you mean 'l1'?",
        lambda _: check_criterion("l1", "channel", has_data=False),
    ),
    "fxpasses/pruning/budget.py:parse": (
        lambda _: Budget.parse("half"),
        "use macs=0.5 or the like",
        lambda _: Budget.parse("macs=0.5"),
    ),
    "fxpasses/pruning/selection.py:check_ratio": (
        lambda _: _pruned(_graph(), 50),
        "did you mean 0.5?",
        lambda _: _pruned(_graph(), 0.5),
    ),
    # files
    "export/onnx_file.py:to_onnx": (
        lambda folder: to_onnx(_graph(), folder / "m.onnx", form="qqd"),  # type: ignore[arg-type]
        "use 'qdq' or 'qoperator'",
        lambda folder: to_onnx(_graph(), folder / "m.onnx", form="qdq", verify=False),
    ),
    "export/onnx_file.py:to_onnx#2": (
        lambda folder: to_onnx(_graph(), folder / "m.onnx", opset=12),
        "leave it out (18), or use one of those",
        lambda folder: to_onnx(_graph(), folder / "m.onnx", opset=18, verify=False),
    ),
    "export/onnx_file.py:to_onnx#3": (
        lambda folder: to_onnx(observed("conv_bn_relu"), folder / "m.onnx"),
        "fx.convert(graph), or export the float graph",
        lambda folder: to_onnx(fxpasses.convert(observed("conv_bn_relu")), folder / "m.onnx", verify=False),
    ),
    "export/pt2_file.py:write_program": (
        lambda folder: save(quantized("conv_bn_relu"), folder / "m.pth"),
        "name it m.pt2",
        lambda folder: save(quantized("conv_bn_relu"), folder / "m.pt2"),
    ),
    "export/pt2_file.py:_exported": (
        lambda folder: save(captured("cat_rows"), folder / "m.pt2"),
        "torch.save(graph, 'graph.pt') keeps it as a pickle",
        lambda folder: _through_torch_save(captured("cat_rows"), folder),
    ),
    "export/pt2_records.py:refusing": (
        lambda folder: load(folder / "absent.pt2"),
        "name a .pt2 file fxpasses wrote",
        lambda folder: load(save(quantized("conv_bn_relu"), folder / "m.pt2")),
    ),
    "export/program.py:check_is_of": (
        lambda folder: save(quantized("cat"), folder / "m.pt2", program=exported_program(quantized("conv_bn_relu"))),
        "exported_program(graph), of the graph that is written",
        lambda folder: save(quantized("cat"), folder / "m.pt2", program=exported_program(quantized("cat"))),
    ),
    "export/optimizer.py:optimize_onnx": (
        lambda folder: optimize_onnx(_float_file(folder), folder / "o.onnx", "fast"),  # type: ignore[arg-type]
        "one of onnxruntime, onnxruntime-tools, none",
        lambda folder: optimize_onnx(_float_file(folder), folder / "o.onnx", "none"),
    ),
    "export/optimizer.py:optimize_onnx#2": (
        lambda folder: optimize_onnx(_int8_file(folder), folder / "o.onnx"),
        "optimise the float file instead",
        lambda folder: optimize_onnx(_float_file(folder), folder / "o.onnx"),
    ),
    "export/runners.py:onnx_runner": (
        lambda folder: onnx_runner(folder / "absent.onnx", "int8"),
        "give the path of an .onnx file",
        lambda folder: onnx_runner(_int8_file(folder), "int8"),
    ),
    "export/runners.py:_checked_threads": (
        lambda _: torch_runner(_net(), "fp32", threads=0),
        "ask for 1 or more",
        lambda _: torch_runner(_net(), "fp32", threads=1),
    ),
    "export/torch_int8.py:to_torch": (
        lambda _: to_torch(quantized("conv_bn_relu"), "x87"),
        "did you mean 'x86'?",
        lambda _: to_torch(quantized("conv_bn_relu"), "x86"),
    ),
    "export/torch_int8.py:to_torch#2": (
        lambda _: to_torch(quantized("conv_bn_relu"), "reference", autotune=True),
        "leave autotune out, or use engine='x86'",
        lambda _: (
            to_torch(quantized("conv_bn_relu"), "reference"),
            to_torch(quantized("conv_bn_relu"), autotune=True),
        ),
    ),
    "export/parity_check.py:parity": (
        lambda folder: parity(quantized("conv_bn_relu"), [], onnx_path=_int8_file(folder)),
        "pass at least one batch",
        lambda folder: parity(quantized("conv_bn_relu"), [IMAGES], onnx_path=_int8_file(folder)),
    ),
    "export/parity_check.py:_other_model": (
        lambda folder: parity(quantized("conv_bn_relu"), [IMAGES], onnx_path=_int8_file(folder, "cat")),
        "use the file of this model: fx.export.to_onnx(graph, path)",
        lambda folder: parity(quantized("conv_bn_relu"), [IMAGES], onnx_path=_int8_file(folder)),
    ),
}


def _loaded(model: nn.Module) -> nn.Module:
    model.load_state_dict(_net().state_dict())
    return model


def _calibrated(graph: fx.GraphModule) -> fx.GraphModule:
    fxpasses.calibrate(graph, [IMAGES])
    return graph


def _through_torch_save(graph: fx.GraphModule, folder: Path) -> Any:
    torch.save(graph, folder / "graph.pt")
    return torch.load(folder / "graph.pt", weights_only=False)


@pytest.fixture
def made_at(monkeypatch: pytest.MonkeyPatch) -> dict[int, str | None]:
    """Where in the sources each error was made, by its identity."""
    found: dict[int, str | None] = {}
    for kind in (fxpasses.GraphError, fxpasses.InputError):
        monkeypatch.setattr(kind, "__init__", _noting(kind.__init__, found))
    return found


def _noting(make: Callable[..., None], found: dict[int, str | None]) -> Callable[..., None]:
    def noted(self: FxPassesError, *args: Any, **named: Any) -> None:
        make(self, *args, **named)
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.endswith("fxpasses/errors.py"):
            frame = frame.f_back
        found[id(self)] = site_at(SITES, Path(frame.f_code.co_filename), frame.f_lineno)

    return noted


@pytest.mark.parametrize("site", CASES)
@pytest.mark.filterwarnings("ignore:captured ")
def test_the_remedy_is_told_where_it_helps_and_helps(site: str, tmp_path: Path, made_at: dict[int, str | None]) -> None:
    raises, remedy, follows = CASES[site]
    with pytest.raises(FxPassesError) as caught:
        raises(tmp_path)
    assert made_at[id(caught.value)] == site, str(caught.value)
    assert remedy in str(getattr(caught.value, "fix", "")), str(caught.value)
    follows(tmp_path)


def test_places_whose_remedy_nothing_tries(update_golden: bool) -> None:
    names = {site.name for site in SITES}
    assert set(CASES) <= names, sorted(set(CASES) - names)
    found = "".join(f"{name}\n" for name in sorted(names - set(CASES)))
    if update_golden:
        UNTRIED.write_text(found, encoding="utf-8")
    assert UNTRIED.read_text(encoding="utf-8") == found, "a new error: try its remedy here"


def test_the_sources_are_read() -> None:
    assert len(SITES) > 300 and (ROOT / SITES[0].path).is_file()
    assert site_at(SITES, ROOT / SITES[0].path, SITES[0].lines[0]) == SITES[0].name
    assert site_at(SITES, ROOT / "fxpasses" / "errors.py", 1) is None


def test_a_whole_detector_is_told_to_capture_its_backbone() -> None:
    """No module could be kept whole: all layers are in it, or the forward of the model itself is in the way."""
    for method in ("auto", "trace", "export"):
        with pytest.raises(FxPassesError, match=r"capture the part that holds the layers, .*'backbone'") as caught:
            fxpasses.capture(_Detector().eval(), X, method=method)
        assert "leaves=" not in str(caught.value)
