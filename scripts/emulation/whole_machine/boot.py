"""Runs a Python program on an emulated PC: ``python boot.py --machine DIR --cpu NAME ... -- PROGRAM ARGUMENTS``.

The program's output, errors and exit code are those of this one. Files named by ``--brought`` are there under the same
paths; those named by ``--returned`` come back. A run takes one to three minutes, most of them for booting and imports.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from emulation.whole_machine.image import LIBRARIES, make_image, own_program

KEPT_LINES = 12
"""Number of the kernel's and the emulator's last lines that an error quotes."""
SMALLEST_MEMORY_MB = 2048
"""Memory of the PC unless its root wants more. What is beyond it lies in a file: Bochs keeps no more in memory."""
_DIE_WITH_PARENT = 1
"""Linux's PR_SET_PDEATHSIG."""
_CONFIGURATION = """\
plugin_ctrl: unmapped=0, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, gameport=0, iodebug=0
cpu: model={cpu}, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host=2048
romimage: file="{machine}/BIOS"
vgaromimage: file="{machine}/VGABIOS"
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{folder}/machine.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="{folder}/serial.txt"
display_library: rfb, options="timeout=0"
log: "{folder}/log.txt"
clock: sync=none
mouse: enabled=0
panic: action=fatal
error: action=report
info: action=ignore
"""


class Guest:
    """Messages of the guest so far: its exit code, the files that it sent, and lines that are not its own."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.files: dict[str, bytes] = {}
        self.other: list[str] = []

    def take(self, line: str) -> None:
        """Take in one line of the serial port: relay the program's output, and keep the rest."""
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            self.other = [*self.other, line][-KEPT_LINES:]
        elif "out" in said:
            print(said["out"], flush=True)
        elif "err" in said:
            print(said["err"], file=sys.stderr, flush=True)
        elif "file" in said:
            self.files[said["file"]] = self.files.get(said["file"], b"") + base64.b64decode(said["data"])
        elif "end" in said:
            self.code = said["end"]


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="whole-machine-") as made:
        folder = Path(made)
        image = make_image(
            chosen.machine, chosen.arguments, chosen.brought, chosen.returned, folder, chosen.package)  # fmt: skip
        guest = _booted(chosen.machine, chosen.cpu, folder, memory_mb(image.stat().st_size))
        if guest.code is None:
            log = folder / "log.txt"
            emulator = log.read_text(errors="replace").splitlines() if log.exists() else []
            lines = [*emulator[-KEPT_LINES:], *guest.other, "the emulated PC stopped before its program ended"]
            print("\n".join(lines), file=sys.stderr)
            return 1
    for path, content in guest.files.items():
        if path in chosen.returned:
            Path(path).write_bytes(content)
    if guest.code < 0:  # ended by a signal there: so does this program, for its caller to see
        sys.stdout.flush()
        signal.signal(-guest.code, signal.SIG_DFL)
        os.kill(os.getpid(), -guest.code)
    return guest.code


def memory_mb(image_bytes: int) -> int:
    """Memory of the PC: at boot it holds the image's content packed and unpacked, later unpacked and in use."""
    return max(SMALLEST_MEMORY_MB, 512 + 5 * image_bytes // 2**21)


def _booted(machine: Path, cpu: str, folder: Path, memory: int) -> Guest:
    """Boot, and read what the guest tells until its program ends or the emulator stops."""
    settings = folder / "bochsrc"
    settings.write_text(_CONFIGURATION.format(cpu=cpu, memory=memory, machine=machine, folder=folder))
    environment = {**os.environ, "LTDL_LIBRARY_PATH": str(machine / LIBRARIES / "bochs" / "plugins")}
    command = [*own_program(machine, "bochs-bin"), "-q", "-f", str(settings)]
    guest = Guest()
    emulator = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        preexec_fn=_die_with_parent)  # fmt: skip
    try:
        for line in _lines(folder / "serial.txt", emulator):
            guest.take(line)
            if guest.code is not None:
                break
    finally:
        emulator.kill()
        emulator.wait()
    return guest


def _lines(path: Path, emulator: subprocess.Popen[bytes]) -> Iterator[str]:
    """Lines of a file that the emulator writes, as they come, until it ends."""
    rest, place = b"", 0
    while True:
        is_over = emulator.poll() is not None
        if path.exists():
            with path.open("rb") as written:
                written.seek(place)
                found = written.read()
            place += len(found)
            *lines, rest = (rest + found).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", errors="replace").rstrip("\r")
        if is_over:
            return
        time.sleep(0.2)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", type=Path, required=True, metavar="DIR", help="the folder of the PC")
    parser.add_argument("--cpu", required=True, metavar="NAME", help="a CPU that Bochs knows")
    parser.add_argument("--brought", action="append", default=[], metavar="PATH", help="a file or folder to bring")
    parser.add_argument("--package", action="append", default=[], type=Path, metavar="DIR", help="a package to import")
    parser.add_argument("--returned", action="append", default=[], metavar="PATH", help="a file to bring back")
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="the Python program and its arguments")
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
