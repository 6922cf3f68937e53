"""Picture files read with what a device has: Pillow, OpenCV, or NumPy alone."""

from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.optional import require
from surgeon.runners.image import check_size, pixels_by_pillow


def decoder_of(path: Path) -> Callable[[], np.ndarray]:
    """Return what reads the pixels of a file, uint8[H, W, 3]; raise SurgeonError E108 where nothing can."""
    if path.name.lower().endswith(".npy"):
        return lambda: _of_array(path)
    try:
        pillow: Any = require("PIL.Image", "reading a picture")
        turning: Any = require("PIL.ImageOps", "reading a picture")
    except SurgeonError as lacking:
        try:
            opencv = require("cv2", "reading a picture")
        except SurgeonError:
            raise lacking from None
        return lambda: _by_opencv(opencv, path)
    if not hasattr(turning, "exif_transpose"):
        turning = _Turning(pillow)
    return lambda: pixels_by_pillow(pillow, turning, path)


class _Turning:
    """Turns pictures as their EXIF orientation says, for Pillow before 6.0."""

    _ORIENTATION = 274
    _WAYS = (
        "FLIP_LEFT_RIGHT",
        "ROTATE_180",
        "FLIP_TOP_BOTTOM",
        "TRANSPOSE",
        "ROTATE_270",
        "TRANSVERSE",
        "ROTATE_90",
    )
    """What undoes the orientations from 2 on."""

    def __init__(self, pillow: Any) -> None:
        self._ways: Mapping[Any, Any] = {
            number: getattr(pillow, name) for number, name in enumerate(self._WAYS, 2)
        }

    def exif_transpose(self, image: Any) -> Any:
        """Return the picture as it was taken."""
        tags = image._getexif() if hasattr(image, "_getexif") else None
        way = self._ways.get((tags or {}).get(self._ORIENTATION))
        return image if way is None else image.transpose(way)


def _of_array(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(str(path), allow_pickle=False)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"it is {array.dtype}{list(array.shape)}; expected uint8[H, W, 3]")
    return array


def _by_opencv(opencv: Any, path: Path) -> np.ndarray:
    # Files are read here: OpenCV says nothing of one that is not there.
    array = opencv.imdecode(np.frombuffer(path.read_bytes(), np.uint8), opencv.IMREAD_COLOR)
    if array is None:
        raise ValueError("OpenCV cannot decode it")
    check_size(array.shape[1], array.shape[0])
    return np.ascontiguousarray(array[..., ::-1])
