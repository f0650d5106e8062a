"""Job `mask`: the member's sealed update, weighted and masked, uploaded in parts; constant memory, equal bytes."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedsnap.formats.cobblestone import CobblestoneReader
from fedsnap.formats.contexts import sealed_context
from fedsnap.jobs.entry import Environment, run
from fedsnap.jobs.membership import Membership
from fedsnap.jobs.parts import PART_COORDINATES
from fedsnap.jobs.results import MaskResult
from fedsnap.jobs.tasks import MaskTask
from fedsnap.secagg.encoding import COORDINATE_BYTES, COORDINATES_AT_ONCE
from fedsnap.secagg.masking import member
from fedsnap.secagg.masking.files import Masked, Part
from fedsnap.secagg.masking.keystream import Mask, Ring, apply_masks


def mask(task: MaskTask, environment: Environment) -> MaskResult:
    """Mask the update with everybody on the share roster."""
    own = Membership.open(task, environment)
    sharing = own.round.sharing()
    update = _Update(own, member.masks(own.round.session, own.me, sharing.roster.value.names), _reader(own))
    with tempfile.TemporaryDirectory(dir=environment.values.get("FEDSNAP_WORK")) as directory:
        parts = tuple(_upload(own, number, update.part(number), Path(directory)) for number in range(update.parts))
    masked = Masked(
        organization=task.organization,
        context=own.round.session.context_digest,
        share_roster_digest=sharing.roster.digest,
        coordinates=update.length,
        parts=parts,
    )
    digest = own.write_once(masked, own.round.paths.masked(task.organization))
    return MaskResult(masked_digest=digest, masked_bytes=sum(part.size for part in parts))


def _reader(own: Membership) -> CobblestoneReader:
    """The own update, as it was sealed after training."""
    task, commit = own.task, own.commit
    context = sealed_context(task.plan_digest, task.organization, commit.train_attempt)
    key = own.vault.decrypt(task.data_key.mount, task.data_key.key, commit.wrapped_key, context)

    def fetch(start: int, length: int) -> bytes:
        return own.store.get_range(commit.sealed.path, start, length)

    return CobblestoneReader(fetch, commit.sealed.size, key=key, context=context)


@dataclass(frozen=True, slots=True)
class _Update:
    """The weighted, masked update; its weight is the last coordinate."""

    own: Membership
    masks: list[Mask]
    reader: CobblestoneReader

    @property
    def length(self) -> int:
        return self.own.round.cohort.coordinates + 1

    @property
    def parts(self) -> int:
        return -(-self.length // PART_COORDINATES)

    def part(self, number: int) -> Iterator[bytes]:
        """The blocks of one part."""
        stop = min((number + 1) * PART_COORDINATES, self.length)
        for start in range(number * PART_COORDINATES, stop, COORDINATES_AT_ONCE):
            block = self._weighted(start, min(start + COORDINATES_AT_ONCE, stop))
            apply_masks(block, start, self.masks)
            yield block.tobytes()

    def _weighted(self, start: int, stop: int) -> Ring:
        masked, weight = self.own.round, self.own.round.weights[self.own.task.organization]
        end = min(stop, self.length - 1)
        raw = self.reader.read(COORDINATE_BYTES * start, COORDINATE_BYTES * (end - start))
        block = masked.encoding.weigh(np.frombuffer(raw, dtype="<i4"), weight)
        return block if end == stop else np.append(block, np.array([weight], dtype="<u4"))


def _upload(own: Membership, number: int, blocks: Iterator[bytes], directory: Path) -> Part:
    file = directory / "part"
    with file.open("wb") as out:
        for block in blocks:
            out.write(block)
    stored = own.store.put_once(own.round.paths.masked_part(own.task.organization, number), file)
    return Part(size=stored.size, digest=stored.digest)


if __name__ == "__main__":
    sys.exit(run(MaskTask, mask))
