"""Plots of a report as SVG, with colours from the style sheet of the page. matplotlib is imported inside of functions only."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# placeholders in the SVG, which `svg` replaces by colours of the page; any six digits would do
INK, FAINT = "#0a0b01", "#0a0b02"
SERIES = {"dense": "#0a0b03", "pruned": "#0a0b04", "attended": "#0a0b05"}
PAGE = {INK: "currentColor", FAINT: "var(--line)", **{colour: f"var(--{role})" for role, colour in SERIES.items()}}
ORDER = list(SERIES.values())
DASHES = "-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))
ROLE_DASHES = {"dense": DASHES[0], "pruned": DASHES[2], "attended": DASHES[3]}
MARKERS = "os^D"
POINTS = 400  # of a curve at most
COUNTS = [count * 10**power for power in range(6) for count in (1, 2, 5)]  # on a scale of samples
WIDTH, HEIGHT = 5.2, 3.1  # inches of 72 points: as wide as a page on a phone, so that letters keep their size

LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "htl",
    "text.parse_math": False,  # names may hold dollar signs
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "grid.color": FAINT,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor"), INK),
}

Draw = Callable[[Any], None]  # draws on a matplotlib figure


def svg(draw: Draw, height: float = HEIGHT) -> str:
    """What `draw` draws on a figure of that height, in inches, as one <svg> without ids; text is escaped."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it reports its font cache
    import matplotlib
    from matplotlib.figure import Figure

    out = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that its font lacks: the font of the page has them
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        figure = Figure((WIDTH, height), layout="constrained")
        draw(figure)
        figure.savefig(out, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = out.getvalue()
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text[text.index("<svg") :], count=2)
    text = re.sub(r' id="[a-z0-9A-Z]*_\d+(?:_\d+)*"', "", text)  # ids are the same in all figures
    text = re.sub(r"\s*<!--.*?-->", "", text, flags=re.S)
    return re.sub("|".join(PAGE), lambda match: PAGE[match[0]], text)


