"""The sections of the page that `report` writes, but for its gallery."""

import json

import numpy as np
from markupsafe import Markup

from htltools.commands.report.doubt_curves import DoubtCurves
from htltools.commands.report.finding import correlation, finding
from htltools.commands.report.hard_subgroups import HardSubgroups
from htltools.commands.report.metrics import ReportMetrics
from htltools.commands.report.samples import ReportSamples
from htltools.core.figures import forest_plots, svg_plots
from htltools.core.hardness.baselines import smallness
from htltools.core.statistics.subgroups import Crossing
from htltools.formats.page import html
from htltools.formats.rows.fields import cell
from htltools.formats.rows.vocabulary import HARDNESS

MEDIANS = "Upright lines: medians; the last bar holds all above it."
SEEDS = "the rows come with one set of scores; name models of several seeds, each with --model and --pruned"


def page_sections(
    samples: ReportSamples, by: str, hardness: np.ndarray, split: str, fields: list[Crossing], seed: int, history: list[dict]
) -> tuple[Markup, dict[str, list[Markup]], list[str]]:
    """What was found; parts of HTML by heading, in the order of the page; and which are absent, with the reason of each."""
    metrics = ReportMetrics(samples, split, fields, seed)
    hard, doubt = HardSubgroups(metrics, by), DoubtCurves(samples, split)
    no_doubt = f"no column of doubt is known of all annotated rows of split {split}; htl score --also computes some"
    no_metrics = f"no row of split {split} has both an annotated box and the predictions of the models: nothing to measure"
    parts = {
        "Who is hard": (hard.parts(), hard.absent),
        "Metrics": (metrics.overall(), no_metrics),
        "Subgroups": (metrics.by_subgroup(), "there are no fields to group by" if metrics.rows else no_metrics),
        "Doubt": (doubt.parts(), no_doubt),
        "Hardness": (hardness_parts(samples, by, hardness, split), ""),
        "Reliability over seeds": (stability_parts(samples), SEEDS),
        "Training and pruning": (training_parts(samples), "the models that the rows name are not at hand"),
        "What was run": (run_parts(samples, history), ""),
        "Gallery": (gallery_parts(by, split, "attended" in samples.iou), ""),
    }
    absent = [f"{heading} ({reason})" for heading, (own, reason) in parts.items() if not own]
    found = finding(samples, by, hardness, metrics, hard, doubt)
    return found, {heading: own for heading, (own, _) in parts.items() if own}, absent


def gallery_parts(by: str, split: str, compares: bool) -> list[Markup]:
    """How the images were chosen, and the place for them."""
    gains = f" Gains and losses are the IoU of the attended model less that of the dense one, on split {split}." if compares else ""
    return [
        html.paragraph(
            f"The hardest and the suspects stand highest within their split by {by} and by suspect: scores of rows that a model was "
            f"fitted to do not compare with those of others. A suspect is a guess, not a verdict; look before you drop it.{gains} "
            "Others are drawn at random, to compare with."
        ),
        html.gallery(),
    ]


def run_parts(samples: ReportSamples, history: list[dict]) -> list[Markup]:
    """Rows, models and the chain of commands."""
    models = [[role, path.name] for path, role in samples.paths.items()]
    parts = [
        html.paragraph(
            f"{len(samples.rows)} samples: "
            + ", ".join(f"{(samples.splits == part).sum()} of split {part}" for part in samples.known_splits)
            + "."
        )
    ]
    if models:
        parts.append(html.table(["model", "file"], models, "plain"))
    if history:
        lines = [[cell(each.get("time"))[:16].replace("T", " "), cell(each.get("command"))] for each in history]
        parts += [
            html.table(["time", "command"], lines, "plain"),
            html.folded("all parameters", html.plain(json.dumps(history, indent=1, ensure_ascii=False))),
        ]
    return parts


