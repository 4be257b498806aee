"""The nets of the default suite hold everything that any tiny net holds, and are those that the rule chooses."""

from __future__ import annotations

import pytest
from tiny_graphs import captured
from tiny_nets.all_nets import TINY
from tiny_nets.share import DAILY, LISTED, each_net, features, share_of


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    return {name: features(captured(name)) for name in TINY}


def test_the_list_is_what_the_rule_chooses(found: dict[str, set[str]], update_golden: bool) -> None:
    chosen = share_of(found)
    if update_golden:
        LISTED.write_text("".join(f"{name}\n" for name in chosen), encoding="utf-8")
    assert LISTED.read_text(encoding="utf-8").split() == chosen, "pytest --update-golden tests/test_share.py"


def test_nothing_is_in_slow_tests_alone(found: dict[str, set[str]]) -> None:
    assert set().union(*found.values()) == set().union(*(found[name] for name in DAILY))
    told = set().union(*found.values())
    assert {"operator relu of 1 tensors", "layer Conv2d", "groups 2", "a layer is called twice", "2 inputs"} <= told


def test_a_new_feature_brings_its_net_into_the_share() -> None:
    nets = {"a": {"1", "2"}, "b": {"2"}, "c": {"3"}}
    assert share_of(nets) == ["a", "c"]
    assert share_of(nets | {"d": {"4", "2"}}) == ["a", "c", "d"]
    assert share_of({"a": {"1"}, "b": {"1", "2"}}) == ["b"]


def test_every_net_is_tried_here_or_in_slow_tests() -> None:
    params = each_net([*TINY, "no tiny net"])
    slow = {param.values[0] for param in params if not isinstance(param, str)}
    assert slow == TINY.keys() - DAILY
    assert [param if isinstance(param, str) else param.values[0] for param in params] == [*TINY, "no tiny net"]
    assert 2 * len(DAILY) < len(TINY), "the share saves time no more"
