"""What a review changed about the boxes of an image."""

from collections.abc import Sequence
from typing import NamedTuple

TOLERANCE = 0.5  # pixels of the original image: labelling tools round what nobody moved


class BoxChanges(NamedTuple):
    """How many objects a review moved, added and removed, and how many only got another class. kept: by place of each new box that of the
    old one that it is, None where it is new or moved."""

    moved: int
    added: int
    removed: int
    renamed: int
    kept: list[int | None]

    def __bool__(self) -> bool:
        return bool(self.moved or self.added or self.removed or self.renamed)


def box_changes(
    old: Sequence[Sequence[float]], new: Sequence[Sequence[float]], old_classes: Sequence[str], new_classes: Sequence[str]
) -> BoxChanges:
    """Compare the boxes of a review, N x 4, with those before, M x 4, in pixels, and the class of each. Edges that differ by half a pixel
    or less are the same, and so is another order.

    >>> box_changes([[0, 0, 9, 9], [5, 5, 9, 9]], [[5, 5, 9.4, 9], [1, 0, 9, 9]], "aa", "ba")
    BoxChanges(moved=1, added=0, removed=0, renamed=1, kept=[1, None])
    """
    free = dict.fromkeys(range(len(old)))
    kept: list[int | None] = []
    for box, own in zip(new, new_classes, strict=True):
        near = [place for place in free if all(abs(a - b) <= TOLERANCE for a, b in zip(old[place], box, strict=True))]
        place = next((place for place in near if old_classes[place] == own), near[0] if near else None)
        kept.append(place)
        if place is not None:
            del free[place]
    others = kept.count(None)
    moved = min(others, len(free))
    renamed = sum(place is not None and old_classes[place] != own for place, own in zip(kept, new_classes, strict=True))
    return BoxChanges(moved, others - moved, len(free) - moved, renamed, kept)
