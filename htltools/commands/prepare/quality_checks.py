"""How `prepare` tells what looks wrong in what it keeps."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from htltools import console
from htltools.core.data_checks import Issue, odd_ages, odd_boxes, same_images, spellings
from htltools.formats.sources.folders import Candidate


class Doubts:
    """What looks wrong in the rows of a store, gathered shard by shard, standing ones as well."""

    def __init__(self, frame: tuple[int, int]):
        self.frame = frame  # H, W
        self.ids: list[str] = []
        self.splits: list[str] = []
        self.digests: list[np.ndarray] = []
        self.found: list[Issue] = []

    def take(self, rows: Iterable[dict], digests: np.ndarray) -> None:
        """Look at the rows of one shard, and remember its images by their digests: uint64 [N]."""
        for row in rows:
            self.ids.append(row["id"])
            self.splits.append(row["split"])
            self.found += odd_boxes(row["id"], row.get("boxes", []), row["size"], self.frame) + odd_ages(row["id"], row.get("meta", {}))
        self.digests.append(digests)

    def lines(self, candidates: Iterable[Candidate]) -> list[dict]:
        """What looks wrong, told by kind on stderr: {id, source, reason, kept: true}, in the order of ids."""
        kept = set(self.ids)
        known = {candidate.id: candidate for candidate in candidates if candidate.id in kept}
        facts = [known[name].facts for name in self.ids]
        said = ({"group": told.group, "label": told.label} | told.meta for told in facts)
        found = self.found + spellings(self.ids, said)
        if self.ids:
            found += same_images(self.ids, self.splits, np.concatenate(self.digests))
        for kind, count in Counter(doubt.kind for doubt in found).most_common():
            examples = [doubt.id for doubt in found if doubt.kind == kind][:3]
            console.say(f"look at {count}: {kind} ({', '.join(examples)}{', ...' if count > 3 else ''})")
        found.sort(key=lambda doubt: doubt.id)
        return [{"id": doubt.id, "source": known[doubt.id].origin, "reason": doubt.reason, "kept": True} for doubt in found]
