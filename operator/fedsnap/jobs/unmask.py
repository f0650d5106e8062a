"""Job `unmask`: acknowledge the survivors, wait until enough others did, and reveal one share of each one's secret."""

from __future__ import annotations

import sys
import time

from fedsnap.clients.errors import Conflict, NotFound, Unavailable
from fedsnap.jobs.entry import Environment, log, run
from fedsnap.jobs.masking import Sharing
from fedsnap.jobs.membership import Membership
from fedsnap.jobs.results import UnmaskResult
from fedsnap.jobs.tasks import UnmaskTask
from fedsnap.secagg.masking import agreement, answers, member
from fedsnap.secagg.masking.agreement import Agreed, Proposal
from fedsnap.secagg.masking.errors import COORDINATOR, MaskingRefused, Reason
from fedsnap.secagg.masking.files import Ack, Masked, Unmask

_POLL_SECONDS = 0.5


def unmask(task: UnmaskTask, environment: Environment) -> UnmaskResult:
    """Answer for the survivors that this organization recorded, and for no others."""
    own = Membership.open(task, environment)
    sharing = own.round.sharing()
    proposal = own.round.proposal(sharing)
    if proposal.digest != task.survivors_digest:
        raise MaskingRefused(
            Reason.ALREADY_ANSWERED,
            f"expected the survivors {task.survivors_digest} that this organization recorded, the store holds "
            f"{proposal.digest}; start a new attempt",
            offender=COORDINATOR,
        )
    own.expect_no_differencing(proposal.survivors)
    _acknowledge(own, sharing, proposal)
    agreed = _agreed(own, proposal, time.monotonic() + task.wait_s)
    opened = member.open_boxes(own.round.session, own.me, sharing.values)
    for sender, refused in opened.refused.items():
        log("box refused", sender=sender, reason=refused.reason, message=str(refused))
    _answer(own, agreed, opened)
    return UnmaskResult(survivors_digest=proposal.digest)


def _acknowledge(own: Membership, sharing: Sharing, proposal: Proposal) -> None:
    name, paths = own.task.organization, own.round.paths
    masked = own.own(Masked, paths.masked(name))
    # The share roster may be another one now than that of the masks.
    agreement.expect_masked(own.round.session, sharing.roster, name, masked.value, own.round.cohort.coordinates)
    ack = member.acknowledge(own.round.session, own.me, proposal, masked.digest)
    try:
        own.write_once(ack, paths.ack(name))
    except Conflict:
        agreement.expect_once(proposal, own.own(Ack, paths.ack(name)).value.survivors_digest)
        raise


def _agreed(own: Membership, proposal: Proposal, until: float) -> Agreed:
    """Wait for enough acks; those who saw other survivors end the wait."""
    while True:
        try:
            return agreement.agree(own.round.session, proposal, own.round.acks(proposal))
        except MaskingRefused as error:
            if error.reason is not Reason.TOO_FEW_ACKS:
                raise
            if time.monotonic() >= until:
                raise Unavailable("TooFewAcks", str(error)) from None
        time.sleep(_POLL_SECONDS)


def _answer(own: Membership, agreed: Agreed, opened: member.Opened) -> None:
    """Store the answer, unless it is there: it is encrypted anew each time, and only the first one counts."""
    name, path = own.task.organization, own.round.paths.unmask(own.task.organization)
    try:
        there = own.own(Unmask, path).value
    except NotFound:
        shares = member.answer(own.me, opened, agreed)
        public = own.round.cohort.plan.aggregator.public_key
        own.write_once(answers.seal_answer(own.round.session, agreed, shares, public), path)
        return
    if (there.organization, there.survivors_digest) != (name, agreed.digest):
        raise MaskingRefused(
            Reason.ALREADY_ANSWERED,
            f"this attempt was answered for survivors {there.survivors_digest}, not for {agreed.digest}",
            offender=COORDINATOR,
        )


if __name__ == "__main__":
    sys.exit(run(UnmaskTask, unmask))
