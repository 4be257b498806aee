"""Measures the cost of int8 layer by layer: each layer alone in int8, each one alone in float, and every tensor in
place.

Three measurements, with different meanings:

- *alone*: only this layer is int8. The noise at the logits ranks the layers.
- *kept float*: only this layer is float. The gain is that of mixed precision.
- *in place*: the distance of this tensor from float in the whole int8 graph, in each runtime. It includes the noise of
  the layers before it, so it shows where noise grows, but not which layer causes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.export.integer_tensors import torch_integers
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.devices import usable_device
from fxpasses.measure.metrics import Metric
from fxpasses.quantization.int8.int8_calls import LayerIntegers, find_float_results, find_int8_calls, qparams_of
from fxpasses.quantization.int8.names import int8_name, tensor_of
from fxpasses.quantization.int8.observe import find_observers
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.ranges.observers import Observer
from fxpasses.signature.samples import count_samples, output_batch_dims
from fxpasses.sqnr import sqnr_db

from .calibrated import Calibrated
from .scoring import Batches, Inputs, Score, Scorer, in_memory_order
from .tensor_error import TensorError
from .units import Unit

Integers = Callable[[Inputs], Mapping[str, Tensor]]
"""Function that returns every integer tensor of one runtime, by the name of its ``quantize`` node."""
Progress = Callable[[str, int, int], None]
"""Callback that is called with the current work, the number of items done, and their total."""


@dataclass(frozen=True)
class WeightError:
    """Error of a layer's integer weights against its float weights."""

    low: float
    high: float
    scale_low: float
    scale_high: float
    sqnr_db: float | None


@dataclass
class LayerSensitivity:
    """Measurements of one unit; the scores are explained in the text of the module.

    Attributes:
        alone_at_node_db: SQNR of its own output when it alone is int8: its own noise, on the first batch.
        noise_percent: its share of the noise that all layers, each alone, add to the logits.
    """

    unit: Unit
    alone: Score
    kept_float: Score
    alone_at_node_db: float | None
    weight: WeightError | None
    noise_percent: float = 0.0


