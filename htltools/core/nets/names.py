"""The names of the nets that are trained where none is named; without torch, as `detection.names`."""

COMPACT_UNET = "compact_unet"
DEFAULT = COMPACT_UNET  # the net of a training that names none
DEFAULT_OF_MAPS = "compact"  # the same where it learns from image labels alone
