"""Names of torch.ao answer with what to type instead, and none of them is ours."""

from __future__ import annotations

import re

import pytest

import fxpasses
from fxpasses.torch_ao_names import INSTEAD


@pytest.mark.parametrize("name", INSTEAD)
def test_the_answer_says_what_to_type(name: str) -> None:
    with pytest.raises(AttributeError, match=re.escape(f"torch.ao's {name} is here {INSTEAD[name]}")) as caught:
        getattr(fxpasses, name)
    assert str(caught.value).count("\n") == 0
    assert not hasattr(fxpasses, name)


@pytest.mark.parametrize("name", INSTEAD)
def test_what_the_answer_names_exists(name: str) -> None:
    named = re.findall(r"\bfx\.([a-zA-Z_]\w*)", INSTEAD[name])
    assert [found for found in named if not hasattr(fxpasses, found)] == []


def test_none_is_a_public_name() -> None:
    assert set(INSTEAD) & set(dir(fxpasses)) == set()


def test_another_unknown_name_is_told_without_an_answer() -> None:
    with pytest.raises(AttributeError, match=r"^module 'fxpasses' has no attribute 'foo'$"):
        getattr(fxpasses, "foo")  # noqa: B009 - mypy would refuse the plain spelling
