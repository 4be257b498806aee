"""Every target has its own multiple of channels."""

from __future__ import annotations

import pytest

from fxpasses.errors import InputError
from fxpasses.pruning import channel_multiple
from fxpasses.pruning.channels.kernel_multiples import MULTIPLES
from fxpasses.quantization.numbers.targets import TARGETS, machine_target


def test_every_target() -> None:
    assert MULTIPLES.keys() == TARGETS.keys()
    assert {name: channel_multiple(name) for name in TARGETS} == MULTIPLES


def test_auto_is_the_machine_s() -> None:
    assert channel_multiple() == channel_multiple(machine_target().name)


def test_unknown() -> None:
    with pytest.raises(InputError, match="target 'x87'"):
        channel_multiple("x87")
