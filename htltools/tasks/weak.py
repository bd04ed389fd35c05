"""What weak supervision takes from the rows: the class of each image of the training split, and none of its boxes."""

import numpy as np

from htltools import console
from htltools.commands.shared.inputs import split_rows
from htltools.core.nets.localizer import MapLocalizer
from htltools.core.training.class_map_objective import WeaklySupervised
from htltools.errors import DataError


def class_rows(samples: list[dict]) -> list[dict]:
    """The rows of the training split that have a label; the others are counted aloud.

    Raises: DataError where none has.
    """
    rows = split_rows(samples, "train")
    with_class = [row for row in rows if row.get("label") is not None]
    if not with_class:
        raise DataError("no row of split train has a label", "weak supervision needs the field label; prepare --label-column")
    if len(with_class) < len(rows):
        console.say(f"{len(rows) - len(with_class)} rows of split train without a label are left aside")
    return with_class


def class_names(rows: list[dict]) -> list[str]:
    """The labels of the rows, each once, in order.

    Raises: DataError where there is only one: nothing can be told from it.
    """
    names = sorted({row["label"] for row in rows})
    if len(names) < 2:
        raise DataError(f"all rows of split train have the label {names[0]!r}", "weak supervision needs two classes or more")
    return names


def told(rows: list[dict], weak: bool) -> dict[str, list[str]]:
    """What the rows tell of the net to build: the classes of weak supervision."""
    return {"classes": class_names(rows)} if weak else {}


def class_objective(
    model: MapLocalizer, classes: list[str], rows: list[dict], images, weights: np.ndarray, held_out, recipe, **how
) -> WeaklySupervised:
    """What a model of these classes learns from rows with labels.

    Raises: DataError where a row has a label that is none of them.
    """
    number = {name: place for place, name in enumerate(classes)}
    strange = next((row for row in rows if row["label"] not in number), None)
    if strange is not None:
        raise DataError(f"the row {strange['id']!r} has the label {strange['label']!r}, and the model knows {', '.join(classes)}")
    return WeaklySupervised(model, images, np.array([number[row["label"]] for row in rows]), weights, held_out, recipe, **how)
