"""Job `share`: both secrets of a member, shared among the roster, one sealed box for each of its members."""

from __future__ import annotations

import sys

from fedsnap.jobs.entry import Environment, run
from fedsnap.jobs.membership import Membership
from fedsnap.jobs.results import ShareResult
from fedsnap.jobs.tasks import ShareTask
from fedsnap.secagg.masking import member


def share(task: ShareTask, environment: Environment) -> ShareResult:
    """Deal the shares, unless an earlier cohort makes this one unsafe."""
    own = Membership.open(task, environment)
    own.expect_no_differencing(own.round.session.names)
    shares = member.deal(own.round.session, own.me)
    return ShareResult(shares_digest=own.write_once(shares, own.round.paths.shares(task.organization)))


if __name__ == "__main__":
    sys.exit(run(ShareTask, share))
