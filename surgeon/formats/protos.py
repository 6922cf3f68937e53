"""Protobuf message classes built from tables of fields, in a pool of their own.

Another library of the process may bring messages of the same names, as TensorFlow does: the two never meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Row = tuple[str, int, str]
"""The name of a field, its number and its kind.

A kind is a scalar of protobuf, a message or an enum of the same table. ``string*`` is a repeated field,
``map string Node`` a map, and ``string|value`` a member of the oneof 'value'.
"""


def message_classes(
    package: str,
    messages: Mapping[str, Iterable[Row]],
    enums: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Any]:
    """Return the classes of messages by name, in the syntax proto3.

    The name of a nested message has a dot, and stands behind the message that it is nested in.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, values in (enums or {}).items():
        enum = file.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    declared: dict[str, Any] = {}
    for name, rows in messages.items():
        outer, _, inner = name.rpartition(".")
        kinds = declared[outer].nested_type if outer else file.message_type
        message = declared[name] = kinds.add(name=inner)
        for field, number, kind in rows:
            _add_field(message, f".{package}", name, (field, number, kind), enums or {})
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


def _add_field(message: Any, package: str, path: str, row: Row, enums: Mapping[str, Any]) -> None:
    name, number, kind = row
    field = message.field.add(name=name, number=number)
    repeated = kind.endswith("*") or kind.startswith("map ")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind.startswith("map "):
        _, key, value = kind.split()
        entry = message.nested_type.add(name="".join(word.capitalize() for word in name.split("_")) + "Entry")
        entry.options.map_entry = True
        for part in (("key", 1, key), ("value", 2, value)):
            _add_field(entry, package, f"{path}.{entry.name}", part, enums)
        kind = f"{path}.{entry.name}"
    kind, _, oneof = kind.rstrip("*").partition("|")
    if oneof:
        if not message.oneof_decl:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = 0
    if kind.islower():
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    else:
        field.type = field.TYPE_ENUM if kind in enums else field.TYPE_MESSAGE
        field.type_name = f"{package}.{kind}"
