"""Pictures: resized as TensorFlow does, read from files, made up, and prepared as a recipe's ``image`` says."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from surgeon import SurgeonError
from surgeon.language import Image, ImageStep
from surgeon.runners.detections import WHOLE, Detections, Window
from surgeon.runners.image import (
    _made_pixels,
    given_pictures,
    made_picture,
    picture_files,
    prepare,
    read_picture,
    resize,
)

SIZES = [(300, 300), (640, 480), (17, 33), (375, 500), (1, 1)]


def pixels(height: int = 375, width: int = 500) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)


def code_of(exc: pytest.ExceptionInfo[SurgeonError]) -> str:
    return exc.value.diagnostics[0].code


@pytest.fixture(scope="module")
def raw_ops():
    """Give TensorFlow's operations."""
    return pytest.importorskip("tensorflow", reason="TensorFlow is the referee").raw_ops


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("interpolation", "half_pixel"), [("tf1-bilinear", False), ("half-pixel-bilinear", True)]
)
def test_bilinear_is_that_of_tensorflow(
    raw_ops, size: tuple[int, int], interpolation: str, half_pixel: bool
) -> None:
    source = pixels()[None]
    expected = raw_ops.ResizeBilinear(
        images=source, size=size, align_corners=False, half_pixel_centers=half_pixel
    ).numpy()
    np.testing.assert_allclose(resize(source, size, interpolation), expected, rtol=0, atol=1e-5)
    if size != source.shape[1:3]:
        other = raw_ops.ResizeBilinear(
            images=source, size=size, align_corners=False, half_pixel_centers=not half_pixel
        ).numpy()
        assert np.abs(resize(source, size, interpolation) - other).max() > 1


@pytest.mark.parametrize("size", SIZES)
def test_nearest_is_that_of_tensorflow(raw_ops, size: tuple[int, int]) -> None:
    source = pixels()[None]
    expected = raw_ops.ResizeNearestNeighbor(
        images=source, size=size, align_corners=False, half_pixel_centers=False
    ).numpy()
    np.testing.assert_array_equal(resize(source, size, "nearest"), expected)


def test_one_resizing_by_hand() -> None:
    """Two columns become four: positions 0, 0.5, 1, 1.5 without pixel centres, -0.25, 0.25, 0.75, 1.25 with."""
    source = np.zeros((1, 1, 2, 1), np.uint8)
    source[0, 0, 1] = 100
    assert resize(source, (1, 4), "tf1-bilinear").ravel().tolist() == [0, 50, 100, 100]
    assert resize(source, (1, 4), "half-pixel-bilinear").ravel().tolist() == [0, 25, 75, 100]
    assert resize(source, (1, 4), "nearest").ravel().tolist() == [0, 0, 100, 100]


def test_the_steps_are_done_in_order() -> None:
    steps = (ImageStep(scale=0.5), ImageStep(subtract=(1.0, 2.0, 3.0)), ImageStep(divide=4.0))
    found = prepare(Image(size=(2, 2), steps=steps), np.full((2, 2, 3), 40, np.uint8)).tensor
    assert found.dtype == np.float32 and found.shape == (1, 2, 2, 3)
    assert found[0, 0, 0].tolist() == [4.75, 4.5, 4.25]
    backwards = prepare(Image(size=(2, 2), steps=steps[::-1]), np.full((2, 2, 3), 40, np.uint8)).tensor
    assert not np.allclose(found, backwards)


def test_channels_are_arranged() -> None:
    source = np.zeros((2, 2, 3), np.uint8)
    source[..., 0], source[..., 1], source[..., 2] = 10, 100, 200
    assert prepare(Image(size=(2, 2)), source).tensor[0, 0, 0].tolist() == [10, 100, 200]
    assert prepare(Image(size=(2, 2), color="BGR"), source).tensor[0, 0, 0].tolist() == [200, 100, 10]
    shares = prepare(Image(size=(2, 2), color="GRAY", brightness=(0.0, 1.0, 0.0)), source).tensor
    assert np.array_equal(shares[..., 0], source[None, ..., 1])
    gray = prepare(Image(size=(2, 2), color="GRAY"), source).tensor
    assert gray.shape == (1, 2, 2, 1) and gray[0, 0, 0, 0] == pytest.approx(
        0.299 * 10 + 0.587 * 100 + 0.114 * 200
    )


def test_the_aspect_ratio_is_kept_and_the_rest_is_zero() -> None:
    source = np.full((100, 200, 3), 255, np.uint8)
    found = prepare(
        Image(size=(300, 300), resize="keep-aspect-ratio", steps=(ImageStep(subtract=1.0),)), source
    )
    assert found.window == Window(0.5, 1.0)
    assert (found.tensor[0, :150] == 254).all() and (found.tensor[0, 150:] == -1).all()
    assert prepare(Image(size=(300, 300)), source).window == WHOLE


