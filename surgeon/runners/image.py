"""Pictures: from files, made up, and turned into what a network reads by a recipe's ``image``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.diagnostics import Span, SurgeonError, error
from surgeon.display import plural
from surgeon.infer.resizing import resize_bilinear, resize_nearest
from surgeon.language.recipe import BRIGHTNESS, Image, ImageStep, fitted_size
from surgeon.optional import require
from surgeon.runners.ahead import ahead
from surgeon.runners.detections import Window

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings of the files that are taken from a folder of pictures."""

MAX_PICTURES = 10_000
MAX_PIXELS = 100_000_000

CHANNELS = {"RGB": 3, "BGR": 3, "GRAY": 1}
"""Channels of the tensor that a picture becomes, by the image's ``color``."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture: ``pixels`` is uint8[H, W, 3], red first; ``name`` is its file, or says how it was made."""

    name: str
    pixels: np.ndarray
    file: Path | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as the network reads it.

    ``tensor`` is float32[1, h, w, C]. ``window`` is the part of it that the picture fills, all where it was
    stretched.
    """

    tensor: np.ndarray
    window: Window


def prepare(image: Image, pixels: np.ndarray, where: Span | None = None) -> Prepared:
    """Return uint8[H, W, 3] as ``image`` says: resized, its channels arranged, and the steps' arithmetic done
    in float32.

    The resizing is TensorFlow's, ``align_corners`` false: ``tf1-bilinear`` samples at ``i * H / h``,
    ``half-pixel-bilinear`` at ``(i + 0.5) * H / h - 0.5``, and ``nearest`` takes ``floor(i * H / h)``. With
    ``keep-aspect-ratio`` the picture is made as large as fits, and ``fill`` (by default 0) fills the rest on
    the right and below; with ``letterbox`` the picture stands in the middle, and 128 is the default. That
    happens before the steps or after them, as ``padding`` says. Raise SurgeonError V104 for a step with a
    number of values that is not the number of channels.
    """
    check_steps(image, where)
    inner, (top, left) = _placed(image, *pixels.shape[:2])
    values = resize(pixels[None], inner, image.interpolation)
    below, right = (
        whole - start - own for whole, start, own in zip(image.size, (top, left), inner, strict=True)
    )
    rest = ((0, 0), (top, below), (left, right), (0, 0))
    if image.padding != "after-steps":
        values = np.pad(values, rest, "constant", constant_values=image.filled)
    values = _arranged(values, image)
    for step in image.steps:
        values = _stepped(values, step)
    if image.padding == "after-steps":
        values = np.pad(values, rest, "constant", constant_values=image.filled)
    return Prepared(np.ascontiguousarray(values), window_of(image, *pixels.shape[:2]))


def window_of(image: Image, height: int, width: int) -> Window:
    """Return the part of the network's input that a picture of this size fills; see :func:`prepare`."""
    inner, (top, left) = _placed(image, height, width)
    whole = image.size
    return Window(inner[0] / whole[0], inner[1] / whole[1], top / whole[0], left / whole[1])


