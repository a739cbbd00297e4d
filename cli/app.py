"""The application and its one funnel from errors to exit codes.

0 done, 1 a bug (traceback), 2 usage, 3 bad or unsupported input, 4 data do not fit, 5 resources (memory, disk, device),
75 interrupted with a good checkpoint (run it again), 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from genovi.errors import ConfigError, GenoviError, ResourceError
from genovi_cli.commands import (
    benchmark,
    card,
    classify,
    cluster,
    convert,
    demo,
    embed,
    ensemble,
    evaluate,
    export,
    fetch,
    info,
    plot,
    plot_map,
    plot_model,
    report,
    simulate,
    slurm,
    train,
)
from genovi_cli.help import Command

# typer brings its own copy of click from some version on: take the base class from where typer takes it
_ClickError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

_NO_RESOURCE = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO}


class _StoppedError(GenoviError):
    """The user or the system stopped the command."""

    def __init__(self, what: str, exit_code: int) -> None:
        super().__init__(what, why="no output of this command was left unfinished")
        self.exit_code = exit_code


class _ReaderGoneError(Exception):
    """Whoever read our output stopped; a name of its own, for click would make a BrokenPipeError an exit code 1."""


class Funnel(TyperGroup):
    """A command group whose errors end as one line on stderr and an exit code."""

    def main(self, *given: Any, **extra: Any) -> Any:
        """Parse, run, and turn errors into exit codes; arguments as those of click's ``Command.main``."""
        args = given[0] if given else extra.pop("args", None)
        words = list(sys.argv[1:] if args is None else args)
        # "obj" is what was typed, for commands to record; outside of standalone mode errors come to us
        extra |= {"obj": words, "standalone_mode": False}
        try:
            code = super().main(words, **extra)
        except _ClickError as error:
            code = _usage(error)
        except _ReaderGoneError:
            code = _broken_pipe()
        except Exception as error:
            code = _report(error)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the line names."""
        try:
            with _stoppable():
                result = super().invoke(ctx)
                sys.stdout.flush()  # a reader that went away is noticed here, not at interpreter exit
        except BrokenPipeError:
            raise _ReaderGoneError from None
        return result


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into errors, so that temporary files are removed on the way out."""

    def terminate(number: int, frame: object) -> None:
        raise _StoppedError("terminated", 143)

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread
        before = None
    try:
        yield
    except KeyboardInterrupt:
        raise _StoppedError("interrupted", 130) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _report(error: Exception) -> int:
    """Print an error; returns the exit code."""
    known = _known(error)
    if known is not None:
        print(f"genovi: error: {known}", file=sys.stderr)
        return known.exit_code
    traceback.print_exception(error)
    print("genovi: this is a bug: please report it with the lines above (README.md says where)", file=sys.stderr)
    return 1


def _known(error: Exception) -> GenoviError | None:
    """``error`` as a deliberate one, None if it is a bug."""
    if isinstance(error, GenoviError):
        return error
    text = str(error).splitlines()[0] if str(error) else ""
    if type(error).__name__ == "OutOfMemoryError":  # torch's own, of a GPU; torch is not loaded for it
        return ResourceError(
            "out of memory on the GPU",
            why=text or None,
            fix="take --device cpu, or train with a smaller --batch-size",
        )
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return ResourceError(
            "out of memory",
            why=text or None,
            fix="use fewer samples or variants (--maf, --indep-pairwise), or more memory",
        )
    if isinstance(error, OSError) and error.errno in _NO_RESOURCE:
        return ResourceError(error.strerror or "system error", where=error.filename, fix="free space and run it again")
    return None


def _usage(error: Exception) -> int:
    """Print a wrong command line as one line; returns the exit code."""
    message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "genovi"
    print(f"genovi: error: {message}; see '{command} --help'", file=sys.stderr)
    return ConfigError.exit_code


def _broken_pipe() -> int:
    """Whoever read our output has enough of it: end without a word; returns the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


app = typer.Typer(
    name="genovi",
    cls=Funnel,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain text: half the time, and it pipes
)
fetches = typer.Typer(help="Download public genotypes.")
plots = typer.Typer(help="Draw an embedding or a training history.")
jobs = typer.Typer(help="Batch jobs for clusters that run Slurm.")


def _version(value: bool) -> None:
    if value:
        from genovi.provenance import version

        typer.echo(f"genovi {version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Ancestry embeddings of genotypes with a diffusion posterior.

    First run: genovi demo. With data of your own: genovi train cohort.vcf.gz --out run
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@fetches.callback(invoke_without_command=True)
def _fetches(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@plots.callback(invoke_without_command=True)
def _plots(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@jobs.callback(invoke_without_command=True)
def _jobs(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command("train", cls=train.TrainCommand)(train.train)
app.command("embed", cls=Command)(embed.embed)
plots.command("ancestry", cls=Command)(plot.ancestry)
plots.command("compare", cls=Command)(plot.compare)
plots.command("map", cls=Command)(plot_map.geography)
plots.command("latent", cls=Command)(plot_model.latent)
plots.command("posterior", cls=Command)(plot_model.posterior)
plots.command("palette", cls=Command)(plot.palette)
plots.command("training", cls=Command)(plot.training)
app.add_typer(plots, name="plot")
app.command("ensemble", cls=Command)(ensemble.ensemble)
app.command("evaluate", cls=Command)(evaluate.evaluate)
app.command("classify", cls=Command)(classify.classify)
app.command("cluster", cls=Command)(cluster.cluster)
app.command("simulate", cls=Command)(simulate.simulate)
app.command("benchmark", cls=train.TrainCommand)(benchmark.benchmark)
app.command("report", cls=Command)(report.report)
app.command("export", cls=Command)(export.export)
app.command("card", cls=Command)(card.card)
app.command("info", cls=Command)(info.info)
fetches.command("1kg", cls=Command)(fetch.thousand_genomes)
app.add_typer(fetches, name="fetch")
app.command("convert", cls=Command)(convert.convert)
jobs.command("train", cls=Command, context_settings=slurm.PASSING)(slurm.slurm_train)
app.add_typer(jobs, name="slurm")
app.command("demo", cls=Command)(demo.demo)
