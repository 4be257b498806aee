"""A regressor, a net of two outputs, one of two inputs, and data for each, in the form of a user's file."""

from __future__ import annotations

from pathlib import Path

import pytest

SOURCE = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

IMAGES = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def regressor():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1)
    return nn.Sequential(*layers), (1, 8, 8)


def brightness():
    return DataLoader(TensorDataset(IMAGES, IMAGES.mean((1, 2, 3))), batch_size=8)


class TwoMaps(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.out, self.aux = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 3, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x):
        features = self.body(x).relu()
        return {"out": self.out(features), "aux": self.aux(features)}


def segmenter():
    torch.manual_seed(0)
    return TwoMaps(), (1, 8, 8)


def masks():
    return DataLoader(TensorDataset(IMAGES, (3 * IMAGES[:, 0]).long()), batch_size=8)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, left, right):
        return self.c((self.a(left) + self.b(right)).relu())


def two_inputs():
    torch.manual_seed(0)
    return TwoInputs(), {"left": torch.randn(2, 4), "right": torch.randn(2, 6)}


def swapped():
    return TwoInputs(), {"right": torch.randn(2, 6), "left": torch.randn(2, 4)}


def uneven():
    return TwoInputs(), (torch.randn(2, 4), torch.randn(3, 6))


def dicts():
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        left, right = (torch.randn(8, size, generator=generator) for size in (4, 6))
        yield {"left": left, "right": right, "labels": torch.randint(3, (8,), generator=generator)}


def tuples():
    for batch in dicts():
        yield (batch["left"], batch["right"]), batch["labels"]


def words():
    for batch in dicts():
        yield batch["left"], batch["right"], [f"label {n}" for n in batch["labels"].tolist()]


def incomplete():
    for batch in dicts():
        yield {"left": batch["left"], "labels": batch["labels"]}


def worst(output, labels):
    return (output.flatten() - labels).abs().max()


worst.higher_is_better = False


def undirected(output, labels):
    return 1.0


class Seen:
    higher_is_better = True

    def __init__(self):
        self.count = 0

    def update(self, output, labels):
        self.count += len(labels)

    def compute(self):
        return torch.tensor(float(self.count))


def outputs(output, labels):
    return float(len(output))


outputs.higher_is_better = True


def breaks(output, labels):
    return 1 / 0


breaks.higher_is_better = True


def text(output, labels):
    return "good"


text.higher_is_better = True


def number():
    return 7


number.higher_is_better = True
"""


@pytest.fixture(scope="session")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with all nets and data."""
    path = tmp_path_factory.mktemp("tasks") / "own.py"
    path.write_text(SOURCE)
    return path