@dataclass
class QuantSensitivity:
    """Result of :func:`quant_sensitivity`.

    Attributes:
        float_score: score of the float model.
        int8: score of the whole int8 graph, by runtime.
        layers: measurements by place in the graph.
        tensors: float against int8 at every integer tensor, by runtime and the tensor's name.
        ranges: calibrated (low, high) of every tensor.
        node_images: number of images that ``tensors`` were compared on.
    """

    float_score: Score
    int8: dict[str, Score] = field(default_factory=dict)
    layers: list[LayerSensitivity] = field(default_factory=list)
    tensors: dict[str, dict[str, TensorError]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    node_images: int = 0

    @property
    def ranked(self) -> list[LayerSensitivity]:
        """Layers by sensitivity: first the one that adds most noise to the logits when it alone is int8."""
        return sorted(self.layers, key=lambda layer: -layer.noise_percent)


def quant_sensitivity(
    calibrated: Calibrated,
    batches: Batches,
    *,
    runtimes: Mapping[str, tuple[Callable[..., object], Integers]] | None = None,
    node_batches: int = 1,
    layers: Iterable[LayerSensitivity] | None = None,
    metric: Metric | None = None,
    progress: Progress | None = None,
    device: str | torch.device = "cpu",
) -> QuantSensitivity:
    """Measure every layer, and every tensor in place.

    Args:
        calibrated: see :func:`~fxpasses.sensitivity.calibrated.calibrate_once`.
        batches: makes the evaluation data from the start; see :data:`~fxpasses.sensitivity.scoring.PIECE` for its size.
        runtimes: model and integer tensors of the int8 graph by name of runtime; PyTorch's if not given.
        node_batches: number of batches to compare every tensor on.
        layers: results of :func:`layer_sensitivity` for every unit, if they are known already.
        metric: metric of the models' accuracy, if it is not top-1 of their logits.
        progress: called before each layer.
        device: where layers are measured, ``"cuda"`` for a GPU; runtimes compute where they were made for.

    Raises:
        GraphError, InputError: the graph cannot be converted, or the data cannot be used.
    """
    graph = calibrated.float_graph
    scorer = Scorer(graph, batches, metric, output_batch_dims(graph), usable_device(device))
    found = QuantSensitivity(scorer.float_score, ranges=_ranges(calibrated.observed))
    int8 = calibrated.convert()
    for name, (model, integers) in (runtimes or torch_runtime(int8)).items():
        found.int8[name] = scorer.score(model)
        found.tensors[name] = _in_place(calibrated.float_graph, int8, integers, _first(batches, node_batches), found)
    found.node_images = sum(count_samples(graph, inputs) for inputs in _first(batches, node_batches))
    found.layers += _each(calibrated, scorer, progress) if layers is None else layers
    _share_noise(found.layers)
    return found


def layer_sensitivity(calibrated: Calibrated, scorer: Scorer, unit: Unit) -> LayerSensitivity:
    """Measure one layer alone in int8, and alone in float. ``noise_percent`` needs all layers, and is 0 here."""
    alone = calibrated.alone(unit)
    gives_floats = list(find_float_results(alone).values())  # nothing else is int8: the result of this layer, or none
    layer: LayerIntegers | None
    if gives_floats:
        node, layer = gives_floats[0].node, gives_floats[0].layer
    else:
        (node,) = (n for n in alone.graph.nodes if n.name == int8_name(unit.result))
        found = find_int8_calls(alone).get(node)
        layer = None if found is None else found.layer
    return LayerSensitivity(
        unit,
        alone=scorer.score(scorer.placed(alone)),
        kept_float=scorer.score(scorer.lowered(calibrated.convert(unit))),
        alone_at_node_db=_own_noise(calibrated.float_graph, alone, node, unit, next(_first(scorer.batches, 1))),
        weight=_weight_error(calibrated.float_graph, unit, layer),
    )


def _each(calibrated: Calibrated, scorer: Scorer, progress: Progress | None) -> Iterator[LayerSensitivity]:
    for done, unit in enumerate(calibrated.units):
        if progress is not None:
            progress(unit.label, done, len(calibrated.units))
        yield layer_sensitivity(calibrated, scorer, unit)


def torch_runtime(int8: fx.GraphModule) -> dict[str, tuple[Callable[..., object], Integers]]:
    """The int8 kernels of PyTorch as a runtime to compare."""
    module = to_torch(int8)
    return {"torch": (module, lambda inputs: torch_integers(module, inputs))}


def _first(batches: Batches, count: int) -> Iterator[Inputs]:
    for number, (inputs, _) in enumerate(batches()):
        if number == count:
            return
        yield in_memory_order(inputs)


def _ranges(observed: fx.GraphModule) -> dict[str, tuple[float, float]]:
    found = {}
    for name, node in find_observers(observed).items():
        observer = observed.get_submodule(str(node.target))
        assert isinstance(observer, Observer)
        found[name] = observer.extremes
    return found


class _Values(fx.Interpreter):
    """Interpreter that records some tensors of a graph, and runs nothing after the last of them."""

    def __init__(self, gm: fx.GraphModule, names: set[str]) -> None:
        super().__init__(gm)
        self._names = names
        self.found: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        if len(self.found) == len(self._names):
            return None
        result = super().run_node(n)
        if n.name in self._names:
            self.found[n.name] = result
        return result


@torch.inference_mode()
def values_of(gm: fx.GraphModule, names: set[str], inputs: Inputs) -> dict[str, Tensor]:
    """Compute some tensors of a graph on some inputs, by name."""
    values = _Values(gm, names)
    values.run(*inputs)
    return values.found


def _in_place(
    float_graph: fx.GraphModule,
    int8: fx.GraphModule,
    integers: Integers,
    inputs_of_batches: Iterator[Inputs],
    found: QuantSensitivity,
) -> dict[str, TensorError]:
    grids = {tensor_of(n.name): qparams_of(n) for n in int8.graph.nodes if n.target is ops.quantize}
    errors: dict[str, TensorError] = {}
    for inputs in inputs_of_batches:
        expected = values_of(float_graph, set(grids), inputs)
        with torch.inference_mode():
            given = integers(inputs)
        for name, x in expected.items():
            q = given.get(int8_name(name))
            if q is None:
                continue
            if name not in errors:
                low, high = found.ranges.get(name, grids[name].range)
                errors[name] = TensorError(grids[name], low, high)
            errors[name].add(x.contiguous(), q.contiguous())
    return errors


def _own_noise(
    float_graph: fx.GraphModule, alone: fx.GraphModule, node: fx.Node, unit: Unit, inputs: Inputs
) -> float | None:
    """SQNR at a unit's output, integers or floats, when its inputs are those of the float graph."""
    exact = values_of(float_graph, {unit.result}, inputs)[unit.result].double()
    found = values_of(alone, {node.name}, inputs)[node.name]
    if node.target is ops.quantize:
        q = qparams_of(node)
        found = ops.dequantize(found, q.scale, q.zero_point)
    return sqnr_db(float(exact.square().sum()), float((exact - found).square().sum()))


def _weight_error(gm: fx.GraphModule, unit: Unit, integers: LayerIntegers | None) -> WeightError | None:
    if integers is None or unit.path is None:
        return None
    layer = gm.get_submodule(unit.path)
    assert isinstance(layer, nn.Module) and isinstance(layer.weight, Tensor)
    weight = layer.weight.detach().double()
    shape = [1] * weight.dim()
    shape[integers.axis] = -1
    error = weight - integers.weight.double() * integers.weight_scale.double().reshape(shape)
    return WeightError(
        float(weight.min()),
        float(weight.max()),
        float(integers.weight_scale.min()),
        float(integers.weight_scale.max()),
        sqnr_db(float(weight.square().sum()), float(error.square().sum())),
    )


def _share_noise(layers: Sequence[LayerSensitivity]) -> None:
    """Set ``noise_percent``: noise at the logits relative to their signal, as share of the sum over all layers."""
    noises = [0.0 if layer.alone.sqnr_db is None else 10 ** (-layer.alone.sqnr_db / 10) for layer in layers]
    whole = sum(noises) or 1.0
    for layer, noise in zip(layers, noises, strict=True):
        layer.noise_percent = 100.0 * noise / whole
