"""Lab 3's nets and data: the pixels and words that are read, and that nets learn from them."""

from __future__ import annotations

import torch
from small.small_mlps import Mlp, Table, Task, cropped, most_frequent_words, trained, word_counts

from fxpasses.models.data.sentences import SentenceSplit


def test_the_middle_of_an_image_is_read() -> None:
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    images[:, :, 4, 4], images[:, :, 3, 3] = 255, 255
    rows = cropped(images, 20)
    assert rows.shape == (2, 400)
    assert rows[0, 0] == 1 and rows[0, 1:].sum() == 0


def test_words_are_ranked_by_frequency_then_alphabet() -> None:
    words = most_frequent_words(("b a A c", "c a d"), 3)
    assert words == {"a": 0, "c": 1, "b": 2}
    counts = word_counts(SentenceSplit(("a a x c",), torch.tensor([1]), 1), words)
    assert counts.inputs.tolist() == [[2, 1, 0]] and counts.labels.tolist() == [1]


def test_a_net_learns_and_has_its_layers() -> None:
    inputs = torch.randn(256, 6, generator=torch.Generator().manual_seed(0))
    table = Table(inputs, (inputs[:, 0] > 0).long())
    net = trained(Task("tiny", table, table, (32, 16), 2), epochs=60)
    assert [layer.out_features for layer in net.layers if isinstance(layer, torch.nn.Linear)] == [32, 16, 2]
    assert (net(inputs).argmax(1) == table.labels).double().mean() > 0.9
    assert not net.training


def test_batches_are_the_rows_in_order_or_shuffled_by_the_seed() -> None:
    table = Table(torch.arange(10.0).reshape(10, 1), torch.arange(10))
    assert [len(labels) for _, labels in table.batches(4)] == [4, 4, 2]
    assert sum(len(labels) for _, labels in table.batches(4, 6)) == 6
    first, again = (torch.cat([labels for _, labels in table.shuffled(3, seed=1)]) for _ in range(2))
    assert torch.equal(first, again) and sorted(first.tolist()) == list(range(10)) != first.tolist()


def test_sizes_of_the_published_net() -> None:
    assert sum(p.numel() for p in Mlp(400, (1024, 1024), 10).parameters()) == 1_470_474
