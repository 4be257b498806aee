"""The passes: the layers that become binary, the clamps that become signs, and the reasons for the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from binary_nets import made, network
from tiny_graphs import changed_nodes, operators_of, skip_reasons
from tiny_nets.net import OneInput
from torch import Tensor, nn

import fxpasses
from fxpasses.binary import METHODS, binarize
from fxpasses.binary.layers import LatentConv2d, LatentRule, latent_layers
from fxpasses.errors import GraphError, InputError
from fxpasses.graph import binary_ops as ops


@pytest.mark.parametrize(
    ("method", "layers"),
    [
        ("binaryconnect", ["layers_0", "layers_1", "layers_2", "layers_3"]),
        ("binaryconnect-stochastic", ["convs_0", "convs_1", "linears_0", "linears_1"]),
        ("twn", ["layers_0", "layers_1", "layers_2", "layers_3"]),
        ("bwn", ["convs_1", "linears_0"]),
        ("xnor", ["conv2", "fc1"]),
        ("bireal", ["stages_0_conv", "stages_1_conv"]),
    ],
)
def test_layers_of_each_method(method: str, layers: list[str]) -> None:
    assert sorted(changed_nodes(made(method).binary, "binarize_weights")) == sorted(layers)
    assert set(METHODS) >= {method}


def test_why_not() -> None:
    reasons = skip_reasons(made("bireal").binary, "binarize_weights")
    assert reasons["stem"] == "the first layer stays float" and reasons["classifier"] == "the last layer stays float"
    assert reasons["stages_1_shortcut_0"] == "1x1 convolutions of shortcuts stay float"


def test_a_layer_called_twice_stays_float() -> None:
    net = OneInput(lambda net, x: net.layer(torch.relu(net.layer(x))), layer=nn.Linear(4, 4))
    graph = binarize(fxpasses.capture(net.eval(), torch.randn(2, 4)), "binaryconnect")
    reasons = skip_reasons(graph, "binarize_weights")
    assert len(reasons) == 2 and all(why.endswith("is called at 2 places") for why in reasons.values())


def test_clamps_become_signs_where_binary_layers_alone_read_them() -> None:
    assert operators_of(made("xnor").binary).count("sign") == 2
    signs = [n for n in made("bireal").binary.graph.nodes if n.target is ops.sign]
    assert len(signs) == 2 and all(n.kwargs == {"smooth": True} for n in signs)


def clamped_twice(net: Any, x: Tensor) -> Tensor:
    inner = F.hardtanh(net.first(x))
    result: Tensor = net.last(torch.relu(net.middle(inner) + inner))
    return result


def test_a_clamp_with_another_reader_stays() -> None:
    layers = {name: nn.Linear(4, 4) for name in ("first", "middle", "last")}
    graph = fxpasses.capture(OneInput(clamped_twice, **layers).eval(), torch.randn(2, 4))
    (why,) = skip_reasons(binarize(graph, "xnor"), "binarize_inputs").values()
    assert why.endswith("reads it, which is no binary layer")


def test_the_graph_handed_in_is_not_changed() -> None:
    found = made("binaryconnect")
    assert not latent_layers(found.float_graph) and len(latent_layers(found.binary)) == 4


def test_settings_of_layers_are_kept() -> None:
    conv = nn.Conv2d(4, 6, (3, 1), stride=2, padding=(1, 0), dilation=1, groups=2)
    graph = fxpasses.capture(nn.Sequential(conv).eval(), torch.randn(1, 4, 9, 9))
    x = torch.randn(2, 4, 9, 9)
    binary = binarize(graph, "bwn", keep_ends=False)
    (layer,) = latent_layers(binary).values()
    assert isinstance(layer, LatentConv2d)
    weight = layer.deployed_weight()
    assert torch.allclose(binary(x), F.conv2d(x, weight, conv.bias, 2, (1, 0), 1, 2))


def test_stochastic_weights_are_drawn_in_training_and_signs_at_test_time() -> None:
    (layer, *_) = latent_layers(made("binaryconnect-stochastic").binary).values()
    x = torch.randn(2, 3, 32, 32)
    assert isinstance(layer, LatentConv2d)
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x))
        layer.train()
        different = not torch.equal(layer(x), layer(x))
        layer.eval()
    assert different


def test_mistakes() -> None:
    graph = fxpasses.capture(network("binaryconnect")[0].eval(), torch.randn(2, 1, 28, 28))
    with pytest.raises(InputError, match="there is no such method"):
        binarize(graph, "dorefa")
    with pytest.raises(InputError, match="weights 'half'"):
        LatentRule("half")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(InputError, match="gradient 'true'"):
        LatentRule("scaled", gradient="true")
    with pytest.raises(GraphError, match="works on a FLOAT graph"):
        binarize(made("binaryconnect").int8, "bwn")
