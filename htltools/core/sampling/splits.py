"""The split of a group, train, val or test, by a hash of its name."""

import hashlib
from collections.abc import Sequence

SPLITS = "train", "val", "test"


def split_of(group: str, shares: Sequence[float], seed: int = 0) -> str:
    """The split of a group: a function of its name, the shares (train, val, test; any positive total) and the seed alone.

    So a group keeps its split when others are added, and all images of a group are in one split.

    >>> [split_of(group, (0.7, 0.15, 0.15)) for group in ("P1", "P2", "P5")]
    ['val', 'train', 'train']
    """
    place = place_of(f"{seed}:{group}") * sum(shares)
    for split, share in zip(SPLITS, shares, strict=True):
        if place < share:
            return split
        place -= share
    return next(split for split, share in zip(SPLITS[::-1], shares[::-1], strict=True) if share > 0)  # rounding at the very end


def is_labelled(group: str, share: float, seed: int = 0) -> bool:
    """Whether a group keeps its boxes where only a share in [0, 1] of the training groups does: a function of its name and the seed.

    With the same seed, a smaller share keeps a subset of what a larger one keeps.

    >>> [is_labelled("P1", share) for share in (0, 0.2, 0.8, 1)]
    [False, False, True, True]
    """
    return place_of(f"labelled/{seed}:{group}") < share  # not the place in `split_of`, which is not uniform within a split


def place_of(name: str) -> float:
    """A uniform number in [0, 1), a hash of the name."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]) / 2**64


def settled_splits(groups: Sequence[str], given: Sequence[str | None], shares: Sequence[float], seed: int = 0) -> list[str]:
    """The split of each of N samples: as given, else that of another sample of its group, else `split_of` its group.

    >>> settled_splits(["a", "a", "b"], ["test", None, "val"], (1, 0, 0))
    ['test', 'test', 'val']
    """
    known = {group: split for group, split in zip(groups, given, strict=True) if split}
    return [known.get(group) or split_of(group, shares, seed) for group in groups]
