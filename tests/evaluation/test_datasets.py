"""Datasets of each kind, read alike, and refused with a place where they are damaged."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.evaluation import Dataset, read_dataset
from surgeon.runners.image import read_picture

HEIGHT, WIDTH = 40, 60
BOXES = {"one": [(10, 5, 30, 25), (0, 0, 40, 60)], "two": []}
"""ymin, xmin, ymax, xmax in pixels, by picture: a cat, and a dog that need not be found."""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "voc" / "JPEGImages"
    folder.mkdir(parents=True)
    for shade, name in enumerate(BOXES):
        Image.new("RGB", (WIDTH, HEIGHT), (shade, 90, 0)).save(folder / f"{name}.png")
    return folder


def coco_json(pictures: Path) -> dict[str, Any]:
    boxes = [(x, y, right - x, bottom - y) for y, x, bottom, right in BOXES["one"]]
    return {
        "images": [
            {"id": 7, "file_name": "one.png", "height": HEIGHT, "width": WIDTH},
            {"id": 3, "file_name": "two.png", "height": HEIGHT, "width": WIDTH},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 17, "bbox": boxes[0], "area": 100.0, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 18, "bbox": boxes[1], "iscrowd": 1},
        ],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }


def write_coco(pictures: Path) -> Path:
    path = pictures / "instances.json"
    path.write_text(json.dumps(coco_json(pictures)))
    return path


def write_voc(pictures: Path) -> Path:
    root = pictures.parent
    (root / "Annotations").mkdir()
    for name, boxes in BOXES.items():
        objects = "".join(
            f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox><xmin>{x + 1}</xmin>"
            f"<ymin>{y + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for (y, x, bottom, right), label, difficult in zip(boxes, ("cat", "dog"), (0, 1), strict=False)
        )
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height>"
            f"<depth>3</depth></size>\n{objects}</annotation>"
        )
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("one\n")
    return root


def example(pictures: Path, name: str, **changes: Any) -> bytes:
    tensorflow = pytest.importorskip("tensorflow")
    boxes = np.array(BOXES[name], float).reshape(-1, 4) / (HEIGHT, WIDTH, HEIGHT, WIDTH)
    values: dict[str, Any] = {
        "image/encoded": [(pictures / f"{name}.png").read_bytes()],
        "image/filename": [f"{name}.png".encode()],
        "image/height": [HEIGHT],
        "image/width": [WIDTH],
        "image/object/class/text": [b"cat", b"dog"][: len(boxes)],
        "image/object/class/label": [17, 18][: len(boxes)],
        "image/object/difficult": [0, 1][: len(boxes)],
    }
    corners = zip(("ymin", "xmin", "ymax", "xmax"), boxes.T, strict=True)
    values |= {f"image/object/bbox/{corner}": list(column) for corner, column in corners}
    made = tensorflow.train.Example()
    for key, value in {**values, **changes}.items():
        if value is None:
            continue
        feature = made.features.feature[key]
        kinds = {bytes: feature.bytes_list, int: feature.int64_list}
        kind = (
            feature.float_list if "bbox" in key or "area" in key else kinds[type(value[0]) if value else int]
        )
        kind.value.extend(value)
    return bytes(made.SerializeToString())


def write_records(path: Path, *records: bytes) -> Path:
    tensorflow = pytest.importorskip("tensorflow")
    with tensorflow.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def write_tfrecord(pictures: Path) -> Path:
    for number, name in enumerate(BOXES):
        write_records(pictures.parent / f"val.record-{number}-of-2", example(pictures, name))
    return pictures.parent / "val.record-?-of-2"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "COCO JSON": write_coco,
    "Pascal VOC": write_voc,
    "TFRecord": write_tfrecord,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_each_kind_gives_the_same(pictures: Path, kind: str) -> None:
    dataset = read_dataset(WRITERS[kind](pictures))
    assert dataset.kind == kind and len(dataset.pictures) == 2
    one, two = dataset.pictures
    assert [dataset.classes[number] for number in one.objects.classes.tolist()] == ["cat", "dog"]
    assert list(dataset.counts.values()) == [1, 1] and len(two.objects) == 0
    assert one.objects.boxes == pytest.approx(np.array(BOXES["one"], float), abs=1e-5)
    assert one.objects.areas[1] == pytest.approx(HEIGHT * WIDTH, rel=1e-6)
    assert one.objects.areas[0] == pytest.approx(100 if kind == "COCO JSON" else 400)
    marks = (one.objects.crowd, one.objects.difficult)
    assert [mark.tolist() for mark in marks[:: 1 if kind == "COCO JSON" else -1]] == [
        [False, True],
        [False] * 2,
    ]
    assert np.array_equal(one.read().pixels, read_picture(pictures / "one.png").pixels)
    assert len(dataset.first(1).pictures) == 1


def refused(path: Path, **options: Any) -> tuple[str, str]:
    with pytest.raises(SurgeonError) as info:
        read_dataset(path, **options)
    diagnostic = info.value.diagnostics[0]
    assert diagnostic.help and diagnostic.where
    return diagnostic.code, diagnostic.message


def test_parts_of_pascal_voc(pictures: Path) -> None:
    root = write_voc(pictures)
    assert [each.name for each in read_dataset(root, split="val").pictures] == [str(pictures / "one.png")]
    assert refused(root, split="test")[0] == "V140"
    (root / "ImageSets" / "Main" / "val.txt").write_text("three 1\n")
    assert refused(root, split="val") == (
        "V142",
        f"'three' has no annotations '{root / 'Annotations' / 'three.xml'}'",
    )


def test_what_is_no_dataset(tmp_path: Path) -> None:
    assert "no such file or folder" in refused(tmp_path / "nothing.json")[1]
    assert refused(tmp_path / ("a" * 300))[0] == "V140"
    assert "none of these" in refused(tmp_path)[1]
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert "show no object" in refused(tmp_path / "empty.json")[1]
    assert refused(tmp_path / "empty.json", split="val")[0] == "V140"


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "the file has no 'images'"),
        (lambda c: c["images"].append(3), "images[2] is no object"),
        (lambda c: c["images"][1].update(id=7), "images[1] repeats the id 7"),
        (lambda c: c["images"][1].pop("file_name"), "images[1] has no 'file_name'; expected a text"),
        (lambda c: c["images"][1].update(height="40"), "images[1] has the 'height' 40"),
        (lambda c: c["images"][1].update(file_name="one.png"), "stands in the dataset twice"),
        (lambda c: c["annotations"][0].update(image_id=9), "annotations[0].image_id is 9"),
        (lambda c: c["annotations"][0].update(category_id=9), "annotations[0].category_id is 9"),
        (lambda c: c["annotations"][1].update(bbox=[0, 0, -1, 5]), "annotations[1].bbox is [0, 0, -1, 5]"),
        (lambda c: c["annotations"][1].update(bbox=[0, 0, float("nan"), 5]), "annotations[1].bbox"),
        (lambda c: c["annotations"][1].pop("bbox"), "annotations[1].bbox is None"),
        (lambda c: c["annotations"][1].update(iscrowd=2), "annotations[1].iscrowd is 2"),
        (lambda c: c["annotations"][0].update(area="x"), "annotations[0] has the 'area' x"),
        (lambda c: c["annotations"][0].update(area=-100), "annotations[0].area is -100; expected square"),
        (lambda c: c["annotations"][0].update(area=float("nan")), "annotations[0] has the 'area' nan"),
        (lambda c: c["annotations"][0].update(area=10**400), "annotations[0] has the 'area' 1000"),
        (lambda c: c["annotations"][1].update(bbox=[0, 0, 10**400, 5]), "annotations[1].bbox is [0, 0, 1000"),
        (lambda c: c["categories"][1].update(id=2**64), "categories[1] has the 'id' 18446744073709551616"),
        (lambda c: c["categories"][1].update(name="cat"), "categories[1] repeats the name 'cat'"),
    ],
)
def test_a_damaged_json_file_names_the_key(pictures: Path, change: Change, message: str) -> None:
    path, content = write_coco(pictures), coco_json(pictures)
    change(content)
    path.write_text(json.dumps(content))
    code, found = refused(path)
    assert code == "V142" and message in found


def test_json_that_is_none_names_the_line(pictures: Path) -> None:
    path = write_coco(pictures)
    path.write_text(json.dumps(coco_json(pictures), indent=1)[:200])
    assert refused(path)[0] == "V141" and "line " in refused(path)[1]
    path.write_bytes(b"\xff\xfe{")
    assert refused(path)[0] == "V141"
    path.write_text("[" * 100_000)
    assert refused(path)[0] == "V141"
    path.write_text(json.dumps(coco_json(pictures)).replace("100.0", "9" * 5000))
    assert refused(path)[0] == "V141"
    path.write_text("[]")
    assert refused(path)[0] == "V141"


def test_pictures_that_are_lost_or_of_another_size(pictures: Path) -> None:
    path, content = write_coco(pictures), coco_json(pictures)
    content["images"][0].update(width=HEIGHT, height=WIDTH)
    path.write_text(json.dumps(content))
    one, two = read_dataset(path).pictures
    with pytest.raises(SurgeonError, match=r"V143.*it is 60 x 40 pixels, and the dataset says 40 x 60"):
        one.read()
    content["images"][0]["file_name"] = "one" * 1000
    path.with_name("long.json").write_text(json.dumps(content))
    assert refused(path.with_name("long.json"))[0] == "V143"
    (pictures / "two.png").write_bytes(b"nothing")
    with pytest.raises(SurgeonError, match="V143"):
        two.read()
    code, message = refused(path, images=pictures.parent)
    assert code == "V143" and "2 pictures of the 2" in message
    (pictures / "two.png").unlink()
    assert refused(path)[0] == "V143"
    with pytest.raises(SurgeonError, match="V143"):
        two.read()


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("</annotation>", "", "V141", "line 2, column"),
        ("<filename>one.png</filename>", "", "V142", "annotation has no 'filename'"),
        ("<name>dog</name>", "", "V142", "annotation/object[2] has no 'name'"),
        ("<xmin>1</xmin>", "<xmin>x</xmin>", "V142", "annotation/object[2]/bndbox/xmin is 'x'"),
        ("<xmin>1</xmin>", "<xmin>70</xmin>", "V142", "annotation, object 2: the box from 69, 0 to 60, 40"),
        ("<xmin>1</xmin>", "<xmin>nan</xmin>", "V142", "annotation, object 2: the box from nan"),
        ("<bndbox>", "<box>", "V141", "mismatched tag"),
        ("one.png", "lost.png", "V143", "lost.png"),
        ("one.png", "two.png", "V142", "stands in the dataset twice"),
        ("<height>40</height>", "<height>inf</height>", "V142", "annotation/size is 60 x inf"),
        ("<annotation>", "<?xml version='1.0' encoding='none'?><annotation>", "V141", "unknown encoding"),
        ("<height>40</height>", "", "V142", "annotation has no 'size/height'"),
    ],
)
def test_a_damaged_xml_file_names_the_place(
    pictures: Path, old: str, new: str, code: str, message: str
) -> None:
    root = write_voc(pictures)
    path = root / "Annotations" / "one.xml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    found = refused(root)
    assert found[0] == code and message in found[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image/height": None}, "record 1 has no 'image/height'"),
        ({"image/encoded": None}, "record 1 has no 'image/encoded'"),
        ({"image/object/class/label": [17]}, "record 1 has 1 values of 'image/object/class/label'"),
        ({"image/object/class/label": [17, 17]}, "the class 17 and"),
        ({"image/object/bbox/ymax": [0.5]}, "record 1 has 1 values of 'image/object/bbox/ymax'"),
        ({"image/object/bbox/ymax": [0.1, 0.5]}, "record 1, object 1: the box"),
        (
            {"image/object/area": [5.0, -5.0]},
            "record 1 has the 'image/object/area' -5; expected square pixels",
        ),
        ({"image/object/area": [float("nan"), 5.0]}, "record 1 has the 'image/object/area' nan"),
        ({"image/height": [b"40"]}, "record 1: 'image/height' holds texts; expected whole numbers"),
    ],
)
def test_a_record_that_lacks_something_is_named(
    pictures: Path, changes: dict[str, Any], message: str
) -> None:
    path = write_records(pictures / "val.record", example(pictures, "one", **changes))
    code, found = refused(path)
    assert code == "V142" and (message in found or "class 17 is called" in found)


def test_a_record_file_that_is_damaged(pictures: Path) -> None:
    path = write_records(pictures / "val.tfrecord", example(pictures, "two"), example(pictures, "one"))
    data = path.read_bytes()
    second = 16 + struct.unpack("<Q", data[:8])[0]
    path.write_bytes(data[:-20])
    assert refused(path)[0] == "V141" and f"record 2, at byte {second}" in refused(path)[1]
    path.write_bytes(data[: second + 40] + b"\0" + data[second + 41 :])
    assert refused(path)[0] == "V141"
    write_records(path, example(pictures, "one"), b"\xff\xff\xff")
    assert refused(path)[0] == "V141" and "record 2, at byte" in refused(path)[1]
    path.write_bytes(b"\x1f\x8b" + data)
    assert "gunzip" in str(refused_help(path))
    assert refused(path, split="val")[0] == refused(path, images=pictures)[0] == "V140"


def refused_help(path: Path) -> tuple[str, ...]:
    with pytest.raises(SurgeonError) as info:
        read_dataset(path)
    return info.value.diagnostics[0].help


def test_records_with_names_or_numbers_alone(pictures: Path) -> None:
    path = write_records(
        pictures / "val.record", example(pictures, "one", **{"image/object/class/label": None})
    )
    assert read_dataset(path).classes == {1: "cat", 2: "dog"}
    write_records(path, example(pictures, "one", **{"image/object/class/text": None}))
    dataset: Dataset = read_dataset(path)
    assert dataset.classes == {17: "", 18: ""} and list(dataset.counts) == [17, 18]
