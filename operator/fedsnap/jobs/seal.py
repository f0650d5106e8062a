"""Main container `seal`: check the update, encode and encrypt it, upload it, and commit to it by a signature."""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from fedsnap.clients.errors import NotFound
from fedsnap.clients.store import Store
from fedsnap.clients.vault import DataKey, VaultClient
from fedsnap.formats.cobblestone import derive_salt, encrypt_file
from fedsnap.formats.contexts import aggregator_info, masking_secret_context, sealed_context
from fedsnap.formats.control import Commit, Plan, SealedObject, decimal_text
from fedsnap.formats.digests import Digest, digest_of
from fedsnap.formats.paths import RoundPaths
from fedsnap.formats.signed import Signed, payload_of, read_control, sign_control
from fedsnap.formats.tensorfile import TensorFile
from fedsnap.jobs.entry import Environment, run
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.fetch import base_file, output_directory
from fedsnap.jobs.hpke import SUITE
from fedsnap.jobs.report import Report, expect_same_model, open_update, read_report
from fedsnap.jobs.results import SealResult
from fedsnap.jobs.tasks import SealTask
from fedsnap.jobs.trusted import MAX_CONTROL_BYTES, codec_of, expect_member, read_plan
from fedsnap.secagg.masking.ephemeral import Ephemeral
from fedsnap.secagg.update import EncodedUpdate, encode_update


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One organization's sealing of one training attempt."""

    task: SealTask
    plan: Plan
    vault: VaultClient
    store: Store
    work: Path

    @property
    def path(self) -> str:
        """Where the sealed update goes."""
        return RoundPaths(self.task.round_prefix).sealed(self.task.organization, self.task.train_attempt)

    @property
    def context(self) -> bytes:
        """What the ciphertext is bound to."""
        return sealed_context(self.task.plan_digest, self.task.organization, self.task.train_attempt)


def seal(task: SealTask, environment: Environment) -> SealResult:
    """Commit to the trainer's update; where a commit exists already, report that one."""
    store, vault = environment.store(task.store), environment.vault(task.vault)
    plan = read_plan(task, store)
    expect_member(plan, task.organization)
    earlier = own_commit(task, vault, store, RoundPaths(task.round_prefix), task.plan_digest)
    if earlier:
        return result_of(earlier.value, earlier.digest)
    sealing = Seal(task=task, plan=plan, vault=vault, store=store, work=environment.work)
    report = read_report(output_directory(sealing.work) / "report.json")
    return commit_to(sealing, report, _encode(sealing))


def commit_to(sealing: Seal, report: Report, encoded: EncodedUpdate) -> SealResult:
    """Encrypt the encoded update, upload it, and commit to it by a signature."""
    task = sealing.task
    key, wrapped = _data_key(sealing)
    sealed = _upload(sealing, encoded, key)
    commit = _commit(sealing, report, encoded, sealed, wrapped_key=wrapped, mode_keys=_mode_keys(sealing, key))
    envelope = sign_control(commit, lambda message: sealing.vault.sign(*_identity(task), message))
    sealing.store.put_once(RoundPaths(task.round_prefix).commit(task.organization), envelope)
    return result_of(commit, digest_of(payload_of(commit)))


def _identity(task: SealTask) -> tuple[str, str]:
    return task.identity_key.mount, task.identity_key.key


def own_commit(
    task: SealTask, vault: VaultClient, store: Store, paths: RoundPaths, plan_digest: Digest
) -> Signed[Commit] | None:
    """The organization's commit to a plan, if a Job made one; nobody else's is believed."""
    path = paths.commit(task.organization)
    try:
        data = store.get(path, MAX_CONTROL_BYTES)
    except NotFound:
        return None
    signed = read_control(Commit, data, vault.public_keys(*_identity(task)), path)
    commit = signed.value
    if (commit.organization, commit.plan_digest) != (task.organization, plan_digest):
        raise Refused("CommitMismatch", f"{path} holds a commit to plan {commit.plan_digest}, not {plan_digest}")
    return signed


def _encode(sealing: Seal) -> EncodedUpdate:
    output = output_directory(sealing.work) / "model.safetensors"
    with open_update(output) as trained, TensorFile.open(base_file(sealing.work)) as base:
        expect_same_model(sealing.plan, base, trained)
        return encode_update(trained, base, codec_of(sealing.plan), encoded_file(sealing.work))


