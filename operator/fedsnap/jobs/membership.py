"""One organization's own part in a masked round: its secrets, its limits, and what it signs."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from fedsnap.clients.errors import Conflict
from fedsnap.clients.store import Store
from fedsnap.clients.vault import VaultClient
from fedsnap.formats.contexts import masking_secret_context
from fedsnap.formats.control import Commit, Control
from fedsnap.formats.digests import Digest, digest_of
from fedsnap.formats.signed import Signed, payload_of, read_control, sign_control
from fedsnap.jobs.entry import Environment
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.masking import ControlT, MaskedRound
from fedsnap.jobs.tasks import MaskingTask
from fedsnap.jobs.trusted import MAX_CONTROL_BYTES
from fedsnap.secagg.masking.cohort import EarlierCohort, Limits, expect_no_differencing
from fedsnap.secagg.masking.ephemeral import Ephemeral
from fedsnap.secagg.masking.member import expect_own_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a member's Job works with."""

    task: MaskingTask
    vault: VaultClient
    round: MaskedRound
    me: Ephemeral

    @classmethod
    def open(cls, task: MaskingTask, environment: Environment) -> Membership:
        """Read the round by this organization's own limits, and unwrap its secret of the attempt.

        Raises:
            Refused: where it has no part in this round.
            MaskingRefused: where the roster is not safe for it.
        """
        store, vault = environment.store(task.store), environment.vault(task.vault)
        limits = Limits(**task.limits.model_dump())
        masked = MaskedRound.read(task, store, limits)
        commit = masked.cohort.commits.get(task.organization)
        if commit is None:
            raise Refused("NotOnRoster", f"the roster does not count the commit of {task.organization!r}")
        if _own_public_keys(task, vault).isdisjoint(_pinned(task)):
            raise Refused("IdentityUnknown", f"the keys pinned for {task.organization!r} are not its own; correct them")
        me = _ephemeral(task, vault, commit.value)
        expect_own_keys(masked.session, me)
        return cls(task=task, vault=vault, round=masked, me=me)

    @property
    def store(self) -> Store:
        """Where everything lies."""
        return self.round.store

    @property
    def commit(self) -> Commit:
        """This organization's commit."""
        return self.round.cohort.commits[self.task.organization].value

    def expect_no_differencing(self, members: tuple[str, ...]) -> None:
        """Refuse a cohort whose sum would tell, with an earlier one, of a few members alone.

        Raises:
            MaskingRefused: names the few.
        """
        earlier = [
            EarlierCohort(
                base_content_root=one.base_content_root,
                federation=one.federation,
                round=one.round,
                survivors=frozenset(one.survivors),
            )
            for one in self.task.revealed
        ]
        expect_no_differencing(self.round.attempt, members, earlier, self.round.limits)

    def own(self, kind: type[ControlT], path: str) -> Signed[ControlT]:
        """What this organization signed earlier in this attempt, by the keys that its own Vault shows."""
        keys = self.vault.public_keys(self.task.identity_key.mount, self.task.identity_key.key)
        return read_control(kind, self.store.get(path, MAX_CONTROL_BYTES), keys, path)

    def write_once(self, control: Control, path: str) -> Digest:
        """Sign and store; equal content is found to be there.

        Raises:
            Conflict: where something else lies there.
        """
        key = self.task.identity_key
        envelope = sign_control(control, lambda message: self.vault.sign(key.mount, key.key, message))
        try:
            self.store.put_once(path, envelope)
        except Conflict:
            # A key that was rotated since signs other bytes; what counts is the payload.
            if self.own(type(control), path).value != control:
                raise
        return digest_of(payload_of(control))


def _ephemeral(task: MaskingTask, vault: VaultClient, commit: Commit) -> Ephemeral:
    context = masking_secret_context(task.plan_digest, task.organization)
    secret = vault.decrypt(task.data_key.mount, task.data_key.key, commit.masking_secret or "", context)
    return Ephemeral.derive(secret, task.plan_digest, task.organization)


def _own_public_keys(task: MaskingTask, vault: VaultClient) -> frozenset[bytes]:
    return frozenset(vault.public_keys(task.identity_key.mount, task.identity_key.key).values())


def _pinned(task: MaskingTask) -> frozenset[bytes]:
    return frozenset(base64.b64decode(one.public_key) for one in task.organizations.get(task.organization, ()))
