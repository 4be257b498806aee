"""A graph of images of any size as one of images of a given size, for a file that takes no other.

With free sizes torch.export makes a constant of a size of 1, which small images have on the last feature maps, and the
file would be wrong for others.
"""

from __future__ import annotations

import copy

from torch import fx

from fxpasses.graph.stages import graph_facts
from fxpasses.signature.examples import Spec, examples_of, with_tensors
from fxpasses.signature.free_sizes import BATCH, free_sizes, set_free_sizes


def of_one_size(graph: fx.GraphModule, size: tuple[int, ...]) -> fx.GraphModule:
    """A copy for images of height and width ``size``, with a free batch; parameters are shared."""
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph.graph, {}))
    made = fx.GraphModule(graph, copied, type(graph).__name__)
    facts = graph_facts(graph)
    made.meta = {key: copy.copy(value) if value is facts else value for key, value in graph.meta.items()}

    def sized(spec: Spec) -> Spec:
        return (*spec[0][:2], *size), spec[1]

    graph_facts(made).example_inputs = with_tensors(examples_of(graph), sized)
    sizes = free_sizes(graph)
    set_free_sizes(made, sizes.without(sizes.names - {BATCH}))
    return made.train(graph.training)
