"""Odd files in a folder of images: read where they can be, and said where they cannot."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from fpdm.data import ImageFolder, Latents, encode
from fpdm.data.decoding import suffixes
from fpdm.data.index import PLAN
from fpdm.data.listing import list_images
from fpdm.data.pixels import read_levels
from fpdm.errors import DataWarning
from tests.data.pictures import image_folder, picture, refused, save, tiny_vae
from tests.data.reading import in_order


def levels(path, *, size: int = 2, channels: int = 1) -> list[int]:
    return read_levels(path, size=size, channels=channels).flatten().tolist()


def png(bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes], size=(2, 2)) -> bytes:
    """A PNG, written by hand: what Pillow writes has no odd parts."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*each) for each in chunks) + body


GREY = b"\0\x07\xc8\0\xc8\x07"
"""Two rows of two levels, 7 and 200."""

HUGE = zlib.compress(b"a" * (2**20 + 1))


def rows(bits: int, *values: int) -> bytes:
    """Two rows of two levels of grey."""
    if bits == 16:
        return b"".join(b"\0" + struct.pack(">2H", *values[i : i + 2]) for i in (0, 2))
    packed = [values[i] << (8 - bits) | values[i + 1] << (8 - 2 * bits) for i in (0, 2)]
    return b"".join(b"\0" + bytes([byte]) for byte in packed)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"k\0\0" + HUGE),
        (b"iTXt", b"k\0\1\0\0\0" + HUGE),
        (b"iCCP", b"k\0\0" + HUGE),
        (b"tEXt", b"k\0" + bytes(2**21)),
        (b"iTXt", b"no such text"),
    ],
)
def test_what_a_png_says_beside_its_pixels_is_no_reason_to_lose_it(chunk, tmp_path):
    (tmp_path / "a.png").write_bytes(png(8, 0, GREY, chunk))
    assert levels(tmp_path / "a.png") == [7, 200, 200, 7]


