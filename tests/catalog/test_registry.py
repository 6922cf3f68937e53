"""The catalog against the genuine plugin registry, where TensorRT is installed (no GPU is needed)."""

from __future__ import annotations

from typing import Any

import pytest

from surgeon.catalog import load_catalog

TYPES = {"INT32": "int", "FLOAT32": "float"}


@pytest.fixture(scope="module")
def creators() -> dict[str, Any]:
    trt: Any = pytest.importorskip("tensorrt")
    trt.init_libnvinfer_plugins(trt.Logger(trt.Logger.ERROR), "")
    wanted = set(load_catalog())
    return {c.name: (c, trt.__version__) for c in trt.get_plugin_registry().plugin_creator_list if c.name in wanted}


@pytest.mark.parametrize("op", [op for op, plugin in load_catalog().items() if plugin.library == "tensorrt"])
def test_fields_and_types_are_the_registry_s(creators: dict[str, Any], op: str) -> None:
    plugin = load_catalog()[op]
    version = tuple(map(int, next(iter(creators.values()))[1].split(".")[:3]))
    assert (op in creators) is plugin.exists_in(version)
    if op in creators:
        creator = creators[op][0]
        assert (creator.plugin_version, creator.plugin_namespace) == (plugin.plugin_version, plugin.plugin_namespace)
        registered = {field.name: (TYPES[str(field.type).rpartition(".")[2]], field.size) for field in creator.field_names}
        mine = {field.name: (field.type.removesuffix("[]"), field.length or 1) for field in plugin.fields_of(version)}
        assert mine == registered
