"""One of several equal shares of a list of scenes, for runs that share an archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `count`-th of a list, beginning with number `number`, counted from 1.

    Neighbours in a list go to different shards, so that the large scenes of one folder do, too.
    """

    number: int
    count: int

    def of(self, things: Sequence[T]) -> Sequence[T]:
        """Return the share of a list. The shards of one list together have each thing once."""
        return things[self.number - 1 :: self.count]


WHOLE = Shard(1, 1)


def read_shard(text: str) -> Shard:
    """Return the shard that `3/8` means.

    Raises:
        UsageError: If it means none.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.strip().isdecimal() and count.strip().isdecimal()):
        raise UsageError(f"expected --shard I/N, 3/8 for example, but got {text!r}")
    shard = Shard(int(number), int(count))
    if not 1 <= shard.number <= shard.count:
        raise UsageError(f"expected --shard I/N with I from 1 to N, but got {text!r}")
    return shard
