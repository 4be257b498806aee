"""Lab 1's spoken digits: the place of a tone in the features, and the split and refusal of recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from speech.keyword_net import KeywordNet, trained_keyword_net
from speech.spoken_digits import (
    BANDS,
    FLOOR,
    FRAMES,
    SECOND,
    SpokenDigits,
    log_mel,
    mel_triangles,
    one_second,
    read_spoken_digits,
)

from fxpasses.errors import InputError


def test_a_tone_is_bright_in_its_band() -> None:
    times = np.arange(SECOND) / 8000
    picture = log_mel(np.sin(2 * np.pi * 1000 * times).astype(np.float32))
    assert picture.shape == (FRAMES, BANDS)
    centres = np.argmax(mel_triangles(), axis=1) * 8000 / 256
    assert abs(centres[picture.mean(0).argmax()] - 1000) < 100


def test_silence_is_the_floor() -> None:
    assert np.allclose(log_mel(np.zeros(SECOND, np.float32)), np.log(FLOOR))


def test_triangles_overlap_and_cover() -> None:
    triangles = mel_triangles()
    assert triangles.shape == (40, 129) and triangles.min() == 0 and (triangles.sum(1) > 0).all()
    inside = triangles[:, 4:120].sum(0)
    assert inside.max() <= 1 + 1e-5 and inside.min() > 0.9


@pytest.mark.parametrize("length", [3, 8000, 9001])
def test_a_recording_lies_in_the_middle_of_a_second(length: int) -> None:
    second = one_second(np.full(length, 16384, np.int16))
    assert len(second) == SECOND and set(second.tolist()) <= {0.0, 0.5}
    voiced = np.flatnonzero(second)
    assert len(voiced) == min(length, SECOND)
    assert abs(int(voiced[0]) - (SECOND - 1 - int(voiced[-1]))) <= 1


def _write(folder: Path, **changed: object) -> None:
    generator = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "audio": generator.integers(-1000, 1000, 10 * 50).astype(np.int16),
        "lengths": np.full(10, 50),
        "label": np.arange(10),
        "take": np.arange(10),
    }
    kept = {name: np.asarray(value) for name, value in (arrays | changed).items() if value is not None}
    write: Callable[..., None] = np.savez
    write(folder / "spoken_digits.npz", **kept)


def test_early_takes_are_for_testing(tmp_path: Path) -> None:
    _write(tmp_path)
    data = read_spoken_digits(tmp_path)
    assert data.test_labels.tolist() == [0, 1, 2, 3, 4] and data.labels.tolist() == [5, 6, 7, 8, 9]
    assert data.inputs.shape == (5, 1, FRAMES, BANDS)
    assert data.inputs.mean().item() == pytest.approx(0, abs=1e-4) and data.inputs.std().item() == pytest.approx(
        1, abs=1e-3
    )


def test_files_that_are_not_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*spoken_digits\.npz"):
        read_spoken_digits(tmp_path)
    _write(tmp_path, take=None)
    with pytest.raises(InputError, match="with audio, lengths, label and take"):
        read_spoken_digits(tmp_path)


def test_the_net_learns_what_can_be_told_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 2
    inputs = torch.randn(120, 1, FRAMES, BANDS, generator=generator)
    inputs[labels == 1, :, :, :20] += 2
    net = trained_keyword_net(SpokenDigits(inputs, labels, inputs, labels), epochs=3)
    assert (net(inputs).argmax(1) == labels).double().mean().item() > 0.95


def test_the_net_has_the_published_shape() -> None:
    net = KeywordNet(4)
    assert net.linear.in_features == 4000
    assert net.conv(torch.zeros(1, 1, FRAMES, BANDS)).shape == (1, 8, 25, 20)
