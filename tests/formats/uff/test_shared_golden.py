"""Real graphs through the shipped recipes; the SSD of November 2017 against what the incumbent converter writes for it."""

from __future__ import annotations

import gzip
import json

import pytest

import surgeon
from surgeon.formats.uff import describe, read_uff

NAME = "2017-11__ssd_inception_v2_coco"
RECIPES = {
    NAME: ("ssd_nvidia_numbers", 91),
    "2018-04__ssd_mobilenet_v2_coco": ("ssd_mobilenet_v2_coco", 91),
    "2019-11__ssd_mobilenet_v2_1class": ("ssd_custom", 2),
}
SIZE_OF_THE_PICTURE = ["Const", "Shape_6"] + [
    f"strided_slice_{n}{rest}" for n in (6, 7) for rest in ("", "/stack", "/stack_1", "/stack_2")
]
DIFFERENCES = sorted(
    [
        f"node 'concat_box_{kind}': field 'dtype' None, golden {{'dtype': 'float32'}}"
        for kind in ("conf", "loc")
    ]
    + [
        f"node 'NMS': field '{k}_u_int' {{'i': {v}}}, golden None"
        for k, v in {"codeType": 3, "isBatchAgnostic": 1, "scoreBits": 16}.items()
    ]
    + ["node 'GridAnchor': inputs [], golden ['strided_slice_6', 'strided_slice_7', 'Const']"]
)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == NAME else pytest.mark.exhaustive) for name in RECIPES]
)
def test_a_real_graph_converts(shared_models, tmp_path, name):
    recipe, classes = RECIPES[name]
    surgeon.convert(recipe, shared_models.filled(name), tmp_path / "m.uff", decode="plugin")
    found = describe(read_uff(tmp_path / "m.uff"))
    assert found["inputs"] == [{"name": "Input", "dtype": "float32", "shape": [1, 3, 300, 300]}]
    fields = {plugin["name"]: plugin["fields"] for plugin in found["plugins"]}
    assert fields["NMS"]["numClasses"] == classes and list(fields["GridAnchor"]["featureMapShapes"]) == [
        19,
        10,
        5,
        3,
        2,
        1,
    ]


@pytest.mark.shared
def test_the_documented_differences_are_all(shared_models, golden, tmp_path):
    path = shared_models.root.parent / "golden" / f"{NAME}.uff.json.gz"
    if not path.exists():
        pytest.skip("the golden file is not beside the checkout")
    expected = json.loads(gzip.decompress(path.read_bytes()))
    surgeon.convert(RECIPES[NAME][0], shared_models.filled(NAME), tmp_path / "m.uff")
    model = read_uff(tmp_path / "m.uff")
    found = golden.compare_to_golden(model, expected)
    missing = [line for line in found if line.endswith("missing")]
    assert sorted(line.split("'")[1] for line in missing) == sorted(SIZE_OF_THE_PICTURE)
    assert [line for line in found if line not in missing] == DIFFERENCES
    assert golden.compare_to_golden(model, {**expected, "version": 2}) != found
