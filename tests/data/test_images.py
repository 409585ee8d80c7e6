"""Folders of images: which files are read, which pixels, and what cannot be read."""

import os
import random
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fpdm.data import ImageFolder
from fpdm.data.pixels import read_pixels, square
from tests.data.pictures import image_folder, picture, refused, save
from tests.data.reading import arrange, in_order

# which files


def names(data: ImageFolder) -> list[str]:
    return list(data.listing.files)


def test_files_are_found_at_any_depth_and_sorted_by_name(tmp_path):
    wanted = ["a/1.PNG", "a/10.png", "a/2.jpeg", "a/deep/er/0.WebP", "b/0.jpg"]
    for name in wanted[::-1]:
        save(tmp_path / name)
    for other in ("a/.hidden.png", ".hidden/a.png", "a/readme.txt", "empty/notes.md"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("no image")
    data = ImageFolder(tmp_path, size=4)
    assert names(data) == wanted
    assert data.listing.labels == (0, 0, 0, 0, 1)
    assert data.shape.class_names == {0: "a", 1: "b"}


def test_the_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    root = image_folder(tmp_path)
    usual = ImageFolder(root, size=4).listing
    scan = os.scandir

    class Shuffled:
        def __init__(self, folder):
            self.entries = list(scan(folder))
            random.Random(1).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert ImageFolder(root, size=4).listing == usual


def test_without_folders_there_are_no_classes(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    data = ImageFolder(tmp_path, size=4)
    assert (data.shape.num_classes, data.shape.class_names) == (0, {})
    assert in_order(data).labels.tolist() == [0, 0, 0]


def test_images_beside_folders_of_classes_are_refused(tmp_path):
    save(image_folder(tmp_path) / "loose.png")
    said = refused(lambda: ImageFolder(tmp_path, size=4))
    assert "holds loose.png beside cat/0.png" in said


def test_a_folder_without_an_image_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("")
    assert "holds no image" in refused(lambda: ImageFolder(tmp_path, size=4))


def test_a_link_back_to_its_own_folder_is_not_followed_for_ever(tmp_path):
    image_folder(tmp_path / "root")
    (tmp_path / "root" / "cat" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "elsewhere").mkdir()
    save(tmp_path / "elsewhere" / "0.png")
    (tmp_path / "root" / "fox").symlink_to(tmp_path / "elsewhere")
    data = ImageFolder(tmp_path / "root", size=4)
    assert len(data) == 13
    assert data.shape.class_names[3] == "fox"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "size=0: must be a whole number ≥ 1"),
        ({"size": 8.0}, "size=8.0"),
        ({"size": 8, "channels": 4}, "channels=4: must be 1 (grey) or 3 (colours)"),
        ({"size": 8, "flip": 1}, "flip=1: must be true or false"),
        ({"size": 8, "strict": "no"}, "strict='no': must be true or false"),
    ],
)
def test_an_option_of_images_that_is_not_allowed_is_refused(sources, options, said):
    assert said in refused(lambda: ImageFolder(sources / "images", **options))


# which pixels


def resampled(lines: np.ndarray, count: int, kernel, support: float) -> np.ndarray:
    """Resample each row to `count` values, each a weighted mean of the old ones near it."""
    places, scale = np.arange(lines.shape[1]), lines.shape[1] / count
    width = max(scale, 1)  # an enlarging filter is not widened
    weights = np.zeros((count, len(places)))
    for row, centre in zip(weights, (np.arange(count) + 0.5) * scale, strict=True):
        first, end = (int(max(0, centre + side * width + 0.5)) for side in (-support, support))
        near = places[first:end]
        row[near] = kernel((near - centre + 0.5) / width)
        row /= row.sum()
    return lines @ weights.T


def box(x: np.ndarray) -> np.ndarray:
    return ((x > -0.5) & (x <= 0.5)).astype(float)


def bicubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981 with a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def shrunk(image: np.ndarray, width: int, height: int, kernel, support: float) -> np.ndarray:
    wide = resampled(image, width, kernel, support)
    return resampled(wide.T, height, kernel, support).T


def reference_square(image: np.ndarray, size: int) -> np.ndarray:
    while min(image.shape) >= 2 * size:
        height, width = image.shape
        image = shrunk(image, width // 2, height // 2, box, 0.5)
    scale = size / min(image.shape)
    height, width = (round(side * scale) for side in image.shape)
    image = shrunk(image, width, height, bicubic, 2)
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(0, 99))
@settings(max_examples=60)
def test_an_image_is_cut_and_resized_as_written_here(width, height, size, seed):
    image = picture(seed, width=width, height=height, mode="L").point(lambda level: 64 + level / 2)
    cut = np.asarray(square(image, size)).astype(float)
    assert cut.shape == (size, size)
    expected = reference_square(np.asarray(image).astype(float), size)
    assert np.abs(cut - expected).max() < 4  # each pass over rows or columns rounds to a level


def test_pixels_of_the_right_size_are_kept_as_they_are(tmp_path):
    path = save(tmp_path / "a.png", width=6, height=6)
    pixels = read_pixels(path, size=6, channels=3)
    levels = torch.from_numpy(np.array(picture(width=6, height=6))).permute(2, 0, 1)
    assert torch.equal(((pixels + 1) * 127.5).round(), levels.float())
    assert pixels.abs().max() <= 1


def test_the_middle_is_kept(tmp_path):
    image = Image.new("RGB", (30, 10), "black")
    image.paste("white", (10, 0, 20, 10))
    image.save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png", size=10, channels=3)[:, :, 1:-1] == 1).all()


