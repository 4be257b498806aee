"""Operators as people have them: spectra, routing, masks, written slices, tied weights, ways of training."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from odd_sizes import IMAGE
from odd_structures import B0, conv, fc, images, net, rows, structure, tokens
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint


class Sigmoidal(torch.autograd.Function):
    """A function with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def half(y: Tensor) -> Tensor:
    """Written in place: one half through a view, the rest after it."""
    y[:, :2] = y[:, :2].sigmoid()
    y[:, 2:].mul_(2.0)
    y[..., 0] = 0
    return y.clamp_(0, 4)


def routed(self: Any, x: Tensor) -> Tensor:
    """Each sample through one of two layers."""
    first = self.a(x)
    out = torch.zeros_like(first)
    for chosen, layer in ((x[:, 0] > 0, self.b), (x[:, 0] <= 0, self.c)):
        out[chosen] = layer(first[chosen])
    return out


def warped(self: Any, x: Tensor) -> Tensor:
    where = F.affine_grid(self.a(x.flatten(1)).view(-1, 2, 3), list(x.shape), align_corners=False)
    found: Tensor = self.b(F.grid_sample(x, where, align_corners=False))
    return found


def shuffled(self: Any, x: Tensor) -> Tensor:
    y = self.a(x)
    y = y.view(y.shape[0], 2, 2, *y.shape[2:]).transpose(1, 2).reshape(y.shape)
    found: Tensor = self.b(y.relu()).mean((2, 3))
    return found


def rotated(self: Any, x: Tensor) -> Tensor:
    turned = torch.view_as_complex(self.a(x).reshape(x.shape[0], 4, 2, 2)) * self.c()
    found: Tensor = self.b(torch.view_as_real(turned).flatten(2))
    return found


