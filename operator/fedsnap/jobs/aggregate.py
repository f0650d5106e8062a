"""Indexed Job `aggregate`: the weighted sum of one range of coordinates over all members, in constant memory."""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedsnap.clients.errors import InvalidData, NotFound
from fedsnap.clients.store import Store
from fedsnap.clients.vault import VaultClient
from fedsnap.formats.cobblestone import CobblestoneReader
from fedsnap.formats.contexts import aggregator_info, round_key_context, sealed_context
from fedsnap.formats.control import Commit, Plan
from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.paths import RoundPaths
from fedsnap.jobs.entry import Environment, run
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.hpke import SUITE
from fedsnap.jobs.masking import MaskedRound
from fedsnap.jobs.parts import shard_coordinates
from fedsnap.jobs.results import AggregateResult
from fedsnap.jobs.tasks import AggregateTask
from fedsnap.jobs.trusted import codec_of, read_cohort, read_plan
from fedsnap.jobs.unmasking import Unmasking
from fedsnap.secagg.aggregate import weighted_sum_blocks

ReadRange = Callable[[int, int], bytes]


def aggregate(task: AggregateTask, environment: Environment) -> AggregateResult:
    """Sum this pod's shard and store it."""
    store, index = environment.store(task.store), environment.index(task.shards)
    vault = environment.vault(task.vault)
    plan = read_plan(task, store)
    blocks = _MODES[plan.secure_aggregation](task, store, vault, index)
    with tempfile.TemporaryDirectory(dir=environment.values.get("FEDSNAP_WORK")) as directory:
        file = Path(directory) / "sums"
        with file.open("wb") as out:
            for block in blocks:
                out.write(block)
        stored = store.put_once(RoundPaths(task.round_prefix).aggregate(index), file)
    return AggregateResult(shard=index, shards=task.shards, digest=stored.digest, coordinates=stored.size // 8)


def _plain(task: AggregateTask, store: Store, vault: VaultClient, index: int) -> Iterator[bytes]:
    cohort = read_cohort(task, store)
    private = _private_key(task, cohort.plan, vault)
    if index == 0:
        for name, commit in cohort.commits.items():
            _expect_unchanged(store, name, commit.value)
    readers = {
        name: _reader(task, store, commit.value, _data_key(task, commit.value, private))
        for name, commit in cohort.commits.items()
    }
    coordinates = shard_coordinates(cohort.plan, task.shards, index)
    return weighted_sum_blocks(codec_of(cohort.plan), cohort.weights, readers, coordinates)


def _expect_unchanged(store: Store, name: str, commit: Commit) -> None:
    """Refuse a sealed update that its owner replaced after it had committed to it: the transcript would be wrong."""
    found = store.digest(commit.sealed.path)
    if found.digest != commit.sealed.digest:
        raise Refused(
            "SealedUpdateInvalid",
            f"the sealed update of {name!r} has digest {found.digest}, its commit says {commit.sealed.digest}",
        )


def _masked(task: AggregateTask, store: Store, vault: VaultClient, index: int) -> Iterator[bytes]:
    masked = MaskedRound.read(task, store)
    return Unmasking.open(masked, _private_key(task, masked.cohort.plan, vault)).blocks(task.shards, index)


_MODES = {"Plain": _plain, "Masked": _masked}


def _private_key(task: AggregateTask, plan: Plan, vault: VaultClient) -> X25519PrivateKey:
    """The round's HPKE key: only this Job's role may unwrap it."""
    wrapped, context = plan.aggregator.wrapped_private_key, round_key_context(task.round_prefix)
    private = X25519PrivateKey.from_private_bytes(
        vault.decrypt(task.round_key.mount, task.round_key.key, wrapped, context)
    )
    if private.public_key().public_bytes_raw() != base64.b64decode(plan.aggregator.public_key):
        raise Refused("AggregatorKeyMismatch", "the plan's public key does not belong to its wrapped private key")
    return private


def _data_key(task: AggregateTask, commit: Commit, private: X25519PrivateKey) -> bytes:
    info = aggregator_info(task.plan_digest, commit.organization)
    try:
        return SUITE.decrypt(base64.b64decode(commit.aggregator_key or ""), private, info=info)
    except (InvalidTag, ValueError):
        raise Refused(
            "AggregatorKeyInvalid", f"the commit of {commit.organization!r} has no sealing key that this round can open"
        ) from None


def _reader(task: AggregateTask, store: Store, commit: Commit, key: bytes) -> ReadRange:
    """Decrypted ranges of a member's update; whatever is wrong with them is said with the member's name."""

    def fetch(start: int, length: int) -> bytes:
        return store.get_range(commit.sealed.path, start, length)

    context = sealed_context(task.plan_digest, commit.organization, commit.train_attempt)
    opened: list[CobblestoneReader] = []

    def read(start: int, length: int) -> bytes:
        try:
            if not opened:
                opened.append(CobblestoneReader(fetch, commit.sealed.size, key=key, context=context))
            return opened[0].read(start, length)
        except (InvalidFormat, InvalidData, NotFound) as error:
            raise Refused("SealedUpdateInvalid", f"the sealed update of {commit.organization!r}: {error}") from None

    return read


if __name__ == "__main__":
    sys.exit(run(AggregateTask, aggregate))
