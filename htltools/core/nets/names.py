"""The names of the nets that are trained where none is named; without torch, as `detection.names`."""

COMPACT, COMPACT_UNET = "compact", "compact_unet"
DEFAULT = COMPACT_UNET  # the net of a training that names none
DEFAULT_OF_MAPS = COMPACT  # the same where it learns from image labels alone
