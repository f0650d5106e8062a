"""Objects in parts, read in order once, and believed only when every part's digest was seen to hold."""

from __future__ import annotations

import hashlib

from fedsnap.clients.errors import InvalidData, NotFound
from fedsnap.clients.store import Store
from fedsnap.formats.control import Plan
from fedsnap.jobs.errors import Refused
from fedsnap.secagg.aggregate import shard_range
from fedsnap.secagg.encoding import COORDINATE_BYTES
from fedsnap.secagg.masking.files import PART_BYTES, Part

_READ_AT_ONCE = 4 * 1024 * 1024
PART_COORDINATES = PART_BYTES // COORDINATE_BYTES


def shard_parts(coordinates: int, shards: int, index: int) -> range:
    """The parts of one shard: each part is read, and its digest checked, by one pod."""
    return shard_range(-(-(coordinates + 1) // PART_COORDINATES), shards, index)


def shard_coordinates(plan: Plan, shards: int, index: int) -> range:
    """The coordinates that shard `index` sums."""
    if plan.secure_aggregation == "Plain":
        return shard_range(plan.coordinates, shards, index)
    parts = shard_parts(plan.coordinates, shards, index)
    return range(*(min(part * PART_COORDINATES, plan.coordinates) for part in (parts.start, parts.stop)))


class PartsReader:
    """Sequential reads of a member's masked update, from the beginning of one part to the end of another.

    What was read is not to be used before `finish`: the digest of a part is known when all of it was read.
    """

    def __init__(self, store: Store, paths: list[str], parts: tuple[Part, ...], *, owner: str) -> None:
        """`paths`: of the parts, as many as `parts`; `owner`: for messages."""
        self._store, self._paths, self._parts, self._owner = store, paths, parts, owner
        self._position: int | None = None
        self._sha256 = hashlib.sha256()

    def read(self, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`, which is where the read before ended.

        Raises:
            Refused: MaskedInvalid, where a part is missing or is not the one that its owner signed.
            ValueError: where the reads are not in order.
        """
        expected = start if self._position is None else self._position
        if start != expected or (self._position is None and start % PART_BYTES):
            raise ValueError(f"expected a read at {expected} that begins a part, got one at {start}")
        pieces = []
        while length:
            number, offset = divmod(start, PART_BYTES)
            piece = self._piece(number, offset, min(length, PART_BYTES - offset))
            pieces.append(piece)
            start, length = start + len(piece), length - len(piece)
        self._position = start
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, number: int, offset: int, length: int) -> bytes:
        try:
            piece = self._store.get_range(self._paths[number], offset, length)
        except (InvalidData, NotFound) as error:
            raise self._invalid(number, error.message) from None
        self._sha256.update(piece)
        if offset + length == self._parts[number].size:
            found = f"sha256:{self._sha256.hexdigest()}"
            if found != self._parts[number].digest:
                raise self._invalid(number, f"its owner signed {self._parts[number].digest}, it has {found}")
            self._sha256 = hashlib.sha256()
        return piece

    def _invalid(self, number: int, why: str) -> Refused:
        return Refused("MaskedInvalid", f"part {number} of the masked update of {self._owner!r}: {why}")

    def expect_parts(self, numbers: range) -> None:
        """Read whole parts again, from the first.

        Raises:
            Refused: MaskedInvalid, where one is missing or is not the one that its owner signed.
        """
        self._position, self._sha256 = None, hashlib.sha256()
        for number in numbers:
            start, size = number * PART_BYTES, self._parts[number].size
            for offset in range(0, size, _READ_AT_ONCE):
                self.read(start + offset, min(_READ_AT_ONCE, size - offset))

    def finish(self) -> None:
        """All that was begun was read to its end.

        Raises:
            ValueError: where it was not.
        """
        end = sum(part.size for part in self._parts)
        if self._position is not None and self._position % PART_BYTES and self._position != end:
            raise ValueError(f"the update of {self._owner!r} was read up to {self._position}, within a part")
