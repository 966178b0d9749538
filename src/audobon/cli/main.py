"""The `audobon` command; turns every error into words, advice and an exit status."""

import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import click

from audobon import __version__
from audobon.cli.backup import backup
from audobon.cli.cache import cache
from audobon.cli.check import check
from audobon.cli.cloud import cloud
from audobon.cli.config import config
from audobon.cli.data import data
from audobon.cli.database import database
from audobon.cli.doctor import doctor
from audobon.cli.jobs import jobs
from audobon.cli.keys import keys
from audobon.cli.logs import logs
from audobon.cli.models import models
from audobon.cli.plan import plan
from audobon.cli.queue import queue_group
from audobon.cli.recovery import recovery
from audobon.cli.resources import resources
from audobon.cli.run import run
from audobon.cli.start import INTERRUPTED
from audobon.cli.storage import storage
from audobon.cli.terminal import complain, forget_json, has_printed_json, print_json
from audobon.cli.up import up
from audobon.errors import AudobonError, InvalidInput, UnknownOperation

_ONE_INPUT = "-o OUT names the output; several pages go in as a folder or a book"


class _Nouns(click.Group):
    """Says what to type when an operation is named without `run`."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if arguments and arguments[0] in run.commands:
            raise UnknownOperation(
                f"{arguments[0]} is an operation, not a command", hint=f"audobon run {arguments[0]} ..."
            )
        return super().resolve_command(context, arguments)


@click.group(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="audobon %(version)s")
def audobon() -> None:
    """AI work on comic pages, on your own machine first.

    Start with: audobon run upscale page.png -o page-print.png
    """


for command in (
    run, plan, up, jobs, queue_group, models, cache, storage, data, keys, database, backup, recovery, cloud,
    logs, check, doctor, resources, config,
):  # fmt: skip
    audobon.add_command(command)


def main() -> NoReturn:
    """Run the command line and end the process with its status."""
    try:
        # A polite request to end is treated like Ctrl-C: stop the work, keep what is finished.
        signal.signal(signal.SIGTERM, _interrupt)
        forget_json()
        status = audobon.main(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except AudobonError as error:
        complain(error.message, hint=error.hint)
        _tell_programs(error.code, error.message, error.hint)
        sys.exit(error.exit)
    except click.ClickException as error:
        error.show()
        if "unexpected extra argument" in error.message:
            click.echo(f"hint: {_ONE_INPUT}", err=True)
        _tell_programs(InvalidInput.code, error.format_message(), None)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output is gone, as after `| head`; there is nobody to tell.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  the last boundary: nothing may end in a bare traceback
        complain(f"a fault in Audobon: {type(error).__name__}: {error}", hint="please report the lines below")
        traceback.print_exc()
        _tell_programs(AudobonError.code, f"a fault in Audobon: {type(error).__name__}: {error}", None)
        sys.exit(AudobonError.exit)


def _tell_programs(code: str, message: str, hint: str | None) -> None:
    """Print an error as JSON when JSON was asked for; a report that was printed says what failed."""
    if "--json" not in sys.argv[1:] or has_printed_json():
        return
    try:
        print_json({"error": {"code": code, "message": message, "hint": hint}})
    except BrokenPipeError:
        # Nobody reads it; the status tells.
        sys.stderr.close()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
