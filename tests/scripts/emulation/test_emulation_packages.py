"""Packages of other architectures: the mirror is the machine's own, and a missing package is
reported with the reason.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from emulation import packages
from emulation.cache import Unavailable
from emulation.packages import mirror_among, run_tool, unpack_debian, unpack_wheels

MIRROR = "http://mirror.example/debian/"


def test_the_mirror_is_the_archive_and_not_its_security_updates() -> None:
    assert mirror_among(["http://mirror.example/debian-security/", "http://vendor.example/node", MIRROR]) == MIRROR
    assert mirror_among(["http://archive.example/ubuntu/"]) is None


def test_a_machine_without_debian_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "run_tool", lambda command: "http://archive.example/ubuntu/\n")
    with pytest.raises(Unavailable, match="the sources of this machine's apt name none"):
        packages.debian_mirror()


def test_apt_is_given_a_configuration_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[str], str, str]] = []

    def run(command: list[str], settings: dict[str, str] | None = None) -> str:
        if command[0] != "apt-get" or settings is None:
            return MIRROR
        configuration = Path(settings["APT_CONFIG"])
        seen.append((command, configuration.read_text(), (configuration.parent / "sources.list").read_text()))
        return ""

    monkeypatch.setattr(packages, "run_tool", run)
    unpack_debian(["python3-minimal"], "arm64", tmp_path, release="sarge")
    (update, configuration, sources), (install, _, _) = seen
    assert update[1] == "update" and install[1] == "install" and "--download-only" in install
    assert install[-1] == "python3-minimal"
    assert f'Dir::State "{tmp_path}/apt/state";' in configuration and 'APT::Architecture "arm64";' in configuration
    assert sources.startswith("deb ") and sources.endswith(f"{MIRROR} sarge main\n")
    assert not list(tmp_path.iterdir()), "apt's own files are not part of what was unpacked"


def test_wheels_are_for_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(packages, "run_tool", commands.append)
    unpack_wheels(["numpy"], "3.13", tmp_path)
    assert {"--abi=cp313", "--python-version=3.13", "--platform=manylinux_2_28_aarch64", "--only-binary=:all:"} <= set(
        commands[0]
    )
    assert commands[0][-1] == "numpy"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program", "update"], "no no-such-program\n  why: it is not installed"),
        ([sys.executable, "-c", "import sys; sys.exit('E: cannot\\nresolve')"], "failed\n  why: E: cannot resolve"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "failed\n  why: exit code 3"),
    ],
)
def test_failures_are_told(command: list[str], message: str) -> None:
    with pytest.raises(Unavailable) as caught:
        run_tool(command)
    assert message in str(caught.value)


def test_what_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "LIMIT_S", 0.01)
    with pytest.raises(Unavailable, match="not done after 0 s"):
        run_tool([sys.executable, "-c", "import time; time.sleep(60)"])


def test_what_is_printed_is_returned() -> None:
    assert run_tool([sys.executable, "-c", "import os; print(os.environ['KEY'])"], {"KEY": "value"}) == "value\n"
