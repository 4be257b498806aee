"""The promise of equal integers in two int8 artifacts: when it holds, and what breaks it."""

from __future__ import annotations

from fxpasses.agreement.promise import why_broken


def parity(**changed: object) -> dict[str, object]:
    whole: dict[str, object] = {"images": 9, "top1_agreement": 100.0, "max_lsb": 0, "max_lsb_at_any_node": 0}
    return {**whole, "first_divergence": None, **changed}


def test_the_promise() -> None:
    assert why_broken(parity(), exact=True) == []
    assert why_broken(parity(top1_agreement=None), exact=True) == []
    assert why_broken(parity(max_lsb=3, max_lsb_at_any_node=1, first_divergence="add (torch)"), exact=False) == []
    assert why_broken(parity(top1_agreement=99.5), exact=False) == [
        "the classes agree on 99.50 % of 9 images, not on all"
    ]
    (broken,) = why_broken(parity(max_lsb_at_any_node=2, first_divergence="add (torch)"), exact=False)
    assert broken == "a node differs by 2 LSB, 1 are promised; the first that differs is add (torch)"
    at_node, at_logits = why_broken(parity(max_lsb=1, max_lsb_at_any_node=1, first_divergence="x"), exact=True)
    assert "0 are promised" in at_node
    assert "the logits differ by 1 LSB" in at_logits
