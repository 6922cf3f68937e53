"""What was detected in each picture, kept in files, so that an evaluation that was interrupted goes on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.atomic import make_folder, write_bytes
from surgeon.runners.detections import Detections

_FORMAT = 1
_COLUMNS = 6
"""ymin, xmin, ymax, xmax, score and class."""
_CHECKSUM = hashlib.sha256().digest_size


@dataclass(frozen=True, eq=False)
class Found:
    """What was detected in a picture of ``size``, its height and width in pixels."""

    detections: Detections
    size: tuple[int, int]


class KeptDetections:
    """The detections of one side: a file for each picture, named by its content.

    ``of`` is what the detections depend on besides the picture; other values have another folder. A file that
    is damaged counts as none. Nothing is read or written where ``folder`` is None.
    """

    def __init__(self, folder: Path | None, of: Mapping[str, Any]) -> None:
        text = json.dumps({"format": _FORMAT, **of}, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        self._folder = None if folder is None else folder / key
        self.damaged = 0
        if self._folder is not None:
            make_folder(self._folder)

    def load(self, picture: str) -> Found | None:
        """Return what is kept for a picture, by the digest of its content; None where nothing is."""
        if self._folder is None:
            return None
        try:
            data = (self._folder / picture).read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            self.damaged += 1
            return None
        if data[:_CHECKSUM] != hashlib.sha256(data[_CHECKSUM:]).digest():
            self.damaged += 1
            return None
        rows = np.lib.format.read_array(io.BytesIO(data[_CHECKSUM:]), allow_pickle=False)
        (height, width), rows = rows[0, :2].astype(int).tolist(), rows[1:]
        return Found(Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)), (height, width))

    def store(self, picture: str, found: Found) -> None:
        """Keep what was detected in a picture; raise SurgeonError E105 where the file cannot be written."""
        if self._folder is None:
            return
        each = found.detections
        rows = np.zeros((1 + len(each), _COLUMNS), np.float32)
        rows[0, :2] = found.size
        rows[1:, :4], rows[1:, 4], rows[1:, 5] = each.boxes, each.scores, each.classes
        content = io.BytesIO()
        np.lib.format.write_array(content, rows, allow_pickle=False)
        data = content.getvalue()
        write_bytes(self._folder / picture, hashlib.sha256(data).digest() + data, follow_links=False)


def digest_of(data: bytes) -> str:
    """Return the name under which a picture's detections are kept, by the bytes of its file."""
    return hashlib.sha256(data).hexdigest()
