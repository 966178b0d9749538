"""Opens and writes pictures through a process with limits, started when first needed."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

import msgspec

from audobon.compute.codec_messages import Reply, Request
from audobon.compute.frames import read_frame, read_into, write_frame
from audobon.errors import AudobonError, PictureTooLarge, UnreadablePicture, WorkerDied, by_code
from audobon.pages.picture_info import PictureInfo
from audobon.pages.picture_limits import PictureLimits

if TYPE_CHECKING:
    from audobon.pages.picture import Picture, Pixels


class Sink(Protocol):
    """Anything bytes can be written to."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""
        ...


class Codec:
    """One picture process and the conversation with it; a new one replaces it when it dies.

    Not for two threads at once; a page that one has sent may be received by another.
    """

    def __init__(self, limits: PictureLimits, *, max_seconds: float) -> None:
        self._limits = limits
        self._max_seconds = max_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._is_late = False

    def start(self) -> None:
        """Start the process now rather than at the first request; replace one that has ended."""
        if self._process is not None and self._process.poll() is not None:
            # It ended while it had nothing to do: the next picture is not to blame.
            self.close()
        self._running()

    def inspect(self, data: bytes) -> PictureInfo:
        """Return what a page is without decoding it; raises the errors of `pages.decode`."""
        self.start()
        with self._deadline():
            self._ask(Request(act="inspect", limits=self._limits), data)
            return self._described()

    def decode(self, data: bytes) -> "Picture":
        """Return a page with its pixels; raises the errors of `pages.decode`."""
        import numpy as np

        from audobon.pages.picture import Picture

        self.start()
        with self._deadline():
            self._ask(Request(act="decode", limits=self._limits), data)
            info = self._described()
            dtype = np.uint16 if info.sample_bytes == 2 else np.uint8
            pixels = np.empty((info.height, info.width, info.channels), dtype)
            read_into(self._output, pixels.data.cast("B"))
            return Picture(info, pixels)

    def encode(self, info: PictureInfo, bands: Iterable["Pixels"], target: Sink) -> None:
        """Write a page, handed over in bands of whole rows, to a binary stream.

        raises  UnsupportedPicture, PictureTooLarge, WorkerDied, and whatever `bands` raises
        """
        self.send(info, bands)
        self.receive(target)

    def send(self, info: PictureInfo, bands: Iterable["Pixels"]) -> None:
        """Hand over a page to be written; `receive` must follow, from any thread.

        raises  as `encode` does
        """
        import numpy as np

        self.start()
        self._is_late = False
        with self._encoding():
            self._ask(Request(act="encode", limits=self._limits, info=info))
            for band in bands:
                write_frame(self._input, np.ascontiguousarray(band).data.cast("B"))

    def receive(self, target: Sink) -> None:
        """Write the file of the page that was sent to a binary stream; raises as `encode` does."""
        with self._encoding(), self._deadline(is_encoding=True):
            self._reply()
            while piece := read_frame(self._output):
                target.write(piece)

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, BrokenPipeError) as error:
            raise self._refusal() or self._ended(is_encoding=True) from error
        except BaseException:
            # The process still waits for rows or holds half a file: start afresh next time.
            self.close()
            raise

    def _refusal(self) -> AudobonError | None:
        """Return the reason the process gave before it stopped taking rows; None when it gave none."""
        try:
            self._reply()
        except AudobonError as reason:
            self.close()
            return reason
        except (EOFError, OSError, msgspec.DecodeError):
            return None
        return None

    def close(self) -> None:
        """End the process; safe at any time."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    @property
    def _input(self) -> IO[bytes]:
        stream = self._running().stdin
        assert stream is not None
        return stream

    @property
    def _output(self) -> IO[bytes]:
        stream = self._running().stdout
        assert stream is not None
        return stream

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                # -P: the folder we are started in may hold anything, modules included.
                [sys.executable, "-P", "-m", "audobon.compute.codec_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self._process

    def _ask(self, request: Request, *frames: bytes) -> None:
        write_frame(self._input, msgspec.msgpack.encode(request))
        for frame in frames:
            write_frame(self._input, frame)

    def _reply(self) -> Reply:
        reply = msgspec.msgpack.decode(read_frame(self._output), type=Reply)
        if reply.code is not None:
            raise by_code(reply.code)(reply.message, hint=reply.hint)
        return reply

    def _described(self) -> PictureInfo:
        info = self._reply().info
        if info is None:
            raise UnreadablePicture("the picture process answered without describing the picture")
        return info

    @contextmanager
    def _deadline(self, *, is_encoding: bool = False) -> Iterator[None]:
        """Kill the process when the block takes too long, and say why its pipe ended."""
        process = self._running()
        self._is_late = False
        timer = threading.Timer(self._max_seconds, self._stop_late, [process])
        timer.daemon = True
        timer.start()
        try:
            yield
        except (EOFError, BrokenPipeError) as error:
            raise self._ended(is_encoding=is_encoding) from error
        except AudobonError:
            raise
        except BaseException:
            # Half a conversation: what is still to come would be taken for the next answer.
            self.close()
            raise
        finally:
            timer.cancel()

    def _stop_late(self, process: subprocess.Popen[bytes]) -> None:
        self._is_late = True
        process.kill()

    def _ended(self, *, is_encoding: bool) -> AudobonError:
        code = self._process.wait() if self._process is not None else 0
        self.close()
        if self._is_late:
            return PictureTooLarge(
                f"opening or writing it took over {self._max_seconds:g} seconds",
                hint="raise pictures.max_seconds if the picture is yours",
            )
        if is_encoding or code == -signal.SIGKILL:
            # Our own pixels bring no encoder down, and no picture sends SIGKILL: it was killed from
            # outside, for want of memory perhaps, and may well live the next time.
            return WorkerDied(f"the process that handles pictures was ended (exit status {code})")
        return UnreadablePicture(f"the picture brought its decoder down (exit status {code})")
