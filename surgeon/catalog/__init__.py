"""The plugin catalog: ports, fields, versions and shape rules, a folder for each plugin."""

from surgeon.catalog.catalog import Catalog, load_catalog
from surgeon.catalog.fields import FieldSpec, FieldValue
from surgeon.catalog.plugin import PluginSpec, PortSpec, Registration, Remark, span_of_versions

__all__ = [
    "Catalog",
    "FieldSpec",
    "FieldValue",
    "PluginSpec",
    "PortSpec",
    "Registration",
    "Remark",
    "load_catalog",
    "span_of_versions",
]
