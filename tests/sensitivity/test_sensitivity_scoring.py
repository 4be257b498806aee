"""Scores against a float model that runs once."""

from __future__ import annotations

import pytest
import torch
from sensitivity_cases import IMAGES, calibrated, evaluation, scorer, unlabelled
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.sensitivity.scoring import Score, Scorer, in_memory_order
from fxpasses.sqnr import sqnr_db


def test_the_float_model_agrees_with_itself() -> None:
    score = scorer().float_score
    assert score.images == IMAGES
    assert score.top1_agreement == 100.0
    assert score.sqnr_db is None
    assert score.top1 == pytest.approx(100 * 5 / 6)  # every sixth label is wrong
    assert score.quality == score.top1


def test_a_changed_model_is_scored_as_defined() -> None:
    model = calibrated().float_graph

    def changed(x: Tensor) -> Tensor:
        logits: Tensor = model(x)
        return torch.cat([logits[:6].roll(1, dims=1), logits[6:]])

    score = scorer().score(changed)
    with torch.no_grad():
        expected = torch.cat([model(x) for x, _ in evaluation()]).double()
        found = torch.cat([changed(x) for x, _ in evaluation()]).double()
    labels = torch.cat([y for _, y in evaluation() if y is not None])
    assert score.top1_agreement == pytest.approx(100 * float((found.argmax(1) == expected.argmax(1)).double().mean()))
    assert score.top1 == pytest.approx(100 * float((found.argmax(1) == labels).double().mean()))
    noise = (found - expected).square().sum()
    assert score.sqnr_db == pytest.approx(float(10 * torch.log10(expected.square().sum() / noise)), abs=1e-3)
    assert score.loss == pytest.approx(float(torch.nn.functional.cross_entropy(found, labels)), rel=1e-4)


def test_float_runs_once() -> None:
    calls = []

    def counted(x: Tensor) -> object:
        calls.append(len(x))
        return calibrated().float_graph(x)

    measured = Scorer(counted, evaluation)
    measured.score(calibrated().float_graph)
    measured.score(None)
    assert sum(calls) == IMAGES


def test_without_labels_quality_is_agreement() -> None:
    score = Scorer(calibrated().float_graph, unlabelled).score(calibrated().convert())
    assert score.top1 is None and score.loss is None
    assert score.quality == score.top1_agreement


def test_what_has_no_classes_has_no_quality() -> None:
    with pytest.raises(InputError, match="its outputs are no logits of classes"):
        _ = Score(3, None, None, None, 20.0).quality


def test_no_data() -> None:
    with pytest.raises(InputError, match="there is not one image"):
        Scorer(calibrated().float_graph, tuple)


def test_a_model_that_gives_nan() -> None:
    with pytest.raises(InputError, match="NaN or infinite logits"):
        scorer().score(lambda x: torch.full((len(x), 10), torch.nan))


def test_labels_that_do_not_fit() -> None:
    def wrong() -> list[tuple[Tensor, Tensor | None]]:
        return [(images, torch.zeros(3, dtype=torch.int64)) for images, _ in evaluation()]

    with pytest.raises(InputError, match="every decision needs one label"):
        Scorer(calibrated().float_graph, wrong)


def test_images_come_with_channels_last_and_all_else_as_it_is() -> None:
    image, tokens = in_memory_order((torch.zeros(2, 3, 4, 5), torch.zeros(2, 7, dtype=torch.int64)))
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert tokens.shape == (2, 7)


def test_sqnr_without_noise_or_signal_is_none() -> None:
    assert sqnr_db(1.0, 0.0) is None
    assert sqnr_db(0.0, 1.0) is None
    assert sqnr_db(100.0, 1.0) == pytest.approx(20.0)
