"""Plugins that are registered under several plugin versions, and since when a field is required."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from surgeon.catalog import Catalog, PluginSpec, Registration, load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.graph import parse_graph
from surgeon.infer import Inference
from surgeon.infer.registry import known_ops

TWO = """\
title: T
summary: S
interface: IPluginV2Ext
since: 8.0.1
until: 11.0
deprecated: 10.11
other_versions:
  - {plugin_version: "2", interface: IPluginV3, since: 10.11}
outputs: [{name: y, summary: out}]
fields: {f: {type: int, summary: F, required_since: 8.5.1}}
sources: [x]
"""
OLD, NEW = (
    Registration("1", "IPluginV2Ext", (8, 0, 1), (11, 0), (10, 11)),
    Registration("2", "IPluginV3", (10, 11)),
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def two(make_plugin: Callable[..., Path]) -> PluginSpec:
    return load_catalog([make_plugin(text=TWO, shape=None)])["Double"]


def test_registrations_are_oldest_first(two: PluginSpec) -> None:
    assert two.registrations == (OLD, NEW)
    assert (two.plugin_version, two.interface) == ("1", "IPluginV2Ext")


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ((8, 0), ()),
        ((8, 0, 1), (OLD,)),
        ((10, 10), (OLD,)),
        ((10, 11), (OLD, NEW)),
        ((10, 16, 1), (OLD, NEW)),
        ((11, 0), (NEW,)),
        (None, (OLD, NEW)),
    ],
)
def test_which_plugin_versions_a_tensorrt_has(
    two: PluginSpec, version: tuple[int, ...] | None, there: tuple[Registration, ...]
) -> None:
    assert two.registrations_in(version) == there and two.exists_in(version) is bool(there)
    assert two.registration_for(version) == (there[-1] if there else None)


def test_a_plugin_is_there_from_its_first_to_its_last_version(two: PluginSpec) -> None:
    assert (two.since, two.until, two.deprecated) == ((8, 0, 1), None, None)


def test_a_plugin_is_deprecated_when_all_its_versions_are(make_plugin: Callable[..., Path]) -> None:
    text = TWO.replace("since: 10.11}", "since: 10.11, until: 12.0, deprecated: 11.5}")
    plugin = load_catalog([make_plugin(text=text, shape=None)])["Double"]
    assert (plugin.until, plugin.deprecated) == ((12, 0), (11, 5))


def test_one_version_without_bounds(make_plugin: Callable[..., Path]) -> None:
    plugin = load_catalog([make_plugin()])["Double"]
    assert plugin.registrations == (Registration(),) and plugin.registration_for((1, 0)) == Registration()
    assert (plugin.since, plugin.until, plugin.deprecated) == (None, None, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"2"', '"1"'),
        ("since: 10.11}", "since: 7.0}"),
        ("since: 10.11}", "from: 10.11}"),
        ("since: 10.11}", "since: new}"),
        ('plugin_version: "2", ', ""),
        ("required_since: 8.5.1", "required_since: later"),
    ],
)
def test_wrong_registrations_are_c110(make_plugin: Callable[..., Path], old: str, new: str) -> None:
    assert old in TWO
    catalog = load_catalog([make_plugin(text=TWO.replace(old, new), shape=None)])
    with pytest.raises(SurgeonError) as caught:
        catalog.get_plugin("Double")
    assert {d.code for d in caught.value.diagnostics} == {"C110"}


def test_since_when_a_field_is_required(two: PluginSpec, catalog: Catalog) -> None:
    assert two.fields["f"].required and two.fields["f"].required_since == (8, 5, 1)
    assert {field.required_since for field in catalog["FlattenConcat_TRT"].fields.values()} == {(8, 5, 1)}
    assert {field.required_since for field in catalog["NMS_TRT"].fields.values()} == {None}


@pytest.mark.parametrize(
    ("op", "version", "versions", "interface"),
    [
        ("Reorg_TRT", (9, 3), ["1"], "IPluginV2Ext"),
        ("Reorg_TRT", (10, 0, 1), ["1", "2"], "IPluginV2DynamicExt"),
        ("InstanceNormalization_TRT", (8, 2, 1), ["1"], "IPluginV2DynamicExt"),
        ("InstanceNormalization_TRT", (8, 5, 3), ["1", "2"], "IPluginV2DynamicExt"),
        ("InstanceNormalization_TRT", (10, 3), ["1", "2", "3"], "IPluginV3"),
        ("NMS_TRT", (8, 5, 3), ["1"], "IPluginV2Ext"),
    ],
)
def test_shipped_plugin_versions(
    catalog: Catalog, op: str, version: tuple[int, ...], versions: list[str], interface: str
) -> None:
    assert [registration.plugin_version for registration in catalog[op].registrations_in(version)] == versions
    newest = catalog[op].registration_for(version)
    assert newest is not None and (newest.plugin_version, newest.interface) == (versions[-1], interface)


def test_every_shipped_plugin_of_tensorrt_names_its_interfaces_and_first_version(catalog: Catalog) -> None:
    for plugin in (catalog[op] for op in catalog if catalog[op].library == "tensorrt"):
        assert all(r.interface.startswith("IPluginV") and r.since for r in plugin.registrations), plugin.op


def test_a_creator_has_the_op_s_name_unless_it_is_told(
    make_plugin: Callable[..., Path], catalog: Catalog
) -> None:
    assert load_catalog([make_plugin(text=TWO + "creator: Split\n", shape=None)])["Double"].creator == "Split"
    assert catalog["NMS_TRT"].creator == "NMS_TRT" and catalog["Split_TRT"].creator == "Split"


def test_no_plugin_takes_the_name_of_an_operation_of_tensorflow(catalog: Catalog) -> None:
    assert set(catalog) & set(known_ops()) == set()
    Inference(parse_graph("graph v1\n"), rules=catalog.rules())
