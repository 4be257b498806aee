"""Nets and data of the MNIST and SST-2 lab: multilayer perceptrons on cropped digits and on counted words.

MNIST: the middle 20x20 pixels of each image, divided by 255, as one row of 400. SST-2: counts of the 5000 words that
are most frequent in the training sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from fxpasses.models.data.idx_files import idx_splits
from fxpasses.models.data.sentences import SentenceSplit, sentence_splits
from fxpasses.models.model_input import ModelInput
from fxpasses.models.training.loop import TrainConfig, train

CROP = 20
VOCABULARY = 5000
BATCH = 64
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Table:
    """Rows of numbers ``[N, inputs]`` float32 and their classes ``[N]``."""

    inputs: Tensor
    labels: Tensor

    def batches(self, size: int, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches in order; the last batch may be smaller."""
        rows, labels = self.inputs[:limit], self.labels[:limit]
        return zip(torch.split(rows, size), torch.split(labels, size), strict=True)

    def shuffled(self, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every row once, in an order fixed by the seed."""
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(seed))
        return ((self.inputs[indices], self.labels[indices]) for indices in torch.split(order, size))


@dataclass(frozen=True)
class Task:
    """A data set and the hidden layers of the net for it."""

    name: str
    training: Table
    held_out: Table
    hidden: tuple[int, ...]
    classes: int

    @property
    def inputs(self) -> int:
        return self.training.inputs.shape[1]

    def make_input(self, batch: int) -> Tensor:
        """First held-out rows."""
        return self.held_out.inputs[:batch]


class Mlp(nn.Module):
    """Perceptron from ``[B, inputs]`` to logits ``[B, classes]`` through hidden layers with ReLU."""

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int) -> None:
        super().__init__()
        sizes = (inputs, *hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def trained(task: Task, hidden: Sequence[int] | None = None, *, epochs: int = 2, bf16: bool = False) -> Mlp:
    """Train a net with these hidden layers (by default the task's own) with Adam at 0.001 on batches of 64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Mlp(task.inputs, task.hidden if hidden is None else hidden, task.classes)
    config = TrainConfig(epochs=epochs, lr=0.001, weight_decay=0.0, bf16=bf16)
    rows = len(task.training.labels)
    train(net, lambda epoch: task.training.shuffled(BATCH, epoch), config, images_per_epoch=rows)
    return net


def mnist_task(folder: Path, hidden: tuple[int, ...] = (1024, 1024), crop: int = CROP) -> Task:
    """Read MNIST from ``folder``, cropped to the middle ``crop`` x ``crop`` pixels."""
    training, held_out = idx_splits(folder, f"mnist={folder}")
    tables = [
        Table(cropped(split.inputs(torch.arange(len(split))), crop), split.labels) for split in (training, held_out)
    ]
    return Task("mnist", tables[0], tables[1], hidden, 10)


def cropped(images: Tensor, size: int) -> Tensor:
    """Crop uint8 ``[N, 1, H, W]`` to float32 rows ``[N, size * size]`` of the pixels in the middle, 0 to 1."""
    top, left = (images.shape[2] - size) // 2, (images.shape[3] - size) // 2
    middle = images[:, 0, top : top + size, left : left + size]
    return middle.reshape(len(images), -1).to(torch.float32).div_(255)


def sst2_task(folder: Path, hidden: tuple[int, ...] = (512, 512)) -> Task:
    """Read SST-2 from ``folder``: train.tsv for training, dev.tsv for evaluation."""
    training, held_out = sentence_splits(folder, ModelInput((1,)), f"sst2={folder}")
    vocabulary = most_frequent_words(training.sentences, VOCABULARY)
    tables = [word_counts(split, vocabulary) for split in (training, held_out)]
    return Task("sst2", tables[0], tables[1], hidden, 2)


def most_frequent_words(sentences: Sequence[str], count: int) -> dict[str, int]:
    """Index of each word, the most frequent first; equally frequent ones in alphabetical order."""
    seen = Counter(word for sentence in sentences for word in sentence.lower().split())
    ranked = sorted(seen, key=lambda word: (-seen[word], word))
    return {word: index for index, word in enumerate(ranked[:count])}


def word_counts(split: SentenceSplit, vocabulary: dict[str, int]) -> Table:
    """Counts of each known word in each sentence."""
    counts = torch.zeros(len(split), len(vocabulary))
    for row, sentence in enumerate(split.sentences):
        for word in sentence.lower().split():
            if word in vocabulary:
                counts[row, vocabulary[word]] += 1
    return Table(counts, split.labels)
