"""Which pruned models are copies of which dense ones. Models that do not belong together are refused."""

from collections.abc import Sequence

from htltools.errors import DataError, UsageError
from htltools.tasks.predictor import CheckpointPredictor


def pairs_of_copies(dense: Sequence[CheckpointPredictor], pruned: Sequence[CheckpointPredictor]) -> list[tuple[int, int]]:
    """Positions of a dense model and of each pruned copy of it: the pairs that are compared. A dense model may have no copy.

    Raises: UsageError where a file is named twice; DataError where a pruned model is none, or a copy of a net that is not among the
    dense ones, or where a pruned model without a copy of its own is named as a dense one beside pruned ones.
    """
    paths = [each.path for each in (*dense, *pruned)]
    for i, path in enumerate(paths):
        if any(path.samefile(other) for other in paths[:i]):
            raise UsageError(f"{path} is named twice", "a model is not compared with itself; make a pruned copy with htl prune")
    pairs = []
    for j, copy in enumerate(pruned):
        pruning = copy.checkpoint.pruning
        if pruning is None:
            swapped = any(each.checkpoint.pruning for each in dense)
            raise DataError(
                f"{copy.path} is no pruned model", "are --model and --pruned swapped?" if swapped else "make one with htl prune"
            )
        origins = [(i, j) for i, each in enumerate(dense) if each.checkpoint.digest == pruning["dense_sha256"]]
        if not origins:
            others = " or ".join(str(each.path) for each in dense)
            raise DataError(f"{copy.path} is no pruned copy of {others}", "name the model that it was pruned from with --model")
        pairs += origins
    for i, each in enumerate(dense if pruned else ()):
        if each.checkpoint.pruning and i not in dict(pairs):
            raise DataError(f"{each.path} is a pruned model, and none of --pruned is a copy of it", "name it with --pruned")
    return sorted(pairs)
