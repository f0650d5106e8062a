"""Every reason in the conditions of a FederatedRound, and the messages that are put together from several parts."""

from __future__ import annotations

from datetime import datetime

from fedsnap.api.federatedround import FINISHED
from fedsnap.policies.quorum import Judgement

ACCEPTED, TRAINED, AGGREGATED, PUBLISHED = "Accepted", "Trained", "Aggregated", "Published"
SHARED, MASKED, UNMASKED = "Shared", "Masked", "Unmasked"

# Why each condition but Finished is true.
REACHED = {
    ACCEPTED: "QuorumAccepted",
    TRAINED: "RosterAgreed",
    SHARED: "SharesStored",
    MASKED: "SurvivorsAgreed",
    UNMASKED: "AnswersStored",
    AGGREGATED: "SumsStored",
    PUBLISHED: "SnapshotRecorded",
}

# Reasons of Finished where the round made no snapshot.
QUORUM_NOT_REACHED = "QuorumNotReached"
DEADLINE_EXCEEDED = "DeadlineExceeded"
THRESHOLD_NOT_REACHED = "ThresholdNotReached"
AGGREGATION_FAILED = "AggregationFailed"
PUBLICATION_FAILED = "PublicationFailed"
ABORTED = "Aborted"
ENCODING_IMPOSSIBLE = "EncodingImpossible"

WAITING = "Waiting"
SUSPENDED = "Suspended"
MODEL_NOT_FOUND = "ModelNotFound"
ORGANIZATION_NOT_FOUND = "OrganizationNotFound"
BASE_SNAPSHOT_NOT_FOUND = "BaseSnapshotNotFound"


def conditions(*, masked: bool) -> tuple[str, ...]:
    """The conditions of a round in order; a plain one has no masks to agree on."""
    return (ACCEPTED, TRAINED, *((SHARED, MASKED, UNMASKED) if masked else ()), AGGREGATED, PUBLISHED, FINISHED)


def listed(names: tuple[str, ...] | list[str]) -> str:
    """Names for a sentence."""
    return ", ".join(names) or "nobody"


def one_line(text: str) -> str:
    """What a member wrote, without anything that moves a terminal's cursor or looks like a line of ours."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def clock(moment: datetime) -> str:
    """A deadline for people, in UTC."""
    return f"{moment:%H:%M:%SZ}"


def valid_updates(count: int, clipped: list[str]) -> str:
    """How many, and whose were scaled down to the round's clip norm."""
    return f"{count} valid updates" + (f"; scaled down to clipNorm: {listed(clipped)}" if clipped else "")


def below_quorum(stage: str, judgement: Judgement, quorum: int, why: dict[str, str], *, in_time: bool) -> str:
    """Who was missing, and why; `in_time`: before the deadline, as the quorum could not be reached any more."""
    return f"fewer than the quorum of {quorum} {stage}. {_reasons(judgement, why, in_time=in_time)}"


def below_threshold(stage: str, judgement: Judgement, least: int, why: dict[str, str], *, in_time: bool) -> str:
    """Who fell out of the masked part, and why; without so many the masks cannot be taken away."""
    again = "Raise spec.retry by one to mask the stored updates anew; only who has none trains"
    if stage == "Unmasking":
        again = "Those who answered reveal nothing more of this round"
    return f"{stage} needs {least} members. {_reasons(judgement, why, in_time=in_time)}. {again}"


def _reasons(judgement: Judgement, why: dict[str, str], *, in_time: bool) -> str:
    silence = "not asked any further" if in_time else "no reply before the deadline"
    return "; ".join(f"{name}: {why.get(name) or silence}" for name in judgement.missing)


def verdict(members: int, invited: int, missing: dict[str, str]) -> str:
    """What the round came to."""
    if not missing:
        return f"all {invited} members' updates were aggregated"
    reasons = "; ".join(f"{name}: {why}" for name, why in sorted(missing.items()))
    return f"{members} of {invited} members' updates were aggregated; missing {reasons}"
