"""What members stored in the open stage of a masked round, checked one by one, as other members will check it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fedsnap.api.participation import MaskingStage, stage_report
from fedsnap.clients.errors import InvalidData, NotFound
from fedsnap.clients.store import Store
from fedsnap.formats.digests import Digest
from fedsnap.formats.errors import InvalidFormat
from fedsnap.jobs.errors import Refused, refusal
from fedsnap.jobs.masking import MaskedRound
from fedsnap.jobs.tasks import CohortTask
from fedsnap.reconcilers.federatedround.masking import Masking, Reply
from fedsnap.reconcilers.federatedround.observed import Observed
from fedsnap.secagg.masking import agreement
from fedsnap.secagg.masking.errors import MaskingRefused
from fedsnap.secagg.masking.files import Masked, ShareRoster, Shares, Survivors, Unmask


@dataclass(frozen=True, slots=True)
class Replies:
    """One look at a masked attempt after its roster was agreed."""

    round: MaskedRound
    found: Observed

    @classmethod
    async def look(cls, task: CohortTask, store: Store, found: Observed) -> Masking:
        """How far it came, and who replied in the stage that is open.

        Raises:
            ClientError: where the store cannot be asked, or what the hub itself signed is not in order.
        """
        try:
            return await asyncio.to_thread(lambda: cls(MaskedRound.read(task, store), found)._seen())
        except (InvalidFormat, MaskingRefused) as error:
            raise refusal(error) from None

    def _seen(self) -> Masking:
        paths, session = self.round.paths, self.round.session
        share_roster = self.round.of_hub_or_none(ShareRoster, paths.share_roster)
        masking = Masking(
            context=session.context_digest,
            roster=session.names,
            share_roster=share_roster,
            survivors=self.round.of_hub_or_none(Survivors, paths.survivors) if share_roster else None,
        )
        ready = [name for name in masking.members if self._reports_success(name, masking.stage)]
        masking.replies.update({name: self._reply(masking, name) for name in ready})
        return masking

    def _reports_success(self, name: str, stage: MaskingStage) -> bool:
        one = self.found.participations.get(name)
        report = stage_report(one.status, stage) if one else None
        return report is not None and report.outcome == "Succeeded"

    def _reply(self, masking: Masking, name: str) -> Reply:
        check = {"Sharing": self._shares, "Masking": self._masked, "Unmasking": self._answer}[masking.stage]
        try:
            return Reply(check(masking, name))
        except NotFound as error:
            return Reply(refusal=("ReplyMissing", f"the member reports success, but {error.message}"))
        except (InvalidFormat, MaskingRefused) as error:
            refused = refusal(error)
            return Reply(refusal=(refused.reason, refused.message))
        except (Refused, InvalidData) as error:
            return Reply(refusal=(error.reason, error.message))

    def _shares(self, _masking: Masking, name: str) -> Digest:
        signed = self.round.of_member(Shares, name, self.round.paths.shares(name))
        agreement.expect_shares(self.round.session, name, signed.value)
        return signed.digest

    def _masked(self, masking: Masking, name: str) -> Digest:
        if masking.share_roster is None:
            raise AssertionError("nobody masks before the share roster is agreed")
        signed = self.round.of_member(Masked, name, self.round.paths.masked(name))
        coordinates = self.round.cohort.coordinates
        agreement.expect_masked(self.round.session, masking.share_roster, name, signed.value, coordinates)
        for number, part in enumerate(signed.value.parts):
            path = self.round.paths.masked_part(name, number)
            if (size := self.round.store.head(path)) != part.size:
                raise Refused("MaskedInvalid", f"expected {part.size} bytes at {path}, it has {size}")
        return signed.digest

    def _answer(self, masking: Masking, name: str) -> Digest:
        signed = self.round.of_member(Unmask, name, self.round.paths.unmask(name))
        found, wanted = signed.value, masking.survivors
        if wanted is None or (found.organization, found.context, found.survivors_digest) != (
            name,
            masking.context,
            wanted.digest,
        ):
            raise Refused("UnmaskInvalid", f"the answer of {name!r} is for other survivors than were agreed")
        return signed.digest