def _placed(image: Image, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size to which a picture is resized, and where its top left corner comes to stand."""
    inner = image.size
    if image.resize != "stretch":
        inner = fitted_size(image.size, height, width, image.rounding)
    top, left = (
        (whole - own) // 2 if image.resize == "letterbox" else 0
        for whole, own in zip(image.size, inner, strict=True)
    )
    return inner, (top, left)


def milliseconds_to_prepare(image: Image, pictures: int = 10) -> float:
    """Return the median time that :func:`prepare` takes for a picture of 375 x 500 pixels, on one thread."""
    pixels = np.random.RandomState(0).randint(0, 256, (375, 500, 3)).astype(np.uint8)
    times = []
    for _ in range(pictures):
        start = time.perf_counter()
        prepare(image, pixels)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def resize(pictures: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Return uint8 or float32[N, H, W, C] resized to ``size`` (height, width), float32[N, h, w, C]."""
    if interpolation == "nearest":
        nearest: np.ndarray = resize_nearest(pictures, size).astype(np.float32)
        return nearest
    return resize_bilinear(pictures, size, half_pixel=interpolation == "half-pixel-bilinear")


def gray(pixels: np.ndarray) -> np.ndarray:
    """Return uint8[H, W, 3] with the brightness of each pixel in all three channels, rounded half to even."""
    brightness = np.rint(pixels @ np.array(BRIGHTNESS, np.float32)).astype(np.uint8)
    return np.repeat(brightness[..., None], 3, axis=-1)


def _arranged(values: np.ndarray, image: Image) -> np.ndarray:
    if image.color == "BGR":
        return values[..., ::-1]
    if image.color == "GRAY":
        return (values @ np.array(image.brightness or BRIGHTNESS, np.float32))[..., None]
    return values


def _stepped(values: np.ndarray, step: ImageStep) -> np.ndarray:
    if step.scale is not None:
        return values * np.asarray(step.scale, np.float32)
    if step.subtract is not None:
        return values - np.asarray(step.subtract, np.float32)
    return values / np.asarray(step.divide, np.float32)


def check_steps(image: Image, where: Span | None = None) -> None:
    """Raise SurgeonError V104 for a step with a number of values that is not the number of channels."""
    channels = CHANNELS[image.color]
    for number, step in enumerate(image.steps, 1):
        for name, value in step:
            if isinstance(value, tuple) and len(value) not in (1, channels):
                raise error(
                    "V104",
                    f"step {number} of 'image' ({name}) has {len(value)} numbers; expected one, or one for "
                    "each "
                    f"of the {channels} channels of {image.color}",
                    where,
                    help=["give one number, or as many as there are channels"],
                )


def given_pictures(images: Path | Iterable[np.ndarray] | None, seed: int = 0) -> Iterator[Picture]:
    """Return the pictures of a file, a folder or arrays, one after the other; without any, one that is made
    from ``seed``.

    Raise SurgeonError V102 for a folder without pictures at once, V101 and V111 for a bad one when it is its
    turn.
    """
    if images is None:
        return iter((made_picture(seed),))
    if isinstance(images, Path):
        return map(read_picture, picture_files(images))
    return map(_of_array, range(MAX_PICTURES), images)


def listed(images: Any) -> list[Any]:
    """Return picture files, those of folders by name, or arrays, as they are; each file once.

    Raise SurgeonError V102 for a path that is not there, a folder without pictures, and for over 10,000
    pictures.
    """
    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    found: dict[Any, Any] = {}
    for number, one in enumerate(given):
        if isinstance(one, str | os.PathLike):
            found.update({path: path for path in picture_files(Path(one))})
        else:
            found[number] = one
    if not 0 < len(found) <= MAX_PICTURES:
        raise error(
            "V102",
            f"there are {plural(len(found), 'picture')}; expected 1 to {MAX_PICTURES}",
            help=["give some of them at a time"],
        )
    return list(found.values())


def opened(pictures: Sequence[Any], refused: Callable[[SurgeonError], None]) -> Iterator[Picture]:
    """Yield the pictures of :func:`listed`; files are read ahead, on threads.

    ``refused`` is called with what is wrong with a file that cannot be read (V101), which is passed over.
    Raise SurgeonError V111 for an array that is not a picture, E108 where Pillow is missing.
    """
    if not all(isinstance(one, Path) for one in pictures):
        yield from given_pictures(pictures)
        return
    for picture in ahead(_readable, pictures):
        if isinstance(picture, SurgeonError):
            refused(picture)
        else:
            yield picture


def _readable(path: Path) -> Picture | SurgeonError:
    """Return a picture, or why its file cannot be read."""
    try:
        return read_picture(path)
    except SurgeonError as exc:
        if exc.diagnostics[0].code != "V101":
            raise
        return exc


def _of_array(number: int, pixels: np.ndarray) -> Picture:
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 3
        or pixels.shape[2] != 3
        or not pixels.size
    ):
        found = (
            f"{pixels.dtype}{list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        )
        raise error(
            "V111", f"picture {number} is {found}; expected uint8[H, W, 3], red first", help=["convert it"]
        )
    return Picture(f"picture {number}", pixels)


def picture_files(place: Path) -> tuple[Path, ...]:
    """Return the picture files of a folder by name, or the one file that ``place`` is.

    Raise SurgeonError V102 for none.
    """
    if os.path.isfile(place):
        return (place,)
    try:
        names = sorted(entry.name for entry in place.iterdir())
    except OSError as exc:
        raise error(
            "V102", f"the pictures '{place}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    found = [place / name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    found = [path for path in found if os.path.isfile(path)]
    if not found:
        shown = ", ".join(f"'{name}'" for name in names[:5]) + (
            f" and {len(names) - 5} more" if len(names) > 5 else ""
        )
        raise error(
            "V102",
            f"the folder '{place}' holds no picture; expected files that end in {', '.join(SUFFIXES)}",
            notes=[f"it holds {shown}" if names else "it is empty"],
            help=["give another folder, or none: a picture is made then"],
        )
    if len(found) > MAX_PICTURES:
        raise error(
            "V102",
            f"the folder '{place}' holds {plural(len(found), 'picture')}; expected at most {MAX_PICTURES}",
            help=["give a folder with fewer"],
        )
    return tuple(found)


def read_picture(path: Path) -> Picture:
    """Read a picture file of any kind that Pillow knows, turned as its EXIF orientation says.

    Of 16 bits the upper 8 are taken, as TensorFlow's decoder does. Raise SurgeonError V101 where it cannot be
    read, has over 100 million pixels, or numbers for pixels of which nothing says which is white (floats, 32
    bits), and E108 where Pillow is missing.
    """
    pillow = require("PIL.Image", "reading a picture")
    turning = require("PIL.ImageOps", "reading a picture")
    return picture_of(path, lambda: pixels_by_pillow(pillow, turning, path))


def picture_of(path: Path, decode: Callable[[], np.ndarray]) -> Picture:
    """Return the picture of a file whose pixels ``decode`` returns; raise SurgeonError V101 if it fails."""
    try:
        pixels = decode()
    except Exception as exc:  # damaged files make Pillow raise nearly anything
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise error(
            "V101",
            f"the picture '{path}' cannot be read: {reason:.200}",
            help=["open it in a viewer and save it again, or take it away"],
        ) from None
    return Picture(str(path), pixels, path)


def pixels_by_pillow(pillow: Any, turning: Any, file: Any) -> np.ndarray:
    """Return the pixels of a picture as :func:`read_picture` reads them, by these modules of Pillow.

    ``file`` is a path, or a binary file that is open.
    """
    with pillow.open(file) as image:
        check_size(*image.size)
        bits, inverted = _gray_depth(image)
        turned = turning.exif_transpose(image)
        return _upper_byte(turned, bits, inverted) if bits else np.asarray(turned.convert("RGB"))


_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Modes of Pillow whose pixels it turns into red, green and blue of 8 bits each."""

_WIDE = ("image/png", "image/x-portable-anymap", "image/x-portable-graymap")
"""Kinds of files whose 16 bits Pillow holds in a mode of 32."""

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262


def _gray_depth(image: Any) -> tuple[int, bool]:
    """Return the bits of a gray picture with more than 8, 0 for others, and whether the value 0 is white.

    Raise ValueError for pixels of another kind.
    """
    in_wide_mode = image.mode == "I" and image.get_format_mimetype() in _WIDE
    if image.mode.startswith("I;16") or in_wide_mode:
        tags = getattr(image, "tag_v2", {})
        return tags.get(_BITS_PER_SAMPLE, (16,))[0], tags.get(_PHOTOMETRIC) == 0
    if image.mode not in _EIGHT_BITS:
        kind = {"F": "float numbers", "I": "integers of 32 bits"}.get(
            image.mode, f"of the kind '{image.mode}'"
        )
        raise ValueError(
            f"its pixels are {kind}, and nothing says which value is white; expected 8 or 16 bits for each "
            "channel"
        )
    return 0, False


def _upper_byte(image: Any, bits: int, inverted: bool) -> np.ndarray:
    """Return the upper 8 bits of a gray picture as uint8[H, W, 3]."""
    gray = (np.asarray(image).astype(np.uint32) >> (bits - 8)).astype(np.uint8)
    return np.repeat((255 - gray if inverted else gray)[..., None], 3, axis=2)


def check_size(width: int, height: int) -> None:
    """Raise ValueError for a picture without pixels, and for one that would take too much memory."""
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"it has {width} x {height} pixels; expected at most {MAX_PIXELS}")


def made_picture(seed: int = 0, height: int = 375, width: int = 500) -> Picture:
    """Return a picture with smooth and fine texture and some shapes in it, the same for the same seed."""
    return Picture(f"made, seed {seed}", _made_pixels(seed, height, width).copy())


@lru_cache(maxsize=4)
def _made_pixels(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    pixels = np.zeros((1, height, width, 3), np.float32)
    for cells in (2, 5, 12, 40, max(height, width)):
        coarse = random.random((1, cells, cells, 3), np.float32)
        pixels += resize(coarse, (height, width), "half-pixel-bilinear") / np.float32(np.sqrt(cells))
    pixels = 255 * (pixels - pixels.min()) / np.ptp(pixels)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for number in range(8):
        middle = random.uniform(0.1, 0.9, 2) * (height, width)
        radius = random.uniform(0.04, 0.25, 2) * min(height, width)
        apart = np.stack([(y - middle[0]) / radius[0], (x - middle[1]) / radius[1]])
        inside = np.abs(apart).max(axis=0) < 1 if number % 2 else np.square(apart).sum(axis=0) < 1
        pixels[0, inside] = 0.3 * pixels[0, inside] + 0.7 * random.uniform(0, 255, 3)
    rounded: np.ndarray = np.clip(np.rint(pixels[0]), 0, 255).astype(np.uint8)
    return rounded
