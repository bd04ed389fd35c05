"""Which column of doubt `predict` uses, and from which value on a person should look."""

from collections.abc import Sequence

from htltools import console
from htltools.errors import DataError, UsageError
from htltools.tasks.doubt import OF_ONE_MODEL, missing_reason
from htltools.tasks.predictor import CheckpointPredictor, ModelPredictor

COLUMNS = {
    "mirror": "mirror_disagreement",
    "seed": "seed_disagreement",
    "pruned": "pruned_disagreement",
    "soft_dice": "soft_dice_doubt",
    "look": "look_disagreement",
}  # by the word of --doubt; without it the first that there is


def chosen_column(asked: str | None, models: Sequence[ModelPredictor], pruned: Sequence[ModelPredictor]) -> str | None:
    """The column of doubt: the one asked for, else the one that the model's threshold is for, else the first that the models have.

    Raises: UsageError, DataError where the models do not have the one asked for.
    """
    if asked == "none":
        return None
    if asked is not None:
        if reason := lacking(COLUMNS[asked], models, pruned):
            raise (UsageError if asked in ("seed", "pruned") else DataError)(reason, "ask for another --doubt, or none")
        return COLUMNS[asked]
    kept = models[0].referral["column"] if models[0].referral else None
    if kept is not None and kept in COLUMNS.values() and not lacking(kept, models, pruned):
        return kept
    reasons = {column: lacking(column, models, pruned) for column in COLUMNS.values()}
    column = next((name for name, reason in reasons.items() if reason is None), None)
    if column != "mirror_disagreement":
        console.say(f"{reasons['mirror_disagreement']}; " + (f"doubt is {column}" if column else "no doubt is known"))
    return column


def lacking(column: str, models: Sequence[ModelPredictor], pruned: Sequence[ModelPredictor]) -> str | None:
    """Why there is no such column, in a sentence; None: there is."""
    if column == "seed_disagreement":
        return None if len(models) > 1 else "seed_disagreement compares models: name two or more with --model"
    if column == "pruned_disagreement":
        return None if pruned else "pruned_disagreement compares with a pruned copy: name it with --pruned"
    assert column in OF_ONE_MODEL
    return next((reason for model in models if (reason := missing_reason(model, column))), None)


def refer_threshold(asked: str | None, models: Sequence[ModelPredictor], column: str | None) -> float | None:
    """The doubt above which a person should look, of --refer-threshold: a number, `auto` for the model's own, `none`; None: there is none.

    Without the flag the model's own is used where it has one for these models and this column.

    Raises: UsageError where the text is neither; DataError where the model has none.
    """
    if asked == "none":
        return None
    if asked not in (None, "auto"):
        try:
            value = float(asked or "")
        except ValueError:
            raise UsageError(f"--refer-threshold takes a number, auto or none, not {asked!r}") from None
        if column is None:
            raise UsageError("--refer-threshold is a threshold of doubt, and there is none", "ask for one with --doubt")
        return value
    if reason := unfit_reason(models, column):
        if asked == "auto":
            raise DataError(f"--refer-threshold auto: {reason}", "set one with htl evaluate --keep-threshold")
        if models[0].referral:
            console.warn(f"nobody is referred: {reason}")
        return None
    return models[0].referral["threshold"] if models[0].referral else None


def unfit_reason(models: Sequence[ModelPredictor], column: str | None) -> str | None:
    """Why the first model's threshold cannot be used with these models and this column, in words; None: it can, for what it promises."""
    first = models[0]
    if not first.referral:
        return f"{first.path} keeps no threshold of doubt"
    if column != first.referral["column"]:
        return f"the threshold of {first.path} is one of {first.referral['column']}, and doubt is {column or 'none'}"
    digests = {model.digest for model in models if isinstance(model, CheckpointPredictor)}
    if len(models) != len(first.referral["models"]) or not digests <= {*first.referral["models"]}:
        return f"the threshold of {first.path} was set with other models"
    return None
