"""scikit-learn's embedded handwritten digits: 1797 grey images of 8x8, no download.

Every fifth image is held out (359), the other 1438 are for training; grey values 0..16 become 0..255.
"""

from __future__ import annotations

import torch

from .array_split import ArraySplit

SHAPE = (1, 8, 8)
NUM_CLASSES = 10
HELD_OUT_EVERY = 5
DARKEST = 16


def digits_splits() -> tuple[ArraySplit, ArraySplit]:
    """Return the training and the held-out split."""
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    images = torch.from_numpy(data).mul(255 / DARKEST).round().to(torch.uint8).view(-1, *SHAPE)
    labels = torch.from_numpy(target).to(torch.int64)
    held_out = torch.arange(len(labels)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return ArraySplit(images[~held_out], labels[~held_out]), ArraySplit(images[held_out], labels[held_out])
