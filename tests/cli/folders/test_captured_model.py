"""Models of commands are captured with a free batch, wherever it is; one that takes a single size is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fxpasses.cli.folders.batch_places import with_batch_dims
from fxpasses.cli.folders.captured_model import captured_model
from fxpasses.errors import InputError
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.signature.free_sizes import free_sizes
from fxpasses.signature.samples import batch_dims


def loaded(module: nn.Module, *examples: Tensor) -> LoadedModel:
    shape = tuple(examples[0].shape[1:])
    return with_batch_dims(LoadedModel("net", module.eval(), shape, UNIT_RANGE, pretrained=True, examples=examples))


class Encoder(nn.Module):
    """Attention over ``[T, B, C]``, which torch.export would capture for the example's batch alone."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(5, 1, 8))
        self.layer, self.head = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.layer(x + self.positions))
        return out


def test_the_batch_is_free_where_it_is() -> None:
    module = Encoder()
    graph = captured_model(loaded(module, torch.randn(5, 3, 8)))
    assert batch_dims(graph) == (1,)
    x = torch.randn(5, 7, 8)
    torch.testing.assert_close(graph(x), module(x))


def test_images_may_have_any_size_beside_it() -> None:
    model = LoadedModel("net", nn.Conv2d(3, 2, 3).eval(), (3, 8, 8), UNIT_RANGE, pretrained=True)
    assert free_sizes(captured_model(model, dynamic_size=True)).inputs == ({0: "batch", 2: "height", 3: "width"},)
    assert free_sizes(captured_model(model)).inputs == ({0: "batch"},)


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x.reshape(1, 12))
        return out


@pytest.mark.filterwarnings("ignore:captured ")
def test_a_batch_of_one_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"(?s)net takes batches of one size.*x\.shape\[0\]; or fx\.quantize"):
        captured_model(LoadedModel("net", Pairs().eval(), (6,), UNIT_RANGE, pretrained=True))
