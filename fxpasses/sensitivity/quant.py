"""What int8 costs, layer by layer: each one quantized alone, each one left in float alone, and every tensor in place.

Three questions, which have different answers:

- *alone*: everything is float but this layer; how much noise reaches the logits? It ranks the layers.
- *kept float*: everything is int8 but this layer; how much is won? It is what mixed precision pays.
- *in place*: in the whole int8 graph, as it runs in each runtime, how far is this tensor from float? Noise of the
  layers before it is in it, so it shows where noise grows, not who made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.export.integer_tensors import torch_integers
from fxpasses.export.torch_int8 import to_torch
from fxpasses.measure.metrics import Metric
from fxpasses.quantization.int8.int8_calls import LayerIntegers, find_float_results, find_int8_calls, qparams_of
from fxpasses.quantization.int8.names import int8_name, tensor_of
from fxpasses.quantization.int8.observe import find_observers
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.ranges.observers import Observer
from fxpasses.sqnr import sqnr_db

from .calibrated import Calibrated
from .scoring import Batches, Inputs, Score, Yardstick, in_memory_order
from .tensor_error import TensorError
from .units import Unit

Integers = Callable[[Inputs], Mapping[str, Tensor]]
"""Every integer tensor of one runtime, by the name of its ``quantize`` node."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""


@dataclass(frozen=True)
class WeightError:
    """A layer's weights against the integers that stand for them."""

    low: float
    high: float
    scale_low: float
    scale_high: float
    sqnr_db: float | None


@dataclass
class LayerSensitivity:
    """One unit; see the module's text for what the scores say.

    Attributes:
        alone_at_node_db: SQNR of its own output when it alone is int8: its own noise, on the first batch.
        noise_percent: of the noise that all layers, each alone, bring to the logits.
    """

    unit: Unit
    alone: Score
    kept_float: Score
    alone_at_node_db: float | None
    weight: WeightError | None
    noise_percent: float = 0.0


@dataclass
class QuantSensitivity:
    """What :func:`quant_sensitivity` found.

    Attributes:
        float_score: of the float model.
        int8: score of the whole int8 graph, by runtime.
        layers: by their place in the graph.
        tensors: float against int8 at every integer tensor, by runtime and the tensor's name.
        ranges: (low, high) of every tensor, as calibration saw it.
        node_images: that ``tensors`` were compared on.
    """

    float_score: Score
    int8: dict[str, Score] = field(default_factory=dict)
    layers: list[LayerSensitivity] = field(default_factory=list)
    tensors: dict[str, dict[str, TensorError]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    node_images: int = 0

    @property
    def ranked(self) -> list[LayerSensitivity]:
        """The most sensitive first: the most noise at the logits when it alone is int8."""
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
) -> QuantSensitivity:
    """Measure every layer, and every tensor in place.

    Args:
        calibrated: see :func:`~fxpasses.sensitivity.calibrated.calibrate_once`.
        batches: makes the evaluation data anew each time; see :data:`~fxpasses.sensitivity.scoring.PIECE` for its size.
        runtimes: model and integer tensors of the int8 graph by name of runtime; PyTorch's if not given.
        node_batches: how many batches to compare every tensor on.
        layers: what :func:`layer_sensitivity` found of each unit, where others measured that.
        metric: how models are judged, if not by the classes of their logits.
        progress: called before each layer.

    Raises:
        GraphError, InputError: the graph cannot be converted, or the data not be used.
    """
    yardstick = Yardstick(calibrated.float_graph, batches, metric)
    found = QuantSensitivity(yardstick.float_score, ranges=_ranges(calibrated.observed))
    int8 = calibrated.convert()
    for name, (model, integers) in (runtimes or torch_runtime(int8)).items():
        found.int8[name] = yardstick.score(model)
        found.tensors[name] = _in_place(calibrated.float_graph, int8, integers, _first(batches, node_batches), found)
    found.node_images = sum(len(inputs[0]) for inputs in _first(batches, node_batches))
    found.layers += _each(calibrated, yardstick, progress) if layers is None else layers
    _share_noise(found.layers)
    return found


def layer_sensitivity(calibrated: Calibrated, yardstick: Yardstick, unit: Unit) -> LayerSensitivity:
    """Measure one layer: alone in int8, and alone in float. ``noise_percent`` needs all of them, and is 0."""
    alone = calibrated.alone(unit)
    gives_floats = list(find_float_results(alone).values())  # nothing else is int8: this layer, or none
    layer: LayerIntegers | None
    if gives_floats:
        node, layer = gives_floats[0].node, gives_floats[0].layer
    else:
        (node,) = (n for n in alone.graph.nodes if n.name == int8_name(unit.result))
        found = find_int8_calls(alone).get(node)
        layer = None if found is None else found.layer
    return LayerSensitivity(
        unit,
        alone=yardstick.score(alone),
        kept_float=yardstick.score(to_torch(calibrated.convert(unit))),
        alone_at_node_db=_own_noise(calibrated.float_graph, alone, node, unit, next(_first(yardstick.batches, 1))),
        weight=_weight_error(calibrated.float_graph, unit, layer),
    )


def _each(calibrated: Calibrated, yardstick: Yardstick, progress: Progress | None) -> Iterator[LayerSensitivity]:
    for done, unit in enumerate(calibrated.units):
        if progress is not None:
            progress(unit.label, done, len(calibrated.units))
        yield layer_sensitivity(calibrated, yardstick, unit)


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
    """The values of some tensors of a graph; nothing runs after the last of them."""

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
    """Some tensors of a graph on some inputs, by name."""
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
    """SQNR at a unit's output, integers or floats, when its inputs are the float ones."""
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
    """Noise at the logits relative to their signal, as shares of the sum over all layers."""
    noises = [0.0 if layer.alone.sqnr_db is None else 10 ** (-layer.alone.sqnr_db / 10) for layer in layers]
    whole = sum(noises) or 1.0
    for layer, noise in zip(layers, noises, strict=True):
        layer.noise_percent = 100.0 * noise / whole
