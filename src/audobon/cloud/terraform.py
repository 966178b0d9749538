"""Runs Terraform, or OpenTofu, and says in Audobon's words what went wrong."""

import json
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from audobon.config import environment_of_programs
from audobon.errors import (
    AudobonError,
    CloudConflict,
    CloudDenied,
    CloudMisconfigured,
    CloudNotFound,
    CloudUnavailable,
    Misconfigured,
    OnHold,
    QuotaExceeded,
)

NAMES = ("terraform", "tofu")
_LEAST_VERSION = (1, 7)
_LAST_LINES = 400
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Errors stand in a frame; the first line in it says what, the others where and why.
_ERROR = re.compile(r"^[\s│╷╵|]*Error: (.+)$", re.MULTILINE)

_FRAME = re.compile(r"[│╷╵|]")

Listener = Callable[[str], None]


class Ended(NamedTuple):
    """How a run of Terraform ended: its status, and what it wrote."""

    status: int
    output: str


class Terraform:
    """The program, on one folder of HCL.

    folder    where the HCL lies
    notes     where Terraform keeps what it fetched; not beside the HCL
    program   its path; None: terraform, else tofu, of the PATH
    """

    def __init__(self, folder: Path, *, notes: Path, program: Path | None = None) -> None:
        self._folder = folder
        self._notes = notes
        self._program = find(program)

    @property
    def program(self) -> str:
        """The program that runs."""
        return self._program

    def check_version(self) -> str:
        """Return the version in words. raises Misconfigured when it is too old or answers with none."""
        ended = self._run(["version", "-json"], in_folder=False)
        try:
            version = str(json.loads(ended.output)["terraform_version"])
            parts = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
        except (ValueError, KeyError, TypeError) as error:
            raise Misconfigured(
                f"{self._program} does not say its version, as Terraform and OpenTofu do",
                hint="name another with --terraform",
            ) from error
        if parts < _LEAST_VERSION:
            raise Misconfigured(
                f"{self._program} is version {version}; 1.7 is the oldest that will do",
                hint="install a newer one",
            )
        return version

    def run(
        self, *arguments: str, doing: str, listener: Listener | None = None, allowed: Sequence[int] = (0,)
    ) -> Ended:
        """Run one command in the folder to its end.

        doing     what it does, for the message
        listener  is told every line as it comes
        allowed   other statuses are failures
        raises    one of the errors of the cloud, with Terraform's own first words
        """
        ended = self._run(arguments, listener=listener)
        if ended.status not in allowed:
            raise failure(doing, ended.output)
        return ended

    def read(self, *arguments: str, doing: str) -> Any:
        """Return what a command prints as JSON. raises like `run`."""
        ended = self.run(*arguments, doing=doing)
        try:
            return json.loads(ended.output)
        except ValueError as error:
            raise CloudMisconfigured(f"{doing}: {self._program} {arguments[0]} printed no JSON") from error

    def _run(
        self, arguments: Sequence[str], *, listener: Listener | None = None, in_folder: bool = True
    ) -> Ended:
        command = [self._program, *([f"-chdir={self._folder}"] if in_folder else []), *arguments]
        lines: deque[str] = deque(maxlen=None if listener is None else _LAST_LINES)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                # What goes wrong is told in order with the rest.
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment_of_programs(
                    TF_DATA_DIR=str(self._notes), TF_IN_AUTOMATION="1", TF_INPUT="0", CHECKPOINT_DISABLE="1"
                ),
                # Of two interrupts it takes the second for an order to drop everything: it gets ours alone.
                start_new_session=True,
            )
        except OSError as error:
            raise Misconfigured(f"{self._program} cannot be started: {error}") from error
        assert process.stdout is not None
        hear = partial(_hear, lines=lines, listener=listener)
        with process:
            try:
                hear(process.stdout)
            except BaseException:
                # It ends by itself: writes down what it has done so far, and lets go of the lock.
                process.send_signal(signal.SIGINT)
                hear(process.stdout)
                raise
        return Ended(process.returncode, "".join(lines))


