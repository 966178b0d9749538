"""Tells what a file is that is not ONNX, by its first bytes; it is never opened as what it is."""

from typing import NamedTuple

HEAD_BYTES = 512
_PICKLE_PROTOCOLS = range(1, 6)


class Foreign(NamedTuple):
    """A kind of file that is not taken.

    what  it is, for people
    why   it is refused
    """

    what: str
    why: str


_PICKLE = Foreign("a Python pickle, as PyTorch's .pth, .pt and .ckpt are", "opening one runs code")
_PACKED = "it has to be unpacked first, and can swell without bound"
_NO_GRAPH = "it holds weights without the graph that uses them"
_OTHER_RUNTIME = "it is made for another runtime"

_MAGIC: tuple[tuple[int, bytes, Foreign], ...] = (
    (
        0,
        b"PK\x03\x04",
        Foreign(
            "a ZIP archive, as PyTorch's and Keras's files are",
            "it can hold a pickle, and opening one runs code",
        ),
    ),
    (0, b"PK\x05\x06", Foreign("an empty ZIP archive", "there is no model in it")),
    (0, b"\x89HDF\r\n", Foreign("an HDF5 file, as Keras's .h5 are", "it can hold code")),
    (0, b"\x93NUMPY", Foreign("a NumPy array", _NO_GRAPH)),
    (0, b"GGUF", Foreign("a GGUF file", _NO_GRAPH)),
    (0, b"\x1f\x8b", Foreign("packed with gzip", _PACKED)),
    (0, b"BZh", Foreign("packed with bzip2", _PACKED)),
    (0, b"\xfd7zXZ", Foreign("packed with xz", _PACKED)),
    (0, b"\x28\xb5\x2f\xfd", Foreign("packed with Zstandard", _PACKED)),
    (0, b"7z\xbc\xaf", Foreign("a 7-Zip archive", _PACKED)),
    (0, b"7767517", Foreign("an ncnn graph", _OTHER_RUNTIME)),
    (0, b"\x7fELF", Foreign("a program", "it is no model")),
    (0, b"MZ", Foreign("a program", "it is no model")),
    (0, b"#!", Foreign("a script", "it is no model")),
    *(
        (at, magic, Foreign("a picture", "it is no model"))
        for at, magic in ((0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"GIF8"), (8, b"WEBP"))
    ),
    (4, b"TFL3", Foreign("a TensorFlow Lite model", _OTHER_RUNTIME)),
    (
        4,
        b"ORTM",
        Foreign("a model in ONNX Runtime's own format", "it skips the checks an ONNX file goes through"),
    ),
    (257, b"ustar", Foreign("a tar archive", _PACKED)),
    (8, b'{"', Foreign("a safetensors file", _NO_GRAPH)),
)


def foreign_kind(head: bytes) -> Foreign | None:
    """Return what a file beginning with these bytes is, if it is known not to be ONNX."""
    # Version 2 and later say so; 1 and 0 are told by the reader of ONNX, which takes them for damaged.
    if len(head) > 1 and head[0] == 0x80 and head[1] in _PICKLE_PROTOCOLS:
        return _PICKLE
    return next((kind for at, magic, kind in _MAGIC if head[at : at + len(magic)] == magic), None)
