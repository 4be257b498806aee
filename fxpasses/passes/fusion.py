"""``fuse``: the passes every FLOAT graph should go through before it is quantized, pruned or exported."""

from __future__ import annotations

from torch import fx

from ..graph.pass_runner import Pass, run_passes
from .attention import open_attention
from .attention_masks import drop_open_masks
from .attention_rank import give_attention_a_head, join_attention_windows
from .batch_norm import fold_batch_norm, fold_batch_norm_forward
from .constant_arithmetic import fold_constants_ahead, fold_constants_behind
from .equal_calls import merge_equal_calls
from .identities import drop_identities, merge_clips
from .pooling import adaptive_to_plain_pool, mean_to_pool
from .written_activations import call_written_activations

FUSION: tuple[Pass, ...] = (
    drop_identities,
    open_attention,
    drop_open_masks,
    join_attention_windows,
    give_attention_a_head,
    mean_to_pool,
    adaptive_to_plain_pool,
    merge_equal_calls,
    call_written_activations,
    fold_batch_norm,
    fold_batch_norm_forward,
    fold_constants_behind,
    fold_constants_ahead,
    merge_clips,
)
"""The passes of :func:`fuse`, in order."""


def fuse(gm: fx.GraphModule) -> fx.GraphModule:
    """Fold BatchNorm and constants into layers, drop operators without effect, give pools and clamps one form.

    Equal up to float rounding.

    Returns a new FLOAT graph; ``fxpasses.graph.pass_runner.pass_logs(graph)`` lists the changes, and the reasons for
    skips.

    Raises:
        GraphError: the graph was not made by :func:`fxpasses.capture`.
    """
    return run_passes(gm, FUSION)
