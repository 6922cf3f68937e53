"""The catalog against the genuine plugin registry, where TensorRT is installed (no GPU is needed)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from surgeon.catalog import PluginSpec, load_catalog

TYPES = {"INT32": "int", "FLOAT32": "float", "CHAR": "string"}

SILENT = {"Split_TRT": "its creator answers that field names are not implemented"}
"""Creators whose fields cannot be compared, and why."""

OF_LANGUAGE = "of transformers for text and speech"
OF_CLOUDS = "of detectors for point clouds"
OF_LAYERS = "a layer of any network"
OF_BENCHMARKS = "written for one network of a benchmark"
NOT_OF_DETECTORS = {
    "CaskConvShaderWeightsTransformerPlugin": "internal",
    "CaskDeconvShaderWeightsTransformerPlugin": "internal",
    "CustomEmbLayerNormPluginDynamic": OF_LANGUAGE,
    "CustomFCPluginDynamic": OF_LANGUAGE,
    "CustomGeluPluginDynamic": OF_LANGUAGE,
    "CustomQKVToContextPluginDynamic": OF_LANGUAGE,
    "CustomSkipLayerNormPluginDynamic": OF_LANGUAGE,
    "DLRM_BOTTOM_MLP_TRT": OF_BENCHMARKS,
    "DecodeBbox3DPlugin": OF_CLOUDS,
    "DisentangledAttention_TRT": OF_LANGUAGE,
    "GroupNorm": OF_LAYERS,
    "GroupNormalizationPlugin": OF_LAYERS,
    "LayerNorm": OF_LAYERS,
    "ModulatedDeformConv2d": OF_LAYERS,
    "MultiscaleDeformableAttnPlugin_TRT": "of detection transformers, made of PyTorch",
    "PillarScatterPlugin": OF_CLOUDS,
    "RNNTEncoderPlugin": OF_LANGUAGE,
    "RnRes2Br1Br2c_TRT": OF_BENCHMARKS,
    "RnRes2Br2bBr2c_TRT": OF_BENCHMARKS,
    "RnRes2FullFusion_TRT": OF_BENCHMARKS,
    "ScatterElements": OF_LAYERS,
    "SeqLen2Spatial": OF_LAYERS,
    "SingleStepLSTMPlugin": OF_LANGUAGE,
    "SmallTileGEMM_TRT": OF_BENCHMARKS,
    "SplitGeLU": OF_LAYERS,
    "TopkLastDim": OF_LAYERS,
    "VoxelGeneratorPlugin": OF_CLOUDS,
    "fMHA_V2": OF_LANGUAGE,
    "fMHCA": OF_LANGUAGE,
}
"""Creators that the catalog does without, and why."""

OPS = [op for op, plugin in load_catalog().items() if plugin.library == "tensorrt"]
CREATORS = {load_catalog()[op].creator for op in OPS}


class Registry(NamedTuple):
    version: tuple[int, ...]
    creators: Sequence[Any]

    def named(self, name: str) -> list[Any]:
        return [creator for creator in self.creators if creator.name == name]


@pytest.fixture(scope="module")
def registry() -> Registry:
    trt: Any = pytest.importorskip("tensorrt")
    trt.init_libnvinfer_plugins(trt.Logger(trt.Logger.ERROR), "")
    return Registry(
        tuple(map(int, trt.__version__.split(".")[:3])), list(trt.get_plugin_registry().plugin_creator_list)
    )


def registered_fields(creator: Any) -> dict[str, tuple[str, int]]:
    """Return item type and size of each field by name."""
    names = [str(field.type).rpartition(".")[2] for field in creator.field_names or ()]
    return {
        field.name: (TYPES.get(kind, kind), field.size)
        for field, kind in zip(creator.field_names or (), names, strict=True)
    }


def differences(plugin: PluginSpec, registry: Registry) -> list[str]:
    """Return how a definition and what is registered under its name differ."""
    creators = registry.named(plugin.creator)
    versions = sorted(creator.plugin_version for creator in creators)
    defined = sorted(
        registration.plugin_version for registration in plugin.registrations_in(registry.version)
    )
    found = (
        [] if versions == defined else [f"{plugin.op} is registered as {versions}, and defined as {defined}"]
    )
    fields = {f.name: (f.type.removesuffix("[]"), f.length or 1) for f in plugin.fields_of(registry.version)}
    for creator in creators:
        if creator.plugin_namespace != plugin.plugin_namespace:
            found.append(f"{plugin.op} is in the namespace '{creator.plugin_namespace}'")
        theirs = registered_fields(creator)
        if theirs != ({} if plugin.op in SILENT else fields):
            found.append(f"{plugin.op} {creator.plugin_version} has {theirs}, and is defined with {fields}")
    return found


@pytest.mark.parametrize("op", OPS)
def test_a_definition_is_what_is_registered(registry: Registry, op: str) -> None:
    assert differences(load_catalog()[op], registry) == []


def test_every_creator_is_in_the_catalog_or_is_none_of_detectors(registry: Registry) -> None:
    names = {creator.name for creator in registry.creators}
    assert names - CREATORS - NOT_OF_DETECTORS.keys() == set()
    assert NOT_OF_DETECTORS.keys() & CREATORS == set()


def test_how_much_is_compared(
    registry: Registry, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    creators = [creator for creator in registry.creators if creator.name in CREATORS]
    plugins, fields = (
        len({creator.name for creator in creators}),
        sum(len(registered_fields(creator)) for creator in creators),
    )
    record_property("plugins", plugins)
    record_property("creators", len(creators))
    record_property("fields", fields)
    with capsys.disabled():
        print(
            f"\nTensorRT {'.'.join(map(str, registry.version))}: {plugins} plugins, {len(creators)} creators, {fields} fields compared"
        )
    assert plugins == sum(load_catalog()[op].exists_in(registry.version) for op in OPS)
    if (8, 5, 3) <= registry.version < (9,):
        assert plugins >= 36 and fields >= 190


# The comparison itself, without TensorRT


def fake(op: str, plugin_version: str = "1", namespace: str = "", **fields: tuple[str, int]) -> Any:
    listed = [
        SimpleNamespace(name=name, type=f"PluginFieldType.{kind}", size=size)
        for name, (kind, size) in fields.items()
    ]
    return SimpleNamespace(
        name=op, plugin_version=plugin_version, plugin_namespace=namespace, field_names=listed
    )


def reorg(*creators: Any, version: tuple[int, ...] = (8, 5, 3)) -> list[str]:
    return differences(load_catalog()["Reorg_TRT"], Registry(version, creators))


STRIDE = {"stride": ("INT32", 1)}


def test_a_registry_that_agrees() -> None:
    assert reorg(fake("Reorg_TRT", **STRIDE), fake("Other")) == []
    assert reorg(fake("Reorg_TRT", "2", **STRIDE), fake("Reorg_TRT", **STRIDE), version=(10, 0, 1)) == []
    assert reorg(version=(5, 0)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda: reorg(),
        lambda: reorg(fake("Reorg_TRT", **STRIDE), version=(5, 0)),
        lambda: reorg(fake("Reorg_TRT", **STRIDE), version=(10, 0, 1)),
        lambda: reorg(fake("Reorg_TRT", **STRIDE), fake("Reorg_TRT", "2", **STRIDE)),
        lambda: reorg(fake("Reorg_TRT", "2", **STRIDE)),
        lambda: reorg(fake("Reorg_TRT", namespace="mine", **STRIDE)),
        lambda: reorg(fake("Reorg_TRT", stride=("FLOAT32", 1))),
        lambda: reorg(fake("Reorg_TRT", stride=("INT32", 2))),
        lambda: reorg(fake("Reorg_TRT", stride=("INT64", 1))),
        lambda: reorg(fake("Reorg_TRT")),
        lambda: reorg(fake("Reorg_TRT", Stride=("INT32", 1))),
        lambda: reorg(fake("Reorg_TRT", **STRIDE, more=("INT32", 1))),
        lambda: reorg(
            fake("Reorg_TRT", **STRIDE), fake("Reorg_TRT", "2", stride=("INT32", 3)), version=(10, 0, 1)
        ),
    ],
)
def test_a_registry_that_differs(change: Callable[[], list[str]]) -> None:
    assert len(change()) >= 1
