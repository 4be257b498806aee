"""Check whether the PyTorch and the ONNX int8 artifacts give the same integers, and find the first difference.

Both artifacts run on the same images and their outputs are compared in LSBs (steps of the output's scale). On a few
images every integer tensor of both is compared, too, *given equal inputs*: exact arithmetic is applied to the integers
that the runtime itself produced one node earlier, so a difference is caused by this node alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.errors import InputError
from fxpasses.export.engines.reference import reference_kernel
from fxpasses.export.engines.replace_calls import lower
from fxpasses.export.integer_tensors import OnnxIntegers, torch_integers
from fxpasses.export.metadata import PREFIX, qparams_hash
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.meta_keys import INT8_NAME
from fxpasses.graph.shapes import is_float_tensor, shape_of
from fxpasses.graph.stages import Stage, check_stage
from fxpasses.quantization.ranges.labelled_batches import without_labels
from fxpasses.signature.examples import argument_names_of, examples_of, inputs_of
from fxpasses.signature.free_sizes import BATCH, free_sizes
from fxpasses.signature.input_check import check_inputs
from fxpasses.signature.outputs import output_tensors, tensors_of
from fxpasses.signature.samples import count_samples, first_of

from .output_steps import lsb_of, output_lsbs

REFERENCE = "reference"


@dataclass
class Agreement:
    """Accumulated differences between two sets of integers."""

    values: int = 0
    differing: int = 0
    max_lsb: int = 0

    @property
    def fraction_differing(self) -> float:
        return self.differing / self.values if self.values else 0.0

    def add(self, steps: Tensor) -> None:
        """Add differences in LSBs, rounded to whole ones."""
        whole = steps.abs().round()
        self.values += whole.numel()
        self.differing += int((whole > 0).sum())
        self.max_lsb = max(self.max_lsb, int(whole.max())) if whole.numel() else self.max_lsb

    def add_integers(self, found: Tensor, exact: Tensor) -> None:
        """Add the difference of two tensors of integers, which are mostly equal."""
        if found.dtype == exact.dtype and torch.equal(found, exact):
            self.values += found.numel()
        else:
            self.add(found.to(torch.int32) - exact.to(torch.int32))


@dataclass
class NodeAgreement:
    """One integer tensor of one runtime against exact arithmetic on equal inputs."""

    node: str
    runtime: str
    agreement: Agreement = field(default_factory=Agreement)


@dataclass
class ParityReport:
    """The result of :func:`parity`; ``to_json()`` has the keys of report.json's ``parity``.

    Attributes:
        images: number of images compared end to end.
        same_top1: number of images with the same largest output in both; None if outputs are no logits.
        logits: differences of the outputs, torch against onnxruntime.
        reference: differences of the outputs from exact integer arithmetic end to end, by runtime, on the first images.
        nodes: each integer tensor of each runtime, given equal inputs.
        node_images: number of images in ``reference`` and ``nodes``.
    """

    images: int = 0
    same_top1: int | None = 0
    logits: Agreement = field(default_factory=Agreement)
    reference: dict[str, Agreement] = field(default_factory=dict)
    nodes: list[NodeAgreement] = field(default_factory=list)
    node_images: int = 0

    @property
    def top1_agreement(self) -> float | None:
        return None if self.same_top1 is None or not self.images else 100.0 * self.same_top1 / self.images

    @property
    def max_lsb_at_any_node(self) -> int:
        return max((n.agreement.max_lsb for n in self.nodes), default=0)

    @property
    def first_divergence(self) -> str | None:
        """The first tensor in the graph that differs on equal inputs, as ``node (runtime)``; None if none does."""
        return next((f"{n.node} ({n.runtime})" for n in self.nodes if n.agreement.max_lsb), None)

    @property
    def is_exact(self) -> bool:
        """Whether all integers are equal."""
        return not (self.logits.max_lsb or self.max_lsb_at_any_node or any(a.max_lsb for a in self.reference.values()))

    def __repr__(self) -> str:
        return f"ParityReport({self})"

    def __str__(self) -> str:
        top1 = "" if self.top1_agreement is None else f"top-1 agreement {self.top1_agreement:.1f} %, "
        return (
            f"{self.images} images: {top1}outputs differ by at most {self.logits.max_lsb} LSB; "
            f"{len(self.nodes)} integer tensors by at most {self.max_lsb_at_any_node} LSB given equal inputs"
            + (f"; first at {self.first_divergence}" if self.first_divergence else "")
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "top1_agreement": self.top1_agreement,
            "max_lsb": self.logits.max_lsb,
            "fraction_differing": self.logits.fraction_differing,
            "max_lsb_at_any_node": self.max_lsb_at_any_node,
            "first_divergence": self.first_divergence,
            "node_images": self.node_images,
            "against_reference": {name: _agreement_json(a) for name, a in self.reference.items()},
            "nodes": [{"node": n.node, "runtime": n.runtime, **_agreement_json(n.agreement)} for n in self.nodes],
        }


def _agreement_json(agreement: Agreement) -> dict[str, Any]:
    return asdict(agreement) | {"fraction_differing": agreement.fraction_differing}


def parity(
    gm: fx.GraphModule,
    batches: Iterable[Any],
    *,
    onnx_path: str | Path | None = None,
    engine: str | None = None,
    node_images: int = 8,
    progress: Callable[[int], None] | None = None,
) -> ParityReport:
    """Compare the artifacts of a QUANTIZED graph on real data.

    Args:
        gm: the QUANTIZED graph.
        batches: tensors, tuples of the model's inputs, or dicts of them by name; labels behind them are left out.
        onnx_path: its ONNX file; exported to a temporary one if not given.
        engine: of :func:`fxpasses.export.to_torch`.
        node_images: how many images to compare at every integer tensor, and end to end with the integer reference.
        progress: called with the number of images of each batch as it is done.

    Raises:
        GraphError: the graph is not QUANTIZED.
        InputError: there are no batches, or the ONNX file is not one of this graph.
    """
    check_stage(gm, Stage.QUANTIZED, "parity")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(onnx_path) if onnx_path else to_onnx(gm, Path(folder) / "model.int8.onnx")
        comparison = _Comparison(gm, path, engine, node_images)
        for batch in batches:
            inputs = inputs_of(gm, without_labels(batch, argument_names_of(gm), examples_of(gm)), "parity data")
            check_inputs(gm, inputs, "parity data")
            comparison.add(inputs)
            if progress is not None:
                progress(count_samples(gm, inputs))
    if not comparison.report.images:
        raise InputError("parity data", why="it is empty", fix="pass at least one batch")
    return comparison.report


class _Comparison:
    def __init__(self, gm: fx.GraphModule, path: Path, engine: str | None, node_images: int) -> None:
        self.gm, self.path, self.lsbs = gm, path, output_lsbs(gm)
        self.decides = _decides(gm)
        self.torch_module = to_torch(gm, engine)
        self.reference = lower(gm, reference_kernel)
        self.onnx = OnnxIntegers(path)
        _require_same_graph(gm, path, self.onnx.metadata.get(f"{PREFIX}qparams_sha256"))
        self.node_images = node_images
        self.report = ParityReport()

    @torch.inference_mode()
    def add(self, inputs: tuple[Any, ...]) -> None:
        ours, theirs = self._run(inputs)
        self._compare_outputs(ours, theirs)
        samples, missing = count_samples(self.gm, inputs), self.node_images - self.report.node_images
        self.report.images += samples
        if missing > 0:
            few = first_of(self.gm, inputs, missing)
            self._compare_nodes(few, *(self._run(few) if missing < samples else (ours, theirs)))
            self.report.node_images += count_samples(self.gm, few)

    def _run(self, inputs: tuple[Any, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """The outputs of PyTorch and of onnxruntime."""
        return tensors_of(self.torch_module(*inputs)), self.onnx.outputs(inputs)

    def _compare_outputs(self, ours: list[Tensor], theirs: list[Tensor]) -> None:
        report = self.report
        if [a.shape for a in ours] != [b.shape for b in theirs]:
            raise _other_model(self.path, "its outputs have other shapes")
        for a, b, lsb in zip(ours, theirs, self.lsbs, strict=True):
            report.logits.add(_steps(a, b, lsb))
        if not self.decides:
            report.same_top1 = None
        elif report.same_top1 is not None:
            report.same_top1 += int((ours[0].argmax(1) == theirs[0].argmax(1)).sum())

    def _compare_nodes(self, inputs: tuple[Any, ...], ours: list[Tensor], theirs: list[Tensor]) -> None:
        exact = tensors_of(self.reference(*inputs))
        for runtime, outputs in (("torch", ours), ("onnxruntime", theirs)):
            agreement = self.report.reference.setdefault(runtime, Agreement())
            for a, b, lsb in zip(outputs, exact, self.lsbs, strict=True):
                agreement.add(_steps(a, b, lsb))
        by_name: dict[tuple[str, str], NodeAgreement] = {(n.node, n.runtime): n for n in self.report.nodes}
        runtimes: dict[str, Callable[[tuple[Any, ...]], dict[str, Tensor]]] = {
            "torch": partial(torch_integers, self.torch_module),
            "onnxruntime": self.onnx.integers,
        }
        for runtime, integers in runtimes.items():  # one after the other: those of a large net take gigabytes

            def add(node: str, found: Tensor, exact: Tensor, runtime: str = runtime) -> None:
                by_name.setdefault((node, runtime), NodeAgreement(node, runtime)).agreement.add_integers(found, exact)

            _OnEqualInputs(self.reference, integers(inputs), add).run(*inputs)
        order = [n.meta[INT8_NAME] for n in self.reference.graph.nodes if INT8_NAME in n.meta]
        rank = {name: i for i, name in enumerate(order)}
        self.report.nodes = sorted(by_name.values(), key=lambda n: rank[n.node])


class _OnEqualInputs(fx.Interpreter):
    """Runs exact arithmetic, but replaces every integer tensor by the one that a runtime computed.

    ``on_tensor`` gets each name, the integers of the runtime, and the exact ones.
    """

    def __init__(
        self, reference: fx.GraphModule, found: dict[str, Tensor], on_tensor: Callable[[str, Tensor, Tensor], None]
    ) -> None:
        super().__init__(reference)
        self._found, self._on_tensor = found, on_tensor

    def run_node(self, n: fx.Node) -> Any:
        exact = super().run_node(n)
        found = self._found.pop(n.meta.get(INT8_NAME, ""), None)
        if found is None:
            return exact
        self._on_tensor(n.meta[INT8_NAME], found, exact)
        return found


def _require_same_graph(gm: fx.GraphModule, path: Path, found: str | None) -> None:
    """Check the hash of the integers in files of ours; files without a hash are accepted until their outputs differ."""
    if found is not None and found != qparams_hash(gm):
        raise _other_model(path, "it was made from another graph, or another calibration of this one")


def _other_model(path: Path, why: str) -> InputError:
    return InputError(f"{path}", why=why, fix="use the file of this model: fx.export.to_onnx(graph, path)")


def _decides(gm: fx.GraphModule) -> bool:
    """Whether the first output is logits: a row of several floating point numbers for each sample."""
    outputs = output_tensors(gm)
    shape = shape_of(outputs[0].node) if outputs and is_float_tensor(outputs[0].node) else None
    rows = shape is not None and len(shape) == 2 and shape[1] > 1
    return rows and 0 in (free_sizes(gm).outputs or ({0: BATCH},))[0]


def _steps(a: Tensor, b: Tensor, scale: float | None) -> Tensor:
    """Differences of outputs in LSBs; for integers and booleans 1 where they differ."""
    if not a.is_floating_point():
        return (a != b).to(torch.float32)
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, 0.0, (a - b) / lsb_of(scale, b))
