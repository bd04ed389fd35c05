"""`score --ray`: batches of rows are scored by actors on the nodes of a cluster, each with the models in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from htltools.commands.score.scorer import ModelScorer
from htltools.commands.shared.cluster import Cluster
from htltools.core.hardness.prediction_spread import PredictionSpread
from htltools.core.hardness.rank_stability import Stability
from htltools.core.runtime.runtime import Runtime
from htltools.formats.rows.row import Row
from htltools.tasks.predictor import model_predictor

Scored = tuple[list[Row], list[PredictionSpread], Stability | None]  # a batch, and what it adds to the scorer of the caller


class ScoringActor:
    """Scores batches on a node."""

    def __init__(self, dense: Sequence[Path], pruned: Sequence[Path], also: list[str], runtime: Runtime, stability: bool):
        models = [model_predictor(path, runtime) for path in (*dense, *pruned)]
        self.scorer = ModelScorer(models[: len(dense)], models[len(dense) :], also, runtime, Stability() if stability else None)

    def __call__(self, rows: list[Row]) -> Scored:
        """The rows of a batch with their hardness and predictions."""
        scorer = self.scorer
        scorer.spreads = [PredictionSpread(each.distance) for each in scorer.spreads]
        scorer.stability = scorer.stability and Stability()
        return scorer.scored(rows), scorer.spreads, scorer.stability


def scored_on_cluster(cluster: Cluster, scorer: ModelScorer, batches: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """The batches with their hardness, in order, as `scorer` gives them; it gathers what they tell of the models."""
    paths = [[each.path for each in models] for models in (scorer.dense, scorer.pruned)]
    runtime = replace(scorer.runtime, device_name=cluster.device)
    arguments = *paths, scorer.also, runtime, scorer.stability is not None
    for rows, spreads, stability in cluster.results(ScoringActor, arguments, batches, actors=True):
        for gathered, own in zip(scorer.spreads, spreads):
            gathered.join(own)
        if scorer.stability and stability:
            scorer.stability.join(stability)
        yield rows
