"""Pictures for the calibration of INT8 engines, prepared as the engine will see them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from surgeon.diagnostics import error
from surgeon.display import plural
from surgeon.engine import CalibrationBatches, TensorInfo
from surgeon.language import Image
from surgeon.runners.image import Picture, given_pictures, picture_files, prepare, read_picture

MOST = 500
"""Pictures that are taken unless another number is asked for: entropies of more change little."""


def calibration_batches(
    pictures: Path | Sequence[np.ndarray],
    image: Image | None,
    inputs: Sequence[TensorInfo],
    batch_size: int,
    most: int = MOST,
) -> CalibrationBatches:
    """Return the batches that a calibrator reads: the first ``most`` pictures of a folder by name, or of
    arrays.

    Only whole batches are used. Raise SurgeonError V101, V102, V111 for the pictures, B110 where it is not
    known how a picture becomes the input, where the network has several inputs, and where there are fewer
    pictures than a batch has.
    """
    if image is None or len(inputs) != 1:
        what = "its recipe has no 'image'" if image is None else f"it has {plural(len(inputs), 'input')}"
        raise error(
            "B110",
            f"the network cannot be calibrated on pictures: {what}; expected one input that a picture "
            "becomes",
            help=["build from a recipe with an 'image', or give a calibration cache"],
        )
    files = picture_files(pictures)[:most] if isinstance(pictures, Path) else ()
    arrays = (
        [] if isinstance(pictures, Path) else [one.pixels for one in given_pictures(list(pictures)[:most])]
    )
    count = (len(files) or len(arrays)) // batch_size
    if not count:
        raise error(
            "B110",
            f"there are {len(files) or len(arrays)} pictures; expected at least {batch_size}, the batch",
            help=["give more pictures, or a smaller --batch"],
        )
    used = count * batch_size

    def picture(number: int) -> Picture:
        return read_picture(files[number]) if files else Picture(f"picture {number}", arrays[number])

    def batch(number: int) -> list[np.ndarray]:
        taken = range(number * batch_size, (number + 1) * batch_size)
        values = np.concatenate([prepare(image, picture(i).pixels).tensor for i in taken])
        return [np.ascontiguousarray(values.transpose(inputs[0].axes) if inputs[0].axes else values)]

    # Tables that were made before images had these keys stay valid.
    left_out = {key for key in ("brightness", "fill", "padding") if getattr(image, key) is None}
    digest = hashlib.sha256(f"{image.model_dump_json(exclude=left_out)} {batch_size}".encode())
    for number in range(used):
        digest.update(
            hashlib.sha256(files[number].read_bytes() if files else arrays[number].tobytes()).digest()
        )
    return CalibrationBatches(used, batch_size, count, digest.hexdigest(), batch)
