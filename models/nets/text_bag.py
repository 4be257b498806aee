"""The smallest useful text classifier: the mean of word embeddings and two linear layers.

Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods for Text Classification".
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

TOKENS = 48
VOCABULARY = 8192
PADDING_TOKEN = 0


class TextBag(nn.Module):
    """Classifier from int64 tokens ``[B, T]`` to logits ``[B, num_classes]``."""

    def __init__(self, num_classes: int = 2, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width, padding_idx=PADDING_TOKEN)
        self.hidden = nn.Linear(width, width)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        words = self.embedding(tokens).mean(1)
        logits: Tensor = self.classifier(F.relu(self.hidden(words)))
        return logits
