"""Drawn detections, small enough to stand in a page."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from surgeon.optional import require

MOST = 6
"""Pictures that a page holds."""

_WIDEST = 1000
_FINE = 150_000
_ROOM = 400_000
"""Bytes up to which a picture is taken as it is, and above which it is left out where it cannot be made
smaller.
"""
_READ = 64_000_000
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class PageImage:
    """A picture as a ``data:`` address; ``problem`` says why there is none."""

    name: str
    address: str = ""
    problem: str = ""


def page_images(paths: Sequence[str], beside: Path | None = None) -> tuple[PageImage, ...]:
    """Return the first pictures of some files, which may have moved to the folder ``beside``."""
    images = [_page_image(Path(path), beside) for path in paths[:MOST]]
    left = len(paths) - MOST
    if left > 0:
        images.append(PageImage(f"{left} more", problem=f"only {MOST} pictures are shown"))
    return tuple(images)


def _page_image(path: Path, beside: Path | None) -> PageImage:
    candidates = [path, *([beside / path, beside / path.name] if beside is not None else [])]
    file = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if file is None:
        return PageImage(path.name, problem="the file is not there any more")
    try:
        if file.stat().st_size > _READ:
            return PageImage(path.name, problem="the file is too large")
        data = file.read_bytes()
    except OSError as exc:
        return PageImage(path.name, problem=f"the file cannot be read: {exc.strerror or exc}")
    kind = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), "")
    if not kind:
        return PageImage(path.name, problem="the file is neither PNG nor JPEG")
    if len(data) > _FINE:
        data, kind = _smaller(data) or (data, kind)
    if len(data) > _ROOM:
        return PageImage(path.name, problem="it is too large to be put into the page")
    return PageImage(path.name, f"data:{kind};base64,{base64.b64encode(data).decode()}")


def _smaller(data: bytes) -> tuple[bytes, str] | None:
    """Return a picture as JPEG, at most ``_WIDEST`` pixels wide.

    Return None where Pillow is missing or cannot read it.
    """
    try:
        images = require("PIL.Image", "making pictures smaller")
        image = images.open(io.BytesIO(data)).convert("RGB")
        image.thumbnail((_WIDEST, _WIDEST))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80, optimize=True)
    except Exception:  # Pillow is an extra, and raises anything for a damaged file
        return None
    return out.getvalue(), "image/jpeg"
