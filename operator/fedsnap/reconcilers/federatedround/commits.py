"""The members' commits, checked one by one: what is wrong with one is its member's business and stops nobody else."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from fedsnap.api.organization import IdentityKey
from fedsnap.clients.errors import InvalidData, NotFound
from fedsnap.clients.store import Store
from fedsnap.formats.cobblestone import ciphertext_size
from fedsnap.formats.control import Commit, MaskingKeys
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.trusted import expect_mode
from fedsnap.reconcilers.controlfiles import read_signed
from fedsnap.reconcilers.federatedround.observed import CheckedCommit, Observed, StoredPlan
from fedsnap.secagg.encoding import COORDINATE_BYTES
from fedsnap.secagg.masking.errors import MaskingRefused
from fedsnap.secagg.masking.session import expect_usable_keys


@dataclass(frozen=True, slots=True)
class Commits:
    """One look at the commits of those members that report success."""

    store: Store
    found: Observed
    plan: StoredPlan
    now: datetime

    async def checked(self) -> dict[str, CheckedCommit]:
        """Each with its digest, or with why it does not count.

        Raises:
            ClientError: where the store cannot be asked.
        """
        ready = [name for name, one in self.found.participations.items() if one.status.outcome == "Succeeded"]
        looks = await asyncio.gather(*(self._look(name) for name in ready))
        return _of_distinct_keys(dict(zip(ready, looks, strict=True)))

    async def _look(self, name: str) -> CheckedCommit:
        try:
            return await self._check(name)
        except (Refused, InvalidData) as error:
            return CheckedCommit(refusal=(error.reason, error.message))
        except MaskingRefused as error:
            return CheckedCommit(refusal=(error.reason, str(error)))

    async def _check(self, name: str) -> CheckedCommit:
        organization, result = self.found.organizations.get(name), self.found.participations[name].status.result
        keys: list[IdentityKey] = organization.spec.identity_keys if organization else []
        path = self.found.paths.commit(name)
        signed = await read_signed(Commit, self.store, path, keys, self.now)
        if signed is None or result is None:
            raise Refused("CommitMissing", f"the member reports success, but {path} is not there")
        commit = signed.value
        said = (commit.organization, commit.plan_digest, signed.digest)
        if said != (name, self.plan.digest, result.commit_digest):
            raise Refused("CommitMismatch", f"{path} is not the commit to this plan that the member reported")
        expect_mode(self.plan.plan, commit)
        if commit.masking:
            expect_usable_keys(name, commit.masking)
        await self._expect_sealed(name, commit)
        return CheckedCommit(digest=signed.digest, examples=commit.examples, keys=commit.masking)

    async def _expect_sealed(self, name: str, commit: Commit) -> None:
        """The sealed update lies where it must, as long as it must be; what it holds only its key can tell."""
        coordinates = self.plan.plan.coordinates
        path = self.found.paths.sealed(name, commit.train_attempt)
        size = ciphertext_size(COORDINATE_BYTES * coordinates)
        if commit.coordinates != coordinates:
            raise Refused(
                "CoordinatesMismatch", f"the update has {commit.coordinates} coordinates, the plan says {coordinates}"
            )
        if (commit.sealed.path, commit.sealed.size) != (path, size):
            raise Refused("CommitInvalid", f"expected a sealed update of {size} bytes at {path}, the commit differs")
        try:
            stored = await asyncio.to_thread(self.store.head, path)
        except NotFound:
            raise Refused("SealedUpdateMissing", f"the member committed to {path}, which is not there") from None
        if stored != size:
            raise Refused("SealedUpdateInvalid", f"expected {size} bytes at {path}, it has {stored}")


def _of_distinct_keys(commits: dict[str, CheckedCommit]) -> dict[str, CheckedCommit]:
    """Masked: who announces another's key does not count, nor whose key it was: nobody can tell them apart."""
    announced = Counter(
        key for one in commits.values() if one.keys and not one.refusal for key in (one.keys.mask_key, one.keys.box_key)
    )
    repeated = ("KeyRepeated", "another commit announces one of its masking keys; train again in a new attempt")
    return {
        name: CheckedCommit(refusal=repeated) if one.keys and _shares_key(one.keys, announced) else one
        for name, one in commits.items()
    }


def _shares_key(keys: MaskingKeys, announced: Counter[str]) -> bool:
    return any(announced[key] > 1 for key in (keys.mask_key, keys.box_key))
