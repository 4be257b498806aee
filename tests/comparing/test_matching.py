"""Steps of two models are matched by path, by place and by size, in that order."""

from __future__ import annotations

import torch

from fxpasses.comparing.matching import are_related, are_spelled_alike, matched
from fxpasses.comparing.steps import Step, Weight


def layer(path: str | None, *shape: int, name: str = "") -> Step:
    return Step(name or path or "x", "conv2d", module=path, weight=Weight(torch.ones(shape), "float32"))


def names(a: list[Step], b: list[Step]) -> list[tuple[str | None, str | None]]:
    return [(x.name if x else None, y.name if y else None) for x, y in matched(a, b)]


def test_layers_by_path_and_the_rest_by_place() -> None:
    a = [layer("one", 4, 3, 3, 3), Step("r1", "relu"), layer("two", 4, 4, 3, 3), Step("sum", "add")]
    b = [layer("one", 2, 3, 3, 3), layer("two", 4, 2, 3, 3), Step("a", "add"), Step("s", "softmax")]
    assert names(a, b) == [("one", "one"), ("r1", None), ("two", "two"), ("sum", "a"), (None, "s")]


def test_another_kernel_is_another_layer() -> None:
    assert names([layer("one", 4, 3, 3, 3)], [layer("one", 4, 3, 1, 1)]) == [("one", None), (None, "one")]


def test_a_layer_called_twice_is_matched_call_by_call() -> None:
    a = [layer("one", 4, 4, 3, 3, name="first"), layer("one", 4, 4, 3, 3, name="second")]
    b = [layer("one", 4, 4, 3, 3, name="x"), layer("one", 4, 4, 3, 3, name="y")]
    assert names(a, b) == [("first", "x"), ("second", "y")]


def test_layers_in_another_order_stay_together() -> None:
    a = [layer("one", 4, 3, 3, 3), layer("two", 4, 3, 1, 1), Step("sum", "add")]
    b = [layer("two", 4, 3, 1, 1), layer("one", 4, 3, 3, 3), Step("sum2", "add")]
    assert sorted(names(a, b)) == [("one", "one"), ("sum", "sum2"), ("two", "two")]


def test_without_paths_layers_are_known_by_size() -> None:
    a = [layer(None, 4, 3, 3, 3, name="a1"), layer(None, 8, 4, 3, 3, name="a2")]
    b = [layer(None, 4, 3, 3, 3, name="b1"), layer(None, 8, 4, 3, 3, name="b2")]
    assert names(a, b) == [("a1", "b1"), ("a2", "b2")]


def test_related_is_half_of_the_smaller_models_layers() -> None:
    a = [layer("one", 4, 3, 3, 3), layer("two", 4, 4, 3, 3), layer("three", 4, 4, 3, 3), layer("four", 4, 4, 3, 3)]
    assert are_related(a, a[:1])
    assert are_related(a, [a[0], a[1], layer("x", 9, 9, 5, 5), layer("y", 9, 9, 5, 5)])
    assert not are_related(a, [a[0], layer("x", 9, 9, 5, 5), layer("y", 9, 9, 5, 5)])


def test_models_without_layers_are_matched_by_their_operators() -> None:
    assert are_related([Step("a", "relu"), Step("b", "add")], [Step("c", "relu"), Step("d", "add")])
    assert not are_related([Step("a", "relu")], [Step("c", "softmax")])


def test_spellings_of_runtimes() -> None:
    assert are_spelled_alike(Step("a", "flatten"), Step("b", "reshape"))
    assert not are_spelled_alike(Step("a", "flatten"), Step("b", "permute"))
