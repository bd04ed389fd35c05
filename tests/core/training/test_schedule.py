"""How long a training lasts, and its learning rate."""

import numpy as np
import pytest

from htltools.core.training.schedule import Cooling, Recipe, Schedule, cooling, rates, usual_epochs


def log_of(*values):
    """The log of epochs with these validation IoUs."""
    return [{"epoch": i + 1, "val_iou": value} for i, value in enumerate(values)]


@pytest.mark.parametrize("samples, batch_size, epochs", [(60000, 32, 30), (2134, 32, 30), (2100, 32, 31), (300, 32, 200), (20, 32, 300)])
def test_few_samples_get_more_epochs(samples, batch_size, epochs):
    """A training takes 30 epochs or 2,000 steps, whichever is longer, and 300 epochs at most."""
    assert usual_epochs(samples, batch_size) == epochs


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_schedules_end_low(schedule):
    """The rate reaches the highest value of the recipe, never more, and ends near zero; one step is a schedule as well."""
    values = rates(Recipe(10, rate=0.01, schedule=schedule), 100)
    assert len(values) == 100
    assert max(values) == pytest.approx(0.01, rel=0.01)
    assert 0 <= values[-1] < 0.001
    assert len(rates(Recipe(1, schedule=schedule), 1)) == 1


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
@pytest.mark.parametrize("warm_up", [0, 0.5, 4])
def test_warm_up(schedule, warm_up):
    """The rate rises for as many epochs as asked for, from a low one, and then falls."""
    values = np.array(rates(Recipe(10, rate=0.01, schedule=schedule, warm_up=warm_up), 100))
    top = values.argmax()
    assert abs(top - 10 * warm_up) <= 1 and values[top] == pytest.approx(0.01, rel=0.02)
    assert (np.diff(values[: top + 1]) > 0).all() and (np.diff(values[top:]) < 0).all()
    assert warm_up == 0 or values[0] <= 0.0005


def test_the_usual_warm_up_is_that_of_earlier_builds():
    """Without a warm-up asked for, one cycle rises for 15 % of the steps, and cosine not at all."""
    assert np.argmax(rates(Recipe(20), 1000)) == 149
    assert rates(Recipe(20), 1000) == rates(Recipe(20, warm_up=3), 1000)
    assert rates(Recipe(20, schedule="cosine"), 50) == rates(Recipe(20, schedule="cosine", warm_up=0), 50)


@pytest.mark.parametrize(
    "values, patience, end",
    [
        ((0.1, 0.2, 0.3, 0.4), 1, None),
        ((0.1, 0.2, 0.2, 0.3), 1, Cooling(3, 1)),  # as good is no better
        ((0.5, 0.4, 0.4, 0.4, 0.6), 3, Cooling(4, 1)),  # what comes later changes nothing: it was the end
        ((0.5, 0.4, 0.4, 0.4, 0.4, 0.4), 5, Cooling(6, 2)),
        ((0.5, 0.4), None, None),
        ((), 3, None),
    ],
)
def test_patience(values, patience, end):
    """Patience runs out once there are so many epochs since the best; a fifth of the epochs so far remain, for the rate to fall."""
    assert cooling(log_of(*values), Recipe(30, patience=patience)) == end


def test_the_end_comes_no_later_for_patience():
    """Near the end of the plan fewer epochs remain, none at its very end."""
    log = log_of(0.5, *[0.4] * 9)
    assert cooling(log, Recipe(11, patience=9)) == Cooling(10, 1)
    assert cooling(log, Recipe(10, patience=9)) == Cooling(10, 0)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_the_rate_falls_to_zero_once_patience_ran_out(schedule):
    """Until then the rate is that of the plan; then it falls from there to 0, never above the plan."""
    recipe, steps, end = Recipe(40, rate=0.01, schedule=schedule), 5, Cooling(15, 3)
    plan, early = Schedule(recipe, steps), [Schedule(recipe, steps).rate(step, end) for step in range(steps * sum(end))]
    assert early[: 15 * steps] == plan.rates[: 15 * steps]
    assert (np.diff(early[15 * steps :]) < 0).all()
    assert early[15 * steps] < plan.rates[15 * steps - 1] and early[-1] == 0
    assert all(rate <= planned for rate, planned in zip(early, plan.rates))
