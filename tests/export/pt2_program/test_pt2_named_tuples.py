"""Named tuples of a saved graph: of a loaded class, or of one made for them; no other class is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from odd_outputs import Pair
from odd_structures import fc, net, rows
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.export.pt2_program.named_tuples import restore_named_tuples, tuples_json
from fxpasses.export.pt2_records.records import RefusedError
from fxpasses.signature.outputs import with_plain_outputs


def graph() -> torch_fx.GraphModule:
    build = net(lambda self, x: {"a": [Pair(self.a(x), x)], "b": x}, a=fc)
    return fx.capture(build().eval(), rows(2))


def restored(**changed: Any) -> Any:
    gm = graph()
    facts = tuples_json(gm)
    facts["named_tuples"][0] |= changed
    plain = with_plain_outputs(gm)
    restore_named_tuples(plain, facts)
    return plain(rows(3))["a"][0]


def test_the_class_that_is_loaded() -> None:
    assert type(restored()) is Pair


@pytest.mark.parametrize("changed", [{"module": "no.such.module"}, {"fields": ["one", "two"]}, {"name": "Other"}])
def test_a_class_is_made_where_none_fits(changed: dict[str, Any]) -> None:
    found = restored(**changed)
    assert type(found) is not Pair and issubclass(type(found), tuple)
    assert found._fields == tuple(changed.get("fields", ["low", "high"]))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a class of something else": ({"name": "a b"}, "a b"),
    "private fields": ({"fields": ["_x", "y"]}, "has fields"),
    "fields alike": ({"fields": ["x", "x"]}, "has fields"),
    "other number": ({"fields": ["x"]}, "a tuple of 2 values has 1 names"),
    "nowhere": ({"path": ["a", 7]}, "names outputs that it has not"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    changed, match = REFUSED[case]
    with pytest.raises(RefusedError, match=match):
        restored(**changed)


def test_a_graph_without_any_says_nothing() -> None:
    assert tuples_json(fx.capture(net(lambda self, x: self.a(x), a=fc)().eval(), rows(2))) == {}
