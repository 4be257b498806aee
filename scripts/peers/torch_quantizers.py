"""Quantizers of PyTorch models: each prepares, and returns the function to time, from the float module to files.

fxpasses  the default recipe, captured, quantized, and written as .onnx and as .pt2
torch.ao  ``torch.ao.quantization`` FX mode, engine x86, ``get_default_qconfig_mapping("x86")``; its file is the
          state of the converted model, as its documentation has it
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import fxpasses
from fxpasses.machine.environment import usable_threads
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.zoo import load_model
from peers.case import Case

OUR_ONNX, OUR_PT2, TORCH_AO_STATE = "fxpasses.onnx", "fxpasses.pt2", "torch_ao.pt"


def load_case_model(case: Case) -> LoadedModel:
    """Load the float model, the same in every process: random weights come from one seed."""
    return load_model(case.model, None if case.weights is None else Path(case.weights))


def ours(case: Case) -> Callable[[], None]:
    """Quantizer of this project: one int8 graph, for both runtimes."""
    import onnxscript  # noqa: F401  # imported at the first export; other contestants' imports are not timed either

    torch.set_num_threads(usable_threads())
    model = load_case_model(case)

    def quantize() -> None:
        int8 = fxpasses.quantize(model.module, model.example_inputs(), _batches(case))
        program = fxpasses.export.exported_program(int8)
        fxpasses.export.to_onnx(int8, case.folder / OUR_ONNX, program=program)
        fxpasses.export.save(int8, case.folder / OUR_PT2, program=program)

    return quantize


def load_ours(case: Case) -> nn.Module:
    """Open the .pt2 file on int8 kernels."""
    return fxpasses.export.to_torch(fxpasses.export.load(case.folder / OUR_PT2))


def torch_ao(case: Case) -> Callable[[], None]:
    """Quantizer of torch itself: its outgoing FX mode."""
    torch.set_num_threads(usable_threads())
    model = load_case_model(case)

    def quantize() -> None:
        converted = _torch_ao(model, _batches(case))
        with torch.no_grad():
            converted(*model.example_inputs())  # at its first call some operators turn out to have no int8 kernel
        torch.save(converted.state_dict(), case.folder / TORCH_AO_STATE)

    return quantize


def load_torch_ao(case: Case) -> nn.Module:
    """Build the converted model again and load its stored state."""
    converted = _torch_ao(load_case_model(case), ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its quantized tensors are read through deprecated storages
        converted.load_state_dict(torch.load(case.folder / TORCH_AO_STATE, weights_only=True))
    return converted


def _torch_ao(model: LoadedModel, batches: Iterator[Tensor] | tuple[()]) -> nn.Module:
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    torch.backends.quantized.engine = "x86"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # it announces its own deletion, and observers that have seen nothing
        prepared = prepare_fx(model.module, get_default_qconfig_mapping("x86"), model.example_inputs())
        for batch in batches:
            prepared(batch)
        converted: nn.Module = convert_fx(prepared)
    return converted


def _batches(case: Case) -> Iterator[Tensor]:
    return (torch.from_numpy(batch) for batch in case.calibration())
