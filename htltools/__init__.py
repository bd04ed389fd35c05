"""htl: find the hard-to-learn samples of a medical image localization data set, and attend to them."""

__version__ = "0.1.0"
