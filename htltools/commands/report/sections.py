"""The sections of the page that `report` writes, but for its gallery."""

import json

import numpy as np
from markupsafe import Markup

from htltools.commands.report.metrics import ReportMetrics
from htltools.commands.report.samples import ReportSamples
from htltools.core.figures import svg_plots
from htltools.core.hardness.baselines import smallness
from htltools.core.hardness.rank_stability import correlation_interval, rank_correlation
from htltools.core.statistics.risk_coverage import FAILURE_IOU, DoubtMetrics, risk_curve
from htltools.core.statistics.subgroups import Crossing
from htltools.formats.page import html
from htltools.formats.rows.fields import cell
from htltools.formats.rows.vocabulary import HARDNESS

# columns that need no annotation, and so can be had of a new image
DOUBT_COLUMNS = (
    "mirror_disagreement",
    "look_disagreement",
    "soft_dice_doubt",
    "seed_disagreement",
    "dropout_disagreement",
    "pruned_disagreement",
    "pruned_shift",
)


def page_sections(
    samples: ReportSamples, by: str, hardness: np.ndarray, split: str, fields: list[Crossing], seed: int, history: list[dict]
) -> dict[str, list[Markup]]:
    """Parts of HTML by heading, in the order of the page."""
    metrics = ReportMetrics(samples, split, fields, seed)
    return {
        "What was run": run_parts(samples, history),
        "Metrics": metrics.overall(),
        "Subgroups": [*metrics.by_subgroup(), *metrics.who_is_hard(by)],
        "Training and pruning": training_parts(samples),
        "Hardness": hardness_parts(samples, by, hardness, split),
        "Doubt": doubt_parts(samples, split),
        "Reliability over seeds": stability_parts(samples),
        "Gallery": [
            html.paragraph(
                f"The hardest and the suspects stand highest within their split by {by} and by suspect: scores of rows that a model was "
                "fitted to do not compare with those of others. A suspect is a guess, not a verdict; look before you drop it. "
                f"Gains and losses are the IoU of the attended model less that of the dense one, on split {split}."
            ),
            html.gallery(),
        ],
    }


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
            html.folded("all parameters", json.dumps(history, indent=1, ensure_ascii=False)),
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
    return [*words, html.figures(*drawn)] if drawn or words else [html.paragraph("The models that the rows name were not at hand.")]


def hardness_parts(samples: ReportSamples, by: str, hardness: np.ndarray, split: str) -> list[Markup]:
    """How hardness is spread, and what else it goes with: lesion area and loss."""
    drawn = []
    for name in dict.fromkeys([by, "pruned_disagreement", "suspect"]):
        values = hardness if name == by else samples.known(name)
        by_split = {part: own for part in samples.known_splits if (own := values[(samples.splits == part) & np.isfinite(values)]).size}
        if by_split:
            drawn.append(html.figure(svg_plots.distribution(by_split, name), f"{name} by split."))
    covered = 1 - smallness(samples.objects["annotated"][..., :4])
    for name, other in (("share of the image that is annotated", covered), ("loss", samples.known("loss"))):
        both = np.isfinite(hardness) & np.isfinite(other)
        if both.sum() > 2 and by != name:
            found = correlation(hardness, other, samples.groups)
            caption = f"{by} against {name}, all splits: rank correlation {found}. Fuller colour: more samples."
            drawn.append(html.figure(svg_plots.cloud(other[both], hardness[both], name, by), caption))
    own = np.flatnonzero(samples.splits == split)
    columns = [name for name in HARDNESS if np.isfinite(samples.known(name)[own]).sum() > 2 and name != "random"]
    lines = [[name, *(with_others(samples.known(name)[own], samples, own)), HARDNESS[name]] for name in columns]
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


def correlation(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> str:
    """The rank correlation of a and b [N] with its interval by the number of groups."""
    count = len(set(groups[np.isfinite(a) & np.isfinite(b)]))
    found = rank_correlation(a, b)
    if np.isnan(found) or count < 4:
        return "-"
    low, high = correlation_interval(found, count)
    return f"{found:+.2f} [{low:+.2f}, {high:+.2f}]"


def doubt_parts(samples: ReportSamples, split: str) -> list[Markup]:
    """Risk by coverage of the columns that need no annotation, on the samples of a split that have one."""
    own = (samples.splits == split) & np.isfinite(samples.iou.get("dense", np.full(len(samples.rows), np.nan)))
    columns = {name: values[own] for name in DOUBT_COLUMNS if own.sum() > 2 and np.isfinite((values := samples.known(name))[own]).all()}
    if not columns:
        return [html.paragraph(f"No column of doubt is known of all annotated rows of split {split}; htl score --also computes some.")]
    iou = samples.iou["dense"][own]
    curves = {name: risk_curve(iou, values) for name, values in columns.items()}
    table = [
        [name, *(f"{found[metric][0]:.3f}" for metric in ("aurc", "e_aurc", "failure_auroc"))]
        for name, found in ((name, DoubtMetrics(iou, values).values()) for name, values in columns.items())
    ]
    caption = f"Risk by coverage, {own.sum()} samples of split {split}: lower is better. E-AURC: the area above the ideal order."
    return [
        html.figures(
            html.figure(svg_plots.risk_coverage(curves, risk_curve(iou, 1 - iou), float(1 - iou.mean())), caption),
            html.table(["doubt", "AURC", "E-AURC", f"AUROC of IoU < {FAILURE_IOU:g}"], table, "numbers"),
        ),
        html.paragraph("htl evaluate --doubt gives these figures with intervals, by subgroup, and sets a threshold.", "note"),
    ]


def stability_parts(samples: ReportSamples) -> list[Markup]:
    """How alike several models rank the samples."""
    if not samples.stability:
        return [
            html.paragraph(
                "The rows come with one set of scores: how much of their order another training seed would keep is not known here. Name "
                "models of several seeds, each with --model and --pruned, to see it."
            )
        ]
    splits = list(dict.fromkeys(split for by_split in samples.stability.values() for split in by_split))
    lines = [[name, *("-" if np.isnan(own[s]) else f"{own[s]:.3f}" for s in splits)] for name, own in samples.stability.items()]
    return [
        html.paragraph("Mean rank correlation over the pairs of models, by split; 1 = the same order."),
        html.figure(svg_plots.dots(samples.stability, "rank correlation from model to model"), "Reliability of each column of hardness."),
        html.table(["column", *splits], lines),
    ]
