"""Which state of a training to keep, for tools that leave it to their users: the best on val of three near the end."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from budget import Budget
from measure import overlaps
from rows import Data, Sample

AT, MOST = (0.8, 0.9, 1.0), 150  # shares of the budget; images of val


class Choice:
    """Measures at those shares of the budget, and keeps a reserve of it for the last time."""

    def __init__(self, data: Data, budget: Budget, predict: Callable[[torch.nn.Module, list[Sample]], Iterator[np.ndarray]]):
        self.samples = data.val[:: -(-len(data.val) // MOST)]
        self.data, self.budget, self.predict = data, budget, predict
        self.left, self.score = list(AT), -1.0
        self.state: dict[str, torch.Tensor] | None = None

    def look(self, model: torch.nn.Module) -> None:
        """Measure, where it is time to."""
        if not self.left or self.budget.share < self.left[0]:
            return
        while self.left and self.budget.share >= self.left[0]:
            del self.left[0]
        start = self.budget.spent
        found = list(self.predict(model, self.samples))
        score = float(np.mean(overlaps(self.samples, found)))
        self.budget.reserve = self.budget.spent - start
        if score > self.score:
            self.score, self.state = score, copy.deepcopy(model.state_dict())

    def best(self, model: torch.nn.Module, told: dict) -> torch.nn.Module:
        """The model of the best state."""
        if self.state is not None:
            model.load_state_dict(self.state)
        told["val_iou"] = self.score
        return model
