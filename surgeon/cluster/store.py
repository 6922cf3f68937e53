"""What jobs made, by the key of all that it depends on: a folder, or any file system that fsspec reaches.

An object is ``objects/KE/KEY``: one or more folders of files, and ``object.json``, which is written last. It
names the folder that counts, and each file with its size and digest. Without it there is no object, whatever
else lies there; two that make the same object write into folders of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgeon.atomic import write_text
from surgeon.cluster.digests import file_digest, files_below
from surgeon.diagnostics import SurgeonError, error
from surgeon.optional import require

MARK = "object.json"
_VERSION = 1


@dataclass(frozen=True)
class StoredFile:
    """A file of an object: its path in it, its size in bytes, its SHA-256, and whether it is a program."""

    name: str
    bytes: int
    sha256: str
    executable: bool = False

    @classmethod
    def of(cls, folder: Path, name: Path) -> StoredFile:
        """Return what is to be known of a file in a folder."""
        path = folder / name
        return cls(name.as_posix(), os.path.getsize(path), file_digest(path), os.access(path, os.X_OK))

    @property
    def mode(self) -> int:
        """The permissions of the file: what is stored is not to be edited."""
        return 0o555 if self.executable else 0o444


@dataclass(frozen=True)
class StoredObject:
    """An object of a store: its files in ``folder``, and the record that was stored with them."""

    key: str
    folder: str
    files: tuple[StoredFile, ...]
    record: Mapping[str, Any]


class Store:
    """A store of objects by key.

    ``place`` is a folder's path, or a URL such as ``s3://bucket/fleet``. Raise SurgeonError F106 where fsspec
    does not know the URL, or the place cannot be reached.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.local = "://" not in place
        if self.local:
            self._root = os.path.abspath(place)
            self._files: Any = None
            return
        fsspec = require("fsspec", "a store that is no folder")
        try:
            self._files, self._root = fsspec.core.url_to_fs(place)
        except (ImportError, ValueError, OSError) as exc:
            raise self._unusable(f"cannot be opened: {' '.join(str(exc).split())}") from None

    def read(self, key: str, *, whole: bool = True) -> StoredObject | None:
        """Return an object, None where there is none or where it is damaged.

        Sizes are always compared; with ``whole``, and in a folder, digests too. A damaged object's mark is
        taken away. Raise SurgeonError F106 where the store cannot be read.
        """
        with self._explained("read"):
            text = self._text(f"{self._object(key)}/{MARK}")
            if text is None:
                return None
            found = _parsed(text, key)
            if found is not None and self._is_whole(found, digests=whole and self.local):
                return found
            self._remove_mark(key)
            if found is not None:
                self._discard(f"{self._object(key)}/{found.folder}")
            return None

    def write(self, key: str, folder: Path, record: Mapping[str, Any]) -> StoredObject:
        """Store the files of a folder, which is used up, and a record of JSON values under a key.

        Where the object is there already, it stays. Raise SurgeonError F106 where the store cannot be
        written; there is no object then.
        """
        earlier = self.read(key)
        if earlier is not None:
            return earlier
        files = tuple(StoredFile.of(folder, name) for name in files_below(folder))
        inside = uuid.uuid4().hex
        made = StoredObject(key, inside, files, record)
        value = {
            "version": _VERSION,
            "key": key,
            "folder": inside,
            "files": [vars(each) for each in files],
            "record": record,
        }
        text = json.dumps(value, indent=1, sort_keys=True) + "\n"
        with self._explained("written"):
            place = f"{self._object(key)}/{inside}"
            try:
                self._put(folder, place, files)
                self._put_mark(key, text)
            except BaseException:
                self._discard(place)
                raise
        return made

    def fetch(self, found: StoredObject, into: Path) -> Path:
        """Return a folder with an object's files: its own in a folder, a copy in ``into`` elsewhere.

        Raise SurgeonError F106 where a file is not what it was; its object is then taken away.
        """
        place = f"{self._object(found.key)}/{found.folder}"
        if self.local:
            return Path(place)
        with self._explained("read"):
            for file in found.files:
                target = into / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(f"{place}/{file.name}", str(target))
                if file_digest(target) != file.sha256:
                    self._remove_mark(found.key)
                    raise self._unusable(f"has a damaged file '{file.name}'", "run the fleet again")
                if file.executable:
                    os.chmod(target, file.mode)
        return into

    @contextlib.contextmanager
    def making(self) -> Iterator[Path]:
        """Give an empty folder for the files of an object, near the store where that is a folder."""
        with self._explained("written"):
            if self.local:
                os.makedirs(f"{self._root}/work", exist_ok=True)
            owner = f"{socket.gethostname()}-{os.getpid()}-"
            folder = Path(tempfile.mkdtemp(prefix=owner, dir=f"{self._root}/work" if self.local else None))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what processes of this machine were making when they were killed."""
        if not self.local or not os.path.isdir(f"{self._root}/work"):
            return
        for name in os.listdir(f"{self._root}/work"):
            host, _, rest = name.rpartition("-")[0].rpartition("-")
            if host == socket.gethostname() and rest.isdigit() and not os.path.isdir(f"/proc/{rest}"):
                shutil.rmtree(f"{self._root}/work/{name}", ignore_errors=True)

    def _object(self, key: str) -> str:
        return f"{self._root}/objects/{key[:2]}/{key}"

    def _text(self, path: str) -> str | None:
        try:
            if self.local:
                return Path(path).read_text(encoding="utf-8")
            return bytes(self._files.cat_file(path)).decode("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError:
            return ""

    def _is_whole(self, found: StoredObject, digests: bool) -> bool:
        place = f"{self._object(found.key)}/{found.folder}"
        try:
            for file in found.files:
                path = f"{place}/{file.name}"
                size = os.path.getsize(path) if self.local else self._files.info(path)["size"]
                if size != file.bytes or (digests and file_digest(Path(path)) != file.sha256):
                    return False
        except FileNotFoundError:
            return False
        return True

    def _put(self, folder: Path, place: str, files: tuple[StoredFile, ...]) -> None:
        if self.local:
            # A file of a report may be the same one.
            for file in files:
                os.chmod(folder / file.name, file.mode)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.replace(folder, place)
            os.chmod(place, 0o755)
            folder.mkdir()
            return
        for file in files:
            self._files.makedirs(os.path.dirname(f"{place}/{file.name}"), exist_ok=True)
            self._files.put_file(str(folder / file.name), f"{place}/{file.name}")

    def _put_mark(self, key: str, text: str) -> None:
        path = f"{self._object(key)}/{MARK}"
        if self.local:
            write_text(path, text, follow_links=False)
        else:
            # An object store shows a file when it is complete; elsewhere it takes its name by a move.
            part = f"{path}.{uuid.uuid4().hex}.part"
            self._files.makedirs(self._object(key), exist_ok=True)
            self._files.pipe_file(part, text.encode("utf-8"))
            self._files.mv(part, path)

    def _remove_mark(self, key: str) -> None:
        path = f"{self._object(key)}/{MARK}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path) if self.local else self._files.rm_file(path)

    def _discard(self, place: str) -> None:
        with contextlib.suppress(Exception):
            shutil.rmtree(place, ignore_errors=True) if self.local else self._files.rm(place, recursive=True)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Raise what goes wrong with the store as SurgeonError F106; drivers raise of many kinds."""
        try:
            yield
        except SurgeonError:
            raise
        except OSError as exc:
            raise self._unusable(f"cannot be {what}: {exc.strerror or exc}") from None
        except Exception as exc:
            if self.local:
                raise
            text = " ".join(str(exc).split())
            raise self._unusable(f"cannot be {what}: {type(exc).__name__}: {text:.200}") from None

    def _unusable(self, what: str, help: str = "") -> SurgeonError:
        return error(
            "F106",
            f"the store '{self.place}' {what}",
            help=[help or "free some space, check its permissions and credentials, or name another 'store'"],
        )


def _parsed(text: str, key: str) -> StoredObject | None:
    """Return the object that a mark tells of; None for a mark that is damaged or of another version."""
    try:
        value = json.loads(text)
        if value["version"] != _VERSION or value["key"] != key:
            return None
        files = tuple(StoredFile(**each) for each in value["files"])
        return StoredObject(key, value["folder"], files, value["record"])
    except (ValueError, KeyError, TypeError):
        return None
