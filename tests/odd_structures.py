"""Nets whose batch, inputs or outputs are not one tensor with the batch in front: what goes in, and what is free of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

B0, B1, FIXED = {0: "batch"}, {1: "batch"}, dict[int, str]()


class Pair(NamedTuple):
    low: Tensor
    high: Tensor


@dataclass
class Found:
    logits: Tensor
    hidden: Any = None
    loss: Any = None


@dataclass
class Answer(OrderedDict):  # type: ignore[type-arg]
    """Like the outputs of Hugging Face's models: a dict of what is not None, and a dataclass."""

    logits: Any = None
    loss: Any = None
    hidden_states: Any = None

    def __post_init__(self) -> None:
        for name in ("logits", "loss", "hidden_states"):
            if getattr(self, name) is not None:
                self[name] = getattr(self, name)


pytree.register_pytree_node(
    Answer, lambda a: (list(a.values()), list(a)), lambda values, keys: Answer(**dict(zip(keys, values, strict=True)))
)


@dataclass(frozen=True)
class Structure:
    """A net, what it is given for ``n`` samples, and which dimensions of each input tensor are found free."""

    name: str
    build: Callable[[], nn.Module]
    make: Callable[[int], Any]
    free: list[dict[int, str]]
    samples: int = 2
    other: int = 3
    quick: bool = False
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)


STRUCTURES: list[Structure] = []


class Net(nn.Module):
    """Layers, and a function of them that computes."""

    def __init__(self, run: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)


def _conv() -> nn.Module:
    return nn.Conv2d(3, 4, 3, padding=1)


def images(n: int) -> Tensor:
    return torch.rand(n, 3, 6, 5)


def rows(n: int) -> Tensor:
    return torch.randn(n, 6)


def tokens(n: int) -> Tensor:
    return torch.randn(n, 4, 6)


def add(name: str, build: Callable[[], nn.Module], make: Callable[[int], Any], *free: dict[int, str], **more: Any) -> None:
    STRUCTURES.append(Structure(name, build, make, list(free), **more))


def of_rows(name: str, returns: Callable[[Tensor, Tensor], Any], **more: Any) -> None:
    """A linear layer on rows, and what is returned of its input and output."""

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Any:
            return returns(x, self.fc(x))

    add(name, Rows, lambda n: (rows(n),), B0, **more)


