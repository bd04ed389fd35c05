"""The form of objectives whose model has a threshold that is calibrated on the validation samples."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from htltools.core.nets.localizer import Localizer
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.prefetch import OnDevice, on_device_if_it_fits
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.objectives.epoch import EpochObjective
from htltools.core.training.schedule import Recipe


class ThresholdObjective(EpochObjective):
    """As `EpochObjective`; after each epoch `calibrate` sets the threshold of the model, where there are validation samples."""

    def __init__(
        self,
        model: Localizer,
        images: ImageSource,
        weights: np.ndarray,  # float32 [N], mean 1
        validation: tuple[ImageSource, np.ndarray] | None,
        recipe: Recipe,
        runtime: Runtime,
        *,
        compiled: bool = False,
    ):
        super().__init__(model, images, weights, recipe, runtime, compiled=compiled)
        self.validation = (on_device_if_it_fits(validation[0], runtime.device), validation[1]) if validation else None

    def end_epoch(self, samples: Sequence[Tensor]) -> None:
        if self.validation:
            self.calibrate(*self.validation)

    def calibrate(self, images: ImageSource | OnDevice, targets: np.ndarray) -> None:
        """Set the threshold of the model to the best one on these samples."""
        raise NotImplementedError
