"""Plots of a report with a line for each subgroup or column: forest plots, and dots. matplotlib as in `svg_plots`."""

from collections.abc import Mapping, Sequence

import numpy as np

from htltools.core.figures.svg_plots import DASHES, INK, MARKERS, ORDER, ROLE_DASHES, SERIES, svg

RATIOS = 0.02, 50.0  # odds ratios beyond are drawn at the edge


def forest(labels: Sequence[str], models: Mapping[str, Sequence[tuple]], overall: float, x_name: str) -> str:
    """Forest plot of L subgroups and up to three models by role: (value, low, high) each, low None = no interval."""
    places = np.arange(len(labels), 0, -1)

    def draw(figure) -> None:
        axes = figure.subplots()
        for i, (role, rows) in enumerate(models.items()):
            height = places + (len(models) - 1) * 0.13 - i * 0.26
            for y, (_, low, high) in zip(height, rows):
                if low is not None:
                    axes.plot([low, high], [y, y], color=SERIES[role], linestyle=ROLE_DASHES[role], linewidth=1.4)
            axes.plot([row[0] for row in rows], height, MARKERS[i], color=SERIES[role], markersize=4)
            axes.plot([], [], MARKERS[i], color=SERIES[role], markersize=4, linestyle=ROLE_DASHES[role], label=role)
        axes.axvline(overall, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(places, labels)
        axes.set_ylim(0.4, len(labels) + 0.6)
        axes.set(xlabel=x_name)
        axes.grid(False, axis="y")
        if len(models) > 1:
            figure.legend(loc="outside upper right", ncols=3, labelcolor=INK)

    return svg(draw, 0.9 + 0.23 * len(labels))


def odds_forest(labels: Sequence[str], columns: Mapping[str, Sequence[tuple]], crude: Sequence[float | None], x_name: str) -> str:
    """Forest plot of the odds ratios of L subgroups by up to three columns, on a logarithmic axis: (value, low, high) each, None = unknown.

    crude: [L], those of the first column before adjustment, drawn as rings. What lies beyond 0.02 or 50 is drawn at the edge, as an arrow.
    """
    places = np.arange(len(labels), 0, -1)
    known = [number for rows in columns.values() for row in rows for number in row if number]
    reach = np.clip([*known, *filter(None, crude), 0.5, 2], *RATIOS)
    left, right = float(reach.min() / 1.25), float(reach.max() * 1.25)

    def draw(figure) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
        for i, (name, rows) in enumerate(columns.items()):
            height = places + (len(columns) - 1) * 0.13 - i * 0.26
            for y, (value, low, high) in zip(height, rows):
                if value is None:
                    continue
                if low is not None and high is not None:
                    axes.plot([max(low, left), min(high, right)], [y, y], color=ORDER[i], linestyle=DASHES[i], linewidth=1.2)
                axes.plot([min(max(value, left), right)], [y], edge_marker(value, left, right, MARKERS[i]), color=ORDER[i], markersize=4)
            axes.plot([], [], MARKERS[i], color=ORDER[i], linestyle=DASHES[i], markersize=4, label=f"by {name}")
        for y, value in zip(places + (len(columns) - 1) * 0.13, crude):
            if value is not None:
                marker = edge_marker(value, left, right, "o")
                axes.plot(
                    [min(max(value, left), right)], [y], marker, color=ORDER[0], markersize=6.5, fillstyle="none", markeredgewidth=0.8
                )
        axes.set_yticks(places, labels)
        axes.set_ylim(0.4, len(labels) + 0.6)
        axes.set_xlim(left, right)
        axes.set_xticks([tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if left <= tick <= right])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set(xlabel=x_name)
        axes.grid(False, axis="y")
        figure.legend(loc="outside upper right", ncols=3, labelcolor=INK)

    return svg(draw, 0.9 + 0.3 * len(labels))


def edge_marker(value: float, left: float, right: float, marker: str) -> str:
    """The marker of a value: an arrow at the edge of the axis where it lies beyond."""
    return "<" if value < left else ">" if value > right else marker


def dots(values: Mapping[str, Mapping[str, float]], x_name: str) -> str:
    """Dot plot of a number for each column and split; the first column is at the top."""
    columns = list(values)
    splits = list(dict.fromkeys(split for by_split in values.values() for split in by_split))
    places = np.arange(len(columns), 0, -1)

    def draw(figure) -> None:
        axes = figure.subplots()
        for i, split in enumerate(splits):
            own = [values[column].get(split, np.nan) for column in columns]
            axes.plot(own, places, MARKERS[i % 4], color=ORDER[i % 3], markersize=5, label=split)
        axes.set_yticks(places, columns)
        axes.set_ylim(0.4, len(columns) + 0.6)
        axes.set_xlim(right=1.02)
        axes.set(xlabel=x_name)
        figure.legend(loc="outside upper right", ncols=4, labelcolor=INK)

    return svg(draw, 0.9 + 0.25 * len(columns))