def grey_levels(path, **options) -> torch.Tensor:
    pixels = read_pixels(path, **({"size": 6, "channels": 1} | options))
    return ((pixels + 1) * 127.5).round().int()


def test_nothing_is_seen_through_to_white(tmp_path):
    for mode, clear in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        Image.new(mode, (6, 6), clear).save(tmp_path / "clear.png")
        assert (grey_levels(tmp_path / "clear.png") == 255).all()
    palette = Image.new("P", (6, 6), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert (grey_levels(tmp_path / "palette.png") == 255).all()
    palette.save(tmp_path / "palette.png")
    assert (grey_levels(tmp_path / "palette.png") == 0).all()
    Image.new("RGBA", (6, 6), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert (grey_levels(tmp_path / "half.png", channels=3) == 127).all()


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.linspace(0, 65535, 36).astype(np.uint16).reshape(6, 6)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(grey_levels(tmp_path / "deep.png")[0], np.round(deep / 257))


def test_an_image_is_turned_as_its_camera_says(tmp_path):
    upright = picture(width=6, height=6)
    for orientation, stored in (
        (3, upright.transpose(Image.Transpose.ROTATE_180)),
        (6, upright.transpose(Image.Transpose.ROTATE_90)),
        (8, upright.transpose(Image.Transpose.ROTATE_270)),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(tmp_path / "turned.png", exif=exif)
        upright.save(tmp_path / "upright.png")
        turned = grey_levels(tmp_path / "turned.png", channels=3)
        assert torch.equal(turned, grey_levels(tmp_path / "upright.png", channels=3))


def test_every_format_and_mode_is_read(tmp_path):
    for suffix in ("png", "jpg", "jpeg", "webp"):
        picture().save(tmp_path / f"a.{suffix}")
    picture().convert("CMYK").save(tmp_path / "b.jpg")
    picture().convert("1").save(tmp_path / "b.png")
    picture(mode="RGBA").save(tmp_path / "c.webp")
    batch = in_order(ImageFolder(tmp_path, size=5, strict=True))
    assert batch.images.shape == (7, 3, 5, 5)


def test_half_of_the_samples_are_mirrored_and_none_without_flip(tmp_path):
    save(tmp_path / "a.png")
    many = 400
    zeros, seeds = torch.zeros(many, dtype=torch.int64), torch.arange(many)
    plain = ImageFolder(tmp_path, size=4, flip=False).batch(zeros, seeds).images
    assert (plain == plain[0]).all()
    flipped = ImageFolder(tmp_path, size=4).batch(zeros, seeds).images
    same = [torch.equal(image, plain[0]) for image in flipped]
    mirrored = [torch.equal(image, plain[0].flip(-1)) for image in flipped]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 160 < sum(same) < 240


# what cannot be read


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def whole_file(suffix: str, tmp_path) -> bytes:
    path = tmp_path / f"whole.{suffix}"
    picture(width=40, height=40).save(path)
    content = path.read_bytes()
    path.unlink()
    return content


UNREADABLE = {
    "empty": lambda _: b"",
    "text": lambda _: b"this is no image",
    "bomb": lambda _: bomb(60_000, 60_000),
    "of an unread kind": lambda tmp_path: whole_file("tga", tmp_path),
    **{
        f"{suffix} cut at {share:.0%}": lambda tmp_path, suffix=suffix, share=share: (
            lambda content: content[: int(share * len(content))]
        )(whole_file(suffix, tmp_path))
        for suffix in ("png", "jpg", "webp")
        for share in (0.01, 0.1, 0.3, 0.6, 0.9)
    },
}


@pytest.mark.parametrize("damage", UNREADABLE)
def test_the_next_image_takes_the_place_of_one_that_cannot_be_read(damage, tmp_path):
    content = UNREADABLE[damage](tmp_path)
    root = image_folder(tmp_path / "root", each=2, classes=("a", "b"))
    bad = root / "a" / "1.png"
    bad.write_bytes(content)
    data = ImageFolder(root, size=4, flip=False)
    batch = in_order(data)
    assert batch.unreadable == (str(bad),)
    assert batch.labels.tolist() == [0, 1, 1, 1]
    assert torch.equal(batch.images[1], batch.images[2])
    said = refused(lambda: in_order(ImageFolder(root, size=4, strict=True)))
    assert str(bad) in said


def test_the_first_image_follows_the_last(tmp_path):
    root = image_folder(tmp_path, each=1)
    (root / "eel" / "0.png").write_bytes(b"")
    batch = ImageFolder(root, size=4).batch(arrange(2), arrange(0))
    assert batch.labels.tolist() == [0]


def test_an_image_that_is_gone_or_too_long_is_unreadable(tmp_path):
    root = image_folder(tmp_path, each=2)
    data = ImageFolder(root, size=300)
    (root / "cat" / "0.png").unlink()
    save(root / "cat" / "1.png", width=1, height=1_500)  # would be 300 × 450 000
    batch = data.batch(arrange(0), arrange(0))
    assert batch.unreadable == (str(root / "cat" / "0.png"), str(root / "cat" / "1.png"))
    assert batch.labels.tolist() == [1]


def test_where_nothing_can_be_read_there_is_no_batch(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"")
    data = ImageFolder(tmp_path, size=4)
    said = refused(lambda: data.batch(arrange(1), arrange(0)))
    assert "not one of its 3 images can be read" in said
