"""Flags of `resample` that contradict each other: they are refused, never ignored."""

from collections.abc import Sequence
from math import isfinite

from htltools.errors import UsageError


def refuse_two_criteria(
    by: str | None,
    top: float | None,
    where: Sequence[str] | None,
    soft: bool,
    share: float | None,
    count: int | None,
    mark: str | None,
    drop_top: float,
    drop_by: str | None,
) -> None:
    """Refuse two criteria of which rows are hard or how many stay, and a criterion without effect.

    Raises: UsageError.
    """
    for flag, given in {"--by": by is not None, "--top": top is not None, "--soft": soft}.items():
        if where and given:
            raise UsageError(f"--where says who is hard: it does not go with {flag}")
    if soft and top is not None and mark is None:
        raise UsageError("--soft weighs all training rows by rank: with it, --top only says which of them --mark marks")
    if top is not None and count and share is None:
        raise UsageError("--top and --count both say how many stay: name one of them, or --share as well")
    if drop_by and not drop_top:
        raise UsageError("--drop-by needs --drop-top")


def nothing_asked(
    by: str | None, where: Sequence[str] | None, pseudo: bool, boost: float, soft: bool, mode: str, mark: str | None, drop_top: float
) -> bool:
    """Whether hardness is not to change anything: then rows need none."""
    return not (by or where or pseudo or boost or soft or mark or drop_top) and mode == "weight"


def refuse_for_mode(
    mode: str, boost: float, soft: bool, top: float | None, share: float | None, count: int | None, unlabelled: bool, pseudo: bool
) -> None:
    """Refuse flags that the mode has no use for, and values that it cannot take.

    Raises: UsageError.
    """
    for flag, given in {"--share": share is not None, "--count": count is not None, "--unlabelled": unlabelled}.items():
        if mode != "select" and given:
            raise UsageError(f"{flag} needs --mode select")
    if pseudo and unlabelled:
        raise UsageError("--pseudo annotates the rows that --unlabelled looks for", "use one of them")
    if soft and mode != "weight":
        raise UsageError("--soft makes weights: it does not go with --mode " + mode)
    if not isfinite(boost):
        raise UsageError(f"--boost takes a number, not {boost:g}")
    if soft and boost == 0:
        raise UsageError("--soft lets weights grow by --boost, which is 0", "name one, such as --boost 1")
    if mode == "repeat" and (boost <= 0 or boost % 1):
        raise UsageError(f"--mode repeat makes whole copies: --boost {boost:g} makes none", "name how many, such as --boost 1")
    if mode == "select" and top == 0 and share is None:
        raise UsageError("--mode select with --top 0 would leave nothing to train on")
