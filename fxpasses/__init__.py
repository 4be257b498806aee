"""Quantization and pruning as passes over ``torch.fx`` graphs: one int8 graph, two runtimes, the same integers.

The names below are the whole public interface. Each is loaded at its first use (PEP 562), so ``import fxpasses``
is fast and does not import torch. No module has the name of a public function: importing a submodule
binds it as an attribute of its package, where it would hide the function.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import binary as binary
    from . import detection as detection
    from . import export as export
    from . import models as models
    from . import pruning as pruning
    from . import training as training
    from .calls.opened import load as load
    from .calls.pruned_model import prune as prune
    from .calls.run_report import report as report
    from .capturing.attempts import capture as capture
    from .detection.quantizing import quantize_detector as quantize_detector
    from .errors import FxPassesError as FxPassesError
    from .errors import GraphError as GraphError
    from .errors import InputError as InputError
    from .micronet.api import score as score
    from .passes.fusion import fuse as fuse
    from .quantization.api import QuantConfig as QuantConfig
    from .quantization.api import align_pixels as align_pixels
    from .quantization.api import calibrate as calibrate
    from .quantization.api import convert as convert
    from .quantization.api import equalize as equalize
    from .quantization.api import learn_rounding as learn_rounding
    from .quantization.api import narrow_ranges as narrow_ranges
    from .quantization.api import observe as observe
    from .quantization.api import quantize as quantize
    from .quantization.api import reestimate as reestimate
    from .quantization.api import smooth as smooth
    from .quantization.api import sweep_observers as sweep_observers
    from .quantization.numbers.linear_mapping import dequantize_linear as dequantize_linear
    from .quantization.numbers.linear_mapping import linear_parameters as linear_parameters
    from .quantization.numbers.linear_mapping import quantize_linear as quantize_linear
    from .training import RunSettings as RunSettings
    from .training import TrainingConfig as TrainingConfig
    from .training import convert_trained as convert_trained
    from .training import freeze_training as freeze_training
    from .training import prepare_training as prepare_training
    from .training import train_quantized as train_quantized

    __version__: str

_HOMES = {
    "FxPassesError": "fxpasses.errors",
    "GraphError": "fxpasses.errors",
    "InputError": "fxpasses.errors",
    "QuantConfig": "fxpasses.quantization.api",
    "RunSettings": "fxpasses.training",
    "TrainingConfig": "fxpasses.training",
    "align_pixels": "fxpasses.quantization.api",
    "calibrate": "fxpasses.quantization.api",
    "capture": "fxpasses.capturing.attempts",
    "convert": "fxpasses.quantization.api",
    "convert_trained": "fxpasses.training",
    "dequantize_linear": "fxpasses.quantization.numbers.linear_mapping",
    "equalize": "fxpasses.quantization.api",
    "freeze_training": "fxpasses.training",
    "fuse": "fxpasses.passes.fusion",
    "learn_rounding": "fxpasses.quantization.api",
    "linear_parameters": "fxpasses.quantization.numbers.linear_mapping",
    "load": "fxpasses.calls.opened",
    "narrow_ranges": "fxpasses.quantization.api",
    "observe": "fxpasses.quantization.api",
    "prepare_training": "fxpasses.training",
    "prune": "fxpasses.calls.pruned_model",
    "quantize": "fxpasses.quantization.api",
    "quantize_detector": "fxpasses.detection.quantizing",
    "quantize_linear": "fxpasses.quantization.numbers.linear_mapping",
    "reestimate": "fxpasses.quantization.api",
    "report": "fxpasses.calls.run_report",
    "score": "fxpasses.micronet.api",
    "smooth": "fxpasses.quantization.api",
    "sweep_observers": "fxpasses.quantization.api",
    "train_quantized": "fxpasses.training",
}
_SUBPACKAGES = ("binary", "detection", "export", "models", "pruning", "training")


def __getattr__(name: str) -> object:
    value: object
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _SUBPACKAGES:
        value = import_module(f"{__name__}.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("fxpasses")
    else:
        from .torch_ao_names import INSTEAD

        told = f"; torch.ao's {name} is here {INSTEAD[name]}" if name in INSTEAD else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{told}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_SUBPACKAGES, "__version__"})
