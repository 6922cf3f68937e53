"""Generated pictures with their shapes as a dataset, in the form of COCO."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

from surgeon.atomic import make_folder, write_bytes, write_text
from surgeon.optional import require
from surgeon.zoo.demo.pictures import CLASSES, make_picture

ANNOTATIONS = "annotations.json"


def write_dataset(folder: str | os.PathLike[str], count: int, seed: int) -> Path:
    """Write the pictures 0 to ``count`` - 1 of a seed as PNG files, and what they show as COCO's JSON; return
    the JSON file.

    The pictures stand in the folder of that file. Raise SurgeonError E105 where a file cannot be written and
    E108 where Pillow is missing.
    """
    here = make_folder(Path(folder))
    images = require("PIL.Image", "writing pictures")
    entries: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for index in range(count):
        picture = make_picture(seed, index)
        height, width = picture.pixels.shape[:2]
        name = f"{seed}-{index:05}.png"
        data = io.BytesIO()
        images.fromarray(picture.pixels).save(data, "PNG")
        write_bytes(here / name, data.getvalue(), follow_links=False)
        entries.append({"id": index + 1, "file_name": name, "height": height, "width": width})
        boxes = picture.boxes.astype(float) * (height, width, height, width)
        for (top, left, bottom, right), label in zip(boxes.tolist(), picture.labels.tolist(), strict=True):
            box = [left, top, right - left, bottom - top]
            row = {"id": len(rows) + 1, "image_id": index + 1, "category_id": label, "bbox": box}
            rows.append({**row, "area": box[2] * box[3], "iscrowd": 0})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    content = {"images": entries, "annotations": rows, "categories": categories}
    write_text(here / ANNOTATIONS, json.dumps(content, indent=1) + "\n", follow_links=False)
    return here / ANNOTATIONS
