"""Proves that a device starts, in a process of its own that a bad driver may bring down.

`python -m audobon.models.device_trial WANTED` prints the choice as JSON.
"""

import subprocess
import sys

import msgspec

from audobon.models.devices import Choice, Devices, Wanted
from audobon.telemetry.gpus import find_gpus

_MOST_SECONDS = 60


def prove(setting: str) -> Choice:
    """Return where models would run now, a card having run the smallest of them.

    setting  models.device, as checked when the settings were read
    """
    wanted = msgspec.convert(setting, Wanted)
    choice = Devices().choose(wanted)
    if choice.device.kind == "cpu":
        return choice
    # -P: the folder we are started in may hold anything, modules included.
    command = [sys.executable, "-P", "-m", "audobon.models.device_trial", wanted]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return Choice(reason=f"CUDA did not start within {_MOST_SECONDS} seconds", is_fallback=True)
    try:
        # The libraries may have said something before.
        return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Choice)
    except (IndexError, msgspec.DecodeError):
        reason = f"the process that tried CUDA ended with {done.returncode}"
        return Choice(reason=reason, is_fallback=True)


def foretell(setting: str) -> Choice:
    """Return where models would run now, as `prove` does; at once where there is no card to choose."""
    if setting == "auto" and not find_gpus()[0]:
        return Choice()
    return prove(setting)


def choose_and_try(devices: Devices, wanted: Wanted) -> Choice:
    """Return the device chosen, or the processor with the reason when the device does not run models."""
    # Needs numpy, which the one who asks does without.
    from audobon.models.sessions import trial

    choice = devices.choose(wanted)
    if choice.device.kind == "cpu":
        return choice
    reason = trial(choice)
    return choice if reason is None else devices.give_up(choice, reason)


def main() -> None:
    """Print the choice for the wanted device."""
    wanted = msgspec.convert(sys.argv[1], Wanted)
    sys.stdout.write("\n" + msgspec.json.encode(choose_and_try(Devices(), wanted)).decode() + "\n")


if __name__ == "__main__":
    main()
