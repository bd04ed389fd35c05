"""Parts of a set of samples, by whole groups, and a digest of samples in which their order does not count."""

import hashlib
from dataclasses import dataclass

MODULUS = 2**256


@dataclass(frozen=True)
class Part:
    """The `k`-th of `count` parts of a set of samples, 1 <= k <= count."""

    k: int
    count: int

    def __str__(self) -> str:
        return f"{self.k}/{self.count}"

    def holds(self, group: str) -> bool:
        """Whether the samples of a group are in this part."""
        return part_of(group, self.count) == self.k


def part_of(group: str, count: int) -> int:
    """The part of a group, from 1 to `count`: a function of its name and the count alone, so that no group is in two parts.

    >>> [part_of(group, 3) for group in ("P1", "P2", "P3", "P4")]
    [2, 3, 3, 1]
    """
    # not the digests of `splits` and `cross_fitting`: among the groups of one split or fold those are not evenly distributed
    digest = hashlib.sha256(f"part/{count}:{group}".encode("utf-8", "surrogatepass")).digest()
    return 1 + (int.from_bytes(digest[:8]) * count >> 64)


@dataclass
class SampleSum:
    """How many samples were added, and the sum of the sha256 of each modulo 2**256: the same in any order, and sums of parts add up.

    It shows by accident missing, doubled or changed samples; it is no signature.

    >>> whole, one, other = SampleSum(), SampleSum(), SampleSum()
    >>> for each, names in ((whole, "abc"), (one, "c"), (other, "ba")):
    ...     for name in names:
    ...         each.add(name.encode())
    >>> one + other == whole, (one + one).samples, one == other
    (True, 2, False)
    """

    samples: int = 0
    total: int = 0

    def add(self, content: bytes) -> None:
        """Add a sample, by all that is to be told apart of it."""
        self.samples += 1
        self.total = (self.total + int.from_bytes(hashlib.sha256(content).digest())) % MODULUS

    def __add__(self, other: "SampleSum") -> "SampleSum":
        return SampleSum(self.samples + other.samples, (self.total + other.total) % MODULUS)

    @property
    def digest(self) -> str:
        """The sum, 64 hexadecimal digits."""
        return f"{self.total:064x}"
