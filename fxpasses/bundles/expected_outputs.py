"""The test vector of a bundle: the images stored in the folder, and their outputs by exact integer arithmetic.

``expected.npz`` holds plain arrays: ``input_0`` and so on as the model takes them, ``pixels_0`` uint8 ``[N, H, W, C]``
for a model of images, ``output_0`` and so on from the exact integer reference, and ``lsb``, what a step of each output
is worth: its scale, of a float output a 255th of its range. Equal integers give equal floats, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx

from fxpasses.agreement.output_steps import lsb_of, output_lsbs
from fxpasses.agreement.stored_integers import stored_inputs
from fxpasses.export.plain_arrays import write_arrays
from fxpasses.export.torch_int8 import to_torch
from fxpasses.signature.outputs import tensors_of

from .image.image_input import ImageInput


@dataclass(frozen=True)
class Expected:
    """Inputs ``[N, ...]``, the pixels behind them where there are any, and exact outputs."""

    inputs: tuple[Tensor, ...]
    pixels: Tensor | None
    outputs: tuple[Tensor, ...]
    lsbs: tuple[float, ...]

    def write(self, path: Path) -> None:
        """Write ``expected.npz``; the same vector gives the same bytes."""
        arrays = {f"input_{i}": x.numpy() for i, x in enumerate(self.inputs)}
        arrays |= {} if self.pixels is None else {"pixels_0": self.pixels.numpy()}
        arrays |= {f"output_{i}": y.numpy() for i, y in enumerate(self.outputs)}
        arrays["lsb"] = np.asarray(self.lsbs, np.float64)
        write_arrays(path, arrays)


@torch.inference_mode()
def expected_outputs(int8: fx.GraphModule, integers: Path, image: ImageInput | None) -> Expected:
    """The test vector of a QUANTIZED graph, from the images in its folder's ``integers.npz``.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    inputs = stored_inputs(integers)
    pixels = image.pixels_behind(inputs[0]) if image is not None and len(inputs) == 1 else None
    reference = to_torch(int8, engine="reference")
    outputs = tuple(tensor.contiguous() for tensor in tensors_of(reference(*inputs)))
    lsbs = tuple(
        lsb_of(lsb, y) if y.is_floating_point() else 1.0 for lsb, y in zip(output_lsbs(int8), outputs, strict=True)
    )
    return Expected(inputs, pixels, outputs, lsbs)
