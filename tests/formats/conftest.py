"""What the tests of the exporters share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from surgeon.formats.uff import UffModel, export_uff
from surgeon.graph import parse_graph


@dataclass(frozen=True)
class StubField:
    type: str


@dataclass(frozen=True)
class StubPlugin:
    """A plugin with typed fields and a number of outputs, fixed or in a field."""

    creator: str
    fields: Mapping[str, StubField]
    outputs: int | str = 1

    def output_ports(self, fields: Mapping[str, Any]) -> Sequence[str]:
        count = self.outputs if isinstance(self.outputs, int) else fields[self.outputs]
        return [f"port{i}" for i in range(count)]


def _plugin(creator: str, outputs: int | str = 1, **fields: str) -> tuple[str, StubPlugin]:
    return creator, StubPlugin(creator, {name: StubField(kind) for name, kind in fields.items()}, outputs)


PLUGINS = dict(
    (
        _plugin(
            "GridAnchor_TRT",
            "numLayers",
            numLayers="int",
            minSize="float",
            maxSize="float",
            aspectRatios="float[]",
            featureMapShapes="int[]",
        ),
        _plugin("NMS_TRT", 2, inputOrder="int[]", confidenceThreshold="float", mode="string"),
        _plugin("FlattenConcat_TRT", 1, axis="int", ignoreBatch="int"),
    )
)


@pytest.fixture
def plugins() -> dict[str, StubPlugin]:
    """Give three plugins: of one output, of two, and of as many as a field says."""
    return dict(PLUGINS)


@pytest.fixture
def exported(plugins: dict[str, StubPlugin]) -> Callable[..., UffModel]:
    """Give ``exported(text, target=None) -> UffModel`` for a graph in text form, without its first line."""

    def export(text: str, target: Any = None) -> UffModel:
        return export_uff(
            parse_graph(text if text.startswith("graph v1") else "graph v1\n" + text),
            plugins=plugins,
            target=target,
        )

    return export


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """Give the module ``uff_golden`` of the tests' support folder."""
    import uff_golden

    return uff_golden
