"""Pictures: resized as TensorFlow does, read from files, made up, and prepared as a recipe's ``image`` says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from surgeon import SurgeonError
from surgeon.language import Image, ImageStep
from surgeon.runners.image import given_pictures, made_picture, picture_files, prepare, read_picture, resize

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
    gray = prepare(Image(size=(2, 2), color="GRAY"), source).tensor
    assert gray.shape == (1, 2, 2, 1) and gray[0, 0, 0, 0] == pytest.approx(
        0.299 * 10 + 0.587 * 100 + 0.114 * 200
    )


def test_the_aspect_ratio_is_kept_and_the_rest_is_zero() -> None:
    source = np.full((100, 200, 3), 255, np.uint8)
    found = prepare(
        Image(size=(300, 300), resize="keep-aspect-ratio", steps=(ImageStep(subtract=1.0),)), source
    )
    assert found.window == (0.5, 1.0)
    assert (found.tensor[0, :150] == 254).all() and (found.tensor[0, 150:] == -1).all()
    assert prepare(Image(size=(300, 300)), source).window == (1.0, 1.0)


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
    one, again, other = made_picture(1), made_picture(1), made_picture(2)
    assert one.pixels.dtype == np.uint8 and one.pixels.shape == (375, 500, 3) and "made" in one.name
    np.testing.assert_array_equal(one.pixels, again.pixels)
    assert (one.pixels != other.pixels).mean() > 0.5
    # Texture: neighbours differ, and so do the corners.
    assert np.abs(np.diff(one.pixels.astype(int), axis=1)).mean() > 1 and one.pixels.std() > 20


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
