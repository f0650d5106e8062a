"""The steps of a masked round between training and aggregation: sharing, masking, unmasking. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedsnap.api.participation import MaskingStage, Participation, stage_report
from fedsnap.formats.digests import Digest
from fedsnap.formats.signed import Signed
from fedsnap.policies.quorum import Judgement, Standing, judge
from fedsnap.secagg.masking.cohort import threshold
from fedsnap.secagg.masking.files import Sharer, ShareRoster, Survivor, Survivors

ORDER: tuple[MaskingStage, ...] = ("Sharing", "Masking", "Unmasking")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a member stored in the stage that is open, after it was checked; `refusal` is (reason, message)."""

    digest: Digest = ""
    refusal: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """The masked part of an attempt, as it lies in the store.

    Attributes:
        context: of the attempt, as control files have it.
        roster: names of the members whose commits count.
        share_roster: who masks with whom, once it is agreed.
        survivors: whose masked updates are counted, once they are agreed.
        replies: of those members of the open stage that report success.
    """

    context: Digest
    roster: tuple[str, ...]
    share_roster: Signed[ShareRoster] | None = None
    survivors: Signed[Survivors] | None = None
    replies: dict[str, Reply] = field(default_factory=dict)

    @property
    def stage(self) -> MaskingStage:
        """The stage that is open, or the last one."""
        if self.share_roster is None:
            return "Sharing"
        return "Masking" if self.survivors is None else "Unmasking"

    @property
    def members(self) -> tuple[str, ...]:
        """Who takes part in the stage."""
        if self.share_roster is None:
            return self.roster
        if self.survivors is None:
            return tuple(sorted(self.share_roster.value.names))
        return tuple(one.organization for one in self.survivors.value.members)

    @property
    def threshold(self) -> int:
        """Least members that every stage needs."""
        return threshold(len(self.roster))

    def valid(self) -> dict[str, Digest]:
        """Replies that count, by member."""
        return {name: one.digest for name, one in sorted(self.replies.items()) if one.refusal is None}

    def judge(self, participations: dict[str, Participation], *, deadline_passed: bool) -> Judgement:
        """Whether enough members of the open stage replied."""
        standings = {name: self._standing(name, participations.get(name)) for name in self.members}
        return judge(standings, self.threshold, deadline_passed=deadline_passed)

    def _standing(self, name: str, participation: Participation | None) -> Standing:
        report = stage_report(participation.status, self.stage) if participation else None
        if report is None:
            return Standing.PENDING
        reply = self.replies.get(name)
        succeeded = report.outcome == "Succeeded" and reply is not None and reply.refusal is None
        return Standing.VALID if succeeded else Standing.EXCLUDED

    def make_share_roster(self) -> ShareRoster:
        """Who masks with whom: those whose shares arrived."""
        members = tuple(Sharer(organization=name, shares_digest=digest) for name, digest in self.valid().items())
        return ShareRoster(context=self.context, members=members)

    def make_survivors(self, share_roster: Signed[ShareRoster]) -> Survivors:
        """Whose masked updates are counted, and who dropped out since sharing."""
        valid = self.valid()
        return Survivors(
            context=self.context,
            share_roster_digest=share_roster.digest,
            members=tuple(Survivor(organization=name, masked_digest=digest) for name, digest in valid.items()),
            dropped=tuple(sorted(share_roster.value.names - valid.keys())),
        )
