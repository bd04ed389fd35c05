"""Which names a stream has had already, in 8 bytes each."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CHUNK = 2**16


class SeenNames:
    """Names that were seen, by 64 bits of their hash: two of a hundred million share these with a chance of 1 in 4,000.

    A name is compared at once with those of its chunk, with all earlier ones when the chunk is full, and in `repeated` at the end.
    """

    def __init__(self) -> None:
        self.chunk: dict[int, tuple[int, str]] = {}  # line and name by hash
        self.runs: list[np.ndarray] = []  # sorted hashes, each run more than twice as long as the next

    def add(self, number: int, name: str, repeat: int = 0) -> tuple[int, str] | None:
        """Add the name on a line; the line and the name of one that is known to be there before, else None."""
        key = hash((name, repeat))
        if key in self.chunk:
            return number, name
        self.chunk[key] = number, name
        return self.repeated() if len(self.chunk) == CHUNK else None

    def repeated(self) -> tuple[int, str] | None:
        """The first line, with its name, of the last chunk whose name stands in an earlier one; None where there is none."""
        if len(self.chunk) < CHUNK and not self.runs:  # numpy is not needed for few names
            return None
        import numpy as np

        keys = np.fromiter(self.chunk, np.int64, len(self.chunk))
        known = np.zeros(len(keys), bool)
        for run in self.runs:
            known |= run[np.searchsorted(run, keys).clip(0, len(run) - 1)] == keys
        if known.any():
            return self.chunk[int(keys[known][0])]
        self.runs.append(np.sort(keys))
        while len(self.runs) > 1 and len(self.runs[-2]) <= 2 * len(self.runs[-1]):
            self.runs[-2:] = [np.sort(np.concatenate(self.runs[-2:]), kind="stable")]
        self.chunk = {}
        return None
