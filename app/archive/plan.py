"""How the pairs of an order are cut into volumes, and these into shards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.archive.layout import TAR_PAIRS, layout_of

VOLUME_PAIRS = 100_000  # most in a volume: some 10 GB
FULL_SIDE = 256  # pixels, up to which a volume may hold so many


def largest_volume(resolution: int) -> int:
    """Pairs in a volume at most: as many pixels at any resolution above 256."""
    return max(1, min(VOLUME_PAIRS, VOLUME_PAIRS * FULL_SIDE**2 // resolution**2))


@dataclass(frozen=True)
class Plan:
    """Volumes are the zips that a user gets, shards the pieces that workers make.

    A shard lies within one volume. Volumes depend on the order alone; shards may be of any size,
    except that tars are not cut.
    """

    count: int
    shard_pairs: int
    volume_pairs: int

    @classmethod
    def of(cls, order: Mapping[str, Any], shard_pairs: int) -> Self:
        """The plan of an order whose shards have about ``shard_pairs`` pairs."""
        if layout_of(order).tar is not None:
            shard_pairs = -(-shard_pairs // TAR_PAIRS) * TAR_PAIRS
        return cls(order["count"], shard_pairs, order.get("volume_pairs") or order["count"])

    @property
    def volumes(self) -> int:
        return -(-self.count // self.volume_pairs)

    @property
    def shards(self) -> int:
        whole, rest = divmod(self.count, self.volume_pairs)
        return whole * self._shards_of_one + -(-rest // self.shard_pairs)

    @property
    def _shards_of_one(self) -> int:
        """Shards of a volume; the last one may have fewer."""
        return -(-self.volume_pairs // self.shard_pairs)

    def number_of(self, volume: int) -> int | None:
        """The number that the names of a volume's files bear: none if it is the only one."""
        return volume if self.volumes > 1 else None

    def pairs_of_volume(self, volume: int) -> range:
        """The indices of the pairs in a volume; volumes count from 1."""
        first = (volume - 1) * self.volume_pairs
        return range(first, min(first + self.volume_pairs, self.count))

    def shards_of_volume(self, volume: int) -> range:
        first = (volume - 1) * self._shards_of_one
        return range(first, min(first + self._shards_of_one, self.shards))

    def pairs_of_shard(self, shard: int) -> range:
        """The indices of the pairs in a shard; shards count from 0, through all volumes."""
        volume, place = divmod(shard, self._shards_of_one)
        pairs = self.pairs_of_volume(volume + 1)
        return pairs[place * self.shard_pairs : (place + 1) * self.shard_pairs]

    def find(self, index: int) -> tuple[int, int]:
        """The volume and the shard that pair ``index`` is in."""
        volume, place = divmod(index, self.volume_pairs)
        return volume + 1, volume * self._shards_of_one + place // self.shard_pairs
