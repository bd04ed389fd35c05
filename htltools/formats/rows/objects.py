"""The types of boxes and objects in rows.

Letters: B boxes.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

SIDE = 2**31  # pixels of an image's side, and more than any number of a box
NonNegativeInt = Annotated[int, Field(ge=0, le=2**53)]
PositiveInt = Annotated[int, Field(ge=1, le=2**53)]
Side = Annotated[int, Field(ge=1, le=SIDE)]
Edge = Annotated[float, Field(ge=-SIDE, le=SIDE, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
BoxField = Annotated[list[Edge], Field(min_length=4, max_length=4)]


class Detected(BaseModel):
    """The objects that a model predicts for an image and that score enough to count, highest first: three lists of one length."""

    model_config = ConfigDict(strict=True)

    boxes: list[BoxField] = Field(description="like `boxes` of the row")
    labels: list[str] = Field(description="class of each")
    scores: list[FiniteFloat] = Field(description="score of each, in (0, 1]")
    doubts: list[FiniteFloat] | None = Field(None, description="doubt of each, in [0, 1]; of `predict`, `score --also mirror_disagreement`")


class Replaced(BaseModel):
    """An annotation that a correction replaced: those of the fields `boxes`, `labels`, `label` and `pseudo` that the row had."""

    model_config = ConfigDict(extra="allow", strict=True)

    by: str = Field(description="name of the file that corrected it")
    boxes: list[BoxField] | None = Field(None, description="the boxes before; absent: none were known")
