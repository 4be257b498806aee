"""State that the sections of the MNIST and SST-2 lab share: the two tasks and the nets trained for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab_report import LabReport

from small.small_mlps import Mlp, Task, mnist_task, sst2_task

TITLES = {"mnist": "MNIST", "sst2": "SST-2"}


@dataclass
class MnistSst2:
    """The tasks by name, and their float nets once they are trained."""

    report: LabReport
    tasks: dict[str, Task]
    nets: dict[str, Mlp] = field(default_factory=dict)

    @property
    def quick(self) -> bool:
        return self.report.settings.quick


def begin(report: LabReport) -> MnistSst2:
    """Read both data sets."""
    data = report.settings.data
    if report.settings.quick:
        report.remark(
            "The nets of questions 1 to 4 and 7 are those of the course; with quick settings their other forms are "
            "tested on the first 2000 held-out rows, and fewer hidden sizes and batches are timed."
        )
    return MnistSst2(report, {"mnist": mnist_task(data / "mnist"), "sst2": sst2_task(data / "sst2")})
