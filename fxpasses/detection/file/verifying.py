"""Check a detector's file: onnxruntime and PyTorch must find the same in noise, given equal outputs of int8 layers.

Random images make borders of ranges and thresholds likely: one integer that differs would change which of two nearly
equal boxes is kept. So onnxruntime also reveals the outputs of the int8 layers, which ``to_onnx`` has compared with
their graph, and PyTorch continues with these.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fxpasses.errors import GraphError, InputError
from fxpasses.export.exact_sums import set_exact_sums
from fxpasses.export.integer_tensors import reveal
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.onnx_refusals import SILENT, refusals_told
from fxpasses.signature.outputs import tensors_of

from ..float_steps import Detections
from ..images import noise, prepared
from ..parts import IMAGES
from .onnx_detector import unpadded

if TYPE_CHECKING:
    import onnx

    from ..detector import Detector

LEAST_SHARED = 0.9
"""Smallest share of detections that both find: rounding may decide which of two boxes is kept."""
SAME_SCORE = 1e-6
"""Largest difference of equal scores, computed in another order in float32."""
_INSIDE = f"{IMAGES}/"
"""Prefix of the tensors of the first int8 part."""
NEAR_BOX, NEAR_SCORE = 0.1, 1e-3
"""Largest difference of coordinates in pixels, and of scores, of one detection in both; rounding is far smaller."""


def verify_detector(detector: Detector, path: Path, image_size: tuple[int, int]) -> None:
    """Compare a file with the detector it was made from.

    Raises:
        GraphError: onnxruntime does not run it, or finds something else.
    """
    images = noise(image_size, len(detector.steps.transform.image_mean))
    found, outputs = _run(path, images)
    given = prepared(detector.steps, images)
    with torch.no_grad():
        example = detector.int8[IMAGES](given.batch.tensors)
        expected = detector.detections(_like(example, outputs), given, detector.int8)
    shared = shared_detections(found, expected)
    if shared < LEAST_SHARED:
        raise GraphError(
            f"the file of this {detector.kind.value}",
            why=f"only {100 * shared:.0f} % of what it finds in noise is found by the detector in PyTorch, too",
            fix="verify=False writes the file unchecked; detections in PyTorch are right",
            step="to_onnx",
        )


def shared_detections(found: Detections, expected: Detections) -> float:
    """The share of detections with a counterpart in the other list: same label, same box, same score.

    Where scores are equal, another box may be kept: only the scores of such detections are compared.
    """
    shares = [_share(*pair) for pair in zip(found, expected, strict=True)]
    return min(shares, default=1.0)


def _share(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    shorter, longer = sorted((len(a["scores"]), len(b["scores"])))
    if not longer:
        return 1.0
    near = (a["scores"][:shorter] - b["scores"][:shorter]).abs() <= NEAR_SCORE
    same = (a["boxes"][:, None] - b["boxes"]).abs().amax(2) <= NEAR_BOX
    same &= (a["scores"][:, None] - b["scores"]).abs() <= NEAR_SCORE
    same &= a["labels"][:, None] == b["labels"]
    shares = [int(near.sum()) / longer]
    for image, has_twin in ((a, same.any(1)), (b, same.any(0))):
        compared = has_twin[_unequal(image["scores"])]
        shares += [float(compared.float().mean())] if len(compared) else []
    return min(shares)


def _unequal(scores: Tensor) -> Tensor:
    """Whether each score differs from all others."""
    near = (scores[:, None] - scores).abs() <= SAME_SCORE
    return near.sum(1) == 1


def _run(path: Path, images: Tensor) -> tuple[Detections, dict[str, Tensor]]:
    """Detections of the file, and the outputs of its first int8 part by name."""
    import onnx
    import onnxruntime as ort

    model = read_onnx(path)
    own = [output.name for output in model.graph.output]
    read = {name for node in model.graph.node if not _is_inside(node) for name in node.input}
    told = sorted(name for name in read if name.startswith(_INSIDE))
    reveal(model, dict.fromkeys(told, onnx.TensorProto.FLOAT))
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = SILENT, torch.get_num_threads()
    set_exact_sums(options, model)
    what, fix = f"onnxruntime {ort.__version__} does not run the file of this detector", "verify=False writes it anyway"
    try:
        with refusals_told(what, fix):
            session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            values = session.run([*own, *told], {session.get_inputs()[0].name: images.numpy()})
    except InputError as error:
        raise GraphError(error.what, why=error.why, fix=error.fix, step="to_onnx") from error
    named = dict(zip([*own, *told], map(torch.from_numpy, values), strict=True))
    return unpadded(named), {name.removeprefix(_INSIDE): named[name] for name in told}


def _like(example: Any, outputs: dict[str, Tensor]) -> Any:
    """The outputs of onnxruntime in the structure of the graph's; one that nothing reads is taken from the example."""
    leaves, spec = pytree.tree_flatten_with_path(example)
    assert len(leaves) == len(tensors_of(example))
    names = [".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path) for path, _ in leaves]
    return pytree.tree_unflatten([outputs.get(n, value) for n, (_, value) in zip(names, leaves, strict=True)], spec)


def _is_inside(node: onnx.NodeProto) -> bool:
    """Whether a node belongs to the first int8 part."""
    return str(node.output[0]).startswith(_INSIDE)
