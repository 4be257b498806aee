"""Statistics of layers' outputs."""

from __future__ import annotations

import torch
from training_nets import calibration, float_graph

import fxpasses
from fxpasses.training.fake.output_statistics import output_statistics


def test_they_are_mean_and_variance_without_the_bias() -> None:
    graph = fxpasses.fuse(float_graph())
    seen: list[torch.Tensor] = []
    graph.get_submodule("second").register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    found = output_statistics(graph, ["second", "last"], [(x,) for x in calibration()])
    values = torch.cat(seen).transpose(0, 1).flatten(1)
    mean, variance = found["second"]
    assert torch.allclose(mean, values.mean(1) - graph.get_parameter("second.bias").detach(), atol=1e-5)
    assert torch.allclose(variance, values.var(1, unbiased=False), rtol=1e-4)
    assert set(found) == {"second", "last"} and found["last"][0].shape == (4,)
