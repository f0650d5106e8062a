"""Conditions in a status: what changed, and since when it has been so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fedsnap.api.schema import RECONCILING, STALLED

_FAILURES = (RECONCILING, STALLED)
# By convention the reasons of what went wrong end in one of these words.
_WRONG = re.compile(
    r"(Failed|NotFound|NotReached|NotReady|Exceeded|Invalid|Impossible|Mismatch|Denied|Silent|Degraded)$"
)
MAX_MESSAGE = 2048
Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transition:
    """One condition whose status or reason changed."""

    type: str
    reason: str
    message: str
    warning: bool


def merged_status(
    raw: Mapping[str, Any], wanted: Status, now: datetime, *, keep_failures: bool = False
) -> dict[str, Any]:
    """The status to write: generation filled in, times of conditions kept where their status is unchanged.

    Conditions about an earlier failure are left out unless `keep_failures`.
    """
    generation = raw["metadata"].get("generation", 0)
    before = {one["type"]: one for one in (raw.get("status") or {}).get("conditions") or ()}
    conditions = [
        _merged(before.get(one["type"]), one, generation, now)
        for one in wanted.get("conditions") or ()
        if keep_failures or one["type"] not in _FAILURES
    ]
    # An empty list is left out where none was before, so that it does not count as a change.
    listed = {"conditions": conditions} if conditions or "conditions" in (raw.get("status") or {}) else {}
    rest = {name: value for name, value in wanted.items() if name != "conditions"}
    # Not every kind has the field; a status made from a kind's model carries it exactly where the kind has it.
    if "observedGeneration" in rest:
        rest["observedGeneration"] = generation
    return {**rest, **listed}


def _merged(before: Status | None, wanted: Status, generation: int, now: datetime) -> dict[str, Any]:
    unchanged = before is not None and before["status"] == wanted["status"]
    since = before.get("lastTransitionTime") if unchanged and before is not None else None
    made = {name: value for name, value in wanted.items() if name != "lastTransitionTime"}
    made["message"] = str(made.get("message", ""))[:MAX_MESSAGE]
    made["observedGeneration"] = generation
    made["lastTransitionTime"] = since or now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return made


def with_failure(status: Status, condition: str, reason: str, message: str) -> dict[str, Any]:
    """The status with exactly one failure condition."""
    others = [one for one in status.get("conditions") or () if one["type"] not in _FAILURES]
    failure = {"type": condition, "status": "True", "reason": reason, "message": message}
    return {**status, "conditions": [*others, failure]}


def transitions(before: Status, after: Status) -> tuple[Transition, ...]:
    """Conditions that people should hear of: a changed status or reason, but not that something has yet to begin."""
    old = {one["type"]: one for one in before.get("conditions") or ()}
    found = []
    for one in after.get("conditions") or ():
        previous = old.get(one["type"])
        same = previous is not None and (previous["status"], previous["reason"]) == (one["status"], one["reason"])
        if same or (previous is None and one["status"] != "True"):
            continue
        lost = previous is not None and previous["status"] == "True" and one["status"] == "False"
        warning = lost or one["type"] in _FAILURES or _WRONG.search(one["reason"]) is not None
        found.append(Transition(one["type"], one["reason"], one.get("message", ""), warning))
    return tuple(found)
