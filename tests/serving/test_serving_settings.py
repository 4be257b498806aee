"""Settings of a server: their bounds, and the need of a token for addresses that others can reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fxpasses.errors import InputError
from fxpasses.serving.settings import ServeSettings, is_loopback

TOKEN = "sixteen letters!"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_this_machine_alone(host: str) -> None:
    assert is_loopback(host)
    ServeSettings(Path(), host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", "", "localhost.example.org"])
def test_anybody_else_needs_a_token(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(InputError, match="without a token") as caught:
        ServeSettings(Path(), host=host)
    assert "FXPASSES_TOKEN" in caught.value.fix
    ServeSettings(Path(), host=host, token=TOKEN)


@pytest.mark.parametrize("token", ["", "fifteen letters", "x" * 15 + "\n", "ä" * 20])
def test_a_token_that_is_none(token: str) -> None:
    with pytest.raises(InputError, match="the token is too short"):
        ServeSettings(Path(), token=token)


@pytest.mark.parametrize(
    "setting",
    [
        *(
            {"port": -1},
            {"port": 70_000},
            {"workers": 0},
            {"threads": 0},
            {"max_batch": 0},
            {"queue": 0},
            {"max_body": 1},
        ),
        *(
            {"timeout_s": 0.0},
            {"timeout_s": float("nan")},
            {"batch_delay_ms": -1.0},
            {"max_pixels": 0},
            {"drain_s": 1e9},
        ),
    ],
)
def test_bounds(setting: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        ServeSettings(Path(), **setting)
