"""Names and labels of the objects that fedsnap makes. Deterministic: the same input gives the same name."""

from __future__ import annotations

import hashlib

from fedsnap.api.schema import GROUP, Digest

MAX_NAME = 63
_DIGEST_SHOWN = 10

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_MODEL = f"{GROUP}/model"
LABEL_ROUND = f"{GROUP}/round"
LABEL_ROUND_NAMESPACE = f"{GROUP}/round-namespace"
LABEL_ORGANIZATION = f"{GROUP}/organization"
LABEL_PARTICIPATION = f"{GROUP}/participation"
LABEL_STAGE = f"{GROUP}/stage"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_ROUND_ATTEMPT = f"{GROUP}/round-attempt"
# What an object was made for: one of the same name that was made for something else is never taken for it.
ANNOTATION_PLAN = f"{GROUP}/plan-digest"
ANNOTATION_SURVIVORS = f"{GROUP}/survivors-digest"
# Stage of the record of what an organization revealed, and of which base; label values are too short for a digest.
STAGE_REVEALED = "revealed"
LABEL_BASE = f"{GROUP}/base"
MANAGER = "fedsnap"


def joined(*parts: str, separator: str = "-") -> str:
    """Parts joined, shortened to a label's length by a digest of the whole where they are too long."""
    name = separator.join(parts)
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9].rstrip('-.')}-{digest}"


def round_name(model: str, number: int) -> str:
    """Name of the FederatedRound `number` of a model; its CRD demands it."""
    return f"{model}-{number}"


def snapshot_name(model: str, number: int) -> str:
    """Name of the ModelSnapshot that round `number` publishes; its CRD demands it."""
    return f"{model}-{number}"


def participation_name(round_namespace: str, round_name: str, attempt: int) -> str:
    """Name of a Participation; rounds of all the hub's namespaces meet in a member's mailbox.

    No part holds a dot, so that no two rounds share a name.
    """
    return joined(round_namespace, round_name, str(attempt), separator=".")


def member_job_name(plan_digest: Digest, round_name: str, organization: str, stage: str, attempt: int) -> str:
    """Name of a member's Job: round, organization, stage and attempt; the plan's digest tells equal ones apart."""
    return _of_plan(plan_digest, round_name, organization, stage, str(attempt))


def _of_plan(plan_digest: Digest, *parts: str) -> str:
    whole = "-".join(parts)
    digest = hashlib.sha256(f"{plan_digest}/{whole}".encode()).hexdigest()[:_DIGEST_SHOWN]
    return f"{whole[: MAX_NAME - 1 - _DIGEST_SHOWN].rstrip('-')}-{digest}"


def revealed_name(plan_digest: Digest, round_name: str) -> str:
    """Name of the record of what an organization revealed in one attempt."""
    return _of_plan(plan_digest, round_name, STAGE_REVEALED)


def base_label(content_root: Digest) -> str:
    """A content root as a label's value: its first 128 bits."""
    return content_root.removeprefix("sha256:")[:32]


def stage_job_name(round_name: str, round_attempt: int, stage: str, attempt: int) -> str:
    """Name of a Job of the hub for one stage of a round."""
    return joined(round_name, str(round_attempt), stage, str(attempt))


def stage_labels(model: str, round_namespace: str, round_name: str, round_attempt: int, stage: str) -> dict[str, str]:
    """Labels of a Job of the hub; they lead from the Job back to its round."""
    return {
        LABEL_MANAGED_BY: MANAGER,
        LABEL_MODEL: model,
        LABEL_ROUND: round_name,
        LABEL_ROUND_NAMESPACE: round_namespace,
        LABEL_ROUND_ATTEMPT: str(round_attempt),
        LABEL_STAGE: stage,
    }
