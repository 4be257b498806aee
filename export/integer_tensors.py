"""Every integer tensor of a running artifact, by the name of its ``quantize`` node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from fxpasses.errors import InputError
from fxpasses.graph.meta_keys import INT8_NAME
from fxpasses.quantization.numbers import ops
from fxpasses.signature.examples import tensors_in

from .engines.quint8 import as_bytes
from .engines.x86.net import X86Net
from .exact_sums import set_exact_sums
from .onnx_reader import read_onnx, start_session
from .onnx_refusals import SILENT

if TYPE_CHECKING:
    import onnx
    import onnxruntime


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.found: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        name = n.meta.get(INT8_NAME) or (n.name if n.target is ops.quantize else None)
        if name is not None:
            self.found[name] = as_bytes(result).clone()
        return result


def torch_integers(module: nn.Module, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
    """All integer tensors of a lowered module, or of the QUANTIZED graph itself, for given inputs."""
    net = module.net if isinstance(module, X86Net) else module
    assert isinstance(net, fx.GraphModule)
    recorder = _Recorder(net)
    recorder.run(*inputs)
    return recorder.found


class OnnxIntegers:
    """An int8 ONNX file in onnxruntime, as deployed, and a second session with its integer tensors as outputs."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        self._path, self._threads = path, threads
        self._model = read_onnx(path)
        self._plain = start_session(path, self._options())
        self._revealing: Any = None
        self._names: list[str] = []

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata in the file: target, versions and hash."""
        found: dict[str, str] = self._plain.get_modelmeta().custom_metadata_map
        return found

    def outputs(self, inputs: tuple[Any, ...]) -> list[Tensor]:
        """The file's own outputs."""
        return [torch.from_numpy(y) for y in self._plain.run(None, self._feed(inputs))]

    def integers(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """The integers of every QuantizeLinear (and of every Pad and Reshape of integers) in the file."""
        if self._revealing is None:
            self._reveal()
        if not self._names:  # onnxruntime treats an empty list as all outputs
            return {}
        values = self._revealing.run(self._names, self._feed(inputs))
        return {name: torch.from_numpy(v) for name, v in zip(self._names, values, strict=True)}

    def _feed(self, inputs: tuple[Any, ...]) -> dict[str, Any]:
        names, given = [i.name for i in self._plain.get_inputs()], tensors_in(inputs)
        if len(names) != len(given):
            raise InputError(
                f"{self._path}",
                why=f"it takes {len(names)} inputs, not {len(given)}",
                fix="use the file of this model",
            )
        return {name: x.numpy() for name, x in zip(names, given, strict=True)}

    def _reveal(self) -> None:
        """Make every integer tensor an output; onnxruntime still fuses the operators."""
        import onnxruntime

        model, kinds = self._model, integer_kinds(self._model)
        self._names = sorted(kinds)
        reveal(model, kinds)
        options = self._options()
        set_exact_sums(options, model)
        self._revealing = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _options(self) -> onnxruntime.SessionOptions:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = SILENT
        options.intra_op_num_threads = self._threads
        return options


def reveal(model: onnx.ModelProto, kinds: Mapping[str, int]) -> None:
    """Make inner tensors additional outputs of a model; ``kinds`` are their ONNX types by name."""
    import onnx

    infos = {v.name: v for v in (*model.graph.value_info, *model.graph.output)}
    for name in sorted(kinds.keys() - {o.name for o in model.graph.output}):
        shape = infos.get(name)
        dims = [d.dim_value or d.dim_param for d in shape.type.tensor_type.shape.dim] if shape else None
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kinds[name], dims))


def integer_kinds(model: onnx.ModelProto) -> dict[str, int]:
    """The ONNX type of every integer tensor from QuantizeLinear, Pad or Reshape, by name."""
    import onnx

    integers = [getattr(onnx.TensorProto, name) for name in ("UINT8", "INT8", "UINT16", "INT16")]
    declared = {i.name: i.data_type for i in model.graph.initializer}
    kinds: dict[str, int] = {}
    for node in model.graph.node:
        kind = None
        if node.op_type in ("QuantizeLinear", "Pad") and len(node.input) > 2:
            kind = declared.get(node.input[2])
        elif node.op_type == "Reshape":
            kind = kinds.get(node.input[0])
        if kind is not None and kind in integers:
            kinds[node.output[0]] = kind
    return kinds
