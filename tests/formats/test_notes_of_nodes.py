"""Notes of nodes come from files of strangers: only known keys, and of each no more than is shown."""

from __future__ import annotations

from fxpasses.formats.node_notes import LONGEST, MODULE, notes_in


def test_only_known_keys_and_no_longer_than_is_shown() -> None:
    found = notes_in({MODULE: "x" * 5000, "somebody.else": "y"})
    assert found == {MODULE: "x" * LONGEST}
