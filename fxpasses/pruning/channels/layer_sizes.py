"""Updates the size attributes of layers, such as ``out_channels``, after their tensors have shrunk."""

from __future__ import annotations

from torch import fx, nn

from ..dependencies.labels import Dim
from .channel_plan import Removal

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fix_settings(removal: Removal, node: fx.Node, layer: nn.Module) -> None:
    """Set the size attributes of the copied layer that ``node`` calls to the sizes of its tensors."""
    whole_groups = node in removal.dependencies.labelling.whole_groups
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, _CONVS):
        if whole_groups:
            layer.groups = layer.weight.shape[0] // (layer.out_channels // layer.groups)
        layer.out_channels, layer.in_channels = layer.weight.shape[0], layer.weight.shape[1] * layer.groups
    elif isinstance(layer, _TRANSPOSED):
        if whole_groups:
            layer.groups = layer.weight.shape[0] // (layer.in_channels // layer.groups)
        layer.in_channels, layer.out_channels = layer.weight.shape[0], layer.weight.shape[1] * layer.groups
    elif isinstance(layer, nn.Embedding):
        layer.embedding_dim = layer.weight.shape[1]
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = layer.weight.numel()
    else:
        _fix_norm(removal, node, layer)


def _fix_norm(removal: Removal, node: fx.Node, layer: nn.Module) -> None:
    """Set the sizes of a normalisation layer from the removal, because it may have no parameters."""
    if isinstance(layer, _BATCH_NORMS):
        layer.num_features = removal.kept_size(_channels(removal, node, 1), layer.num_features)
    elif isinstance(layer, nn.GroupNorm):
        size = layer.num_channels // layer.num_groups
        layer.num_channels = removal.kept_size(_channels(removal, node, 1), layer.num_channels)
        layer.num_groups = layer.num_channels // size
    elif isinstance(layer, nn.LayerNorm) and len(layer.normalized_shape) == 1:
        layer.normalized_shape = (removal.kept_size(_channels(removal, node, -1), layer.normalized_shape[0]),)


def _channels(removal: Removal, node: fx.Node, axis: int) -> Dim:
    return removal.dependencies.labelling.of[node][axis]
