"""Comparison of a UFF model with another converter's file, given as JSON."""

from __future__ import annotations

from typing import Any

from surgeon.formats.uff import UffModel, UffNode, UffValue


def compare_to_golden(
    model: UffModel, golden: dict[str, Any], *, skip: frozenset[str] = frozenset()
) -> list[str]:
    """Return every difference between a model and a golden file, sorted; order of nodes and data is none.

    ``golden`` is a UFF file's messages as JSON, blobs as length and SHA-256. Nodes in ``skip`` are not compared.
    """
    found: list[str] = []
    for key, mine in (("version", model.version), ("descriptor_core_version", model.descriptor_core_version)):
        if golden[key] != mine:
            found.append(f"{key}: {mine}, golden {golden[key]}")
    mine_descriptors = [{"id": d.id, "version": d.version, "optional": d.optional} for d in model.descriptors]
    if golden["descriptors"] != mine_descriptors:
        found.append(f"descriptors: {mine_descriptors}, golden {golden['descriptors']}")
    theirs = {node["id"]: node for node in golden["graphs"][0]["nodes"] if node["id"] not in skip}
    ours = {node.id: node for node in model.nodes if node.id not in skip}
    found += [f"node '{name}' ({theirs[name]['operation']}): missing" for name in theirs if name not in ours]
    found += [f"node '{name}' ({ours[name].operation}): not in golden" for name in ours if name not in theirs]
    for name in ours:
        if name in theirs:
            found += [
                f"node '{name}': {text}"
                for text in _node(model, ours[name], theirs[name], golden["referenced_data"])
            ]
    return sorted(found)


def _node(model: UffModel, node: UffNode, theirs: dict[str, Any], data: dict[str, Any]) -> list[str]:
    found = []
    if node.operation != theirs["operation"]:
        found.append(f"operation {node.operation}, golden {theirs['operation']}")
    if list(node.inputs) != theirs["inputs"]:
        found.append(f"inputs {list(node.inputs)}, golden {theirs['inputs']}")
    for key in sorted({*node.fields, *theirs["fields"]}):
        mine = _resolved(model, node.fields.get(key))
        other = theirs["fields"].get(key)
        if other is not None and "ref" in other:
            other = data.get(other["ref"], other)
        if mine != other:
            found.append(f"field '{key}' {mine}, golden {other}")
    return found


def _resolved(model: UffModel, value: UffValue | None) -> dict[str, Any] | None:
    resolved = None if value is None else model.resolve(value)
    return None if resolved is None else as_json(resolved)


def as_json(value: UffValue) -> dict[str, Any]:
    """Return a value in the golden file's JSON form."""
    content = value.value
    if value.kind == "blob":
        return {"blob": {"bytes": content.nbytes, "sha256": content.digest()}}
    if value.kind == "dim_orders_list":
        return {value.kind: [{str(key): list(values) for key, values in item} for item in content]}
    if value.kind == "dtype":
        return {value.kind: str(content)}
    return {value.kind: list(content) if isinstance(content, tuple) else content}
