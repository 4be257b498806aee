"""Energy from the counters of the CPU's packages: RAPL, as Linux shows it under ``/sys/class/powercap``.

A counter is of the whole package, the other programs on it included, in microjoules; it starts again at
``max_energy_range_uj``. Since 2020 (CVE-2020-8694) it is for root alone. Packages are added up; their parts (cores,
memory) are not, which they contain in part. Of an NVIDIA GPU the driver's library counts millijoules since it was
loaded (``nvmlDeviceGetTotalEnergyConsumption``); it is asked for runners on a GPU alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .variants import CPU

POWERCAP = Path("/sys/class/powercap")
NVML_LIBRARY = "libnvidia-ml.so.1"
_MICRO, _MILLI = 1e-6, 1e-3


@dataclass(frozen=True)
class EnergySource:
    """A meter, or the reason why there is none; ``name`` is the name of the counter that is read."""

    name: str
    meter: Callable[[], float] | None = None
    why: str | None = None


@dataclass(frozen=True)
class Meters:
    """The meter of each device, by its name."""

    sources: Mapping[str, EnergySource]

    def joules(self, device: str) -> float | None:
        """Joules that a device has used so far; None if they cannot be read."""
        meter = self.sources[device].meter if device in self.sources else None
        return None if meter is None else meter()

    def told(self) -> list[str]:
        """A sentence for each device: the source of its energy readings, or why its energy is unreadable."""
        read = [f"energy of {device}: {s.name}" for device, s in self.sources.items() if s.why is None]
        return read + [f"energy of {d} is unreadable: {s.name}: {s.why}" for d, s in self.sources.items() if s.why]


def meters_of(devices: Iterable[str]) -> Meters:
    """The meters of devices: RAPL for the CPU, NVML for a GPU."""
    return Meters({device: rapl() if device == CPU else nvml() for device in dict.fromkeys(devices)})


@dataclass
class _Package:
    """The counter of one package; the total grows on when the counter restarts at 0."""

    file: Path
    range_uj: int
    last: int
    total: int = 0

    def joules(self) -> float:
        now = int(self.file.read_text())
        self.total += (now - self.last) % self.range_uj if now < self.last else now - self.last
        self.last = now
        return self.total * _MICRO


def rapl(powercap: Path = POWERCAP) -> EnergySource:
    """The energy source of the CPU: the RAPL counters of all its packages."""
    name = f"RAPL ({powercap})"
    if not powercap.is_dir():
        return EnergySource(
            name, why=f"there is no {powercap}: no Linux on such a CPU, or a virtual machine or container"
        )
    packages = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        if folder.name.count(":") != 1:
            continue
        try:
            file = folder / "energy_uj"
            last = int(file.read_text())
            packages.append(_Package(file, int((folder / "max_energy_range_uj").read_text()) + 1, last))
        except (OSError, ValueError) as error:
            return EnergySource(name, why=f"{folder}: {getattr(error, 'strerror', None) or error}")
    if not packages:
        return EnergySource(name, why=f"no package has a counter in {powercap}")
    return EnergySource(name, meter=lambda: sum(package.joules() for package in packages))


@dataclass
class _Gpu:
    """The driver's counter of one GPU."""

    library: ctypes.CDLL
    device: ctypes.c_void_p = field(default_factory=ctypes.c_void_p)

    def joules(self) -> float:
        found = ctypes.c_ulonglong()
        _ask(self.library.nvmlDeviceGetTotalEnergyConsumption(self.device, ctypes.byref(found)))
        return found.value * _MILLI


def nvml(index: int = 0, library: str = NVML_LIBRARY) -> EnergySource:
    """The energy source of an NVIDIA GPU: the counter of its driver."""
    name = f"NVML, GPU {index}"
    try:
        gpu = _Gpu(ctypes.CDLL(library))
        _ask(gpu.library.nvmlInit_v2())
        _ask(gpu.library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(gpu.device)))
        gpu.joules()
    except (OSError, AttributeError) as error:
        return EnergySource(name, why=str(error))
    return EnergySource(name, meter=gpu.joules)


def _ask(code: int) -> None:
    if code:
        raise OSError(f"the driver's library answers with code {code}")
