"""A Hugging Face encoder through fxpasses, built from a configuration: nothing is downloaded.

fxpasses quantize docs/examples/bert.py:build --data docs/examples/bert.py:tokens --out bert

For a model of your own, load its weights in ``build`` and read sentences in ``tokens``. The model is captured by
torch.export, which fixes the length of a sentence; the batch size stays open. All linear layers run in int8; LayerNorm
and the attention kernel, a softmax between two products, stay float.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from transformers import BertConfig, BertForSequenceClassification

from fxpasses.models.loaded_model import LoadedModel, example_batch
from fxpasses.models.model_input import UNIT_RANGE

VOCABULARY, TOKENS = 1000, 16
BATCHES, BATCH = 8, 8


def build() -> LoadedModel:
    """Two layers of width 64; int64 tokens ``[B, TOKENS]`` to two logits. Random weights from a seed."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=TOKENS,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
    return LoadedModel("bert", model.eval(), (TOKENS,), UNIT_RANGE, pretrained=False, vocabulary=VOCABULARY)


def tokens() -> Iterator[torch.Tensor]:
    """Random sentences, the same at every call."""
    for seed in range(BATCHES):
        yield example_batch(BATCH, (TOKENS,), seed, VOCABULARY)
