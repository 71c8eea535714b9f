from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryostat.cells.datasets.images import read_image, read_labels
from cryostat.core.errors import InputError

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
IDS = np.array([[0, 1, 2], [700, 700, 65_535]], np.uint16)


def test_png_gives_its_own_pixels(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert image[1, 2].tolist() == [15, 16, 17]
    np.testing.assert_array_equal(image, PIXELS)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_tif_whatever_its_compression(tmp_path: Path, compression: str | None) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), PIXELS)


def test_jpeg_is_an_image(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4), (200, 100, 150)).save(tmp_path / "a.jpg", quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (4, 8, 3)
    assert np.abs(image.astype(int) - [200, 100, 150]).max() <= 3


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    half = np.dstack([PIXELS, np.full((2, 3), 128, np.uint8)])
    Image.fromarray(half).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PIXELS)


def test_sixteen_bits_a_channel_are_kept_in_tif(tmp_path: Path) -> None:
    deep = PIXELS.astype(np.uint16) * 1000
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == np.uint16
    assert image.max() == 17_000
    np.testing.assert_array_equal(image, deep)


def test_sixteen_bit_colour_png_is_refused_rather_than_cut_to_eight(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + struct.pack(">6H", *range(6)) for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(InputError, match=r"16 bits a channel.*Save it as TIFF"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_images_without_three_colours_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="not a colour image"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_labels_keep_sixteen_bits(tmp_path: Path, ending: str) -> None:
    Image.fromarray(IDS).save(tmp_path / f"a.{ending}")
    labels = read_labels(tmp_path / f"a.{ending}")
    assert labels.dtype.kind in "ui"
    assert labels.tolist() == [[0, 1, 2], [700, 700, 65_535]]


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64])
def test_wide_labels_in_tif(tmp_path: Path, kind: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IDS.astype(kind) * 3)
    assert read_labels(tmp_path / "a.tif").tolist() == (IDS.astype(int) * 3).tolist()


def test_big_endian_labels_come_out_native(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IDS, byteorder=">")
    labels = read_labels(tmp_path / "a.tif")
    assert labels.dtype.isnative
    assert labels.tolist() == IDS.tolist()


def test_palette_labels_are_the_indices_not_the_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 5], [5, 2]], np.uint8)).convert("P")
    picture.putpalette([255, 0, 0] * 256)
    picture.save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 5], [5, 2]]


def test_black_and_white_labels_are_zero_and_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").tolist() == [[1, 0]]


def test_float_labels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"float32|floats"):
        read_labels(tmp_path / "a.tif")


def test_coloured_labels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="not one label a pixel"):
        read_labels(tmp_path / "a.png")


def test_jpeg_labels_are_refused_for_their_loss(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 3).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="changes label ids"):
        read_labels(tmp_path / "a.jpg")


def test_several_pages_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match="3 pages"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("read", [read_image, read_labels])
def test_what_is_missing_empty_or_no_image(tmp_path: Path, read) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("this is not a picture")
    (tmp_path / "folder.png").mkdir()
    for name, problem in {
        "gone.png": "does not exist",
        "empty.png": "is empty",
        "text.png": "is not an image",
        "folder.png": "is a folder",
    }.items():
        with pytest.raises(InputError, match=problem) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_truncated_images_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"damaged|not an image"):
        read_image(path)


@pytest.mark.filterwarnings("ignore")
def test_flipped_bytes_never_end_in_an_error_of_a_library(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, write in {
        "a.png": lambda path: Image.fromarray(PIXELS).save(path),
        "b.tif": lambda path: tifffile.imwrite(path, IDS.astype(np.int64)),
        "c.jpg": lambda path: Image.fromarray(PIXELS).save(path),
    }.items():
        path = tmp_path / name
        write(path)
        good = path.read_bytes()
        for _ in range(100):
            data = bytearray(good)
            for at in rng.integers(0, len(data), 3):
                data[at] = rng.integers(256)
            path.write_bytes(data)
            try:
                (read_labels if name == "b.tif" else read_image)(path)
            except InputError:
                continue
