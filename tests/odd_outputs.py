"""Structures with unusual outputs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from odd_structures import B0, Structure, fc, net, rows, structure
from torch import Tensor
from torch.utils import _pytree as pytree


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
    """Output like that of Hugging Face's models: a dict without None values, and a dataclass."""

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


def of_rows(name: str, returns: Callable[[Tensor, Tensor], Any], **more: Any) -> Structure:
    """A linear layer on rows; the net returns a structure of its input and output."""
    build = net(lambda self, x: returns(x, self.fc(x)), fc=fc)
    return structure(name, build, lambda n: (rows(n),), B0, **more)


OUTPUTS = [
    of_rows("named_tuple", lambda x, y: Pair(y, y.relu()), quick=True),
    of_rows("named_tuple_inside", lambda x, y: {"pair": Pair(y, y + 1), "rest": [y, Pair(y * 2, y)]}),
    of_rows("dataclass", lambda x, y: Found(y, hidden=(y.relu(),))),
    of_rows("dataclass_inside", lambda x, y: (y, Found(y.relu()))),
    of_rows("model_output", lambda x, y: Answer(logits=y, hidden_states=(y.relu(), y.tanh()))),
    of_rows("none_first", lambda x, y: (None, y, (y.relu(), None))),
    of_rows("none_in_dict", lambda x, y: {"loss": None, "logits": y}),
    of_rows("none_in_list", lambda x, y: [y, None]),
    of_rows("truth", lambda x, y: (y, y > 0)),
    of_rows("truth_alone", lambda x, y: y > 0),
    of_rows("classes", lambda x, y: {"logits": y, "classes": y.argmax(1)}),
    of_rows("classes_alone", lambda x, y: y.argmax(1)),
    of_rows("number", lambda x, y: (y, 3, 0.5, True)),
    of_rows("word", lambda x, y: {"logits": y, "kind": "rows"}),
    of_rows("lists", lambda x, y: [[y], [y.relu(), [y.tanh()]]]),
    of_rows("dict_in_list", lambda x, y: [{"a": y}, {"a": y.relu()}]),
    of_rows("input_itself", lambda x, y: {"in": x, "x": y}),
    of_rows("twice", lambda x, y: {"one": y, "two": y}),
    of_rows("empty", lambda x, y: (y, [], {})),
    of_rows("ordered_dict", lambda x, y: OrderedDict(b=y, a=y.relu())),
    of_rows("numbers_as_keys", lambda x, y: {0: y, 1: y.relu()}),
    of_rows("odd_keys", lambda x, y: {"a b": y, "a.b": y.relu()}),
    of_rows("bytes", lambda x, y: (y.sigmoid() * 255).to(torch.uint8)),
    of_rows("largest", lambda x, y: tuple(y.max(1))),
    of_rows("top", lambda x, y: dict(zip(("values", "indices"), y.topk(2), strict=True))),
    of_rows("loss_alone", lambda x, y: (y.square().mean(), y)),
    of_rows("one_in_a_list", lambda x, y: [y]),
]