def net(forward: Callable[..., Any], **layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A class with these layers and this forward; its parameters are named as they are there."""

    def init(self: nn.Module) -> None:
        nn.Module.__init__(self)
        for name, make in layers.items():
            setattr(self, name, make())

    return type("Net", (nn.Module,), {"__init__": init, "forward": forward})


def fc() -> nn.Module:
    return nn.Linear(6, 5)


# Where the batch lies ------------------------------------------------------------------------------------------------
add("images", net(lambda self, x: self.a(x).mean((2, 3)), a=_conv), lambda n: (images(n),), B0, quick=True)
add("images_one", net(lambda self, x: self.a(x).mean((2, 3)), a=_conv), lambda n: (images(n),), B0, samples=1)
add("time_first_output", net(lambda self, x: self.a(x).mean(2).permute(2, 0, 1), a=_conv), lambda n: (images(n),), B0)
add("time_first_layer", net(lambda self, x: self.a(x), a=fc), lambda n: (torch.randn(4, n, 6),), B0)
add(
    "time_first_gru", net(lambda self, x: self.b(self.a(x)[0]), a=lambda: nn.GRU(6, 4), b=lambda: nn.Linear(4, 3)),
    lambda n: (torch.randn(5, n, 6),), B1,
)
add(
    "state", net(lambda self, x, h: self.b(self.a(x, h)[0]), a=lambda: nn.GRU(6, 4), b=lambda: nn.Linear(4, 3)),
    lambda n: (torch.randn(5, n, 6), torch.randn(1, n, 4)), B1, B1,
)
add(
    "state_of_as_many_layers",
    net(lambda self, x, h: self.a(x, h), a=lambda: nn.GRU(6, 4, 2, batch_first=True)),
    lambda n: (torch.randn(n, 5, 6), torch.randn(2, n, 4)), B0, B1,
)
add(
    "state_pair",
    net(lambda self, x, state: self.a(x, state), a=lambda: nn.LSTM(6, 4, batch_first=True)),
    lambda n: (torch.randn(n, 5, 6), (torch.randn(1, n, 4), torch.randn(1, n, 4))), B0, B1, B1,
)
add(
    "two_counts", net(lambda self, x, text: self.a(x) @ self.b(text).t(), a=fc, b=fc),
    lambda n: (rows(n), torch.randn(5, 6)), B0, {0: "batch_1"}, quick=True,
)
add("scalar_step", net(lambda self, x, t: self.a(x) * t, a=fc), lambda n: (rows(n), torch.tensor(0.5)), B0, FIXED)
add("step_of_one", net(lambda self, x, t: self.a(x) * t, a=fc), lambda n: (rows(n), torch.rand(1)), B0, FIXED)
add("step_of_each", net(lambda self, x, t: self.a(x) * t[:, None], a=fc), lambda n: (rows(n), torch.rand(n)), B0, B0)
add("scalar_first", net(lambda self, t, x: self.a(x) + t, a=fc), lambda n: (torch.tensor(2.0), rows(n)), FIXED, B0)
add(
    "prompt", net(lambda self, x, p: self.a(torch.cat([p.expand(x.shape[0], -1, -1), x], 1)), a=fc),
    lambda n: (tokens(n), torch.randn(1, 2, 6)), B0, FIXED, quick=True,
)
add(
    "prompt_first", net(lambda self, p, x: self.a(torch.cat([p.expand(x.shape[0], -1, -1), x], 1)), a=fc),
    lambda n: (torch.randn(1, 2, 6), tokens(n)), FIXED, B0,
)
add("vector", net(lambda self, x: self.a(x), a=fc), lambda n: (torch.randn(6),), FIXED)
add("one_image", net(lambda self, x: self.a(x), a=_conv), lambda n: (torch.rand(3, 6, 5),), FIXED)
add("batch_in_reshape", net(lambda self, x: self.a(x.reshape(2, 6)), a=fc), lambda n: (torch.randn(2, 3, 2),), FIXED)
add("flat_tokens", net(lambda self, x: self.a(x).reshape(-1, 5), a=fc), lambda n: (tokens(n),), B0)
add("similarity", net(lambda self, x: self.a(x) @ self.a(x).t(), a=fc), lambda n: (rows(n),), B0)
add("rows_and_mean", net(lambda self, x: (self.a(x), self.a(x).mean()), a=fc), lambda n: (rows(n),), B0)
add("mask_of_tokens", net(lambda self, x, m: self.a(x) * m[..., None], a=fc), lambda n: (tokens(n), torch.rand(n, 4) > 0.3), B0, B0)
add("mask_of_all", net(lambda self, x, m: m @ self.a(x), a=fc), lambda n: (tokens(n), torch.rand(4, 4)), B0, {0: "batch_1"})
add("mask_of_one_row", net(lambda self, x, m: self.a(x) * m[..., None], a=fc), lambda n: (tokens(n), torch.rand(1, 4)), B0, FIXED)
add("sizes_alike", net(lambda self, x: self.a(x), a=lambda: nn.Linear(3, 3)), lambda n: (torch.randn(n, 3, 3),), B0, samples=3, other=2)
add("channels_last", net(lambda self, x: self.a(x.permute(0, 3, 1, 2)).mean((2, 3)), a=_conv), lambda n: (torch.rand(n, 6, 5, 3),), B0)
add("features_first", net(lambda self, x: self.a(x.t()), a=fc), lambda n: (torch.randn(6, n),), B1)
add("siamese", net(lambda self, x, y: self.a(x) - self.a(y), a=fc), lambda n: (rows(n), rows(n)), B0, B0)
add("one_query", net(lambda self, q, k: self.a(q) @ self.b(k).t(), a=fc, b=fc), lambda n: (torch.randn(1, 6), torch.randn(5, 6)), B0, {0: "batch_1"}, samples=1, other=1)

# What is returned ----------------------------------------------------------------------------------------------------
of_rows("named_tuple", lambda x, y: Pair(y, y.relu()), quick=True)
of_rows("named_tuple_inside", lambda x, y: {"pair": Pair(y, y + 1), "rest": [y, Pair(y * 2, y)]})
of_rows("dataclass", lambda x, y: Found(y, hidden=(y.relu(),)), quick=True)
of_rows("dataclass_inside", lambda x, y: (y, Found(y.relu())))
of_rows("model_output", lambda x, y: Answer(logits=y, hidden_states=(y.relu(), y.tanh())))
of_rows("none_first", lambda x, y: (None, y, (y.relu(), None)))
of_rows("none_in_dict", lambda x, y: {"loss": None, "logits": y})
of_rows("none_in_list", lambda x, y: [y, None])
of_rows("truth", lambda x, y: (y, y > 0))
of_rows("truth_alone", lambda x, y: y > 0)
of_rows("classes", lambda x, y: {"logits": y, "classes": y.argmax(1)})
of_rows("classes_alone", lambda x, y: y.argmax(1))
of_rows("number", lambda x, y: (y, 3, 0.5, True))
of_rows("word", lambda x, y: {"logits": y, "kind": "rows"})
of_rows("lists", lambda x, y: [[y], [y.relu(), [y.tanh()]]])
of_rows("dict_in_list", lambda x, y: [{"a": y}, {"a": y.relu()}])
of_rows("input_itself", lambda x, y: {"in": x, "x": y})
of_rows("twice", lambda x, y: {"one": y, "two": y})
of_rows("empty", lambda x, y: (y, [], {}))
of_rows("ordered_dict", lambda x, y: OrderedDict(b=y, a=y.relu()))
of_rows("numbers_as_keys", lambda x, y: {0: y, 1: y.relu()})
of_rows("odd_keys", lambda x, y: {"a b": y, "a.b": y.relu()})
of_rows("bytes", lambda x, y: (y.sigmoid() * 255).to(torch.uint8))
of_rows("largest", lambda x, y: tuple(y.max(1)))
of_rows("top", lambda x, y: dict(zip(("values", "indices"), y.topk(2), strict=True)))
of_rows("loss_alone", lambda x, y: (y.square().mean(), y))
of_rows("one_in_a_list", lambda x, y: [y])

# What is given -------------------------------------------------------------------------------------------------------
add("by_name", net(lambda self, x, m=None, y=None: self.a(x) + self.a(y), a=fc), lambda n: {"y": rows(n), "x": rows(n)}, B0, B0, quick=True)


class ByNameOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor, *, scale: Tensor | None = None, **more: Tensor) -> Tensor:
        y = self.fc(x)
        y = y if scale is None else y * scale[:, None]
        return y + more["offset"] if "offset" in more else y


add("by_name_only", ByNameOnly, lambda n: {"x": rows(n), "scale": torch.rand(n)}, B0, B0)
add("more_by_name", ByNameOnly, lambda n: {"x": rows(n), "offset": torch.rand(n, 5)}, B0, B0)
add("none_between", net(lambda self, x, m, y: self.a(x) + self.a(y), a=fc), lambda n: (rows(n), None, rows(n)), B0, B0)
add("flag", net(lambda self, x, twice: self.a(x) * 2 if twice else self.a(x), a=fc), lambda n: (rows(n), True), B0)
add("factor", net(lambda self, x, by: self.a(x) * by, a=fc), lambda n: (rows(n), 2.5), B0)
add("way", net(lambda self, x, way: self.a(x).relu() if way == "relu" else x, a=fc), lambda n: (rows(n), "relu"), B0)
add(
    "maps", net(lambda self, maps: self.a(maps[0]) + F.interpolate(self.a(maps[1]), scale_factor=2.0), a=_conv),
    lambda n: ([torch.rand(n, 3, 8, 8), torch.rand(n, 3, 4, 4)],), B0, B0, quick=True,
)
add("dict", net(lambda self, batch: self.a(batch["x"]) + batch["bias"], a=fc), lambda n: ({"x": rows(n), "bias": torch.randn(n, 5)},), B0, B0)
add("dict_alone", net(lambda self, batch: self.a(batch["rows"]), a=fc), lambda n: {"rows": rows(n)}, B0)
add(
    "nested", net(lambda self, batch: self.a(batch["in"][0]) + self.a(batch["in"][1]["b"]), a=fc),
    lambda n: ({"in": [rows(n), {"b": rows(n)}]},), B0, B0,
)
add("named_tuple_given", net(lambda self, pair: self.a(pair.low) - self.a(pair.high), a=fc), lambda n: (Pair(rows(n), rows(n)),), B0, B0)
add("ordered_dict_given", net(lambda self, d: self.a(d["b"]) - d["a"], a=fc), lambda n: (OrderedDict(b=rows(n), a=torch.randn(n, 5)),), B0, B0)
add("any_number", net(lambda self, *x: self.a(x[0]) + self.a(x[1]), a=fc), lambda n: (rows(n), rows(n)), B0, B0)
add("ids", net(lambda self, ids: self.b(self.a(ids)).mean(1), a=lambda: nn.Embedding(9, 6), b=fc), lambda n: (torch.randint(9, (n, 4)),), B0)
add("ids_of_32_bits", net(lambda self, ids: self.b(self.a(ids)), a=lambda: nn.Embedding(9, 6), b=fc), lambda n: (torch.randint(9, (n, 4), dtype=torch.int32),), B0)
add("bytes_given", net(lambda self, x: self.a(x.float() / 255).mean((2, 3)), a=_conv), lambda n: (torch.randint(256, (n, 3, 6, 5), dtype=torch.uint8),), B0)
add("picked", net(lambda self, x, at: self.a(x)[torch.arange(x.shape[0]), at], a=fc), lambda n: (rows(n), torch.randint(5, (n,))), B0, B0)

# Other sizes ---------------------------------------------------------------------------------------------------------
IMAGE = {0: "batch", 2: "height", 3: "width"}
add(
    "larger_images", net(lambda self, x: F.pixel_shuffle(self.a(x), 2), a=lambda: nn.Conv2d(3, 8, 3, padding=1)),
    lambda n: (torch.rand(n, 3, 4 + n, 5 + n),), IMAGE, quick=True,
)
add("segments", net(lambda self, x: F.interpolate(self.a(x), size=x.shape[2:], mode="bilinear"), a=lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1)), lambda n: (torch.rand(n, 3, 5 + n, 7 + n),), IMAGE)
add(
    "cells", net(lambda self, x: self.a(x).flatten(2).transpose(1, 2), a=lambda: nn.Conv2d(3, 7, 2, stride=2)),
    lambda n: (torch.rand(n, 3, 4 * n, 2 + 2 * n),), IMAGE, dynamic={"x": {2: "height", 3: "width"}}, quick=True,
)
add(
    "multiples", net(lambda self, x: torch.cat([x, F.interpolate(self.a(x), scale_factor=4.0)], 1), a=lambda: nn.Conv2d(3, 4, 4, stride=4)),
    lambda n: (torch.rand(n, 3, 4 * n, 8),), IMAGE, dynamic={"x": {2: "height", 3: "width"}},
)
add(
    "any_length", net(lambda self, ids: self.b(self.a(ids)), a=lambda: nn.Embedding(9, 6), b=fc),
    lambda n: (torch.randint(9, (n, 2 + n)),), {0: "batch", 1: "length"}, dynamic={"ids": {1: "length"}},
)
