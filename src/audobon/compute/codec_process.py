"""The process that opens and writes pictures: `python -m audobon.compute.codec_process`.

A picture can be a bomb or worse. This process holds no files, no database and no keys, has a memory
limit, and is killed by the other side when it takes too long. Requests come on standard input:

    inspect  header, bytes                      -> PictureInfo
    decode   header, bytes                      -> PictureInfo, then rows from top to bottom
    encode   header with PictureInfo, then rows -> the file, in pieces, then an empty piece
"""

import sys
from typing import IO, Any

import msgspec
from PIL import Image

from audobon.compute.codec_messages import Reply, Request
from audobon.compute.frames import read_frame, write_frame
from audobon.errors import AudobonError, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from audobon.pages.decode import decode, inspect
from audobon.pages.encode import encode

_BAND_BYTES = 4 << 20
_PIECE_BYTES = 1 << 20
# Room for the interpreter, libraries and the compressed file, besides the pixels.
_BASE_BYTES = 1 << 30


def main() -> None:
    """Serve requests until the other side closes the pipe."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    decoder = msgspec.msgpack.Decoder(Request)
    _forbid_files()
    while True:
        try:
            request = decoder.decode(read_frame(source))
        except EOFError:
            return
        _limit_memory(request)
        try:
            _ACTS[request.act](request, source, target)
        except AudobonError as error:
            _reply(target, Reply(code=error.code, message=error.message, hint=error.hint))
        except MemoryError:
            _reply(
                target,
                Reply(code=PictureTooLarge.code, message="it needs more memory than a page may take"),
            )
        except OSError as error:
            _reply(
                target, Reply(code=UnreadablePicture.code, message=f"the picture cannot be handled: {error}")
            )


def _inspect(request: Request, source: IO[bytes], target: IO[bytes]) -> None:
    data = read_frame(source)
    _reply(target, Reply(info=inspect(data, request.limits)))


def _decode(request: Request, source: IO[bytes], target: IO[bytes]) -> None:
    info, image = decode(read_frame(source), request.limits)
    _reply(target, Reply(info=info))
    rows = max(1, _BAND_BYTES // info.row_bytes)
    for top in range(0, info.height, rows):
        bottom = min(info.height, top + rows)
        target.write(image.crop((0, top, info.width, bottom)).tobytes())
    target.flush()


def _encode(request: Request, source: IO[bytes], target: IO[bytes]) -> None:
    info = request.info
    if info is None:
        raise UnreadablePicture("the request to encode says nothing about the picture")
    image = Image.new(info.mode, (info.width, info.height))
    top = 0
    while top < info.height:
        data = read_frame(source)
        rows = len(data) // info.row_bytes
        band = Image.frombuffer(info.mode, (info.width, rows), data, "raw", info.mode, 0, 1)
        image.paste(band, (0, top))
        top += rows
    pieces = _Pieces(target)
    try:
        encode(image, info, pieces)  # type: ignore[arg-type]
        pieces.finish()
    except (OSError, ValueError, MemoryError) as error:
        if pieces.is_open:
            # Half a file is on its way; only ending tells the reader so.
            raise SystemExit(f"encoding broke off: {error}") from error
        raise UnsupportedPicture(f"{info.format} refused the page: {error}") from error


class _Pieces:
    """A file that sends what is written to it as frames behind a first reply."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._waiting = bytearray()
        self.is_open = False

    def write(self, data: Any) -> int:
        self._waiting += data
        if len(self._waiting) >= _PIECE_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if not self.is_open:
            _reply(self._target, Reply())
            self.is_open = True
        if self._waiting:
            write_frame(self._target, bytes(self._waiting))
            self._waiting.clear()

    def finish(self) -> None:
        self.flush()
        write_frame(self._target, b"")


def _reply(target: IO[bytes], reply: Reply) -> None:
    write_frame(target, msgspec.msgpack.encode(reply))


def _forbid_files() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory(request: Request) -> None:
    """Allow what the request may honestly need, four bytes a pixel twice over, and no more."""
    if sys.platform == "win32":
        return
    import resource

    pixels = request.limits.max_pixels
    if request.info is not None:
        pixels = request.info.width * request.info.height
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = _BASE_BYTES + 8 * pixels
    if hard != resource.RLIM_INFINITY:
        ceiling = min(ceiling, hard)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))


_ACTS = {"inspect": _inspect, "decode": _decode, "encode": _encode}


if __name__ == "__main__":
    main()
