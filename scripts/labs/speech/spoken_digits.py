"""Converts spoken digits to log-mel images for a keyword net, with numpy alone.

A recording of at most one second at 8 kHz is put in the middle of one second of silence. Every 20 ms a Hann window of
30 ms is transformed, its power summed in 40 triangles evenly spaced in mels (HTK's formula) from 20 Hz to 4 kHz, and
the logarithm taken: ``[49, 40]``. Features are centred and scaled by one mean and one deviation, those of the training
recordings. Takes 0 to 4 of each speaker and digit are for testing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fxpasses.errors import InputError

Floats = npt.NDArray[np.float32]
RATE, SECOND = 8000, 8000
WINDOW, STRIDE, TRANSFORM = 240, 160, 256
FRAMES, BANDS = 49, 40
LOWEST_HZ, HIGHEST_HZ = 20.0, 4000.0
FLOOR = 1e-6
CLASSES = 10
TEST_TAKES = 5
FILE = "spoken_digits.npz"


@dataclass(frozen=True)
class SpokenDigits:
    """Features ``[N, 1, 49, 40]`` and digits ``[N]``, for training and for testing."""

    inputs: Tensor
    labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor


def read_spoken_digits(folder: Path) -> SpokenDigits:
    """Read the recordings of ``spoken_digits.npz`` in the folder, as features.

    Raises:
        InputError: there is no such file, or it lacks an array.
    """
    path = folder / FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("audio", "lengths", "label", "take")}
    except (OSError, ValueError, KeyError) as error:
        fix = f"point to the folder that holds {FILE}, with audio, lengths, label and take"
        raise InputError(f"cannot read {path}", why=str(error), fix=fix) from error
    starts = np.cumsum(arrays["lengths"]) - arrays["lengths"]
    recordings = (
        arrays["audio"][start : start + length] for start, length in zip(starts, arrays["lengths"], strict=True)
    )
    features = np.stack([log_mel(one_second(recording)) for recording in recordings])
    testing = arrays["take"] < TEST_TAKES
    mean, deviation = features[~testing].mean(), features[~testing].std()
    inputs = torch.from_numpy((features - mean) / deviation).unsqueeze(1)
    labels = torch.from_numpy(arrays["label"].astype(np.int64))
    chosen = torch.from_numpy(testing)
    return SpokenDigits(inputs[~chosen], labels[~chosen], inputs[chosen], labels[chosen])


def one_second(samples: npt.NDArray[Any]) -> Floats:
    """Put samples, -1 to 1, in the middle of a second of silence; longer recordings are cut on both sides."""
    samples = samples.astype(np.float32) / 32768
    surplus = max(0, len(samples) - SECOND)
    samples = samples[surplus // 2 : surplus // 2 + SECOND]
    second = np.zeros(SECOND, np.float32)
    start = (SECOND - len(samples)) // 2
    second[start : start + len(samples)] = samples
    return second


def log_mel(second: Floats) -> Floats:
    """Convert ``[8000]`` samples to ``[49, 40]`` logarithms of the power in each band."""
    frames = np.lib.stride_tricks.sliding_window_view(second, WINDOW)[::STRIDE][:FRAMES]
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, TRANSFORM)) ** 2
    bands: Floats = power.astype(np.float32) @ mel_triangles().T
    return np.asarray(np.log(bands + np.float32(FLOOR)))


def mel_triangles() -> Floats:
    """Share of each frequency of the transform in each band, ``[40, 129]``."""
    edges = _to_hz(np.linspace(_to_mel(LOWEST_HZ), _to_mel(HIGHEST_HZ), BANDS + 2))
    frequencies = np.arange(TRANSFORM // 2 + 1) * RATE / TRANSFORM
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _to_mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
