"""What looks wrong in the samples that `prepare` keeps."""

from collections.abc import Iterable

import numpy as np

from htltools.core.data_checks import Issue, odd_ages, odd_boxes, odd_conventions, odd_ranges, same_images, spellings
from htltools.formats.rows.row import Row
from htltools.formats.sources.candidate import Candidate


class QualityChecks:
    """Collects issues of the rows of a store, shard by shard, those of shards from an earlier run as well."""

    def __init__(self, frame: tuple[int, int]):
        self.frame = frame  # H, W
        self.ids: list[str] = []
        self.splits: list[str] = []
        self.digests: list[np.ndarray] = []
        self.collected: list[Issue] = []
        self.ranges: dict[str, str] = {}  # what is black and white, by sample
        self.boxed: list[str] = []  # the id of the sample of each box
        self.boxes: list[list[float]] = []  # each box, and width and height of its image

    def add_shard(self, rows: Iterable[Row], digests: np.ndarray, issues: Iterable[Issue]) -> None:
        """Check the rows of one shard, whose images have these digests: uint64 [N]; `issues`: what was noticed when they were decoded."""
        self.collected += issues
        for row in rows:
            self.ids.append(row.id)
            self.splits.append(row.split or "")
            width, height = row.size or (0, 0)
            if "rendering" in row.meta:
                self.ranges[row.id] = row.meta["rendering"]
            self.boxed += [row.id] * len(row.boxes or ())
            self.boxes += [[*box, width, height] for box in row.boxes or ()]
            self.collected += odd_boxes(row.id, row.boxes or [], (width, height), self.frame) + odd_ages(row.id, row.meta)
        self.digests.append(digests)

    def issues(self, candidates: Iterable[Candidate]) -> list[Issue]:
        """All issues, with those that only show when all samples are compared."""
        kept = set(self.ids)
        by_id = {candidate.id: candidate for candidate in candidates if candidate.id in kept}
        facts = {name: candidate.facts for name, candidate in by_id.items()}
        words = ({"group": facts[name].group, "label": facts[name].label} | facts[name].meta for name in self.ids)
        given = np.array([facts[name].boxes is not None for name in self.boxed], bool)  # and not those of masks or phantoms
        boxes = np.array(self.boxes).reshape(-1, 6)[given]
        named = [name for name, is_given in zip(self.boxed, given) if is_given]
        issues = self.collected + spellings(self.ids, words) + odd_conventions(named, boxes[:, :4], boxes[:, 4:])
        deep = {name: text for name, text in self.ranges.items() if not by_id[name].dicom}  # their headers say what is black and white
        issues += odd_ranges(list(deep), list(deep.values()))
        if self.ids:
            issues += same_images(self.ids, self.splits, np.concatenate(self.digests))
        return issues
