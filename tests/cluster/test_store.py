"""The store: an object is there whole or not at all, whoever else writes, whatever was damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from surgeon.cluster.digests import content_digest
from surgeon.cluster.result_folder import FleetFolder
from surgeon.cluster.store import MARK, Store
from surgeon.diagnostics import SurgeonError

KEY = "ab" * 32


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give a store in a folder, as one and through fsspec."""
    place = str(tmp_path / "store")
    if request.param == "folder":
        return Store(place)
    pytest.importorskip("fsspec")
    return Store(f"file://{place}")


def put(store: Store, key: str = KEY, text: str = "one", **record: Any) -> None:
    with store.making() as folder:
        (folder / "deep").mkdir()
        (folder / "a.txt").write_text(text)
        (folder / "deep" / "b.txt").write_text(text * 2)
        store.write(key, folder, record)


def object_folder(tmp_path: Path, key: str = KEY) -> Path:
    return tmp_path / "store" / "objects" / key[:2] / key


def test_what_is_written_is_read_back(store: Store, tmp_path: Path) -> None:
    assert store.read(KEY) is None
    put(store, size=3)
    found = store.read(KEY)
    assert found is not None and found.record == {"size": 3}
    assert [file.name for file in found.files] == ["a.txt", "deep/b.txt"]
    there = store.fetch(found, tmp_path / "copy")
    assert (there / "deep" / "b.txt").read_text() == "oneone"


def test_a_program_stays_one(store: Store, tmp_path: Path) -> None:
    with store.making() as folder:
        for name, mode in (("build.sh", 0o755), ("model.onnx", 0o644)):
            (folder / name).write_text(name)
            (folder / name).chmod(mode)
        store.write(KEY, folder, {})
    found = store.read(KEY)
    assert found is not None
    there = store.fetch(found, tmp_path / "copy")
    results = FleetFolder(tmp_path / "out", tmp_path / "FLEET.yaml", store.place)
    (tmp_path / "out" / "cells" / "cell").mkdir(parents=True)
    results.show("cell", "package", KEY, store)
    for shown in (there, tmp_path / "out" / "cells" / "cell" / "package"):
        assert os.access(shown / "build.sh", os.X_OK)
        assert not os.access(shown / "model.onnx", os.X_OK)


def test_the_first_object_of_a_key_stays(store: Store, tmp_path: Path) -> None:
    put(store, text="one")
    put(store, text="two")
    found = store.read(KEY)
    assert found is not None and (store.fetch(found, tmp_path / "copy") / "a.txt").read_text() == "one"
    assert len(list(object_folder(tmp_path).iterdir())) == 2


def test_without_its_mark_there_is_no_object(store: Store, tmp_path: Path) -> None:
    put(store)
    (object_folder(tmp_path) / MARK).unlink()
    assert store.read(KEY) is None
    put(store, text="two")
    assert store.read(KEY) is not None


@pytest.mark.parametrize("damage", ["cut", "gone", "mark", "mark of another", "newer"])
def test_a_damaged_object_is_none_and_is_made_again(store: Store, tmp_path: Path, damage: str) -> None:
    put(store)
    folder = object_folder(tmp_path)
    (file,) = folder.glob("*/a.txt")
    mark = folder / MARK
    os.chmod(file, 0o644)
    if damage == "cut":
        file.write_text("on")
    elif damage == "gone":
        file.unlink()
    elif damage == "mark":
        mark.write_bytes(mark.read_bytes()[:40])
    else:
        value = json.loads(mark.read_text())
        value["key" if "another" in damage else "version"] = "other"
        mark.write_text(json.dumps(value))
    assert store.read(KEY) is None and not mark.exists()
    put(store, text="again")
    found = store.read(KEY)
    assert found is not None and (store.fetch(found, tmp_path / "copy") / "a.txt").read_text() == "again"


def test_changed_bytes_of_the_same_number_are_noticed(store: Store, tmp_path: Path) -> None:
    """In a folder when the object is looked up, elsewhere when it is copied."""
    put(store)
    (file,) = object_folder(tmp_path).glob("*/a.txt")
    os.chmod(file, 0o644)
    file.write_text("two")
    found = store.read(KEY)
    if store.local:
        assert found is None
        return
    assert found is not None
    with pytest.raises(SurgeonError, match=r"F106.*damaged file 'a.txt'"):
        store.fetch(found, tmp_path / "copy")
    assert store.read(KEY) is None


def test_a_stored_file_is_not_written_to_by_mistake(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    put(store)
    (file,) = object_folder(tmp_path).glob("*/a.txt")
    assert file.stat().st_mode & 0o222 == 0


def test_what_goes_wrong_while_writing_leaves_no_object(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: the mark, which comes last, cannot be written."""

    def full(*args: object, **options: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    if not store.local:
        monkeypatch.setattr(store._files, "put_file", full)
    with pytest.raises(SurgeonError, match=r"F106.*No space left on device"):
        put(store)
    monkeypatch.undo()
    assert store.read(KEY) is None
    put(store)
    assert store.read(KEY) is not None
    if store.local:
        assert list((tmp_path / "store" / "work").iterdir()) == []


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    child = os.fork()
    if not child:
        making = store.making()
        making.__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    with store.making() as mine:
        assert len(list(mine.parent.iterdir())) == 2
        store.sweep()
        assert list(mine.parent.iterdir()) == [mine]


@pytest.mark.parametrize("place", ["nonsense://bucket/x", "s3nope://x"])
def test_a_place_that_nothing_reaches(place: str) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(SurgeonError, match="F106"):
        Store(place)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(SurgeonError, match="F106"):
        put(Store(str(tmp_path / "store")))


def test_what_lies_behind_a_link_to_a_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "variables").mkdir()
    (tmp_path / "model" / "variables").symlink_to(tmp_path / "variables")
    (tmp_path / "model" / "again").symlink_to(tmp_path / "model")
    empty = content_digest(tmp_path / "model")
    (tmp_path / "variables" / "data").write_text("one")
    one = content_digest(tmp_path / "model")
    (tmp_path / "variables" / "data").write_text("two")
    assert len({empty, one, content_digest(tmp_path / "model")}) == 3
