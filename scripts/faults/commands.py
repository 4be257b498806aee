"""The commands to disturb, on a net of a few weights and generated data, so that one run takes seconds."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

MINE = "mine.py"
OUT, TEMPORARY = "out", "tmp"
CALLERS_CODE = """
from torch import Generator, Tensor, nn, rand, randint

class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).relu().mean((2, 3)))

def net() -> tuple[nn.Module, tuple[int, int, int]]:
    return Net().eval(), (1, 8, 8)

def data() -> list[tuple[Tensor, Tensor]]:
    chance = Generator().manual_seed(1)
    return [(rand(8, 1, 8, 8, generator=chance), randint(3, (8,), generator=chance)) for _ in range(4)]
"""


@dataclass(frozen=True)
class Command:
    """One command line.

    Attributes:
        options: options after the model and the data.
        takes_model: whether there are a model and data.
        file: name of ``--out`` in the folder; None for the folder itself.
        kept: files beside the folder that an interrupted command promises to leave, to continue with.
        is_optimised: whether onnxruntime writes a file in it.
        share: weight with which it is drawn.
    """

    name: str
    options: tuple[str, ...] = ()
    takes_model: bool = True
    file: str | None = None
    kept: tuple[str, ...] = ()
    is_optimised: bool = False
    share: int = 2

    def line(self, root: Path) -> list[str]:
        """Arguments of ``fxpasses`` for a result in ``root / OUT``."""
        mine = str(root / MINE)
        given = [f"{mine}:net", "--data", f"{mine}:data", "--threads", "1"] if self.takes_model else []
        out = root / OUT if self.file is None else root / OUT / self.file
        return [self.name, *given, *self.options, "--out", str(out)]


_FEW = ("--calib", "8", "--eval", "16", "--no-bench")
COMMANDS = (
    Command("quantize", _FEW, is_optimised=True, share=4),
    Command("prune", ("--ratio", "0.3", *_FEW), is_optimised=True),
    Command("train", ("--epochs", "1"), file="w.pt", share=4),
    Command("sensitivity", ("--images", "8", "--calib", "8", "--node-images", "2"), kept=("out.journal.jsonl",)),
    Command("quickstart", takes_model=False, is_optimised=True, share=1),
)


def prepare(root: Path) -> Path:
    """Prepare a folder for a command to work in: the caller's code, and a folder of temporary files."""
    (root / TEMPORARY).mkdir(parents=True, exist_ok=True)
    (root / MINE).write_text(CALLERS_CODE)
    return root


def process_line(command: Command, root: Path) -> list[str]:
    """Command line that runs it in its own process."""
    return [sys.executable, "-m", "fxpasses", *command.line(root)]