def encoded_file(work: Path) -> Path:
    """Where the encoded update lies in the pod until it is sealed."""
    return work / "update.encoded"


def _data_key(sealing: Seal) -> DataKey:
    """The update's data key; a restarted container takes the same one, so that its ciphertext is the same."""
    return _kept_key(sealing, f"wrapped-key.{sealing.task.train_attempt}", sealing.context)


def _kept_key(sealing: Seal, file: str, context: bytes) -> DataKey:
    """32 random bytes and their wrapped form, which a restarted container finds again."""
    mount, name = sealing.task.data_key.mount, sealing.task.data_key.key
    kept = sealing.work / file
    if kept.is_file():
        wrapped = kept.read_text(encoding="ascii")
        return DataKey(sealing.vault.decrypt(mount, name, wrapped, context), wrapped)
    made = sealing.vault.create_data_key(mount, name, context)
    partial = kept.with_name(kept.name + ".partial")
    partial.write_text(made.wrapped, encoding="ascii")
    partial.replace(kept)
    return made


def _upload(sealing: Seal, encoded: EncodedUpdate, key: bytes) -> SealedObject:
    plain, sealed = encoded_file(sealing.work), sealing.work / "update.sealed"
    salt = derive_salt(key, sealing.path, encoded.file.digest)
    made = encrypt_file(plain, sealed, key=key, context=sealing.context, salt=salt)
    if made.plaintext != encoded.file:
        # The salt belongs to the first plaintext: a second one under it would use nonces twice.
        raise Refused("UpdateChanged", "the encoded update changed while it was encrypted; nothing else may write")
    sealing.store.put_once(sealing.path, sealed)
    plain.unlink()
    sealed.unlink()
    return SealedObject(path=sealing.path, size=made.ciphertext.size, digest=made.ciphertext.digest)


def _mode_keys(sealing: Seal, key: bytes) -> dict[str, Any]:
    """Plain: the data key for the aggregator. Masked: keys of this attempt, and nothing that opens the update."""
    if sealing.plan.secure_aggregation == "Plain":
        return {"aggregator_key": _to_aggregator(sealing, key)}
    task = sealing.task
    context = masking_secret_context(task.plan_digest, task.organization)
    secret = _kept_key(sealing, "wrapped-masking-secret", context)
    me = Ephemeral.derive(secret.plain, task.plan_digest, task.organization)
    return {"masking": me.announce(), "masking_secret": secret.wrapped}


def _to_aggregator(sealing: Seal, key: bytes) -> str:
    """Plain mode: the data key, readable by the aggregation Job of this plan alone."""
    public = X25519PublicKey.from_public_bytes(base64.b64decode(sealing.plan.aggregator.public_key))
    info = aggregator_info(sealing.task.plan_digest, sealing.task.organization)
    return base64.b64encode(SUITE.encrypt(key, public, info=info)).decode("ascii")


def _commit(
    sealing: Seal,
    report: Report,
    encoded: EncodedUpdate,
    sealed: SealedObject,
    *,
    wrapped_key: str,
    mode_keys: dict[str, Any],
) -> Commit:
    return Commit(
        organization=sealing.task.organization,
        plan_digest=sealing.task.plan_digest,
        train_attempt=sealing.task.train_attempt,
        sealed=sealed,
        coordinates=encoded.coordinates,
        examples=report.examples,
        metrics={name: decimal_text(value) for name, value in report.metrics.items()},
        update_norm=decimal_text(encoded.norm),
        clipped=encoded.clipped,
        clip_factor=decimal_text(encoded.clip_factor),
        saturated=encoded.saturated,
        wrapped_key=wrapped_key,
        environment=report.framework,
        **mode_keys,
    )


def result_of(commit: Commit, digest: str) -> SealResult:
    """What is reported of a commit."""
    return SealResult(
        commit_digest=digest,
        examples=commit.examples,
        update_norm=commit.update_norm,
        clipped=commit.clipped,
        saturated=commit.saturated,
        bytes=commit.sealed.size,
        coordinates=commit.coordinates,
        metrics={name: float(text) for name, text in commit.metrics.items()},
    )


if __name__ == "__main__":
    sys.exit(run(SealTask, seal))
