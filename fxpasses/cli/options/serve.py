"""The options of ``fxpasses serve``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import shared

if TYPE_CHECKING:
    from fxpasses.serving.settings import ServeSettings

_MIB = 1 << 20
_MOST_WORKERS = 256


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of ``fxpasses serve``."""

    host: Annotated[str, typer.Option("--host", help="Address to listen on; another than this one needs a token.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65_535, help="0 is a free one.")] = 8000
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", max=_MOST_WORKERS, help="Processes, each with its own session.")
    ] = 1
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", max=shared.MOST_THREADS, help="That each worker computes on.")
    ] = 1
    max_batch: Annotated[
        int, typer.Option("--max-batch", metavar="N", max=4096, help="Rows that are computed together.")
    ] = 8
    batch_delay: Annotated[
        float,
        typer.Option(
            "--batch-delay-ms", metavar="MS", callback=shared.finite, help="How long a request waits for others."
        ),
    ] = 1.0
    queue: Annotated[
        int, typer.Option("--queue", metavar="N", max=100_000, help="Unanswered requests of a worker; then 429.")
    ] = 64
    max_body: Annotated[
        float, typer.Option("--max-body-mib", metavar="MIB", callback=shared.finite, help="Of a request; then 413.")
    ] = 8.0
    max_pixels: Annotated[
        float,
        typer.Option("--max-megapixels", metavar="N", callback=shared.finite, help="Of an image; then 413."),
    ] = 50.0
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="S", callback=shared.finite, help="To send a request, to wait, to read the answer."
        ),
    ] = 10.0
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="FXPASSES_TOKEN",
            show_envvar=True,
            metavar="TOKEN",
            help="What requests must carry; better in the environment, since others see command lines.",
            show_default=False,
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option("--name", help="The model's, in addresses; default: as quantized.", show_default=False),
    ] = None

    def settings(self, folder: Path) -> ServeSettings:
        """The options as settings.

        Raises:
            InputError: no server can run with these settings.
        """
        from fxpasses.serving.settings import ServeSettings

        return ServeSettings(
            folder=folder,
            name=self.name,
            host=self.host,
            port=self.port,
            workers=self.workers,
            threads=self.threads,
            max_batch=self.max_batch,
            batch_delay_ms=self.batch_delay,
            queue=self.queue,
            timeout_s=self.timeout,
            max_body=int(self.max_body * _MIB),
            max_pixels=int(self.max_pixels * 1e6),
            token=self.token or None,
        )
