"""Job `publish`: turn an aggregate, or the trainer's first weights, into a published snapshot."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from fedsnap.clients.store import Store
from fedsnap.clients.vault import VaultClient
from fedsnap.formats.control import Contribution, Plan, ShardDigest, Transcript
from fedsnap.formats.digests import Digest, digest_of
from fedsnap.formats.paths import RoundPaths, SnapshotPaths
from fedsnap.formats.signed import payload_of
from fedsnap.formats.tensorfile import TensorFile, canonicalize
from fedsnap.jobs.entry import Environment, run
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.fetch import output_directory
from fedsnap.jobs.masking import MaskedRound
from fedsnap.jobs.parts import shard_coordinates
from fedsnap.jobs.publication import Origin, Publication, Weights
from fedsnap.jobs.report import open_update
from fedsnap.jobs.results import PublishResult
from fedsnap.jobs.snapshots import open_snapshot
from fedsnap.jobs.tasks import AggregateTask, PublishTask
from fedsnap.jobs.trusted import Cohort, codec_of, read_cohort, read_plan
from fedsnap.jobs.unmasking import agreed_survivors
from fedsnap.secagg.step import apply_mean

_SUM_BYTES = 8
_CHECKED_AT_ONCE = 1024 * 1024


def publish(task: PublishTask, environment: Environment) -> PublishResult:
    """Publish what the task's mode says."""
    publication = Publication(
        vault=environment.vault(task.vault),
        store=environment.store(task.store),
        paths=SnapshotPaths(task.snapshot_prefix),
        model_key=task.model_key,
    )
    with tempfile.TemporaryDirectory(dir=environment.work) as directory:
        if task.round is None:
            return _publish_first(task, publication, environment.work, Path(directory))
        return _publish_round(task.round, publication, Path(directory))


def _publish_first(task: PublishTask, publication: Publication, work: Path, directory: Path) -> PublishResult:
    """The weights that the trainer made from its seed."""
    file = directory / "model.safetensors"
    with open_update(output_directory(work) / "model.safetensors") as made:
        _expect_finite(made)
        canonicalize(made, file)
    weights = Weights.of(file)
    if not weights.coordinates:
        raise Refused("NothingToTrain", "the first weights have no elements of type F16, BF16, F32 or F64")
    if task.layout_digest not in (None, weights.layout_digest):
        raise Refused(
            "LayoutMismatch",
            f"the model pins layout {task.layout_digest}, the trainer made {weights.layout_digest}; "
            "correct architecture.digest or the trainer",
        )
    return publication.publish(weights, Origin())


def _expect_finite(made: TensorFile) -> None:
    for spec in made.layout.floating:
        for start in range(0, spec.elements, _CHECKED_AT_ONCE):
            block = made.floats(spec.name, start, min(start + _CHECKED_AT_ONCE, spec.elements))
            if not np.isfinite(block).all():
                raise Refused("UpdateNotFinite", f"tensor {spec.name!r} of the first weights holds NaN or infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """Whose updates are in the sums, with which weights."""

    cohort: Cohort
    members: tuple[Contribution, ...]
    survivors_digest: Digest | None = None

    @property
    def total_weight(self) -> int:
        return sum(one.weight for one in self.members)


def _publish_round(task: AggregateTask, publication: Publication, directory: Path) -> PublishResult:
    """The base plus the mean of the members' updates."""
    store = publication.store
    counted = _COUNTED[read_plan(task, store).secure_aggregation](task, store)
    shards = _download_sums(task, counted.cohort.plan, store, directory / "sums")
    weights = _new_weights(counted, publication.vault, store, directory)
    transcript = payload_of(_transcript(task, counted, shards, weights))
    store.put_once(RoundPaths(task.round_prefix).transcript, transcript)
    origin = Origin(
        base_content_root=counted.cohort.plan.base.content_root,
        plan_digest=task.plan_digest,
        transcript_digest=digest_of(transcript),
    )
    return publication.publish(weights, origin)


def _counted_plain(task: AggregateTask, store: Store) -> _Counted:
    cohort = read_cohort(task, store)
    members = (
        Contribution(
            organization=name,
            commit_digest=commit.digest,
            weight=commit.value.examples,
            sealed_digest=commit.value.sealed.digest,
        )
        for name, commit in sorted(cohort.commits.items())
    )
    return _Counted(cohort=cohort, members=tuple(members))


def _counted_masked(task: AggregateTask, store: Store) -> _Counted:
    masked = MaskedRound.read(task, store)
    agreed, weights = agreed_survivors(masked, masked.sharing()), masked.weights
    members = (
        Contribution(
            organization=name,
            commit_digest=masked.cohort.commits[name].digest,
            weight=weights[name],
            masked_digest=digest,
        )
        for name, digest in sorted(agreed.masked.items())
    )
    return _Counted(cohort=masked.cohort, members=tuple(members), survivors_digest=agreed.digest)


_COUNTED = {"Plain": _counted_plain, "Masked": _counted_masked}


def _download_sums(task: AggregateTask, plan: Plan, store: Store, file: Path) -> tuple[ShardDigest, ...]:
    """All shards, one after another, in one file of little-endian int64."""
    shards = []
    with file.open("wb") as out:
        for index in range(task.shards):
            path = RoundPaths(task.round_prefix).aggregate(index)
            coordinates = shard_coordinates(plan, task.shards, index)
            expected, got = _SUM_BYTES * len(coordinates), store.copy_to(path, out)
            if got.size != expected:
                raise Refused("AggregateInvalid", f"expected {expected} bytes in {path}, it has {got.size}")
            shards.append(ShardDigest(index=index, start=coordinates.start, stop=coordinates.stop, digest=got.digest))
    return tuple(shards)


def _new_weights(counted: _Counted, vault: VaultClient, store: Store, directory: Path) -> Weights:
    cohort = counted.cohort
    base_file, new_file = directory / "base.safetensors", directory / "model.safetensors"
    open_snapshot(cohort.plan.base, vault, store, base_file)
    with TensorFile.open(base_file) as base, (directory / "sums").open("rb") as sums:
        if base.layout.coordinates != cohort.coordinates:
            raise Refused(
                "CoordinatesMismatch",
                f"the base has {base.layout.coordinates} coordinates, the updates have {cohort.coordinates}",
            )
        apply_mean(base, _by_coordinate(sums), counted.total_weight, codec_of(cohort.plan), new_file)
    return Weights.of(new_file)


def _by_coordinate(file: BinaryIO) -> Callable[[int, int], npt.NDArray[np.int64]]:
    """Ranges of the sums; read, not mapped, so that memory does not grow with the model."""

    def read(start: int, stop: int) -> npt.NDArray[np.int64]:
        file.seek(_SUM_BYTES * start)
        return np.frombuffer(file.read(_SUM_BYTES * (stop - start)), dtype="<i8")

    return read


def _transcript(
    task: AggregateTask, counted: _Counted, shards: tuple[ShardDigest, ...], weights: Weights
) -> Transcript:
    plan = counted.cohort.plan
    return Transcript(
        plan_digest=task.plan_digest,
        roster_digest=counted.cohort.roster.digest,
        survivors_digest=counted.survivors_digest,
        base_content_root=plan.base.content_root,
        content_root=weights.content_root,
        layout_digest=weights.layout_digest,
        coordinates=plan.coordinates,
        scale_exponent=plan.scale_exponent,
        total_weight=counted.total_weight,
        members=counted.members,
        shards=shards,
    )


if __name__ == "__main__":
    sys.exit(run(PublishTask, publish))
