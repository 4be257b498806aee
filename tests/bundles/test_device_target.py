"""A grid is accepted for the targets that it fits, and refused for others."""

from __future__ import annotations

import pytest

from fxpasses.bundles.device_target import device_target, platform_of
from fxpasses.errors import InputError


@pytest.mark.parametrize(
    ("asked", "made_for"),
    [("auto", "arm"), ("auto", "cuda"), ("x86", "x86-avx2"), ("arm", "x86-avx2"), ("arm", "x86"), ("x86", "arm")],
)
def test_it_fits(asked: str, made_for: str) -> None:
    assert device_target(asked, made_for).name == (made_for if asked == "auto" else asked)


@pytest.mark.parametrize(
    ("asked", "made_for", "why"),
    [
        ("x86-avx2", "x86", "saturate the 16-bit sums"),
        ("x86-avx2", "arm", "saturate the 16-bit sums"),
        ("cuda", "x86", "it has uint8 activations"),
        ("arm", "cuda", "it has int8 activations with zero_point 0"),
    ],
)
def test_it_does_not_fit(asked: str, made_for: str, why: str) -> None:
    with pytest.raises(InputError, match=f"{why}.*\n.*quantize again with `target=.{asked}.`"):
        device_target(asked, made_for)


def test_an_unknown_target() -> None:
    with pytest.raises(InputError, match="did you mean 'x86'"):
        device_target("x68", "x86")


def test_platforms_of_the_converter() -> None:
    assert [platform_of(device_target("auto", name)) for name in ("arm", "x86", "cuda")] == ["arm", "amd64", "amd64"]
