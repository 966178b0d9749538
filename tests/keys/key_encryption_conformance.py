"""What every driver of KeyEncryption promises. A test class over this brings `opened`, `is_kept_by_us`.

opened(kek number)  the same key-encryption key as another process would open it
"""

from abc import ABC, abstractmethod

import pytest

from audobon.errors import Conflict, CorruptKeyring, KeyringLost
from audobon.keys.port import KeyEncryption

KEY = bytes(range(100, 132))
CONTEXT = b"tenant key of a test"


class KeyEncryptionConformance(ABC):
    """The suite."""

    @abstractmethod
    def opened(self) -> KeyEncryption:
        """Return the key-encryption key, as a process that just started opens it."""

    @abstractmethod
    def lose(self) -> None:
        """Lose what the driver keeps, and say that there was something before."""

    def test_what_one_process_wraps_another_unwraps(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY

    def test_the_key_is_nowhere_in_what_is_wrapped(self) -> None:
        assert KEY not in self.opened().wrap(KEY, context=CONTEXT)

    def test_wrapping_twice_gives_different_bytes(self) -> None:
        kek = self.opened()
        assert kek.wrap(KEY, context=CONTEXT) != kek.wrap(KEY, context=CONTEXT)

    def test_another_context_does_not_unwrap(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        with pytest.raises(CorruptKeyring):
            self.opened().unwrap(wrapped, context=CONTEXT + b"!")

    def test_no_flipped_bit_unwraps(self) -> None:
        kek = self.opened()
        wrapped = kek.wrap(KEY, context=CONTEXT)
        for place in range(len(wrapped) * 8):
            changed = bytearray(wrapped)
            changed[place // 8] ^= 1 << place % 8
            with pytest.raises((CorruptKeyring, KeyringLost)):
                kek.unwrap(bytes(changed), context=CONTEXT)

    def test_nothing_cut_off_unwraps(self) -> None:
        kek = self.opened()
        wrapped = kek.wrap(KEY, context=CONTEXT)
        for length in range(len(wrapped)):
            with pytest.raises((CorruptKeyring, KeyringLost)):
                kek.unwrap(wrapped[:length], context=CONTEXT)

    def test_a_new_version_wraps_and_older_ones_still_unwrap(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        first = self.opened().version
        second = self.opened().rotate()
        assert (self.opened().version, self.opened().versions()) == (second, [first, second])
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY

    def test_many_versions_keep_their_order(self) -> None:
        made = [self.opened().version, *(self.opened().rotate() for _ in range(11))]
        assert self.opened().versions() == made
        assert len(set(made)) == 12

    def test_each_version_has_a_key_of_its_own(self) -> None:
        kek = self.opened()
        first, wrapped = kek.version, kek.wrap(KEY, context=CONTEXT)
        second = kek.rotate()
        moved = wrapped.replace(first.encode() + b":", second.encode() + b":", 1)
        with pytest.raises(CorruptKeyring):
            kek.unwrap(moved, context=CONTEXT)

    def test_what_a_destroyed_version_wrapped_is_lost(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        first = self.opened().version
        self.opened().rotate()
        later = self.opened().wrap(KEY, context=CONTEXT)
        self.opened().destroy(first)
        with pytest.raises(KeyringLost):
            self.opened().unwrap(wrapped, context=CONTEXT)
        assert self.opened().unwrap(later, context=CONTEXT) == KEY
        assert first not in self.opened().versions()

    def test_a_version_is_never_named_twice(self) -> None:
        kek = self.opened()
        first = kek.version
        second = kek.rotate()
        kek.destroy(first)
        assert kek.rotate() not in (first, second)

    def test_the_version_that_wraps_is_not_destroyed(self) -> None:
        kek = self.opened()
        wrapped = kek.wrap(KEY, context=CONTEXT)
        with pytest.raises(Conflict):
            kek.destroy(kek.version)
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY

    def test_what_was_lost_is_told_and_not_made_anew(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.lose()
        with pytest.raises(KeyringLost) as lost:
            self.opened().unwrap(wrapped, context=CONTEXT)
        assert lost.value.hint == "audobon keys import-recovery"
        with pytest.raises(KeyringLost):
            self.opened().wrap(KEY, context=CONTEXT)

    def test_what_is_discarded_unwraps_nothing_and_may_be_discarded_again(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.opened().discard()
        self.opened().discard()
        with pytest.raises((KeyringLost, CorruptKeyring)):
            self.opened().unwrap(wrapped, context=CONTEXT)
