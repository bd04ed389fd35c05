"""How a training draws its images: from all of them, or from a few shards at a time where they exceed memory."""

import math
from collections.abc import Sequence

from htltools import console
from htltools.commands.shared.memory import physical_memory
from htltools.commands.train.plan import Plan
from htltools.core.sampling.shuffle import ShardShuffle, shards_at_once
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import stored_places

MEMORY_SHARE = 0.5  # of the memory, that images may take before they are drawn by shards


def chosen_shuffle(plan: Plan, rows: Sequence[Row], frame: Sequence[int]) -> ShardShuffle | None:
    """The order in which an epoch draws samples, as asked, or by what images take of the memory; None: all at random. It is said."""
    stored = len(rows) * math.prod(frame)
    exceeds = stored > MEMORY_SHARE * physical_memory()
    if plan.shuffle == "full" or plan.pseudo_labels or not (plan.shuffle == "shards" or exceeds):
        return None
    of_sample, _, paths = stored_places(rows)
    window = shards_at_once(stored / len(paths))
    why = "" if plan.shuffle == "shards" else f", more than half of the memory ({physical_memory() / 2**30:.1f} GiB)"
    console.say(
        f"images take {stored / 2**30:.1f} GiB in {len(paths)} shards{why}: an epoch draws from {min(window, len(paths))} of them "
        "at a time; --shuffle full or shards settles it for any machine"
    )
    return ShardShuffle(of_sample, window)
