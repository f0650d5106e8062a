"""What a party checks before it masks, acknowledges and reveals; the rules are in docs/spec/secure-aggregation.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fedsnap.formats.digests import Digest
from fedsnap.formats.signed import Signed
from fedsnap.secagg.masking.cohort import Limits, expect_honest
from fedsnap.secagg.masking.errors import COORDINATOR, MaskingRefused, Reason
from fedsnap.secagg.masking.files import Ack, Masked, ShareRoster, Shares, Survivors
from fedsnap.secagg.masking.session import Session


def expect_shares(session: Session, sender: str, shares: Shares) -> None:
    """Refuse shares that are not for this roster; for the coordinator too, before it closes the share roster.

    Args:
        session: the attempt.
        sender: who signed the file.
        shares: what it says.

    Raises:
        MaskingRefused: names the sender.
    """
    session.expect_member(sender)
    _expect_sender(sender, shares.organization, "shares")
    session.expect_context(shares.context, sender, "the file of shares")
    recipients = {box.to for box in shares.boxes}
    if recipients != session.keys.keys():
        missing = sorted(session.keys.keys() ^ recipients)
        raise MaskingRefused(
            Reason.SHARES_INCOMPLETE,
            f"expected of {sender!r} one box for each member of the roster, {', '.join(missing)} differ",
            offender=sender,
        )


def expect_share_roster(session: Session, roster: ShareRoster, shares: Mapping[str, Signed[Shares]]) -> None:
    """Refuse to mask with a share roster that does not fit the roster and the shares that were read.

    Raises:
        MaskingRefused: names the coordinator or who sent wrong shares.
    """
    session.expect_context(roster.context, COORDINATOR, "the share roster")
    for one in roster.members:
        session.expect_member(one.organization)
        file = shares.get(one.organization)
        if file is None or file.digest != one.shares_digest:
            raise MaskingRefused(
                Reason.SHARE_ROSTER_MISMATCH,
                f"the share roster counts shares {one.shares_digest} of {one.organization!r}, found "
                f"{file.digest if file else 'none'}; it is not what that member sent",
                offender=COORDINATOR,
            )
        expect_shares(session, one.organization, file.value)
    _expect_enough(session, len(roster.members), Reason.TOO_FEW_SHARES, "members whose shares arrived")


def expect_masked(
    session: Session, share_roster: Signed[ShareRoster], sender: str, masked: Masked, coordinates: int
) -> None:
    """Refuse a masked update that cannot be added to the others.

    Args:
        session: the attempt.
        share_roster: who masks with whom.
        sender: who signed `masked`.
        masked: its word for its masked update.
        coordinates: of the model, without the one for the weight.

    Raises:
        MaskingRefused: names the sender.
    """
    if sender not in share_roster.value.names:
        raise MaskingRefused(Reason.NOT_A_MEMBER, f"{sender!r} is not on the share roster", offender=sender)
    _expect_sender(sender, masked.organization, "masked update")
    session.expect_context(masked.context, sender, "the masked update")
    if (masked.share_roster_digest, masked.coordinates) != (share_roster.digest, coordinates + 1):
        raise MaskingRefused(
            Reason.MASKED_MISMATCH,
            f"expected {coordinates + 1} coordinates of {sender!r} masked for share roster {share_roster.digest}, got "
            f"{masked.coordinates} for {masked.share_roster_digest}",
            offender=sender,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """Survivors that are in order, but that others may not have seen; made by `propose` alone."""

    masked: Mapping[str, Digest]
    dropped: tuple[str, ...]
    digest: Digest

    @property
    def survivors(self) -> tuple[str, ...]:
        """Whose masked updates are counted, sorted."""
        return tuple(self.masked)

    def expect_survivor(self, name: str) -> None:
        """Refuse an ack or answer of anybody else.

        Raises:
            MaskingRefused: with the name.
        """
        if name not in self.masked:
            raise MaskingRefused(
                Reason.NOT_A_SURVIVOR, f"{name!r} is not among the survivors, who alone may answer", offender=name
            )

    def expect_own(self, name: str, masked_digest: Digest) -> None:
        """Refuse survivors that count another masked update beside one's own name.

        Raises:
            MaskingRefused: names the coordinator.
        """
        self.expect_survivor(name)
        if self.masked[name] != masked_digest:
            raise MaskingRefused(
                Reason.MASKED_MISMATCH,
                f"the survivors count masked update {self.masked[name]} of {name!r}, it sent {masked_digest}",
                offender=COORDINATOR,
            )


@dataclass(frozen=True, slots=True)
class Agreed(Proposal):
    """Survivors that enough of them acknowledged; made by `agree` alone, and nothing is revealed without it."""


def propose(
    session: Session, share_roster: Signed[ShareRoster], survivors: Signed[Survivors], limits: Limits
) -> Proposal:
    """Check the coordinator's survivors.

    Raises:
        MaskingRefused: names the coordinator; or the cohort is too small for `limits`.
    """
    value = survivors.value
    masked = {one.organization: one.masked_digest for one in value.members}
    session.expect_context(value.context, COORDINATOR, "the list of survivors")
    if value.share_roster_digest != share_roster.digest:
        raise MaskingRefused(
            Reason.SHARE_ROSTER_MISMATCH,
            f"the survivors are for share roster {value.share_roster_digest}, expected {share_roster.digest}",
            offender=COORDINATOR,
        )
    _expect_partition(share_roster.value.names, masked.keys(), value.dropped)
    _expect_enough(session, len(masked), Reason.TOO_FEW_SURVIVORS, "survivors")
    expect_honest(len(masked), limits)
    return Proposal(masked, value.dropped, survivors.digest)


def _expect_partition(sharers: Collection[str], survivors: Collection[str], dropped: Collection[str]) -> None:
    both = sorted(set(survivors) & set(dropped))
    if both:
        raise MaskingRefused(
            Reason.SURVIVOR_AND_DROPPED,
            f"{', '.join(both)} named as survivor and as dropped: both secrets would show the update; reveal nothing",
            offender=COORDINATOR,
        )
    different = sorted({*survivors, *dropped} ^ set(sharers))
    if different:
        raise MaskingRefused(
            Reason.SHARE_ROSTER_MISMATCH,
            f"survivors and dropped are not the share roster: {', '.join(different)} differ",
            offender=COORDINATOR,
        )


def agree(session: Session, proposal: Proposal, acks: Iterable[Ack], answered: Digest | None = None) -> Agreed:
    """Close the survivors for good: nothing may be revealed for others in this attempt.

    Args:
        session: the attempt.
        proposal: survivors that are in order.
        acks: their senders' signatures were checked.
        answered: digest of the survivors for which this party stored its intent to answer, if it did.

    Raises:
        MaskingRefused: too few acks, or this party answered for other survivors.
    """
    expect_once(proposal, answered)
    agreeing: set[str] = set()
    others: set[str] = set()
    for ack in acks:
        if ack.context == session.context_digest and ack.organization in proposal.masked:
            (agreeing if ack.survivors_digest == proposal.digest else others).add(ack.organization)
    if len(agreeing) < session.threshold:
        raise MaskingRefused(
            Reason.ACKS_DISAGREE if others else Reason.TOO_FEW_ACKS,
            f"expected acks of {session.threshold} survivors for {proposal.digest}, got {len(agreeing)}"
            + (f"; {', '.join(sorted(others))} saw other survivors: the hub told two stories" if others else ""),
            offender=COORDINATOR if others else None,
        )
    return Agreed(proposal.masked, proposal.dropped, proposal.digest)


def expect_once(proposal: Proposal, earlier: Digest | None) -> None:
    """Refuse a second ack or answer in one attempt, but for the same survivors.

    Raises:
        MaskingRefused: names the coordinator.
    """
    if earlier not in (None, proposal.digest):
        raise MaskingRefused(
            Reason.ALREADY_ANSWERED,
            f"this attempt was answered for survivors {earlier}, not for {proposal.digest}; start a new attempt",
            offender=COORDINATOR,
        )


def _expect_sender(sender: str, organization: str, what: str) -> None:
    if sender != organization:
        raise MaskingRefused(Reason.NOT_A_MEMBER, f"{sender!r} signed the {what} of {organization!r}", offender=sender)


def _expect_enough(session: Session, count: int, reason: Reason, what: str) -> None:
    if count < session.threshold:
        raise MaskingRefused(
            reason,
            f"expected at least {session.threshold} {what} of {len(session.keys)} members, there are {count}; "
            "start a new attempt",
        )
