"""What the Jobs of a masked round read: signed by hub and members, believed only after the protocol's own checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from fedsnap.clients.errors import InvalidData, NotFound
from fedsnap.clients.store import Store
from fedsnap.formats.control import Control, Plan
from fedsnap.formats.digests import Digest
from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.paths import RoundPaths
from fedsnap.formats.signed import Signed, read_control
from fedsnap.jobs.entry import log
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.tasks import CohortTask
from fedsnap.jobs.trusted import MAX_CONTROL_BYTES, Cohort, codec_of, read_cohort, valid_now
from fedsnap.secagg.masking import agreement
from fedsnap.secagg.masking.cohort import Limits
from fedsnap.secagg.masking.context import Attempt
from fedsnap.secagg.masking.files import Ack, Masked, ShareRoster, Shares, Survivors
from fedsnap.secagg.masking.ring import MODULUS, WeightedEncoding, weight_bits
from fedsnap.secagg.masking.session import Session

ControlT = TypeVar("ControlT", bound=Control)
# What the protocol itself needs. Members ask for more by their policies; who only adds up need not.
LEAST = Limits(least_members=3, assumed_colluders=0, least_honest=2, least_difference=2)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who masks with whom, and what they sent each other."""

    roster: Signed[ShareRoster]
    shares: Mapping[str, Signed[Shares]]

    @property
    def values(self) -> dict[str, Shares]:
        """The control files by sender."""
        return {name: one.value for name, one in self.shares.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedRound:
    """One attempt after its roster was closed, as one party reads it."""

    task: CohortTask
    store: Store
    cohort: Cohort
    session: Session
    limits: Limits

    @classmethod
    def read(cls, task: CohortTask, store: Store, limits: Limits = LEAST) -> MaskedRound:
        """Plan, roster and commits.

        Raises:
            Refused: where they do not fit each other, or the round is not masked.
            MaskingRefused: where the cohort or its keys are not safe.
        """
        cohort = read_cohort(task, store)
        plan = cohort.plan
        if plan.secure_aggregation != "Masked":
            raise Refused("PlanMismatch", f"expected a Masked round, the plan says {plan.secure_aggregation}")
        attempt = _attempt(cohort, task.plan_digest)
        keys = {name: one.value.masking for name, one in cohort.commits.items() if one.value.masking}
        return cls(task=task, store=store, cohort=cohort, session=Session.open(attempt, keys, limits), limits=limits)

    @property
    def attempt(self) -> Attempt:
        """What all members must agree on."""
        return _attempt(self.cohort, self.task.plan_digest)

    @property
    def paths(self) -> RoundPaths:
        """Where the attempt's objects lie."""
        return RoundPaths(self.task.round_prefix)

    @property
    def encoding(self) -> WeightedEncoding:
        """Of weighted updates: as many bits for weights as the largest needs, and as fit into the ring."""
        codec = codec_of(self.cohort.plan)
        most = ((MODULUS - 1) // codec.members).bit_length() - 1
        return WeightedEncoding(codec, min(weight_bits(max(self.cohort.weights.values())), most))

    @property
    def weights(self) -> dict[str, int]:
        """What each update is multiplied by: the member's examples, capped by the encoding."""
        return {name: self.encoding.weight(examples) for name, examples in self.cohort.weights.items()}

    def sharing(self) -> Sharing:
        """The share roster, and the shares that it names.

        Raises:
            MaskingRefused: where they do not fit each other.
            NotFound: where one of them is not there.
        """
        roster = self.of_hub(ShareRoster, self.paths.share_roster)
        named = [one.organization for one in roster.value.members]
        for name in named:
            self.session.expect_member(name)
        shares = {name: self.of_member(Shares, name, self.paths.shares(name)) for name in named}
        agreement.expect_share_roster(self.session, roster.value, shares)
        return Sharing(roster, shares)

    def proposal(self, sharing: Sharing) -> agreement.Proposal:
        """The coordinator's survivors, which others may not have seen.

        Raises:
            MaskingRefused: where they are not safe.
        """
        survivors = self.of_hub(Survivors, self.paths.survivors)
        return agreement.propose(self.session, sharing.roster, survivors, self.limits)

    def masked(self, sharing: Sharing, name: str) -> Signed[Masked]:
        """A member's word for its masked update.

        Raises:
            MaskingRefused: where it cannot be added to the others.
        """
        signed = self.of_member(Masked, name, self.paths.masked(name))
        agreement.expect_masked(self.session, sharing.roster, name, signed.value, self.cohort.coordinates)
        return signed

    def acks(self, proposal: agreement.Proposal) -> list[Ack]:
        """Of those survivors that stored one; one that is malformed is none."""
        found = (self.reply(Ack, name, self.paths.ack(name)) for name in proposal.survivors)
        return [one.value for one in found if one]

    def reply(self, kind: type[ControlT], name: str, path: str) -> Signed[ControlT] | None:
        """What a member signed; None where it is not there, or is not what it must be: that is its sender's loss."""
        try:
            return self.of_member(kind, name, path)
        except NotFound:
            return None
        except (InvalidFormat, InvalidData) as error:
            log("reply refused", sender=name, reason=type(error).__name__, message=str(error))
            return None

    def of_member(self, kind: type[ControlT], name: str, path: str) -> Signed[ControlT]:
        """What a member signed with a key that is pinned for it."""
        keys = valid_now(self.task.organizations.get(name, ()))
        return read_control(kind, self.store.get(path, MAX_CONTROL_BYTES), keys, path)

    def of_hub_or_none(self, kind: type[ControlT], path: str) -> Signed[ControlT] | None:
        """What the hub signed, or None where it is not there yet."""
        try:
            return self.of_hub(kind, path)
        except NotFound:
            return None

    def of_hub(self, kind: type[ControlT], path: str) -> Signed[ControlT]:
        """What the hub signed with a key that is pinned for it."""
        return read_control(kind, self.store.get(path, MAX_CONTROL_BYTES), valid_now(self.task.hub_keys), path)


def federation_of(plan: Plan) -> str:
    """By which the attempts of one model are told from those of others."""
    return f"{plan.namespace}/{plan.model}"


def _attempt(cohort: Cohort, plan_digest: Digest) -> Attempt:
    plan = cohort.plan
    return Attempt(
        federation=federation_of(plan),
        plan_digest=plan_digest,
        base_content_root=plan.base.content_root,
        round=plan.round,
        attempt=plan.attempt,
        roster_digest=cohort.roster.digest,
    )
