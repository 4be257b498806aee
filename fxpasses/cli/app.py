"""The list of commands; errors of a command become one message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import interruption
from .commands.audit_command import audit_command
from .commands.bench_command import bench_command
from .commands.bundle_command import bundle_command
from .commands.diff_command import diff_command
from .commands.doctor_command import doctor_command
from .commands.parity_command import parity_command
from .commands.prune_command import prune_command
from .commands.quantize_command import quantize_command
from .commands.quickstart_command import quickstart_command
from .commands.report_command import report_command
from .commands.score_command import score_command
from .commands.sensitivity_command import sensitivity_command
from .commands.serve_command import serve_command
from .commands.train_command import train_command
from .commands.view_command import view_command
from .failures import Interrupted, exit_with
from .spelling import as_options, spellings_of


class _Commands(TyperGroup):
    """Group of commands that handles Ctrl-C itself. Typer prints "Aborted" and exits with 1, or prints nothing; this
    depends on its version.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error
        except EOFError as error:  # typer would read it as the end of the user's input, and print "Aborted"
            raise RuntimeError(f"EOFError: {error}") from error


app = typer.Typer(
    name="fxpasses",
    help="Quantize PyTorch models on torch.fx graphs: one int8 graph, two runtimes, the same integers.",
    epilog="Each command explains itself: fxpasses quantize --help. Exit codes: 0 done; 1 done, and the answer is no "
    "(parity, audit, doctor, diff); 2 bad input; 70 a defect of ours; 130 interrupted.",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("quickstart")(quickstart_command)
app.command("quantize")(quantize_command)
app.command("sensitivity")(sensitivity_command)
app.command("prune")(prune_command)
app.command("parity")(parity_command)
app.command("bench")(bench_command)
app.command("audit")(audit_command)
app.command("diff")(diff_command)
app.command("score")(score_command)
app.command("bundle")(bundle_command)
app.command("report")(report_command)
app.command("serve")(serve_command)
app.command("view")(view_command)
app.command("train")(train_command)
app.command("doctor")(doctor_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from fxpasses import __version__

        typer.echo(f"fxpasses {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of all commands; typer takes them from this signature."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=given, prog_name="fxpasses")
    except SystemExit as leaving:
        if leaving.code and interruption.was_pressed():  # typer saw the interruption first, and printed nothing
            exit_with(Interrupted(), given)
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - every error gets a message and an exit code
        exit_with(error, given, lambda message: as_options(message, spellings_of(app)))
