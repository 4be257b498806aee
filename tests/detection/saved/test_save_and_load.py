"""A saved detector gives the same integers and boxes; torn and foreign files are refused, and none runs code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detector_nets import NETS, images, int8
from tiny_graphs import quantized

import fxpasses as fx
from fxpasses.detection import Detector
from fxpasses.detection.saved.container import ABOUT
from fxpasses.detection.saved.save_and_load import equal_detections
from fxpasses.errors import InputError
from fxpasses.export.metadata import qparams_hash

FASTEST = "SSD"
EACH = [name if name == FASTEST else pytest.param(name, marks=pytest.mark.slow) for name in NETS]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return int8(FASTEST).save(tmp_path_factory.mktemp("saved") / "detector.fxdet")


@pytest.mark.parametrize("name", EACH)
def test_the_same_integers_and_boxes(name: str, saved: Path, tmp_path: Path) -> None:
    detector = int8(name)
    again = fx.load(saved if name == FASTEST else detector.save(tmp_path / "d.fxdet"))
    assert isinstance(again, Detector) and again.kind is detector.kind
    assert {part: qparams_hash(graph) for part, graph in again.graphs.items()} == {
        part: qparams_hash(graph) for part, graph in detector.graphs.items()
    }
    for size in ((64, 96), (50, 90), (131, 77)):
        given = images(2, size, seed=5)
        found = detector(given)
        assert sum(len(image["boxes"]) for image in found) > 10
        assert equal_detections(again(given), found)


@pytest.mark.slow
def test_what_was_loaded_is_saved_and_exported_again(saved: Path, tmp_path: Path) -> None:
    once = fx.load(saved)
    twice = fx.load(once.save(tmp_path / "again.fxdet"))
    assert equal_detections(twice(images()), int8(FASTEST)(images()))
    once.to_onnx(tmp_path / "d.onnx", (64, 96))  # compared with the detector before it takes its name


@pytest.mark.slow
def test_thresholds_are_kept(tmp_path: Path) -> None:
    detector = fx.load(int8(FASTEST).save(tmp_path / "d.fxdet"))
    detector.steps.score_thresh, detector.steps.detections_per_img = 0.4, 3
    again = fx.load(detector.save(tmp_path / "strict.fxdet"))
    found = again(images())
    assert [len(image["scores"]) for image in found] == [len(image["scores"]) for image in detector(images())]
    assert max(len(image["scores"]) for image in found) <= 3


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], object], **kinds: Any) -> Path:
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w", **kinds) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target


def about(*path: str, value: Any) -> Callable[[dict[str, bytes]], None]:
    """Put a value in the place of one of ``detector.json``."""

    def changed(entries: dict[str, bytes]) -> None:
        document: Any = json.loads(entries[ABOUT])
        at = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        entries[ABOUT] = json.dumps(document).encode()

    return changed


ATTACKS: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "no description": (lambda e: e.pop(ABOUT), f"there is no {ABOUT}"),
    "no graph": (lambda e: e.pop("images.pt2"), "and images.pt2 in it"),
    "a pickle beside": (lambda e: e.update({"more.pkl": b"x"}), "more.pkl is nothing a saved detector holds"),
    "a path that leaves": (lambda e: e.update({"../x.pt2": b"x"}), "is nothing a saved detector holds"),
    "no JSON": (lambda e: e.update({ABOUT: b"{"}), "is no JSON"),
    "another version": (about("format", value=2), "it is of another version"),
    "another kind": (about("kind", value="MaskRCNN"), "names no kind of detector"),
    "the kind of another": (about("kind", value="FasterRCNN"), "the graphs of a FasterRCNN"),
    "outputs of another": (about("kind", value="FCOS"), "its graph is not that of a FCOS"),
    "a level that is not there": (about("levels", value=["__import__"]), "levels name a tensor that is not there"),
    "text for a number": (about("steps", "nms_thresh", value="1"), "nms_thresh is no finite number"),
    "too many detections": (about("steps", "detections_per_img", value=10**9), "detections_per_img is not between"),
    "no mean": (about("steps", "transform", "mean", value=[]), "mean and std do not fit"),
    "a zero deviation": (about("steps", "transform", "std", value=[0, 1, 1]), "mean and std do not fit"),
    "a size of nothing": (about("steps", "transform", "fixed_size", value=[0, 64]), "fixed_size is not between"),
    "three sizes": (about("steps", "transform", "fixed_size", value=[1, 2, 3]), "no height and width"),
    "no shortest side": (about("steps", "transform", "min_size", value=[]), "min_size has no entry"),
    "scales of other levels": (about("steps", "anchors", "scales", value=[0.1]), "scales and ratios"),
    "a negative ratio": (about("steps", "anchors", "aspect_ratios", value=[[-1], [2]]), "scales and ratios"),
    "endless ratios": (about("steps", "anchors", "aspect_ratios", value=[[1] * 999, [2]]), "more than 256 values"),
    "weights of three": (about("steps", "coder", "weights", value=[1, 1, 1]), "other than four weights"),
    "no coder": (about("steps", value={}), "'anchors'"),
    "a graph of code": (lambda e: e.update({"images.pt2": b"cos\nsystem\n"}), "no .pt2 archive"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_strangers_files(name: str, saved: Path, tmp_path: Path) -> None:
    change, why = ATTACKS[name]
    with pytest.raises(InputError, match=why) as refused:
        fx.load(rewritten(saved, tmp_path / "bad.fxdet", change))
    assert "bad.fxdet" in str(refused.value)


def test_torn_and_foreign_files(saved: Path, tmp_path: Path) -> None:
    whole, bad = saved.read_bytes(), tmp_path / "bad.fxdet"
    for content in (
        whole[: len(whole) // 2],
        whole[1000:],
        b"",
        b"no zip" * 99,
        fx.export.save(quantized("conv_bn_relu"), tmp_path / "m.pt2").read_bytes(),
    ):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=r"no saved detector|damaged"):
            fx.load(bad)
    rewritten(saved, bad, lambda _: None, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="it is compressed or encrypted"):
        fx.load(bad)
    with pytest.raises(InputError, match="there is no such file"):
        fx.load(tmp_path / "none.fxdet")


def test_another_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a saved detector is a \.fxdet file"):
        int8(FASTEST).save(tmp_path / "d.pt2")


@pytest.mark.parametrize("name", ["RetinaNet", "FCOS"])
def test_settings_of_other_kinds_come_back(name: str) -> None:
    from fxpasses.detection.saved.described import described, steps_of

    steps, kind = int8(name).steps, int8(name).kind
    found = json.loads(json.dumps(described(steps, kind)))
    again = steps_of(found, kind)
    assert described(again, kind) == described(steps, kind)
    assert torch.equal(again.anchor_generator.cell_anchors[1], steps.anchor_generator.cell_anchors[1])
    with pytest.raises(Exception, match="not as many sizes as ratios"):
        steps_of(found | {"anchors": found["anchors"] | {"sizes": [[8]]}}, kind)


@pytest.mark.slow
def test_integers_of_heads_are_there_once_for_all_maps(tmp_path: Path) -> None:
    graph = fx.load(int8("RetinaNet").save(tmp_path / "d.fxdet")).graphs["images"]
    weights = {name: x.data_ptr() for name, x in graph.named_buffers() if name.endswith(".weight")}
    calls = [name for name in weights if name.endswith("_call2.weight")]
    assert len(calls) > 2
    assert all(weights[name] == weights[name.replace("_call2", "")] for name in calls)