def _hear(output: IO[str], *, lines: deque[str], listener: Listener | None) -> None:
    for line in output:
        plain = _COLOURS.sub("", line)
        lines.append(plain)
        if listener is not None:
            listener(plain.rstrip("\n"))


def find(program: Path | None) -> str:
    """Return the program's path. raises Misconfigured with what to install."""
    if program is not None:
        found = shutil.which(str(program))
        if found is None:
            raise Misconfigured(
                f"{program} is no program that can be run", hint="name another with --terraform"
            )
        return found
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise Misconfigured(
        "neither terraform nor tofu is in any folder of the PATH",
        hint="install Terraform or OpenTofu, 1.7 or newer, or name it with --terraform",
    )


def failure(doing: str, output: str) -> AudobonError:
    """Return the error of a run that failed, by what Terraform and Google say in such a case."""
    first = _ERROR.search(output)
    lines = [line for line in output.splitlines() if line.strip()]
    words = first[1].strip() if first else (lines[-1].strip() if lines else "it ended without a word")
    message = f"{doing}: {words}"
    # What comes before tells of what went well, in the same words.
    complaint = " ".join(_FRAME.sub(" ", output[first.start() :] if first else output).split())
    for kind, pattern, hint in _CAUSES:
        if pattern.search(complaint):
            return kind(message, hint=hint)
    return CloudMisconfigured(message, hint="Terraform's own words above say where")


def _cause(
    kind: type[AudobonError], pattern: str, hint: str
) -> tuple[type[AudobonError], re.Pattern[str], str]:
    return kind, re.compile(pattern, re.IGNORECASE), hint


# The first that fits. What is said of credentials comes before the "403" that it may be said with.
_CAUSES = (
    _cause(
        CloudDenied,
        r"could not find default credentials|no credentials loaded|application default credentials"
        r"|invalid_grant|reauth related error",
        "gcloud auth application-default login",
    ),
    _cause(
        CloudMisconfigured,
        r"SERVICE_DISABLED|accessNotConfigured|has not been used in project|API has not been enabled",
        "wait a few minutes after an API was switched on; else switch it on: gcloud services enable",
    ),
    _cause(
        CloudMisconfigured,
        r"BILLING_DISABLED|billing account .* not (found|open)|billing to be enabled",
        "give the project a billing account: gcloud billing projects link",
    ),
    _cause(
        CloudConflict,
        r"Error acquiring the state lock",
        "somebody else is applying; if nobody is, the words above name the lock: terraform force-unlock",
    ),
    _cause(CloudConflict, r"Saved plan is stale", "plan anew: audobon cloud plan"),
    _cause(
        CloudNotFound,
        r"bucket doesn't exist|The specified bucket does not exist",
        "make what holds the state first: infra/bootstrap/README.md",
    ),
    _cause(
        OnHold,
        r"Instance cannot be destroyed|prevent_destroy|deletion[_ ]protection",
        "what is protected is let go of on purpose only: docs/guides/google-cloud.md",
    ),
    _cause(
        Misconfigured,
        r"No value for required variable|Invalid value for (input )?variable|Invalid value for variable",
        "set it in terraform.tfvars of the stage, or in the section [cloud] of the settings",
    ),
    _cause(
        QuotaExceeded,
        r"Error 429|RESOURCE_EXHAUSTED|quota ?exceeded|Quota '.*' exceeded|rateLimitExceeded",
        "try again later, or ask Google for a larger quota",
    ),
    _cause(
        CloudDenied,
        r"Error 40[13]|PERMISSION_DENIED|does not have .*(permission|access)|forbidden",
        "ask whoever owns the project for the right that is named",
    ),
    _cause(CloudConflict, r"Error 409|alreadyExists|already exists", "take it over: terraform import"),
    _cause(
        CloudUnavailable,
        r"Failed to query available provider packages|Could not retrieve the list of available versions"
        r"|no such host|connection refused|i/o timeout|TLS handshake timeout|Error 50[0234]",
        "see whether the network reaches Google and the registry of providers; then try again",
    ),
)
