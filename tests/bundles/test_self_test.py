"""The self-test of a bundle where it was made."""

from __future__ import annotations

from pathlib import Path

from bundle_folders import bundle

from fxpasses.bundles import unpack_bundle
from fxpasses.bundles.self_test import self_test


def test_it_passes_and_leaves_nothing(tmp_path: Path) -> None:
    unpack_bundle(bundle(), tmp_path)
    before = sorted(tmp_path.iterdir())
    found = self_test(tmp_path)
    assert found.passed and found.said.splitlines()[-1].startswith("self-test passed")
    assert sorted(tmp_path.iterdir()) == before


def test_it_fails_in_words(tmp_path: Path) -> None:
    unpack_bundle(bundle(), tmp_path)
    (tmp_path / "expected.npz").unlink()
    found = self_test(tmp_path)
    assert not found.passed and found.said.startswith("error: ")