@pytest.mark.parametrize("fill", [None, 30.0])
def test_a_letterbox_has_the_picture_in_the_middle(fill: float | None) -> None:
    source = np.full((101, 200, 3), 255, np.uint8)
    image = Image.model_validate(
        {"size": [300, 300], "resize": "letterbox", "fill": fill, "steps": [{"divide": 255}]}
    )
    found = prepare(image, source)
    assert found.window == Window(152 / 300, 1.0, 74 / 300, 0.0)
    assert (found.tensor[0, 74:226] == 1).all()
    border = np.float32(128 if fill is None else fill) / 255
    assert (found.tensor[0, :74] == border).all() and (found.tensor[0, 226:] == border).all()
    whole = Detections(
        np.array([[74 / 300, 0.25, 226 / 300, 0.5], [0.1, 0.0, 0.5, 1.0]], np.float32),
        np.ones(2, np.float32),
        np.zeros(2, np.int64),
    )
    boxes = whole.within(found.window).boxes
    np.testing.assert_allclose(boxes, [[0, 0.25, 1, 0.5], [0, 0, 0.5, 1]], atol=1e-6)


def test_a_fill_needs_a_place() -> None:
    with pytest.raises(ValidationError, match="'fill' means nothing with 'resize: stretch'"):
        Image.model_validate({"size": [300, 300], "fill": 30})
    with pytest.raises(ValidationError, match="not finite"):
        Image.model_validate({"size": [300, 300], "resize": "letterbox", "fill": float("nan")})


@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1), (333, 500), (300, 300)])
def test_a_kept_aspect_ratio_fits(shape: tuple[int, int]) -> None:
    found = prepare(Image(size=(300, 200), resize="keep-aspect-ratio"), pixels(*shape))
    assert found.tensor.shape == (1, 300, 200, 3)
    assert 0 < found.window[0] <= 1 and 0 < found.window[1] <= 1 and 1.0 in found.window


def test_too_many_numbers_are_refused() -> None:
    for color, numbers in (("RGB", (1.0, 2.0)), ("GRAY", (1.0, 2.0, 3.0))):
        with pytest.raises(SurgeonError, match="channels") as exc:
            prepare(Image(size=(2, 2), color=color, steps=(ImageStep(subtract=numbers),)), pixels(4, 4))  # type: ignore[arg-type]
        assert code_of(exc) == "V104"


def test_a_made_picture_is_the_same_for_its_seed() -> None:
    one, other = made_picture(1), made_picture(2)
    _made_pixels.cache_clear()
    again = made_picture(1)
    assert one.pixels.dtype == np.uint8 and one.pixels.shape == (375, 500, 3) and "made" in one.name
    np.testing.assert_array_equal(one.pixels, again.pixels)
    assert (one.pixels != other.pixels).mean() > 0.5
    # Texture: neighbours differ, and so do the corners.
    assert np.abs(np.diff(one.pixels.astype(int), axis=1)).mean() > 1 and one.pixels.std() > 20


def test_a_made_picture_that_is_changed_changes_no_other() -> None:
    expected = made_picture(1).pixels
    made_picture(1).pixels[:] = 0
    np.testing.assert_array_equal(made_picture(1).pixels, expected)


def save(path: Path, array: np.ndarray) -> Path:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the pictures")
    pillow.fromarray(array).save(path)
    return path


def test_files_are_read_by_name(tmp_path: Path) -> None:
    source = pixels(20, 30)
    save(tmp_path / "b.png", source)
    save(tmp_path / "a.bmp", source)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in picture_files(tmp_path)] == ["a.bmp", "b.png"]
    found = list(given_pictures(tmp_path))
    assert [Path(picture.name).name for picture in found] == ["a.bmp", "b.png"]
    for picture in found:
        np.testing.assert_array_equal(picture.pixels, source)
    assert [p.file for p in given_pictures(tmp_path / "b.png")] == [tmp_path / "b.png"]


def test_gray_and_transparent_files_become_three_channels(tmp_path: Path) -> None:
    save(tmp_path / "gray.png", pixels(4, 5)[..., 0])
    save(tmp_path / "alpha.png", np.dstack([pixels(4, 5), np.full((4, 5), 9, np.uint8)]))
    assert [p.pixels.shape for p in given_pictures(tmp_path)] == [(4, 5, 3), (4, 5, 3)]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.png", pixels(64, 64)).read_bytes()
    for name, data in (
        ("empty.png", b""),
        ("text.png", b"no picture"),
        ("cut.png", whole[: len(whole) // 2]),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SurgeonError) as exc:
            read_picture(tmp_path / name)
        assert code_of(exc) == "V101" and name in exc.value.diagnostics[0].message


def test_a_folder_without_pictures_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SurgeonError) as exc:
            given_pictures(place)
        assert code_of(exc) == "V102"


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        [[1]],
    ],
)
def test_an_array_that_is_no_picture(array) -> None:
    with pytest.raises(SurgeonError) as exc:
        list(given_pictures([pixels(4, 4), array]))
    assert code_of(exc) == "V111" and "picture 1" in exc.value.diagnostics[0].message


