"""A graph of one size: the same integers, and nothing free but the batch; the given graph stays as it is."""

from __future__ import annotations

import torch
from detector_nets import int8

from fxpasses.detection.file.one_size import of_one_size
from fxpasses.export.metadata import qparams_hash
from fxpasses.signature.examples import input_tensors
from fxpasses.signature.free_sizes import BATCH, free_sizes


def test_only_the_batch_is_free() -> None:
    graph = int8("RetinaNet").graphs["images"]
    made = of_one_size(graph, (32, 64))
    assert free_sizes(graph).names == {BATCH, "height", "width"} and free_sizes(made).names == {BATCH}
    assert [tensor.spec[0][1:] for tensor in input_tensors(made)] == [(3, 32, 64)]
    assert input_tensors(graph)[0].spec[0][2:] != (32, 64)
    assert qparams_hash(made) == qparams_hash(graph)
    x = torch.randn(2, 3, 32, 64)
    assert torch.equal(made(x)["cls_logits"], graph(x)["cls_logits"])
