"""A row of the stream: a dict of JSON with typed accessors."""

from typing import Any

from htltools.errors import DataError

Box = list[float]  # [x0, y0, x1, y1] in pixels of the original image, x1 and y1 exclusive


class Row(dict[str, Any]):
    """One sample, see `schema.Sample`. Unknown keys stay; a change makes a new row (`changed`).

    >>> row = Row(id="a", boxes=[[0, 0, 2, 2]], size=[4, 4], mine=1)
    >>> row.group, row.is_annotated, row.changed(weight=2.0)
    ('a', True, {'id': 'a', 'boxes': [[0, 0, 2, 2]], 'size': [4, 4], 'mine': 1, 'weight': 2.0})
    """

    __slots__ = ()

    @property
    def id(self) -> str:
        """Name of the sample."""
        return self["id"]

    @property
    def group(self) -> str:
        """Lesion or patient whose samples must stay in one split; the id where the row names none."""
        return self.get("group") or self["id"]

    @property
    def split(self) -> str | None:
        """train, val or test."""
        return self.get("split")

    @property
    def store(self) -> str | None:
        """Path of the shard that holds the image."""
        return self.get("store")

    @property
    def index(self) -> int | None:
        """Place of the image in its shard."""
        return self.get("index")

    @property
    def stored_at(self) -> tuple[str, int]:
        """The shard that holds the image, and the place of the image in it.

        Raises: DataError where the row names none.
        """
        if "store" not in self or "index" not in self:
            raise DataError(f"the row {self.id!r} names no stored image (store and index)", "make rows with htl prepare")
        return self["store"], self["index"]

    @property
    def file(self) -> str | None:
        """Path of the original image, relative to `source_folder` where the row names one."""
        return self.get("file")

    @property
    def size(self) -> list[int] | None:
        """Width and height of the original image, in pixels."""
        return self.get("size")

    @property
    def boxes(self) -> list[Box] | None:
        """Boxes; [] = known to hold none, None = not annotated."""
        return self.get("boxes")

    @property
    def annotated_boxes(self) -> list[Box] | None:
        """Boxes of the annotation; None where there is none, and where `boxes` are a model's predictions."""
        return None if self.is_pseudo else self.boxes

    @property
    def labels(self) -> list[str] | None:
        """Class of each box; None: all are of one class."""
        return self.get("labels")

    @property
    def label(self) -> str | None:
        """Class of the whole image."""
        return self.get("label")

    @property
    def meta(self) -> dict[str, Any]:
        """Metadata by column; empty where there is none."""
        return self.get("meta") or {}

    @property
    def hardness(self) -> dict[str, float]:
        """Hardness by column, higher = harder; empty before `score`."""
        return self.get("hardness") or {}

    @property
    def predicted(self) -> dict[str, Box]:
        """The predicted box of each role; empty before `score`."""
        return self.get("predicted") or {}

    @property
    def detected(self) -> dict[str, dict[str, list]]:
        """The predicted objects of each role: boxes, labels and scores; empty before `score`."""
        return self.get("detected") or {}

    @property
    def weight(self) -> float:
        """Weight in the training loss; 1 where the row names none."""
        return self.get("weight", 1.0)

    @property
    def repeat(self) -> int:
        """Which copy of the sample this is; 0 = the sample itself."""
        return self.get("repeat") or 0

    @property
    def unique_name(self) -> str:
        """The id, and which copy it is: no other row of a stream has it."""
        return f"{self.id}/{self.repeat}" if self.repeat else self.id

    @property
    def is_pseudo(self) -> bool:
        """Whether `boxes` are a model's predictions instead of an annotation."""
        return bool(self.get("pseudo"))

    @property
    def is_annotated(self) -> bool:
        """Whether the row has a box."""
        return bool(self.get("boxes"))

    @property
    def is_known(self) -> bool:
        """Whether it is known which boxes the image holds, be it none."""
        return self.get("boxes") is not None

    def changed(self, **fields: Any) -> "Row":
        """The row with other or more fields."""
        return Row({**self, **fields})

    def __or__(self, fields: dict[str, Any]) -> "Row":  # type: ignore[override]  # narrower than dict's: what is joined stays a row
        return self.changed(**fields)