def tiff(path: Path, values: np.ndarray, bits: int = 16, photometric: int = 1, kind: int = 1) -> Path:
    """Write a gray TIFF file: ``photometric`` 0 has white at 0, ``kind`` is 1 for unsigned and 2 for signed."""
    height, width = values.shape
    if bits == 12:
        rows = ("".join(f"{int(value):03x}" for value in row) for row in values)
        data = b"".join(bytes.fromhex(row + "0" * (len(row) % 2)) for row in rows)
    else:
        data = values.astype("<u2").tobytes()
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(data)),
        (339, 3, kind),
    ]
    start = 8 + len(data)
    packed = b"".join(struct.pack("<HHII", tag, type_, 1, value) for tag, type_, value in entries)
    table = struct.pack("<H", len(entries)) + packed + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + data + table)
    return path


def png(path: Path, values: np.ndarray) -> Path:
    """Write uint16[H, W, C] as a PNG file of 16 bits for each channel; C is 1 to 4."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


RAMP = np.linspace(0, 65535, 7 * 11).round().astype(np.uint16).reshape(7, 11)


def gray(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def test_of_16_bits_the_upper_8_are_taken(tmp_path: Path) -> None:
    right = gray(RAMP >> 8)
    assert right.min() == 0 and right.max() == 255 and len(np.unique(right)) > 70
    np.testing.assert_array_equal(read_picture(png(tmp_path / "a.png", RAMP[..., None])).pixels, right)
    np.testing.assert_array_equal(read_picture(tiff(tmp_path / "a.tif", RAMP)).pixels, right)
    (tmp_path / "a.pgm").write_bytes(b"P5 11 7 65535\n" + RAMP.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_picture(tmp_path / "a.pgm").pixels, right)
    twelve = tiff(tmp_path / "twelve.tif", RAMP >> 4, bits=12)
    np.testing.assert_array_equal(read_picture(twelve).pixels, right)
    white_first = tiff(tmp_path / "white.tif", RAMP, photometric=0)
    np.testing.assert_array_equal(read_picture(white_first).pixels, 255 - right)
    coloured = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1], RAMP], axis=2)
    for channels in (3, 4):
        path = png(tmp_path / f"colour-{channels}.png", coloured[..., :channels])
        np.testing.assert_array_equal(read_picture(path).pixels, coloured[..., :3] >> 8)
    with_alpha = png(tmp_path / "alpha.png", np.stack([RAMP, RAMP], axis=2))
    np.testing.assert_array_equal(read_picture(with_alpha).pixels, right)


def test_of_16_bits_those_of_tensorflow_s_decoder_are_taken(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    for channels in (1, 3):
        path = png(tmp_path / f"{channels}.png", np.stack([RAMP] * channels, axis=2))
        decoded = tensorflow.io.decode_png(path.read_bytes(), channels=3).numpy()
        np.testing.assert_array_equal(read_picture(path).pixels, decoded)


def test_pixels_that_do_not_say_which_is_white_are_refused(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 77, dtype=np.float32).reshape(7, 11)
    save(tmp_path / "float.tif", ramp)
    save(tmp_path / "integer.tif", (ramp * 2**20).astype(np.int32))
    tiff(tmp_path / "signed.tif", RAMP >> 1, kind=2)
    for name, kind in (("float", "float numbers"), ("integer", "32 bits"), ("signed", "32 bits")):
        with pytest.raises(SurgeonError) as exc:
            read_picture(tmp_path / f"{name}.tif")
        message = exc.value.diagnostics[0].message
        assert code_of(exc) == "V101" and kind in message and "8 or 16 bits" in message


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_a_picture_is_turned_as_its_orientation_says(suffix: str, orientation: int, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    source = np.zeros((24, 40, 3), np.uint8)
    source[:8, :8] = (255, 0, 0)
    source[:8, -16:] = (0, 255, 0)
    source[-8:, :24] = (0, 0, 255)
    exif = image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"a{suffix}"
    image.fromarray(source).save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    found = read_picture(path).pixels
    right = TURNED[orientation](source)
    assert found.shape == right.shape
    # JPEG is not exact; any other orientation differs by more.
    assert np.abs(found.astype(int) - right).mean() <= (12 if suffix == ".jpg" else 0)
    others = [turn(source) for number, turn in TURNED.items() if number != orientation]
    same_shape = [other for other in others if other.shape == found.shape]
    assert all(np.abs(found.astype(int) - other).mean() > 24 for other in same_shape)


def test_a_gray_picture_of_16_bits_is_turned_too(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x112] = 6
    image.fromarray(RAMP).save(tmp_path / "a.png", exif=exif)
    found = read_picture(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(found, gray(np.rot90(RAMP >> 8, -1)))
