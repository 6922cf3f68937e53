"""References: what a plugin computes, in numpy, as its ``reference.py`` or its kernel says it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from surgeon.catalog.plugin import PluginSpec
from surgeon.deprecation import Alias
from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.display import plural
from surgeon.graph import DType, TensorSpec

_CHANGES = Alias("surgeon.plugins.*.reference", "CHANGES", "COUNTERFACTUALS", removal="0.2.0")

LAST = 100
"""The order of counterfactuals that tell none: they are tried after those of the shipped kernels."""


UNCHANGED = "unchanged"
"""The name of a run without a change among stored runs; no counterfactual may have it."""

_EARLIER = {
    "exact-ratios": (True, 10),
    "all-candidates": (True, 20),
    "clip-first": (False, 30),
    "drop-empty": (False, 40),
    "keep-all": (False, 50),
}
"""Whether a recipe avoids a rule, and its order, for the names that ``CHANGES`` could have."""


@dataclass(frozen=True)
class Counterfactual:
    """A rule by which a plugin differs from what it replaces, and which its reference can change.

    ``text`` says in what the two differ. ``avoidable`` is True where a recipe with other numbers would not
    differ. Verification tries counterfactuals of a lower ``order`` first, equal ones as they are declared.
    ``of_decoding`` is True where the two do not differ once boxes are decoded and clipped by the graph
    in front of the plugin (``decode: graph``): verification then finds out whether a recipe avoids it.
    """

    name: str
    text: str
    avoidable: bool = False
    order: int = LAST
    of_decoding: bool = False


@dataclass(frozen=True, eq=False)
class Reference:
    """A plugin's computation on a CPU, and its counterfactuals by name, in the order of trial."""

    plugin: PluginSpec
    counterfactuals: Mapping[str, Counterfactual]
    module: ModuleType

    @property
    def changes(self) -> Mapping[str, str]:
        """The text of each counterfactual by name."""
        return {name: counterfactual.text for name, counterfactual in self.counterfactuals.items()}

    @property
    def op(self) -> str:
        """The plugin's op."""
        return self.plugin.op

    def run(
        self, fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: Collection[str] = ()
    ) -> tuple[np.ndarray, ...]:
        """Return what the plugin computes of ``inputs``, batch first as the graph holds them, in the order of
        its ports.

        Keys that are no field are passed over, so a node's attributes may be given. Raise SurgeonError as
        :meth:`PluginSpec.complete`, C109 for inputs that do not fit, C111 where the file fails, C116 where
        what it returns does not fit the plugin's ports and shape rule, C117 for a change that it does not
        know. With a change the outputs may have other shapes.
        """
        self._check_changes(changes)
        complete = self.plugin.complete(
            {key: value for key, value in fields.items() if key in self.plugin.fields}
        )
        specs = self.plugin.specs_of_complete(complete, [_spec(array) for array in inputs])
        with np.errstate(all="ignore"):
            outputs = self.plugin.call(
                self.module, lambda: tuple(self.module.run(complete, inputs, frozenset(changes)))
            )
        for problem in _misfits(outputs, specs, self.plugin.output_ports(complete), bool(changes)):
            raise _broken(self.plugin, self.module, problem, "correct 'run' of this file")
        return outputs

    def _check_changes(self, changes: Collection[str]) -> None:
        for change in sorted(changes):
            if change not in self.changes:
                raise error(
                    "C117",
                    f"the reference of {self.op} has no change '{change:.60}'; expected one that it declares",
                    None,
                    nearest_note(change, self.changes)
                    or ("its changes: " + (", ".join(self.changes) or "none"),),
                    ["correct the name"],
                )


def make_reference(plugin: PluginSpec, module: ModuleType) -> Reference:
    """Return the reference that a plugin's ``reference.py``, or its kernel, defines.

    Raise SurgeonError C116 where it defines none.
    """
    if not callable(getattr(module, "run", None)):
        raise _broken(
            plugin,
            module,
            "has no function 'run'; expected 'run(fields, inputs, changes)'",
            "define 'run' in this file",
        )
    counterfactuals = sorted(
        _counterfactuals(plugin, module), key=lambda counterfactual: counterfactual.order
    )
    for reserved in ("", UNCHANGED):
        if any(item.name == reserved for item in counterfactuals):
            raise _broken(
                plugin,
                module,
                f"names a counterfactual '{reserved}', which stands for no change; expected another name",
                "give it another name",
            )
    by_name = MappingProxyType({item.name: item for item in counterfactuals})
    return Reference(plugin, by_name, module)


def _counterfactuals(plugin: PluginSpec, module: ModuleType) -> Sequence[Counterfactual]:
    declared = getattr(module, "COUNTERFACTUALS", None)
    if declared is None:
        return _from_changes(plugin, module, getattr(module, "CHANGES", {}))
    if (
        not isinstance(declared, Sequence)
        or not all(isinstance(item, Counterfactual) for item in declared)
        or len({item.name for item in declared}) < len(declared)
    ):
        raise _broken(
            plugin,
            module,
            "has wrong 'COUNTERFACTUALS'; expected a list of 'Counterfactual', each with a name of its own",
            "correct 'COUNTERFACTUALS'",
        )
    return declared


def _from_changes(plugin: PluginSpec, module: ModuleType, changes: object) -> Sequence[Counterfactual]:
    """Return what the deprecated mapping ``CHANGES``, a text for each name, declares."""
    if not isinstance(changes, Mapping) or not all(
        isinstance(part, str) for item in changes.items() for part in item
    ):
        raise _broken(
            plugin,
            module,
            "has 'CHANGES' that are no mapping; expected a text for each name",
            "correct 'CHANGES'",
        )
    if changes:
        _CHANGES.warn()
    texts = dict(changes)
    if "keep-all" in texts:
        texts.setdefault("drop-empty", "the original drops boxes without area, the plugin keeps them")
    return [Counterfactual(name, text, *_EARLIER.get(name, ())) for name, text in texts.items()]


def _spec(array: np.ndarray) -> TensorSpec:
    return TensorSpec.of(DType.of(array.dtype), *array.shape)


def _misfits(
    outputs: Sequence[object], specs: Sequence[TensorSpec], ports: Sequence[str], changed: bool
) -> list[str]:
    """Return how the outputs differ from what the shape rule says.

    Of a changed rule only the element types count.
    """
    if len(outputs) != len(specs):
        return [f"gives {plural(len(outputs), 'output')}; expected {len(specs)}"]
    problems = []
    for port, found, spec in zip(ports, outputs, specs, strict=True):
        if not isinstance(found, np.ndarray):
            problems.append(f"gives '{port}' as a '{type(found).__name__}'; expected the array {spec}")
        elif not _spec(found).compatible(TensorSpec(spec.dtype) if changed else spec):
            problems.append(f"gives '{port}' as {_spec(found)}; expected {spec}")
    return problems


def _broken(plugin: PluginSpec, module: ModuleType, problem: str, help: str) -> SurgeonError:
    return error("C116", f"the reference of {plugin.op} {problem}", module.__file__, help=[help])
