"""Structures with the batch at unusual places, and inputs without a batch."""

from __future__ import annotations

import torch
from odd_structures import B0, B1, FIXED, conv, fc, images, net, rows, structure, tokens
from torch import nn

BATCHES = [
    structure("images", net(lambda self, x: self.a(x).mean((2, 3)), a=conv), lambda n: (images(n),), B0),
    structure("images_one", net(lambda self, x: self.a(x).mean((2, 3)), a=conv), lambda n: (images(n),), B0, samples=1),
    structure(
        "time_first_output", net(lambda self, x: self.a(x).mean(2).permute(2, 0, 1), a=conv), lambda n: (images(n),), B0
    ),
    structure(
        "time_first_layer",
        net(lambda self, x: self.a(x), a=fc),
        lambda n: (torch.randn(4, n, 6),),
        B1,
        dynamic={"x": {1: "batch"}},
    ),
    structure(
        "time_first_gru",
        net(lambda self, x: self.b(self.a(x)[0]), a=lambda: nn.GRU(6, 4), b=lambda: nn.Linear(4, 3)),
        lambda n: (torch.randn(5, n, 6),),
        B1,
    ),
    structure(
        "state",
        net(lambda self, x, h: self.b(self.a(x, h)[0]), a=lambda: nn.GRU(6, 4), b=lambda: nn.Linear(4, 3)),
        lambda n: (torch.randn(5, n, 6), torch.randn(1, n, 4)),
        B1,
        B1,
    ),
    structure(
        "state_of_as_many_layers",
        net(lambda self, x, h: self.a(x, h), a=lambda: nn.GRU(6, 4, 2, batch_first=True)),
        lambda n: (torch.randn(n, 5, 6), torch.randn(2, n, 4)),
        B0,
        B1,
    ),
    structure(
        "state_pair",
        net(lambda self, x, state: self.a(x, state), a=lambda: nn.LSTM(6, 4, batch_first=True)),
        lambda n: (torch.randn(n, 5, 6), (torch.randn(1, n, 4), torch.randn(1, n, 4))),
        B0,
        B1,
        B1,
    ),
    structure(
        "two_counts",
        net(lambda self, x, text: self.a(x) @ self.b(text).t(), a=fc, b=fc),
        lambda n: (rows(n), torch.randn(5, 6)),
        B0,
        {0: "batch_1"},
        quick=True,
    ),
    structure(
        "scalar_step", net(lambda self, x, t: self.a(x) * t, a=fc), lambda n: (rows(n), torch.tensor(0.5)), B0, FIXED
    ),
    structure(
        "step_of_one", net(lambda self, x, t: self.a(x) * t, a=fc), lambda n: (rows(n), torch.rand(1)), B0, FIXED
    ),
    structure(
        "step_of_each", net(lambda self, x, t: self.a(x) * t[:, None], a=fc), lambda n: (rows(n), torch.rand(n)), B0, B0
    ),
    structure(
        "scalar_first", net(lambda self, t, x: self.a(x) + t, a=fc), lambda n: (torch.tensor(2.0), rows(n)), FIXED, B0
    ),
    structure(
        "prompt",
        net(lambda self, x, p: self.a(torch.cat([p.expand(x.shape[0], -1, -1), x], 1)), a=fc),
        lambda n: (tokens(n), torch.randn(1, 2, 6)),
        B0,
        FIXED,
    ),
    structure(
        "prompt_first",
        net(lambda self, p, x: self.a(torch.cat([p.expand(x.shape[0], -1, -1), x], 1)), a=fc),
        lambda n: (torch.randn(1, 2, 6), tokens(n)),
        FIXED,
        B0,
    ),
    structure("vector", net(lambda self, x: self.a(x), a=fc), lambda n: (torch.randn(6),), FIXED),
    structure(
        "batch_in_reshape", net(lambda self, x: self.a(x.reshape(2, 6)), a=fc), lambda n: (torch.randn(2, 3, 2),), FIXED
    ),
    structure("flat_tokens", net(lambda self, x: self.a(x).reshape(-1, 5), a=fc), lambda n: (tokens(n),), B0),
    structure("similarity", net(lambda self, x: self.a(x) @ self.a(x).t(), a=fc), lambda n: (rows(n),), B0),
    structure("rows_and_mean", net(lambda self, x: (self.a(x), self.a(x).mean()), a=fc), lambda n: (rows(n),), B0),
    structure(
        "mask_of_tokens",
        net(lambda self, x, m: self.a(x) * m[..., None], a=fc),
        lambda n: (tokens(n), torch.rand(n, 4) > 0.3),
        B0,
        B0,
    ),
    structure(
        "mask_of_all",
        net(lambda self, x, m: m @ self.a(x), a=fc),
        lambda n: (tokens(n), torch.rand(4, 4)),
        B0,
        {0: "batch_1"},
    ),
    structure(
        "mask_of_one_row",
        net(lambda self, x, m: self.a(x) * m[..., None], a=fc),
        lambda n: (tokens(n), torch.rand(1, 4)),
        B0,
        FIXED,
    ),
    structure(
        "sizes_alike",
        net(lambda self, x: self.a(x), a=lambda: nn.Linear(3, 3)),
        lambda n: (torch.randn(n, 3, 3),),
        B0,
        samples=3,
        other=2,
    ),
    structure(
        "channels_last",
        net(lambda self, x: self.a(x.permute(0, 3, 1, 2)).mean((2, 3)), a=conv),
        lambda n: (torch.rand(n, 6, 5, 3),),
        B0,
    ),
    structure("features_first", net(lambda self, x: self.a(x.t()), a=fc), lambda n: (torch.randn(6, n),), B1),
    structure("siamese", net(lambda self, x, y: self.a(x) - self.a(y), a=fc), lambda n: (rows(n), rows(n)), B0, B0),
    structure(
        "cut_images",
        net(
            lambda self, x: nn.functional.fold(
                self.a(nn.functional.unfold(x, 2, stride=2).transpose(1, 2)).transpose(1, 2), (6, 4), 2, stride=2
            ),
            a=lambda: nn.Linear(12, 12),
        ),
        lambda n: (torch.rand(n, 3, 6, 4),),
        B0,
    ),
    structure(
        "loss_of_all",
        net(lambda self, x, y: nn.functional.mse_loss(self.a(x), y), a=lambda: nn.Linear(6, 3)),
        lambda n: (rows(n), torch.randn(n, 3)),
        B0,
        B0,
    ),
    structure(
        "encoder_and_state",
        net(
            lambda self, x, h: self.b(self.a(x), h),
            a=lambda: nn.TransformerEncoderLayer(6, 2, 8),
            b=lambda: nn.GRU(6, 6, 2),
        ),
        lambda n: (torch.randn(5, n, 6), torch.randn(2, n, 6)),
        B1,
        B1,
    ),
    structure(
        "images_and_texts",
        net(
            lambda self, x, t: self.a(x).mean((2, 3)) @ self.c(self.b(t)).mean(0).t(),
            a=conv,
            b=lambda: nn.TransformerEncoderLayer(6, 2, 8),
            c=lambda: nn.Linear(6, 4),
        ),
        lambda n: (images(n), torch.randn(5, 4, 6)),
        B0,
        {1: "batch_1"},
    ),
    structure(
        "one_query",
        net(lambda self, q, k: self.a(q) @ self.b(k).t(), a=fc, b=fc),
        lambda n: (torch.randn(1, 6), torch.randn(5, 6)),
        B0,
        {0: "batch_1"},
        samples=1,
        other=1,
    ),
]