def curves(logs: Mapping[str, Sequence[tuple[str, Sequence[Mapping]]]]) -> str:
    """Training loss and validation IoU by epoch, of models by role: the name and the log of each, one record per epoch."""
    lines = [(role, i, name, log) for role, own in logs.items() for i, (name, log) in enumerate(own)]

    def draw(figure) -> None:
        for axes, key, title in zip(figure.subplots(1, 2), ("loss", "val_iou"), ("training loss", "validation mean IoU")):
            for role, i, name, log in lines:
                known = [(record["epoch"], record[key]) for record in log if record.get(key) is not None and "epoch" in record]
                if known:
                    style = {"color": SERIES[role], "linestyle": ROLE_DASHES[role], "marker": MARKERS[i % 4], "markersize": 3}
                    axes.plot(*zip(*known), label=name, **style)
            axes.set(title=title, xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.axes[1].legend(loc="lower right", labelcolor=INK)

    return svg(draw)


def sweep(entries: Sequence[Mapping], dense_iou: float, gate: float, taken: float) -> str:
    """Validation IoU by sparsity, before and after recovery; lines at the IoU of the dense model, the gate and the sparsity taken."""

    def draw(figure) -> None:
        axes = figure.subplots()
        ordered = sorted(entries, key=lambda entry: entry["asked"])
        for key, name, role, dash in (("val_iou_before_recovery", "cut", "attended", "--"), ("val_iou", "recovered", "pruned", "-")):
            known = [(entry["asked"], entry[key]) for entry in ordered if entry.get(key) is not None]
            if known:
                axes.plot(*zip(*known), color=SERIES[role], linestyle=dash, marker="o", markersize=4, label=name)
        axes.axhline(dense_iou, color=SERIES["dense"], linewidth=1, label="dense")
        axes.axhline(gate * dense_iou, color=INK, linewidth=1, linestyle=":", label=f"gate, {gate:g} of it")
        axes.axvline(taken, color=INK, linewidth=0.8, alpha=0.5)
        axes.set(xlabel="sparsity: share of the weights cut; the upright line is the one taken", ylabel="validation mean IoU")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower left", labelcolor=INK)

    return svg(draw)


def distribution(values: Mapping[str, np.ndarray], name: str) -> str:
    """Histogram of a column of hardness: values [n] of each split, with medians; the highest 1 % are in the last bar."""

    def draw(figure) -> None:
        axes = figure.subplots()
        pooled = np.concatenate(list(values.values()))
        edges = np.linspace(pooled.min(), max(np.quantile(pooled, 0.99), pooled.min() + 1e-9), 41)
        for i, (split, own) in enumerate(values.items()):
            style = {"color": ORDER[i % 3], "linestyle": DASHES[i % 3]}
            axes.hist(
                np.minimum(own, edges[-1]), edges, density=True, histtype="step", linewidth=1.4, **style, label=f"{split}, {len(own)}"
            )
            axes.axvline(np.median(own), linewidth=0.8, **style)
        axes.set(xlabel=name, ylabel="density")
        axes.legend(labelcolor=INK)

    return svg(draw)


def cloud(x: np.ndarray, y: np.ndarray, x_name: str, y_name: str) -> str:
    """Two-dimensional histogram of x and y [N] in hexagons, with a scale of samples, without the highest 1 % of either."""

    def draw(figure) -> None:
        from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba

        axes = figure.subplots()
        inside = (x <= np.quantile(x, 0.99)) & (y <= np.quantile(y, 0.99))
        shades = LinearSegmentedColormap.from_list("", [to_rgba(SERIES["dense"], alpha) for alpha in (0.15, 1)], 24)
        bins = axes.hexbin(x[inside], y[inside], gridsize=(32, 16), mincnt=1, cmap=shades, linewidths=0)
        bins.set_norm(LogNorm(1, max(float(bins.get_array().max()), 2)))
        axes.set(xlabel=x_name, ylabel=y_name)
        scale = figure.colorbar(
            bins, label="samples in a hexagon", ticks=[count for count in COUNTS if count <= bins.norm.vmax], format="%g"
        )
        scale.minorticks_off()
        scale.outline.set_visible(False)

    return svg(draw)


def risk_coverage(columns: Mapping[str, tuple[np.ndarray, np.ndarray]], ideal: tuple[np.ndarray, np.ndarray], mean: float) -> str:
    """Mean of 1 - IoU among the answered by coverage, [points] each, of up to twelve columns of doubt, of the ideal order and of none."""

    def draw(figure) -> None:
        axes = figure.subplots()
        for i, (name, (coverage, risk)) in enumerate(columns.items()):
            axes.plot(coverage, risk, color=ORDER[i % 3], linestyle=DASHES[(i + i // 3) % 4], linewidth=1.4, label=name)
        axes.plot(*ideal, color=INK, linewidth=0.8, label="ideal order")
        axes.axhline(mean, color=INK, linewidth=0.8, linestyle=":", label="random order")
        axes.set(xlabel="coverage: share of samples answered, the least doubtful first", ylabel="mean of 1 - IoU among them")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.legend(labelcolor=INK)

    return svg(draw)


def detection_curves(models: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """Precision by recall, and recall by false positives per image up to 8, of models by role: [points] each, by falling threshold."""

    def draw(figure) -> None:
        left, right = figure.subplots(1, 2)
        for role, points in models.items():
            style = {"color": SERIES[role], "linestyle": ROLE_DASHES[role], "linewidth": 1.4, "label": role}
            count = len(points["recall"])
            kept = np.unique(np.linspace(0, count - 1, min(POINTS, count)).round().astype(int))
            left.plot(points["recall"][kept], points["precision"][kept], **style)
            right.plot(points["fp_per_image"][kept], points["recall"][kept], drawstyle="steps-post", **style)
        left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        right.set(xlabel="false positives per image", ylabel="recall", xlim=(0, 8), ylim=(0, 1.02))
        right.legend(loc="lower right", labelcolor=INK)

    return svg(draw)
