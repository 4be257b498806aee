"""``sst2=DIR``: ``train.tsv`` and ``dev.tsv``, each line a sentence, a tab and 0 or 1, without a header.

A word's token is its hash (1 to vocabulary - 1; 0 pads), so no vocabulary file is needed and a word has the same token
everywhere. A sentence longer than the model's input is cut.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.formats.regular_files import require_regular

from ..model_input import InputShape, TakesInput, shape_text
from ..nets.text_bag import PADDING_TOKEN, VOCABULARY

SENTIMENTS = 2


@dataclass(frozen=True)
class SentenceSplit:
    """Sentences and labels; ``inputs`` are int64 tokens ``[B, T]``."""

    sentences: tuple[str, ...]
    labels: Tensor
    tokens: int

    def __len__(self) -> int:
        return len(self.sentences)

    def inputs(self, indices: Tensor) -> Tensor:
        return torch.tensor([tokens_of(self.sentences[index], self.tokens) for index in indices.tolist()])


def tokens_of(sentence: str, length: int) -> list[int]:
    """Tokens of a sentence, cut or padded to ``length``."""
    words = sentence.lower().split()[:length]
    tokens = [1 + zlib.crc32(word.encode()) % (VOCABULARY - 1) for word in words]
    return tokens + [PADDING_TOKEN] * (length - len(tokens))


def sentence_splits(folder: Path, model: TakesInput, source: str) -> tuple[SentenceSplit, SentenceSplit]:
    """Return the training and the dev split."""
    shape: InputShape = model.input_shape
    if len(shape) != 1:
        raise InputError(
            f"{source} does not fit the model",
            why=f"sentences are rows of tokens, the model takes {shape_text(shape)}",
            fix="choose a model for text, such as text_bag",
        )
    return _read(folder / "train.tsv", shape[0]), _read(folder / "dev.tsv", shape[0])


def _read(path: Path, tokens: int) -> SentenceSplit:
    require_regular(path, "point to the folder of the .tsv files")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}", why=str(error), fix="point to the folder of the .tsv files") from error
    pairs = [line.rpartition("\t") for line in lines if line]
    bad = next((number for number, (_, tab, label) in enumerate(pairs, 1) if not tab or label not in ("0", "1")), None)
    if bad is not None or not pairs:
        why = f"line {bad} is not a sentence, a tab and 0 or 1" if bad else "it is empty"
        raise InputError(f"{path} is not readable", why=why, fix="write sentence<TAB>label, without a header")
    labels = torch.tensor([int(label) for _, _, label in pairs])
    return SentenceSplit(tuple(sentence for sentence, _, _ in pairs), labels, tokens)
