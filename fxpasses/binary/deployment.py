"""Replaces real weights by the binary ones: the result is an ordinary FLOAT graph of plain layers.

Exact: ``deploy(graph)`` computes what the trained graph computes in evaluation mode, since each layer gets the weight
it computed with. A BatchNorm that is folded later multiplies the weights of each output by one number. So they keep two
(or three) values, and are the integers -1, 0 and +1 on that output's scale.
"""

from __future__ import annotations

from torch import fx, nn

from ..errors import GraphError
from ..graph.pass_runner import PassResult, run_passes
from .layers import LatentConv2d, LatentLinear


def deploy(gm: fx.GraphModule) -> fx.GraphModule:
    """Return a FLOAT graph of plain layers with binary weights; the given graph is not changed.

    Raises:
        GraphError: the graph has no binary layer.
    """
    return run_passes(gm, [deploy_weights])


def deploy_weights(gm: fx.GraphModule) -> PassResult:
    """Replace each binary layer by a plain one."""
    result = PassResult()
    for node in gm.graph.nodes:
        layer = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not isinstance(layer, (LatentConv2d, LatentLinear)):
            continue
        gm.set_submodule(str(node.target), _plain(layer))
        result.change(node, f"holds its {layer.rule.weights} weights")
    if not result.changed:
        raise GraphError(
            "deploy got a graph without binary layers",
            why="it was not binarized, or was deployed before",
            fix='deploy(binarize(graph, "binaryconnect"))',
            step="deploy_weights",
        )
    return result


def _plain(layer: LatentConv2d | LatentLinear) -> nn.Conv2d | nn.Linear:
    kind: type[nn.Conv2d | nn.Linear] = nn.Conv2d if isinstance(layer, LatentConv2d) else nn.Linear
    plain = kind.__new__(kind)
    plain.__dict__.update({name: value for name, value in layer.__dict__.items() if name != "rule"})
    plain._parameters = dict(layer._parameters)
    plain.weight = nn.Parameter(layer.deployed_weight())
    return plain.eval()
