"""Token logits and labels as sentences, for the word error rate of speech models.

Logits ``[B, T, tokens]`` are decoded greedily, as CTC is: the highest token of each step, repetitions merged, token 0
(the blank) left out. Labels are tokens ``[B, L]``, of which negative ones pad. Each token is a word; if tokens are
letters, write a ``path/file.py:function`` that finds the ends of words. Labels in the form of sentences need a
function, too, since only the caller knows the text of a token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fxpasses.errors import InputError

from .metric_sums import required_labels

BLANK = 0


def as_sentences(output: Tensor, labels: Any) -> tuple[list[str], list[str]]:
    """The recognized and the true sentences, with tokens as words."""
    known = required_labels(labels, "wer")
    if output.dim() != 3 or known.dim() != 2 or len(known) != len(output) or known.is_floating_point():
        raise InputError(
            f"labels of shape {list(known.shape)} for outputs of shape {list(output.shape)}",
            why="wer takes logits [B, T, tokens] and whole numbers [B, L], padded with -100",
            fix="give those, or write a path/file.py:function",
        )
    decoded = [_words(torch.unique_consecutive(row), BLANK) for row in output.argmax(2)]
    return decoded, [_words(row[row >= 0], BLANK) for row in known]


def _words(tokens: Tensor, left_out: int) -> str:
    return " ".join(str(token) for token in tokens.tolist() if token != left_out)
