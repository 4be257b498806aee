"""Writes docs/labs.md: every question of every lab with its number and answer, from the labs' report.json files.

python scripts/labs/answers_page.py labs/*/report.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab_report import ROOT, Answer, answer_lines

PAGE = ROOT / "docs" / "labs.md"
INTRODUCTION = """\
# The course labs, answered

Five courses ask their students for these numbers; each lab is a script in `scripts/labs/` that answers every question,
draws its plots and writes `report.json`. The tables below are made of those files by `scripts/labs/answers_page.py`,
never by hand.

```sh
python scripts/labs/driving.py --quick --data DATA --out labs/driving      # minutes: narrow nets, fewer images
python scripts/labs/driving.py --data DATA --out labs/driving              # the course's own sizes
python scripts/labs/answers_page.py labs/*/report.json
python scripts/labs/notebooks.py                                           # the notebooks, needs fxpasses[labs]
```

`DATA` holds `mnist`, `sst2`, `cifar10`, `spoken_digits`, `driving` and `models`. The large nets for CIFAR-10 take
hours: `scripts/labs/long_training.py` trains them in rounds and goes on after a kill; give its `weights.pt` with
`--weights`. Numbers of quick runs are of narrow nets and few images: they show that every question is answered, not how
good the published net is. Plots are in the notebooks, `docs/labs/NAME.ipynb`.
"""


def page(documents: Sequence[Mapping[str, Any]]) -> str:
    """Make the page of some reports, in the order given."""
    parts = [INTRODUCTION]
    for document in documents:
        answers = [Answer(**{k: v for k, v in answer.items() if k != "text"}) for answer in document["answers"]]
        parts.append("\n".join([f"## {document['title']}", "", _made(document), "", *answer_lines(answers), ""]))
    return "\n".join(parts)


def _made(document: Mapping[str, Any]) -> str:
    """Lines on date, machine and settings."""
    machine = document["environment"]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("torch", "onnxruntime"))
    settings = "quick settings" if document["quick"] else "full settings"
    remarks = "".join(f"\n- {sentence}" for sentence in document["remarks"])
    flags = "with VNNI" if any("vnni" in flag for flag in machine["flags"]) else "without VNNI"
    seconds = sum(document["seconds"].values())
    load, cpus = document["load"], machine["threads"]
    busy = f" Load {load:g} on {cpus} CPUs when it began: times say little." if load > cpus else ""
    return (
        f"`scripts/labs/{document['lab']}.py`, {settings}, {document['date']}, {machine['cpu']} {flags}, {versions}, "
        f"{seconds:.0f} s.{busy}" + (f"\n{remarks}" if remarks else "")
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write docs/labs.md from the labs' reports.")
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in options.reports]
    options.out.write_text(page(documents), encoding="utf-8")


if __name__ == "__main__":
    main()
