"""Plots of a report."""

import re

import numpy as np

from htltools.core.figures import forest_plots, svg_plots

RATES = "recall", "precision", "fp_per_image"
EVIL = "<script>alert(1)</script> $x^2$"


def test_figures_take_the_colours_of_the_page():
    """A figure has no colours and no size of its own, so that it is legible on light and on dark, and its text is text."""
    drawn = svg_plots.curves({"dense": [("dense", [{"epoch": 1, "loss": 0.9, "val_iou": 0.4}, {"epoch": 2, "loss": 0.5, "val_iou": 0.6}])]})
    assert drawn.startswith("<svg") and drawn.rstrip().endswith("</svg>")
    assert not re.search(r"#0a0b0\d|(?:fill|stroke): ?#000000|<metadata|<!", drawn)
    assert "var(--dense)" in drawn and "currentColor" in drawn
    assert "training loss</text>" in drawn
    assert not re.search(r'<svg[^>]* (width|height)="', drawn)


def test_names_stay_as_they_are():
    """A name of a subgroup that looks like markup or mathematics is shown as it is."""
    drawn = forest_plots.forest([EVIL], {"dense": [(0.5, None, None)], "attended": [(0.6, 0.5, 0.7)]}, 0.5, "IoU")
    assert "<script" not in drawn and "&lt;script&gt;alert(1)&lt;/script&gt; $x^2$" in drawn


def test_degenerate_data_is_drawn():
    """One sample, equal values, and a sweep that stops at once are drawn without complaint."""
    one = np.array([0.5])
    for drawn in (
        svg_plots.distribution({"test": one}, "pruned_disagreement"),
        svg_plots.cloud(one, one, "loss", "pruned_disagreement"),
        svg_plots.sweep([{"asked": 0.95, "val_iou": 0.8, "val_iou_before_recovery": 0.1}], 0.8, 0.9, 0.95),
        svg_plots.risk_coverage({"mirror_disagreement": (one, one)}, (one, one), 0.5),
        svg_plots.detection_curves(
            {"dense": {"recall": one, "precision": one, "fp_per_image": one}, "pruned": dict.fromkeys(RATES, one[:0])}
        ),
        forest_plots.odds_forest(["a"], {"loss": [(None, None, None)]}, [None], "odds ratio"),
        forest_plots.odds_forest(["a"], {"loss": [(900.0, 0.0001, None)], "random": [(0.0, 0.0, 900.0)]}, [0.0], "odds ratio"),
        forest_plots.dots({"pruned_disagreement": {"test": float("nan")}}, "correlation"),
    ):
        assert drawn.count("<svg") == 1


def test_hexagons_have_a_scale():
    """The scale of a cloud counts samples, in whole numbers."""
    numbers = np.repeat(np.linspace(0, 1, 4), 30)
    drawn = svg_plots.cloud(numbers, numbers, "a", "b")
    assert "samples in a hexagon</text>" in drawn
    assert re.findall(r">(\d+)</text>", drawn) == ["1", "2", "5", "10", "20"]


def test_same_figure_same_bytes():
    """The same numbers give the same bytes."""
    numbers = np.linspace(0, 1, 50)
    assert svg_plots.cloud(numbers, numbers, "a", "b") == svg_plots.cloud(numbers, numbers, "a", "b")
