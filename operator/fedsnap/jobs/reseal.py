"""Job `reseal`: the update of an earlier attempt, sealed for this one and committed to with new keys; no training."""

from __future__ import annotations

import hashlib
import sys

from fedsnap.clients.store import Store
from fedsnap.clients.vault import VaultClient
from fedsnap.formats.cobblestone import CobblestoneReader
from fedsnap.formats.contexts import sealed_context
from fedsnap.formats.control import Commit
from fedsnap.formats.digests import FileDigest, format_digest
from fedsnap.formats.paths import RoundPaths
from fedsnap.jobs.entry import Environment, run
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.report import Report
from fedsnap.jobs.results import SealResult
from fedsnap.jobs.seal import Seal, commit_to, encoded_file, own_commit, result_of
from fedsnap.jobs.tasks import ResealTask
from fedsnap.jobs.trusted import expect_member, read_earlier_plan, read_plan
from fedsnap.secagg.encoding import COORDINATE_BYTES
from fedsnap.secagg.update import EncodedUpdate

_BLOCK_BYTES = 4 * 1024 * 1024


def reseal(task: ResealTask, environment: Environment) -> SealResult:
    """Commit to the earlier update, with new keys; where a commit exists already, report that one."""
    store, vault = environment.store(task.store), environment.vault(task.vault)
    plan = read_plan(task, store)
    expect_member(plan, task.organization)
    there = own_commit(task, vault, store, RoundPaths(task.round_prefix), task.plan_digest)
    if there:
        return result_of(there.value, there.digest)
    earlier = _earlier_commit(task, vault, store)
    sealing = Seal(task=task, plan=plan, vault=vault, store=store, work=environment.work)
    report = Report(
        examples=earlier.examples,
        metrics={name: float(text) for name, text in earlier.metrics.items()},
        framework=dict(earlier.environment),
    )
    return commit_to(sealing, report, _decrypted(sealing, earlier))


def _earlier_commit(task: ResealTask, vault: VaultClient, store: Store) -> Commit:
    plan = read_plan(task, store)
    read_earlier_plan(task, plan, store)
    reused = plan.reuses
    if reused is None:
        raise AssertionError("a plan that reuses nothing was refused before")
    paths = RoundPaths.of(plan.namespace, plan.model, plan.round, reused.attempt)
    signed = own_commit(task, vault, store, paths, reused.plan_digest)
    if signed is None:
        raise Refused("CommitMissing", f"{paths.commit(task.organization)} is not there; train in this attempt")
    return signed.value


def _decrypted(sealing: Seal, earlier: Commit) -> EncodedUpdate:
    """The encoded update in the pod, in constant memory."""
    task = sealing.task
    context = sealed_context(earlier.plan_digest, task.organization, earlier.train_attempt)
    key = sealing.vault.decrypt(task.data_key.mount, task.data_key.key, earlier.wrapped_key, context)

    def fetch(start: int, length: int) -> bytes:
        return sealing.store.get_range(earlier.sealed.path, start, length)

    reader = CobblestoneReader(fetch, earlier.sealed.size, key=key, context=context)
    size, sha256 = COORDINATE_BYTES * earlier.coordinates, hashlib.sha256()
    with encoded_file(sealing.work).open("wb") as out:
        for start in range(0, size, _BLOCK_BYTES):
            block = reader.read(start, min(_BLOCK_BYTES, size - start))
            sha256.update(block)
            out.write(block)
    return EncodedUpdate(
        file=FileDigest(format_digest(sha256.digest()), size),
        coordinates=earlier.coordinates,
        norm=float(earlier.update_norm),
        clipped=earlier.clipped,
        clip_factor=float(earlier.clip_factor),
        saturated=earlier.saturated,
    )


if __name__ == "__main__":
    sys.exit(run(ResealTask, reseal))
