"""Fetches Debian packages and Python wheels of any architecture and unpacks them; nothing is installed.

apt gets its own configuration: another release, another state folder, an empty list of installed packages. So the
machine's apt is not changed, and no administrator is needed. Mirror, proxy and certificates are the machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from emulation.cache import Unavailable

RELEASE = "trixie"
"""Release of Debian: the first whose qemu knows all CPUs and runs current onnxruntime and PyTorch on ARM."""
COUNTING_RELEASE = "bookworm"
"""Release of Debian for counting: the last whose qemu takes plugins, which count instructions."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LIMIT_S = 900.0
LAST_LINES = 3

_CONFIGURATION = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
"""


def unpack_debian(packages: Sequence[str], architecture: str, folder: Path, release: str = RELEASE) -> None:
    """Unpack Debian packages and their dependencies below ``folder``.

    Raises:
        Unavailable: there is no apt, it knows no Debian mirror, or the mirror cannot be reached.
    """
    apt = folder / "apt"
    settings = _configured_apt(apt, architecture, release)
    run_tool(["apt-get", "update", "--error-on=any"], settings)
    run_tool(["apt-get", "install", "--yes", "--download-only", *packages], settings)
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        run_tool(["dpkg-deb", "--extract", str(package), str(folder)])
        package.unlink()
    shutil.rmtree(apt)


def _configured_apt(apt: Path, architecture: str, release: str) -> dict[str, str]:
    """Write apt's configuration; return the environment that names it."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "state" / "status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (apt / "sources.list").write_text(f"deb {signed}{debian_mirror()} {release} main\n")
    configuration = apt / "apt.conf"
    configuration.write_text(_CONFIGURATION.format(folder=apt, architecture=architecture))
    return {"APT_CONFIG": str(configuration)}


def debian_mirror() -> str:
    """Address of the Debian mirror that the machine's own apt uses.

    Raises:
        Unavailable: there is no apt, or it uses none.
    """
    listed = run_tool(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
    mirror = mirror_among(listed.splitlines())
    if mirror is None:
        raise Unavailable(
            "no Debian mirror",
            why="the sources of this machine's apt name none",
            fix="run it on Debian, or in a container of it",
        )
    return mirror


def mirror_among(addresses: Sequence[str]) -> str | None:
    """First address of a Debian archive; addresses of security updates have another ending."""
    return next((a for a in addresses if a.rstrip("/").rpartition("/")[2] == "debian"), None)


def unpack_wheels(requirements: Sequence[str], python: str, folder: Path, architecture: str = "aarch64") -> None:
    """Unpack wheels for an architecture and CPython ``python`` ("3.13"), and their dependencies, into ``folder``.

    Raises:
        Unavailable: there is no pip, or the registry cannot be reached or has no such wheel.
    """
    abi = f"cp{python.replace('.', '')}"
    platforms = [f"--platform=manylinux_2_{minor}_{architecture}" for minor in (28, 27, 17)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:", *platforms]
    command += ["--implementation=cp", f"--abi={abi}", f"--python-version={python}", f"--target={folder}"]
    run_tool([*command, *requirements])


def run_tool(command: Sequence[str], settings: Mapping[str, str] | None = None) -> str:
    """Run a command; return its output.

    Raises:
        Unavailable: it is not installed, fails, or takes longer than a quarter of an hour; the error quotes its output.
    """
    name = " ".join(command[:3]) if command[0] == sys.executable else " ".join(command[:2])
    environment = {**os.environ, "LC_ALL": "C", **(settings or {})}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S, env=environment)
    except FileNotFoundError as error:
        raise Unavailable(
            f"no {command[0]}", why="it is not installed", fix=f"install the package that has {command[0]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            name, why=f"not done after {LIMIT_S:.0f} s", fix="look at the network, and try again"
        ) from error
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()[-LAST_LINES:]
        why = " ".join(line.strip() for line in told) or f"exit code {done.returncode}"
        raise Unavailable(f"{name} failed", why=why, fix="see whether the network and the registries can be reached")
    return done.stdout
