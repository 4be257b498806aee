"""Check a detector's file: onnxruntime and PyTorch must find the same in noise, given equal outputs of int8 layers.

Random images make borders of ranges and thresholds likely: one integer that differs would change which of two nearly
equal boxes is kept. So onnxruntime also reveals the outputs of the int8 layers, which ``to_onnx`` has compared with
their graph, and PyTorch continues with these. A detector of random weights may find nothing in noise; so both also
continue with random outputs, in which every threshold is passed by some.
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
from .one_stage import CENTRED, LOGITS
from .onnx_detector import unpadded

if TYPE_CHECKING:
    import onnx

    from ..detector import Detector

LEAST_SHARED = 0.9
"""Smallest share of detections that both find: rounding may decide which of two boxes is kept."""
SAME_SCORE = 1e-6
"""Largest difference of equal scores, computed in another order in float32."""
SPREAD = 3.0
"""Standard deviation of random logits: some pass a threshold of 0.9, most fail it."""
_SCORES = (LOGITS, CENTRED, "scores")
"""Outputs of heads that become scores."""
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
    given = prepared(detector.steps, images)
    found, outputs = _run(path, images)
    with torch.no_grad():
        example = detector.int8[IMAGES](given.batch.tensors)

    def compare(found: Detections, outputs: dict[str, Tensor], where: str) -> None:
        with torch.no_grad():
            expected = detector.detections(_like(example, outputs), given, detector.int8)
        _require_shared(detector, shared_detections(found, expected), where)

    compare(found, outputs, "noise")
    made = random_outputs(outputs)
    compare(_run_behind(path, images, made), made, "random outputs of its layers")


def _require_shared(detector: Detector, shared: float, where: str) -> None:
    if shared < LEAST_SHARED:
        raise GraphError(
            f"the file of this {detector.kind.value}",
            why=f"only {100 * shared:.0f} % of what it finds in {where} is found by the detector in PyTorch, too",
            fix="verify=False writes the file unchecked; detections in PyTorch are right",
            step="to_onnx",
        )


def random_outputs(outputs: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Values as heads give them, of these shapes: spread scores, and boxes about as large as their anchors."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, output in outputs.items():
        values = torch.randn(output.shape, generator=generator)
        is_score = name.startswith(_SCORES)
        distances = CENTRED in outputs and not is_score  # of FCOS: from a place to the four sides
        made[name] = SPREAD * values if is_score else values.abs() if distances else values
    return made


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

    model = read_onnx(path)
    own, told = [output.name for output in model.graph.output], _told(model)
    reveal(model, dict.fromkeys(told, onnx.TensorProto.FLOAT))
    named = _results(model, [*own, *told], {model.graph.input[0].name: images})
    return unpadded(named), {name.removeprefix(_INSIDE): named[name] for name in told}


def _run_behind(path: Path, images: Tensor, outputs: dict[str, Tensor]) -> Detections:
    """Detections of the file with other outputs of its first int8 part."""
    import onnx
    from onnx import helper

    model = read_onnx(path)
    told, left = _told(model), [node for node in model.graph.node if not _is_inside(node)]
    del model.graph.node[:]
    model.graph.node.extend(left)
    for name in told:
        shape = outputs[name.removeprefix(_INSIDE)].shape
        model.graph.input.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    feeds = {name: outputs[name.removeprefix(_INSIDE)] for name in told}
    given = {model.graph.input[0].name: images} | feeds
    return unpadded(_results(model, [output.name for output in model.graph.output], given))


def _told(model: onnx.ModelProto) -> list[str]:
    """Names of the outputs of the first int8 part that other steps read."""
    read = {name for node in model.graph.node if not _is_inside(node) for name in node.input}
    return sorted(name for name in read if name.startswith(_INSIDE))


def _results(model: onnx.ModelProto, names: list[str], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
    """Results of a model in onnxruntime, by name.

    Raises:
        GraphError: it does not run.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = SILENT, torch.get_num_threads()
    set_exact_sums(options, model)
    what, fix = f"onnxruntime {ort.__version__} does not run the file of this detector", "verify=False writes it anyway"
    try:
        with refusals_told(what, fix):
            session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            values = session.run(names, {name: value.numpy() for name, value in feeds.items()})
    except InputError as error:
        raise GraphError(error.what, why=error.why, fix=error.fix, step="to_onnx") from error
    return dict(zip(names, map(torch.from_numpy, values), strict=True))


def _like(example: Any, outputs: dict[str, Tensor]) -> Any:
    """The outputs of onnxruntime in the structure of the graph's; one that nothing reads is taken from the example."""
    leaves, spec = pytree.tree_flatten_with_path(example)
    assert len(leaves) == len(tensors_of(example))
    names = [".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path) for path, _ in leaves]
    return pytree.tree_unflatten([outputs.get(n, value) for n, (_, value) in zip(names, leaves, strict=True)], spec)


def _is_inside(node: onnx.NodeProto) -> bool:
    """Whether a node belongs to the first int8 part."""
    return str(node.output[0]).startswith(_INSIDE)
