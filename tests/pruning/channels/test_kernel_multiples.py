"""Every target has its own multiple of channels."""

from __future__ import annotations

import pytest

from fxpasses.errors import InputError
from fxpasses.pruning import channel_multiple
from fxpasses.pruning.channels.kernel_multiples import MULTIPLES, in_largest_multiples
from fxpasses.quantization.numbers.targets import TARGETS, machine_target


def test_every_target() -> None:
    assert MULTIPLES.keys() == TARGETS.keys()
    assert {name: channel_multiple(name) for name in TARGETS} == MULTIPLES


def test_auto_is_the_machine_s() -> None:
    assert channel_multiple() == channel_multiple(machine_target().name)


def test_unknown() -> None:
    with pytest.raises(InputError, match="target 'x87'"):
        channel_multiple("x87")


def test_the_largest_multiple_in_which_channels_can_go() -> None:
    tried: list[int] = []

    def choose(multiple: int) -> list[int]:
        tried.append(multiple)
        if multiple == 16:
            raise InputError("nothing fits", why="layers are narrow", fix="use less")
        return [multiple] if multiple <= 4 else []

    assert in_largest_multiples(16, choose, bool) == ([4], 4)
    assert tried == [16, 8, 4]
    assert in_largest_multiples(2, lambda _: [], bool) == ([], 1)


def test_single_channels_that_cannot_go_are_an_error() -> None:
    def refuse(multiple: int) -> list[int]:
        raise InputError(f"no multiple of {multiple}", why="it is refused", fix="use less")

    with pytest.raises(InputError, match="no multiple of 1"):
        in_largest_multiples(4, refuse, bool)
