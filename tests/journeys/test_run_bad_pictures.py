"""Bad pictures: named with the reason, nothing left behind, and odd but sound ones work."""

import struct
import zlib

import pytest
from audobon_command import Audobon, without_privileges
from drawn_pages import drawn, picture_bytes, size_of

SOUND = picture_bytes(drawn())


def png_header(width: int, height: int, body: bytes = b"") -> bytes:
    """Return a PNG that says it is so large, whatever its body holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"Dear diary, today I drew a fox.", "this is not a PNG, JPEG, WebP or TIFF picture"),
        (picture_bytes(drawn(), "GIF"), "this is not a PNG, JPEG, WebP or TIFF picture"),
        (b"", "the file is empty"),
        (SOUND[: len(SOUND) // 2], "the picture is damaged or cut off: "),
        (SOUND[:20], "the picture's header is damaged: "),
        (png_header(0, 0), "this is not a PNG, JPEG, WebP or TIFF picture"),
        (png_header(4000, 4000, zlib.compress(b"\0" * 64)), "the picture is damaged or cut off: "),
        (
            png_header(20_000, 20_000, zlib.compress(b"\0" * 20_000_000, 9)),
            "20000×20000 is 400 megapixels, over the limit of 150\n"
            "hint: raise pictures.max_megapixels if the picture is yours",
        ),
        (
            png_header(11_000, 11_000, zlib.compress(b"\0" * 20_000_000, 9)),
            "bytes unfold to 121 megapixels, which is how a decompression bomb looks\n"
            "hint: raise pictures.max_pixels_per_byte if the picture is yours",
        ),
    ],
)
def test_a_bad_picture_is_named_with_the_reason_and_leaves_nothing(
    audobon: Audobon, data: bytes, reason: str
) -> None:
    (audobon.folder / "page.png").write_bytes(data)

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", "--quiet")

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: page.png: ")
    assert reason in outcome.err
    assert audobon.files() == ["page.png"]
    assert audobon.leftovers() == []


def test_a_missing_picture_is_not_found(audobon: Audobon) -> None:
    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png")

    assert (outcome.status, outcome.err) == (4, "error: there is no file or folder page.png\n")


def test_a_picture_that_may_not_be_read_is_denied(audobon: Audobon) -> None:
    (audobon.folder / "page.png").write_bytes(SOUND)
    (audobon.folder / "page.png").chmod(0o000)

    command = ("run", "upscale", "page.png", "-o", "print.png")
    outcome = audobon.run(*command, preexec_fn=without_privileges)

    assert (outcome.status, outcome.out) == (6, "")
    assert outcome.err == (
        "error: not allowed: page.png: Permission denied\n"
        "hint: check the permissions of the file and its folder\n"
    )
    assert audobon.leftovers() == []


def test_sixteen_bits_of_colour_are_refused_rather_than_cut_to_eight(audobon: Audobon) -> None:
    deep = bytearray(png_header(1, 1, zlib.compress(b"\0" + b"\x12\x34" * 3)))
    deep[24:26] = bytes((16, 2))
    deep[29:33] = struct.pack(">I", zlib.crc32(deep[12:29]))
    (audobon.folder / "page.png").write_bytes(deep)

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png")

    assert outcome.status == 2
    assert outcome.err == (
        "error: page.png: it has 16 bits per colour, and working on it would cut them to 8\n"
        "hint: save it with 8 bits per colour, or as 16-bit greyscale, which is kept\n"
    )


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2000, 1), (1, 700), (3, 2)])
def test_the_smallest_and_thinnest_pictures_work(audobon: Audobon, width: int, height: int) -> None:
    (audobon.folder / "page.png").write_bytes(picture_bytes(drawn(width, height)))

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png")

    assert outcome.status == 0, outcome.err
    assert size_of((audobon.folder / "print.png").read_bytes()) == (2 * width, 2 * height)


def test_a_picture_that_outgrows_its_format_is_refused_before_any_work(audobon: Audobon) -> None:
    (audobon.folder / "page.webp").write_bytes(picture_bytes(drawn(9000, 2), "WEBP"))

    outcome = audobon.run("run", "upscale", "page.webp", "-o", "print.webp")

    assert outcome.status == 2
    assert outcome.err == (
        "error: page.webp: WEBP pages end at 16383 pixels; this one is 18000×4\n"
        "hint: write it as PNG or TIFF\n"
    )
