"""The command line: one file a verb, each loaded only when it is called.

`striate --help` reads the table below and nothing else, so that it starts at once and without torch. Whatever a user
can cause ends here as a fact and a way out on stderr, with exit code 2 and no traceback; our own faults keep theirs.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

import click

from striate.blueprint.files import REMEDIES
from striate.blueprint.refusal import NotFound, Refusal, brief
from striate.cli.output import say

VERBS = {  # in the order of the first day; `striate.cli.VERB` has the `command`
    "demo": "Train LeNet-5 on real digits and read ten of them: a minute.",
    "models": "List the networks of the literature, and what each costs.",
    "ledger": "Price a network layer by layer, before it exists.",
    "fit": "Find the largest batch that fits into memory.",
    "compare": "Put networks side by side, in numbers or in a picture.",
    "check": "Hold what a listing claims against what comes out.",
    "data": "Say what is in a data set, and draw a batch of it.",
    "recipe": "Show how the famous networks were trained.",
    "sanity": "See whether a training would come to anything.",
    "train": "Train a network on your images, or on digits.",
    "resume": "Go on with a training that was cut off.",
    "eval": "Say how good a trained model is.",
    "predict": "Say what is in an image.",
    "see": "See what a network looks at, and what it has learnt.",
}

EXAMPLES = """\b
Examples:
  striate demo                                 the whole path, in a minute
  striate models '*res*'                       which networks there are
  striate ledger vgg16                         where its memory and its parameters are
  striate fit resnet50 --memory 24GiB          the largest batch, and what would raise it
  striate compare alexnet vgg16 resnet50 --plot cost.png
  echo '[(CONV-RELU)*2-POOL]*3-FC,SOFTMAX' | striate ledger - --input 3x32x32
  striate train lenet5 --data digits --out runs/digits
  striate predict runs/demo runs/demo/digits/7.png

striate VERB --help has all of a verb's options, with examples.
"""

IN_OUR_WORDS: list[tuple[str, Any]] = [  # click's, and what we say
    (r"is not a valid integer( range)?", "is not a whole number"),
    (r"is not a valid float( range)?", "is not a number"),
    (r"is not a valid", "is not a"),
    (r"is not in the range (\d+)<=x<=(\d+)", lambda found: f"is not from {int(found[1]):,} to {int(found[2]):,}"),
    (r"is not in the range x>=(\d+)", r"is not \1 or more"),
]


PATIENCE = 10.0  # seconds


class Verbs(click.Group):
    """A group that knows its verbs by name and one line each, and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"striate.cli.{name}").command if name in VERBS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS:
            raise NotFound("verb", args[0], VERBS, see="striate --help")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if error.ctx is None and (verb := ctx.invoked_subcommand):  # click forgets whose option lacked its value
                error.ctx = click.Context(click.Command(verb), ctx, verb)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run one verb and exit: 0 done, 1 the verb's own "no", 2 refused, 130 stopped."""
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
            sys.stdout.flush()
        except click.ClickException as error:
            _exit(2, _usage(error))
        except Refusal as refusal:
            _exit(2, str(refusal))
        except click.Abort:
            _exit(130, "Stopped.")
        except BrokenPipeError:  # whoever read our output has read enough
            _exit(1)
        except OSError as error:
            if error.errno is None:
                raise
            _exit(2, _system(error))
        sys.exit(code if isinstance(code, int) else 0)


def _exit(code: int, message: str = "") -> NoReturn:
    if message:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(PATIENCE)  # before a training the first process says the same, and torchrun then ends the others
        say(brief(message), err=True)
    try:
        sys.stdout.flush()
    except OSError:  # else the interpreter tries again on its way out, and says so
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _usage(error: click.ClickException) -> str:
    """What click has against a command line, as a fact and a way out."""
    context: click.Context | None = getattr(error, "ctx", None)
    verb = context.command_path if context else "striate"
    message = error.message.rstrip(".")
    for theirs, ours in IN_OUR_WORDS:
        message = re.sub(theirs, ours, message)
    match error:
        case click.NoSuchOption() if context:
            known = [name for parameter in context.command.get_params(context) for name in parameter.opts]
            return str(NotFound("option", error.option_name, known, see=f"{verb} --help"))
        case click.MissingParameter(param=click.Parameter() as wanted):
            fact = f"{verb} needs {_called(wanted, context)}"
        case click.BadParameter(param=click.Parameter() as given):
            fact = f"Cannot read {_called(given, context)}: {message}"
        case click.FileError():
            fact = f"Cannot use {error.ui_filename}: {message}"
        case _:
            fact = f"{verb}: {message[:1].lower()}{message[1:]}"
    return f"{fact}. What it takes, with examples: {verb} --help"


def _called(parameter: click.Parameter, context: click.Context | None) -> str:
    return parameter.get_error_hint(context).replace("'", "")


def _system(error: OSError) -> str:
    """What the operating system refused, as a fact and a way out."""
    what, why = error.filename or "the output", (error.strerror or str(error)).lower()
    remedy = REMEDIES.get(error.errno or 0, "")
    return f"Cannot use {what}: {why}." + (f" {remedy}." if remedy else "")


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"striate {version('striate')}")
        ctx.exit()


@click.group("striate", cls=Verbs, invoke_without_command=True, epilog=EXAMPLES, subcommand_metavar="VERB ...")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version and stop."
)
@click.pass_context
def verbs(ctx: click.Context) -> None:
    """A ConvNet laboratory: write a network as the papers do, know what it costs, train it, use it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """The script `striate`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed (`>&-`); left so, the first file we open would take its place
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without × shows ?, and the work goes on
    verbs.main(prog_name="striate")
