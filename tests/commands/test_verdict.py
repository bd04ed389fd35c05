"""What a comparison allows one to say."""

import pytest

from htltools.commands.evaluate.conclusion import verdict


def line(value, low, high, runs=None):
    """A line of output on a difference; runs: values, low, high."""
    difference = {"metric": "iou_mean.delta", "value": value, "low": low, "high": high}
    signs = "".join("+" if each > 0 else "-" for each in runs[0]) if runs else ""
    return difference | ({"runs": dict(zip(["values", "low", "high", "signs"], [*runs, signs]))} if runs else {})


def test_the_whole_sentence():
    """It names the difference, both intervals, how many runs agree, and what follows."""
    assert verdict(line(0.02, 0.01, 0.03, [[0.02, 0.03, 0.01], 0.005, 0.035])) == (
        "iou_mean differs by +0.0200, [+0.0100, +0.0300] over groups, [+0.0050, +0.0350] over runs, better in 3 of 3: "
        "better, beyond what the choice of samples and of seeds explains"
    )


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((-0.02, -0.03, -0.01, [[-0.02, -0.03, -0.01], -0.035, -0.005]), "worse, beyond what the choice of samples and of seeds explains"),
        ((0.02, 0.01, 0.03, [[0.05, -0.01], -0.1, 0.14]), "better on average of these runs, but other seeds may say otherwise"),
        ((0.02, -0.01, 0.03, [[0.02, 0.02], 0.02, 0.02]), "better on these samples with any seed, but other samples may say otherwise"),
        ((0.02, -0.01, 0.03, [[0.05, -0.01], -0.1, 0.14]), "no difference is shown; anything from -0.1000 to +0.1400 is possible"),
        ((-0.02, -0.03, -0.01), "worse for this pair of models; another seed may say otherwise, so repeat --model and --baseline"),
        ((0.02, -0.01, 0.03), "no difference is shown; anything from -0.0100 to +0.0300 is possible"),
        ((0.02, None, None), "iou_mean differs by +0.0200, from one group only: it says nothing of others"),
    ],
)
def test_what_may_be_said(figures, said):
    """Better or worse without reserve only where samples and seeds both say so; else what may yet be otherwise."""
    assert verdict(line(*figures)).endswith(said)
