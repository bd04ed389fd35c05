"""What the user asked of a training, and what of it follows from the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from htltools.core.hardness.cross_fitting import Fold
from htltools.core.nets.factory import predicts_pixels
from htltools.core.nets.looks import Looks
from htltools.core.training.adaptive_weighting import Attention
from htltools.core.training.augmentation import Augmentation
from htltools.core.training.objectives.mean_teacher import PseudoLabels
from htltools.core.training.schedule import EPOCHS, Recipe, usual_epochs
from htltools.errors import UsageError
from htltools.formats.models.checkpoint import resume_path
from htltools.formats.rows.row import Row
from htltools.tasks.mask import can_learn_masks
from htltools.tasks.registry import TASKS
from htltools.tasks.task import Task

TYPICAL = Looks(2)  # while it trains


@dataclass(frozen=True)
class Plan:
    """What the user asked of a training.

    targets: what to learn from, `boxes`, `masks`, or `auto`: masks where there are some and the net can. looks, window: how the model
    is to look again, None = as is best on validation. input: side of what the net takes, None = the stored image.
    trusted: names of nets of the user's own that may run. crops: share of the images that are cut for looking, None = as is best.
    decay, warm_up, patience: as in `Recipe`. freeze: what no step moves, as `freeze` takes it.
    shuffle: `full`, `shards` (see `core.sampling.shuffle`), or `auto`: shards where the images take more than half of the memory.
    """

    out: Path
    arch: str
    init: str
    epochs: int | None  # None: by the number of rows
    batch_size: int
    rate: float
    scheduler: str
    seed: int
    fold: Fold | None
    task_name: str = "box"
    attention: Attention | None = None
    pseudo_labels: PseudoLabels | None = None
    flip: tuple[float, float] = (0.5, 0.5)  # chance of a mirror image along each axis
    targets: str = "auto"
    looks: int | None = None
    window: float | None = None
    input: int | None = None
    trusted: tuple[str, ...] = ()
    crops: float | None = None
    decay: float = Recipe.decay
    warm_up: float | None = None
    patience: int | None = None
    freeze: str | None = None
    shuffle: str = "auto"

    @property
    def recipe(self) -> Recipe:
        """The numbers of the training, once the epochs are known."""
        assert self.epochs
        return Recipe(
            self.epochs,
            self.batch_size,
            self.rate,
            self.decay,
            self.scheduler,
            self.seed,
            Augmentation(flip=self.flip),
            self.warm_up,
            self.patience,
        )

    @property
    def looks_again(self) -> bool:
        """Whether the model learns to look again."""
        return bool(self.attention and self.attention.way == "look") or bool(self.pseudo_labels and self.pseudo_labels.looks)

    @property
    def sees_crops(self) -> bool:
        """Whether enlarged crops are among the images of the training."""
        return self.looks_again and (self.attention is None or self.attention.share > 0)

    @property
    def looks_while_training(self) -> Looks:
        """How the model looks until the best way is chosen."""
        if not self.looks_again:
            return Looks()
        return Looks(self.looks or TYPICAL.count, self.window or TYPICAL.window)

    def for_rows(self, rows: Sequence[Row]) -> "Plan":
        """The plan with the task that these rows ask for.

        Raises: DataError where there is no lesion mask to learn from, and masks are asked for.
        """
        if self.task_name != "box" or not predicts_pixels(self.arch) or self.pseudo_labels:
            return self
        masks = self.targets == "masks" or (self.targets == "auto" and can_learn_masks(rows))
        if not masks:
            return self
        attention = self.attention
        if attention and (attention.way, attention.by) == ("look", "none") and self.crops is None:
            attention = replace(attention, share=0.0)  # crops cost masks more than they gain, see EVIDENCE.md
        return replace(self, task_name="mask", attention=attention)

    def for_samples(self, count: int) -> "Plan":
        """The plan with its epochs: those asked for, else as many as so many samples need. Class maps get worse by more than 30.

        Raises: UsageError where the warm-up is longer.
        """
        epochs = self.epochs or (EPOCHS if self.task_name == "class_map" else usual_epochs(count, self.batch_size))
        if self.warm_up is not None and self.warm_up >= epochs:
            raise UsageError(
                f"--warmup-epochs {self.warm_up:g} leaves nothing of {epochs} epochs", "warm up for fewer, or name more --epochs"
            )
        return replace(self, epochs=epochs)

    @property
    def task(self) -> Task:
        """What is to be predicted."""
        return TASKS[self.task_name]

    @property
    def resume_path(self) -> Path:
        """Where an interrupted training waits."""
        return resume_path(self.out)

    @property
    def lock_path(self) -> Path:
        """What one training at a time holds."""
        return self.out.with_name(f".{self.out.name}.lock")

    @property
    def log_path(self) -> Path:
        """One line of JSON per epoch."""
        return self.out.with_name(f"{self.out.stem}.log.jsonl")
