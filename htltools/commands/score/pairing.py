"""Which pruned models are copies of which dense ones. Models that do not belong together are refused."""

from collections.abc import Sequence

from htltools import console
from htltools.core.hardness.cross_fitting import pairs_by_place
from htltools.errors import DataError, UsageError
from htltools.tasks.predictor import ModelPredictor


def pairs_of_copies(dense: Sequence[ModelPredictor], pruned: Sequence[ModelPredictor]) -> list[tuple[int, int]]:
    """Positions of a dense model and of each pruned copy of it: the pairs that are compared. A dense model may have no copy. Where an
    ONNX file does not say what it was made of, pairs are by place, see `pairs_by_place`.

    Raises: UsageError where a file is named twice; DataError where a pruned model is none, or a copy of a net that is not among the
    dense ones, or where a pruned model without a copy of its own is named as a dense one beside pruned ones.
    """
    paths = [each.path for each in (*dense, *pruned)]
    for i, path in enumerate(paths):
        if any(path.samefile(other) for other in paths[:i]):
            raise UsageError(f"{path} is named twice", "a model is not compared with itself; make a pruned copy with htl prune")
    unknown = next((each.path for each in (*dense, *pruned) if each.weights is None), None)
    if unknown and pruned:
        console.say(f"{unknown} does not say of which weights it was made: models and pruned copies are paired in the order of the flags")
        return pairs_by_place(len(dense), len(pruned))
    pairs = []
    for j, copy in enumerate(pruned):
        if copy.copy_of is None:
            swapped = any(each.copy_of for each in dense)
            raise DataError(
                f"{copy.path} is no pruned model", "are --model and --pruned swapped?" if swapped else "make one with htl prune"
            )
        origins = [(i, j) for i, each in enumerate(dense) if each.weights == copy.copy_of]
        if not origins:
            others = " or ".join(str(each.path) for each in dense)
            raise DataError(f"{copy.path} is no pruned copy of {others}", "name the model that it was pruned from with --model")
        pairs += origins
    for i, each in enumerate(dense if pruned else ()):
        if each.copy_of and i not in dict(pairs):
            raise DataError(f"{each.path} is a pruned model, and none of --pruned is a copy of it", "name it with --pruned")
    return sorted(pairs)
