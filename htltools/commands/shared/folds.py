"""Folds of the training split that models leave out."""

from collections.abc import Sequence

from htltools import console
from htltools.core.hardness.cross_fitting import Fold, left_out
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_where


def model_fold(fold: dict[str, int] | None) -> Fold | None:
    """The fold of split train that a model was not fitted to, from the entry of its file."""
    return Fold(**fold) if fold else None


def exclude_fold(training: Sequence[Row], fold: Fold | None) -> Sequence[Row]:
    """The training rows without those of a fold, which are counted aloud.

    Raises: DataError where that leaves none.
    """
    if fold is None or not training:
        return training
    kept = rows_where(training, ~left_out([row.group for row in training], fold))
    console.say(f"fold {fold}: {len(training) - len(kept)} of {len(training)} training rows are left out")
    if not kept:
        raise DataError(f"fold {fold} leaves out every training row", "folds are dealt by group: there are too few groups for them")
    return kept
