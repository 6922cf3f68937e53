"""The arithmetic of a recipe's ``image`` as one factor and one mean for each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surgeon.language.recipe import Image
from surgeon.runners.image import CHANNELS, check_steps


@dataclass(frozen=True)
class Normalization:
    """What becomes of a pixel x, 0 to 255: ``factors[c] * x + shifts[c]`` for each channel c of the network.

    ``pad`` is what the network reads where the picture leaves the input free, for each channel.
    """

    factors: tuple[float, ...]
    shifts: tuple[float, ...]
    pad: tuple[float, ...]

    @property
    def means(self) -> tuple[float, ...]:
        """The pixel that becomes 0, for each channel; not a number where the factor is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return tuple((-np.array(self.shifts) / np.array(self.factors)).tolist())


def normalization(image: Image) -> Normalization:
    """Return the steps of an image in one, in double precision.

    Raise SurgeonError V104 for a step with a number of values that is not the number of channels.
    """
    check_steps(image)
    channels = CHANNELS[image.color]
    factors, shifts = np.ones(channels), np.zeros(channels)
    with np.errstate(all="ignore"):
        for step in image.steps:
            if step.scale is not None:
                factors, shifts = factors * step.scale, shifts * step.scale
            elif step.subtract is not None:
                shifts = shifts - step.subtract
            elif step.divide is not None:
                factors, shifts = factors / step.divide, shifts / step.divide
        filled = image.padding == "after-steps"
        pad = np.full(channels, image.filled) if filled else factors * image.filled + shifts
    return Normalization(*(tuple(values.tolist()) for values in (factors, shifts, pad)))
