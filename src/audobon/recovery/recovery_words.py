"""Where the recovery words come from when a keyring is lost."""

from collections.abc import Callable

import msgspec

from audobon.errors import KeyringLost

WITH_FILE = "audobon recovery mend --recovery-words-file FILE"
"""What a person types who has the words."""


class Words(msgspec.Struct, frozen=True):
    """The 24 recovery words.

    ask        asked for them when they are needed; empty: nobody is there
    are_given  whether somebody gave them unasked, so that an old keyring is to be replaced as well
    """

    ask: Callable[[], str]
    are_given: bool = False

    def get(self, why: str) -> str:
        """Return the words. raises KeyringLost, with the reason and the command, when there are none."""
        words = self.ask()
        if not words.strip():
            raise KeyringLost(why, hint=f"with the 24 recovery words: {WITH_FILE}")
        return words


NOBODY = Words(lambda: "")
"""Nobody is there to ask."""