@pytest.mark.parametrize("bits", [1, 2, 4, 16])
def test_a_level_that_stands_for_nothing_is_white(bits, tmp_path):
    most = 2**bits - 1
    clear, other = (0, 0) if bits == 1 else (most // 3, most)
    first = rows(bits, clear, other, other, clear)
    (tmp_path / "a.png").write_bytes(png(bits, 0, first, (b"tRNS", struct.pack(">H", clear))))
    assert levels(tmp_path / "a.png") == [255] * 4
    (tmp_path / "b.png").write_bytes(png(bits, 0, first))
    dark = round(255 * clear / most)
    assert levels(tmp_path / "b.png") == [dark, *([255 if other else 0] * 2), dark]


def test_a_colour_of_sixteen_bits_that_stands_for_nothing_is_white(tmp_path):
    colour = struct.pack(">3H", 1000, 2000, 60000)
    row = b"\0" + colour + struct.pack(">3H", 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png(16, 2, row + row, (b"tRNS", colour)))
    assert levels(tmp_path / "a.png") == [255, 0, 255, 0]


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of (tag, type, count, value), which nobody has checked."""
    body = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
ODD = {
    "text for a number": [TURNED, (0x011A, 2, 4, b"\xff\xfe\0\0")],
    "bytes for a table": [TURNED, (0x8769, 7, 4, b"abcd")],
    "a place beyond the end": [TURNED, (0x011A, 5, 1, struct.pack("<I", 99_999))],
    "an unknown type": [TURNED, (0x011A, 99, 1, b"abcd")],
}


@pytest.mark.parametrize("kind", ODD)
def test_of_what_a_camera_says_the_orientation_alone_is_read(kind, tmp_path):
    upright = picture(width=6, height=6)
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    for name in ("a.jpg", "a.webp", "a.png"):
        lossless = {} if name.endswith("jpg") else {"lossless": True} if "webp" in name else {}
        about = exif(*ODD[kind])
        stored.save(tmp_path / name, exif=about, **lossless)
        upright.save(tmp_path / "upright.png")
        read = np.array(levels(tmp_path / name, size=6, channels=3), float)
        wanted = np.array(levels(tmp_path / "upright.png", size=6, channels=3), float)
        assert np.abs(read - wanted).mean() < (45 if name.endswith("jpg") else 1)


@pytest.mark.parametrize("orientation", [b"garbage!", exif((0x0112, 3, 1, b"\x63\0\0\0"))])
def test_an_orientation_that_is_none_turns_nothing(orientation, tmp_path):
    picture(width=6, height=6).save(tmp_path / "a.png", exif=orientation)
    picture(width=6, height=6).save(tmp_path / "b.png")
    assert levels(tmp_path / "a.png", size=6) == levels(tmp_path / "b.png", size=6)


@pytest.mark.parametrize(("most", "dtype"), [(1, "f4"), (255, "f4"), (65535, "f4"), (65535, "i4")])
def test_levels_of_any_range_are_brightness(most, dtype, tmp_path):
    values = np.array([[0, most / 5], [most, 0]]).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    assert levels(tmp_path / "a.tiff") == [0, 51, 255, 0]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e6])
def test_numbers_that_are_no_brightness_are_refused(value, tmp_path):
    Image.fromarray(np.array([[0, value]], np.float32)).save(tmp_path / "a.tiff")
    assert "levels go from" in refused(lambda: levels(tmp_path / "a.tiff"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "PA"])
def test_every_mode_is_read(mode, tmp_path):
    for suffix in ("png", "tiff", "jpg", "gif", "bmp"):
        try:
            picture().convert("RGB").convert(mode).save(tmp_path / f"a.{suffix}")
        except (OSError, ValueError):  # there is no such file
            (tmp_path / f"a.{suffix}").unlink(missing_ok=True)
            continue
        assert len(levels(tmp_path / f"a.{suffix}", channels=3)) == 12


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_the_first_frame_is_taken(suffix, tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert levels(path, size=1, channels=3) == pytest.approx([255, 0, 0], abs=2)


def test_every_suffix_is_found_whatever_its_case(tmp_path):
    assert {".jfif", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif"} <= {
        *suffixes()
    }
    kinds = {".apng": "PNG", ".pnm": "PPM", ".dib": "BMP", ".jpe": "JPEG", ".jfif": "JPEG"}
    for index, suffix in enumerate(suffixes()):
        name = f"a{suffix.upper() if index % 2 else suffix}"
        picture().convert("L").save(tmp_path / name, format=kinds.get(suffix))
    data = ImageFolder(tmp_path, size=4, strict=True)
    assert len(in_order(data).images) == len(suffixes())


# what is left out


def test_class_folders_without_a_file_that_is_read_are_named(tmp_path):
    root = image_folder(tmp_path, each=1)
    for name in ("fox/deep/a.heic", "gnu/a.mp4", "gnu/b.txt", ".hidden/a.mp4", "hen/readme.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"something")
    (root / "ibis").mkdir()
    with pytest.warns(DataWarning, match=r"no class is made of fox \(a\.heic\), gnu \(a\.mp4\),"):
        data = ImageFolder(root, size=4)
    assert data.shape.num_classes == 3


def test_pictures_of_unread_kinds_beside_others_are_named(tmp_path):
    root = image_folder(tmp_path, each=1)
    (root / "cat" / "b.HEIC").write_bytes(b"something")
    (root / "cat" / "b.txt").write_bytes(b"a caption")
    with pytest.warns(DataWarning, match=r"1 of the pictures .* left out: cat/b\.HEIC"):
        ImageFolder(root, size=4)


def test_what_is_no_file_is_no_image(tmp_path):
    root = image_folder(tmp_path / "root", each=1, classes=("a",))
    (root / "a" / "folder.png").mkdir()
    (root / "a" / "nowhere.png").symlink_to(tmp_path / "nowhere")
    (root / "a" / "itself.png").symlink_to(root / "a" / "itself.png")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(root / "a" / "pipe.png")
    (root / "a" / "linked.png").symlink_to(tmp_path / "pipe")
    for name in (".DS_Store", "._0.png", ".hidden.png"):
        (root / "a" / name).write_bytes(b"of a system")
    data = ImageFolder(root, size=4)
    assert data.listing.files == ("a/0.png", "a/itself.png", "a/nowhere.png")
    batch = in_order(data)
    assert {os.path.basename(name) for name in batch.unreadable} == {"itself.png", "nowhere.png"}


def test_a_file_that_may_not_be_opened_is_unreadable(tmp_path, monkeypatch):
    root = image_folder(tmp_path, each=2, classes=("a",))
    real = io.open

    def forbidding(path, *args, **options):
        if str(path).endswith("1.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    for name in ("builtins.open", "io.open"):
        monkeypatch.setattr(name, forbidding)
    assert in_order(ImageFolder(root, size=4)).unreadable == (str(root / "a" / "1.png"),)
    strict = ImageFolder(root, size=4, strict=True)
    assert "1.png cannot be read as an image: Permission denied." in refused(
        lambda: in_order(strict)
    )


# the order of classes


NAMES = ("10", "2", "1", "02", "b10", "b9", "B1", "a 3", "a 20", "é", "Ⅻ", "٣", "1.5")


def test_classes_are_in_the_order_of_a_person(tmp_path):
    for index, name in enumerate(NAMES):
        save(tmp_path / name / "0.png", index)
    listing = list_images(tmp_path)
    assert listing.class_names == (
        *("1", "1.5", "02", "2", "٣", "10", "B1", "a 3", "a 20", "b9", "b10", "é", "Ⅻ"),
    )
    assert [name.split("/")[0] for name in listing.files] == list(listing.class_names)
    assert list_images(tmp_path, order="text").class_names == tuple(sorted(NAMES))
    assert ImageFolder(tmp_path, size=4, order="text").shape.class_names[0] == "02"


def test_the_old_order_finds_what_it_found(tmp_path):
    image_folder(tmp_path, each=1)
    picture().save(tmp_path / "cat" / "a.bmp")
    assert len(ImageFolder(tmp_path, size=4)) == 4
    assert len(ImageFolder(tmp_path, size=4, order="text")) == 3


def test_an_encoding_that_was_begun_in_the_old_order_keeps_it(tmp_path, monkeypatch):
    root = image_folder(tmp_path / "root", each=2, classes=("2", "10", "a"))
    options = {"vae": tiny_vae(), "image_size": 8, "shard_size": 2}
    with monkeypatch.context() as older:
        older.setattr(
            "fpdm.data.encode_folder.list_images", lambda source: list_images(source, order="text")
        )
        next(encode(root, tmp_path / "out", **options))
    assert (tmp_path / "out" / PLAN).is_file()
    list(encode(root, tmp_path / "out", **options))
    assert Latents(tmp_path / "out").shape.class_names == {0: "10", 1: "2", 2: "a"}
    list(encode(root, tmp_path / "new", **options))
    assert Latents(tmp_path / "new").shape.class_names == {0: "2", 1: "10", 2: "a"}


def test_nothing_is_said_of_a_folder_that_is_whole(tmp_path):
    image_folder(tmp_path, each=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        in_order(ImageFolder(tmp_path, size=4))


def test_of_a_folder_without_an_image_it_is_said_what_is_there_instead(tmp_path):
    (tmp_path / "a").mkdir()
    assert "holds no image: must" in refused(lambda: list_images(tmp_path))
    (tmp_path / "a" / "1.heic").write_bytes(b"something")
    assert "holds no image, but a/1.heic: must" in refused(lambda: list_images(tmp_path))
    for name in ("b,c.heic", "d", "e"):
        (tmp_path / name).write_bytes(b"something")
    said = refused(lambda: list_images(tmp_path))
    assert "holds no image, but 'b,c.heic', a/1.heic, d and 1 more: must" in said


def test_where_no_file_can_be_read_it_is_said_why(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    for name in ("a.png", "b.png"):
        (root / name).write_bytes(b"no image")
    why = refused(lambda: read_levels(root / "a.png", size=2, channels=3))
    assert "a.png cannot be read as an image" in why
    data = ImageFolder(root, size=2)
    for ask in (
        lambda: in_order(data),
        lambda: list(encode(root, tmp_path / "to", vae=tiny_vae(), image_size=8)),
    ):
        assert refused(ask).endswith(f"not one of its 2 images can be read; of the first: {why}")


def test_names_that_would_be_misread_in_a_list_are_in_quotes(tmp_path):
    root = image_folder(tmp_path, each=1)
    for name in ("owl, barn", "new\nline"):
        (root / name).mkdir()
        (root / name / "a.heic").write_bytes(b"something")
    with pytest.warns(DataWarning) as caught:
        ImageFolder(root, size=4)
    assert r"of 'new\nline (a.heic)', 'owl, barn (a.heic)', where" in str(caught[0].message)