class Turns(nn.Module):
    """A complex constant."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turns", torch.polar(torch.ones(4, 2), torch.arange(8.0).view(4, 2)))

    def forward(self) -> Any:
        return self.turns


def padded(n: int) -> Tensor:
    return torch.cat([torch.randint(1, 9, (n, 3)), torch.zeros(n, 2, dtype=torch.int64)], 1)


def attention() -> nn.Module:
    return nn.MultiheadAttention(6, 2, batch_first=True)


def pixels() -> nn.Module:
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 12, 1), nn.PReLU(12), nn.PixelShuffle(2))


def normed() -> nn.Module:
    layers = (parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    return nn.Sequential(*layers, parametrizations.spectral_norm(nn.Conv2d(4, 4, 3)), nn.Flatten())


OPERATORS = [
    structure("spectrum", net(lambda self, x: self.b(torch.fft.fft2(self.a(x)).real), a=lambda: nn.Linear(6, 6), b=fc),
              lambda n: (tokens(n),), B0),
    structure("complex", net(rotated, a=lambda: nn.Linear(6, 4), b=lambda: nn.Linear(4, 3), c=Turns),
              lambda n: (tokens(n),), B0),
    structure("written_slices", net(lambda self, x: self.b(half(self.a(x))), a=conv, b=lambda: nn.Conv2d(4, 3, 1)),
              lambda n: (images(n),), IMAGE),
    structure("own_gradient", net(lambda self, x: self.b(Sigmoidal.apply(self.a(x))), a=conv,
                                  b=lambda: nn.Conv2d(4, 3, 1)), lambda n: (images(n),), IMAGE),
    structure("checkpointed", net(lambda self, x: self.b(checkpoint(self.a, x, use_reentrant=False)), a=conv,
                                  b=lambda: nn.Conv2d(4, 3, 1)), lambda n: (images(n),), IMAGE),
    structure("tied", net(lambda self, ids: F.linear(self.b(self.a(ids)), self.a.weight), a=lambda: nn.Embedding(9, 6),
                          b=lambda: nn.Linear(6, 6)), lambda n: (torch.randint(9, (n, 4)),), B0),
    structure("tied_and_turned", net(lambda self, x: F.linear(self.a(x).relu(), self.a.weight.t()), a=fc),
              lambda n: (rows(n),), B0),
    structure("padded_attention", net(lambda self, ids: self.c(self.b(*[self.a(ids)] * 3, key_padding_mask=ids == 0,
                                                                       need_weights=False)[0]),
                                      a=lambda: nn.Embedding(9, 6), b=attention, c=fc), lambda n: (padded(n),), B0),
    structure("mean_of_unpadded", net(lambda self, ids: self.b((self.a(ids) * (ids != 0)[..., None]).sum(1)),
                                      a=lambda: nn.Embedding(9, 6), b=fc), lambda n: (padded(n),), B0),
    structure("by_einsum", net(lambda self, x: torch.einsum("bti,oi->bto", self.a(x), self.a.weight[:5, :5]), a=fc),
              lambda n: (tokens(n),), B0),
    structure("gathered", net(lambda self, x, at: self.a(x).gather(1, at[..., None].expand(-1, -1, 5)), a=fc),
              lambda n: (tokens(n), torch.randint(4, (n, 2))), B0, B0),
    structure("scattered", net(lambda self, x, at: torch.zeros(x.shape[0], 3, 5).scatter_add(
        1, at[..., None].expand(-1, -1, 5), self.a(x)), a=fc), lambda n: (tokens(n), torch.randint(3, (n, 4))), B0, B0),
    structure("sampled", net(warped, a=lambda: nn.Linear(90, 6), b=conv), lambda n: (images(n),), B0),
    structure("shuffled_channels", net(shuffled, a=conv, b=lambda: nn.Conv2d(4, 4, 3, groups=2)),
              lambda n: (images(n),), B0),
    structure("shuffled_pixels", pixels, lambda n: (torch.rand(n, 3, 4, 6),), B0),
    structure("computed_weights", normed, lambda n: (images(n),), B0),
    structure("two_norms", net(lambda self, x: self.c(self.b(self.a(x)).relu()), a=conv, b=lambda: nn.GroupNorm(2, 4),
                               c=lambda: nn.InstanceNorm2d(4, affine=True)), lambda n: (images(n),), IMAGE),
    structure("one_number", net(lambda self, x: self.b(self.a(x[:, None]).relu()), a=lambda: nn.Linear(1, 8),
                                b=lambda: nn.Linear(8, 2)), lambda n: (torch.rand(n),), B0),
    structure("unused_first", net(lambda self, y, x: self.a(x), a=fc), lambda n: (torch.rand(n, 2), rows(n)), B0, B0),
    structure("numbers_and_classes", net(lambda self, x, c: self.c(torch.cat([self.a(x), self.b(c).flatten(1)], 1)),
                                         a=fc, b=lambda: nn.Embedding(7, 2), c=lambda: nn.Linear(9, 2)),
              lambda n: (rows(n), torch.randint(7, (n, 2))), B0, B0),
    structure("scaled_and_shifted", net(lambda self, x, z: self.a(x) * self.b(z)[..., None, None], a=conv,
                                        b=lambda: nn.Linear(2, 4)), lambda n: (images(n), torch.rand(n, 2)), B0, B0),
    structure("distances", net(lambda self, a, b: F.cosine_similarity(self.a(a), self.a(b)), a=fc),
              lambda n: (rows(n), rows(n)), B0, B0),
    structure("three_calls", net(lambda self, x: [self.a(x), self.a(F.max_pool2d(x, 2)), self.a(x * 2)], a=conv),
              lambda n: (images(n),), B0),
    structure("wrapped", lambda: nn.DataParallel(nn.Sequential(nn.Linear(6, 5), nn.ReLU())), lambda n: (rows(n),), B0),
    structure("routed", net(routed, a=lambda: nn.Linear(6, 6), b=lambda: nn.Linear(6, 6), c=lambda: nn.Linear(6, 6)),
              lambda n: (torch.cat([rows(n), -rows(n)]),), B0),
]  # fmt: skip
"""Each goes all the way in :mod:`test_odd_structures`, and through the command line in ``cli/test_odd_models.py``."""
