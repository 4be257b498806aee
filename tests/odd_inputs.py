"""Structures with unusual inputs."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from odd_outputs import Pair
from odd_structures import B0, conv, fc, net, rows, structure
from torch import Tensor, nn


class ByNameOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor, *, scale: Tensor | None = None, **more: Tensor) -> Tensor:
        y = self.fc(x)
        y = y if scale is None else y * scale[:, None]
        given: Tensor = y + more["offset"] if "offset" in more else y
        return given


INPUTS = [
    structure(
        "by_name",
        net(lambda self, x, m=None, y=None: self.a(x) + self.a(y), a=fc),
        lambda n: {"y": rows(n), "x": rows(n)},
        B0,
        B0,
        quick=True,
    ),
    structure("by_name_only", ByNameOnly, lambda n: {"x": rows(n), "scale": torch.rand(n)}, B0, B0),
    structure("more_by_name", ByNameOnly, lambda n: {"x": rows(n), "offset": torch.rand(n, 5)}, B0, B0),
    structure(
        "none_between",
        net(lambda self, x, m, y: self.a(x) + self.a(y), a=fc),
        lambda n: (rows(n), None, rows(n)),
        B0,
        B0,
    ),
    structure(
        "flag", net(lambda self, x, twice: self.a(x) * 2 if twice else self.a(x), a=fc), lambda n: (rows(n), True), B0
    ),
    structure("factor", net(lambda self, x, by: self.a(x) * by, a=fc), lambda n: (rows(n), 2.5), B0),
    structure(
        "way", net(lambda self, x, way: self.a(x).relu() if way == "relu" else x, a=fc), lambda n: (rows(n), "relu"), B0
    ),
    structure(
        "maps",
        net(lambda self, maps: self.a(maps[0]) + F.interpolate(self.a(maps[1]), scale_factor=2.0), a=conv),
        lambda n: ([torch.rand(n, 3, 8, 8), torch.rand(n, 3, 4, 4)],),
        B0,
        B0,
    ),
    structure(
        "dict",
        net(lambda self, batch: self.a(batch["x"]) + batch["bias"], a=fc),
        lambda n: ({"x": rows(n), "bias": torch.randn(n, 5)},),
        B0,
        B0,
    ),
    structure("dict_alone", net(lambda self, batch: self.a(batch["rows"]), a=fc), lambda n: {"rows": rows(n)}, B0),
    structure(
        "nested",
        net(lambda self, batch: self.a(batch["in"][0]) + self.a(batch["in"][1]["b"]), a=fc),
        lambda n: ({"in": [rows(n), {"b": rows(n)}]},),
        B0,
        B0,
    ),
    structure(
        "named_tuple_given",
        net(lambda self, pair: self.a(pair.low) - self.a(pair.high), a=fc),
        lambda n: (Pair(rows(n), rows(n)),),
        B0,
        B0,
    ),
    structure(
        "ordered_dict_given",
        net(lambda self, d: self.a(d["b"]) - d["a"], a=fc),
        lambda n: (OrderedDict(b=rows(n), a=torch.randn(n, 5)),),
        B0,
        B0,
    ),
    structure(
        "any_number", net(lambda self, *x: self.a(x[0]) + self.a(x[1]), a=fc), lambda n: (rows(n), rows(n)), B0, B0
    ),
    structure(
        "ids",
        net(lambda self, ids: self.b(self.a(ids)).mean(1), a=lambda: nn.Embedding(9, 6), b=fc),
        lambda n: (torch.randint(9, (n, 4)),),
        B0,
    ),
    structure(
        "ids_of_32_bits",
        net(lambda self, ids: self.b(self.a(ids)), a=lambda: nn.Embedding(9, 6), b=fc),
        lambda n: (torch.randint(9, (n, 4), dtype=torch.int32),),
        B0,
    ),
    structure(
        "bytes_given",
        net(lambda self, x: self.a(x.float() / 255).mean((2, 3)), a=conv),
        lambda n: (torch.randint(256, (n, 3, 6, 5), dtype=torch.uint8),),
        B0,
    ),
    structure(
        "picked",
        net(lambda self, x, at: self.a(x)[torch.arange(x.shape[0]), at], a=fc),
        lambda n: (rows(n), torch.randint(5, (n,))),
        B0,
        B0,
    ),
]