def training_parts(samples: ReportSamples) -> list[Markup]:
    """Training curves, and the sweep of the health gate."""
    logs = {
        role: [(f"{role} {number}" if len(own) > 1 else role, checkpoint.log) for number, checkpoint in enumerate(own, 1) if checkpoint.log]
        for role, own in ((role, samples.checkpoints(role)) for role in samples.models)
    }
    drawn = (
        [html.figure(svg_plots.curves(logs), "Training curves. Validation rows chose the epoch: no held-out figure.")]
        if any(logs.values())
        else []
    )
    words = []
    for checkpoint in samples.checkpoints("pruned"):
        pruning = checkpoint.pruning or {}
        if pruning.get("sweep") and pruning["dense_val_iou"] is not None:
            svg = svg_plots.sweep(pruning["sweep"], pruning["dense_val_iou"], pruning["gate"], pruning["asked"])
            drawn.append(
                html.figure(svg, "The sweep of the health gate: the largest sparsity that stays above the gate, once recovered, is taken.")
            )
        if pruning:
            reached, before = ("not known" if value is None else f"{value:.4f}" for value in (pruning["val_iou"], pruning["dense_val_iou"]))
            words.append(
                html.paragraph(
                    f"Pruned by {pruning['method']} to a sparsity of {pruning['sparsity']:.3f}, recovery {pruning['recover']}: "
                    f"validation IoU {reached}, that of its dense model {before}."
                )
            )
    return [*words, html.figures(*drawn)] if drawn or words else []


def hardness_parts(samples: ReportSamples, by: str, hardness: np.ndarray, split: str) -> list[Markup]:
    """How hardness is spread, and what else it goes with: lesion area and loss."""
    drawn = []
    for name in dict.fromkeys([by, "pruned_disagreement", "suspect"]):
        values = hardness if name == by else samples.known(name)
        by_split = {part: own for part in samples.known_splits if (own := values[(samples.splits == part) & np.isfinite(values)]).size}
        if by_split:
            drawn.append(html.figure(svg_plots.distribution(by_split, name), f"{name} by split. {MEDIANS}"))
    covered = 1 - smallness(samples.objects["annotated"][..., :4])
    for name, other in (("share of the image that is annotated", covered), ("loss", samples.known("loss"))):
        both = np.isfinite(hardness) & np.isfinite(other)
        if both.sum() > 2 and by != name:
            found = correlation(hardness, other, samples.groups)
            caption = f"{by} against {name}, all splits: rank correlation {found}. The highest 1 % of either are left out."
            drawn.append(html.figure(svg_plots.cloud(other[both], hardness[both], name, by), caption))
    own = np.flatnonzero(samples.splits == split)
    columns = [name for name in HARDNESS if np.isfinite(samples.known(name)[own]).sum() > 2 and name != "random"]
    lines = [[name, *(with_others(samples.known(name)[own], samples, own)), HARDNESS[name].replace("`", "")] for name in columns]
    return [
        html.paragraph(
            "Higher is harder in every column. pruned_disagreement, 1 - IoU of the dense and the pruned box, also measures smallness: "
            "the same shift costs a small box more. pruned_shift, in units of the image's sides, does so less. Neither needs an annotation."
        ),
        html.figures(*drawn),
        html.heading(f"Rank correlation with smallness and with loss, split {split}, with 95 % intervals"),
        html.table(["column", "smallness", "loss", "what it is"], lines, "numbers words"),
    ]


def with_others(values: np.ndarray, samples: ReportSamples, places: np.ndarray) -> list[str]:
    """Rank correlation of a column with smallness and with loss, in words."""
    return [correlation(values, samples.known(other)[places], samples.groups[places]) for other in ("smallness", "loss")]


def stability_parts(samples: ReportSamples) -> list[Markup]:
    """How alike several models rank the samples."""
    if not samples.stability:
        return []
    splits = list(dict.fromkeys(split for by_split in samples.stability.values() for split in by_split))
    lines = [[name, *("-" if np.isnan(own[s]) else f"{own[s]:.3f}" for s in splits)] for name, own in samples.stability.items()]
    return [
        html.paragraph("Mean rank correlation over the pairs of models, by split; 1 = the same order."),
        html.figure(
            forest_plots.dots(samples.stability, "rank correlation from model to model"), "Reliability of each column of hardness."
        ),
        html.table(["column", *splits], lines),
    ]
