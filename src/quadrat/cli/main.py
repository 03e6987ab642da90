"""The command line: finds the verb, imports only that one, turns every error of ours into one paragraph."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final, final

import click

from quadrat import __version__
from quadrat.core.errors import QuadratError

VERBS: Final = {
    "init": "Write a small study of one's own.",
    "check": "Validate a study file and say what it would run.",
    "plan": "List the runs still to do, or their commands.",
    "run": "Run what is missing or failed of a study.",
    "stop": "Ask a running study to checkpoint and stop.",
    "ls": "List studies, or the runs of one.",
    "show": "Show one run: config, verdict, error, metrics.",
    "diff": "Show what two runs differ in.",
    "check-health": "Hold a run against health rules again.",
    "top": "Watch a running study in the terminal.",
    "report": "Write the study's page.",
    "record": "Draft, fill and check the experiment record.",
    "evaluate": "Measure a finished model again.",
    "verify": "Hash everything again and name what differs.",
    "rerun": "Make a run again and say how alike the two are.",
    "sync": "Send to trackers what has not arrived.",
    "export": "Put a study into one file, or write it for another program.",
    "import": "Take in such a file, or the results of another tool.",
    "gc": "List or remove what is of no further use.",
    "doctor": "Prove that checkpoints load; say what this machine has.",
}
"""Every verb with its help line, kept here so that ``--help`` imports none of them."""

PROGRAM: Final = "quadrat.program"
"""Under which name a context keeps the words behind ``--``, which ``quadrat run`` hands to a program."""


@final
class Verbs(click.Group):
    """A group whose commands are modules, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order people use them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            return None
        module = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        return import_module(f"quadrat.cli.{module}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verb when the one asked for is unknown. A program's words are kept apart for ``run``."""
        if args[0] == "run" and "--" in args:
            place = args.index("--")
            ctx.meta[PROGRAM] = tuple(args[place + 1 :])
            args = args[:place]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from quadrat.core.errors import unknown_name

            raise unknown_name("command", args[0], VERBS) from None


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", "-V", prog_name="quadrat")
@click.option(
    "--root", type=click.Path(file_okay=False), help="The folder that holds results/, data/ and experiments/."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def program(ctx: click.Context, root: str | None, debug: bool) -> None:
    """From a question declared in one YAML file to a checked experiment record."""
    ctx.obj = {"root": root, "debug": debug}


def main(argv: list[str] | None = None) -> None:
    """Entry point of the ``quadrat`` script and of ``python -m quadrat``. Always ends in ``SystemExit``."""
    words = sys.argv[1:] if argv is None else argv
    try:
        code: Any = program.main(args=words, prog_name="quadrat", standalone_mode=False)
    except QuadratError as error:
        if "--debug" in words:
            raise
        _complain(error.paragraph())
        raise SystemExit(error.exit_code) from None
    except click.ClickException as error:
        _complain(error.format_message() + " Try: 'quadrat --help'.")
        raise SystemExit(2) from None
    except click.Abort:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        if "--debug" in words:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}. Try: check permissions, free space and the path.")
        raise SystemExit(5) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _complain(text: str) -> None:
    click.echo(f"quadrat: {text}", err=True)
