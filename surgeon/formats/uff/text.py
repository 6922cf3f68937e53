"""A UFF model in protobuf's text form, as the incumbent writes beside a file."""

from __future__ import annotations

from dataclasses import replace

from surgeon.formats.uff import schema
from surgeon.formats.uff.model import Blob, UffModel, UffValue

SHOWN = 32
"""Bytes of a constant up to which they stand in the text."""


def message_text(model: UffModel) -> str:
    """Return the text form; of a blob over 32 bytes only the size is shown."""
    from google.protobuf import text_format

    message = schema.message("MetaGraph")
    message.version, message.descriptor_core_version = model.version, model.descriptor_core_version
    for descriptor in model.descriptors:
        message.descriptors.add().ParseFromString(schema.descriptor_to_bytes(descriptor))
    graph = message.graphs.add(id=model.graph_id)
    for node in model.nodes:
        graph.nodes.add().ParseFromString(schema.node_to_bytes(node))
    for key, value in model.data.items():
        message.referenced_data[key].ParseFromString(schema.value_to_bytes(_shortened(value)))
    return text_format.MessageToString(message)


def _shortened(value: UffValue) -> UffValue:
    if value.kind != "blob" or value.value.nbytes <= SHOWN:
        return value
    return replace(value, value=Blob.of(b"(...%d bytes skipped...)" % value.value.nbytes))
