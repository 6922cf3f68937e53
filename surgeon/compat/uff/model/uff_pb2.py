"""UFF's messages as classes of protobuf: ``MetaGraph``, ``Graph``, ``Node``, ``Data`` and so on."""

from __future__ import annotations

from typing import Any

from surgeon.formats.uff.schema import message_class

MetaGraph: Any = message_class("MetaGraph")
Graph: Any = message_class("Graph")
Node: Any = message_class("Node")
Descriptor: Any = message_class("Descriptor")
Data: Any = message_class("Data")
DimensionOrders: Any = message_class("DimensionOrders")
ListDimensionOrders: Any = message_class("ListDimensionOrders")
ListString: Any = message_class("ListString")
ListDouble: Any = message_class("ListDouble")
ListBool: Any = message_class("ListBool")
ListInt64: Any = message_class("ListInt64")
ListDataType: Any = message_class("ListDataType")
