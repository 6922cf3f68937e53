"""A stand-in for Polygraphy where there is no GPU: its memory is the host's."""
