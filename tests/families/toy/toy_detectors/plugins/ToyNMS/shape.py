"""Shapes of ToyNMS."""

from surgeon.graph import TensorSpec


def outputs(fields, inputs):
    """Return int32[N], float32[N, keep, 4], float32[N, keep] and float32[N, keep]."""
    pictures = inputs[0].shape.dims[0] if inputs[0].shape.dims else None
    keep = fields["keep"]
    return [
        TensorSpec.of("int32", pictures),
        TensorSpec.of("float32", pictures, keep, 4),
        TensorSpec.of("float32", pictures, keep),
        TensorSpec.of("float32", pictures, keep),
    ]
