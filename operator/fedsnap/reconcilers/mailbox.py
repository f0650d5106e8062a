"""Participations as the hub reads them: half of each is written by a member, who may write anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fedsnap.api.participation import Participation


def mailbox(raw: Mapping[str, Any]) -> Participation:
    """The Participation; a status that cannot be read counts as a refusal, and stops nobody but its member."""
    try:
        return Participation.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        status = {
            "decision": "Refused",
            "outcome": "Failed",
            "reason": "StatusInvalid",
            "message": f"the member's status cannot be read at {where}: {first['msg']}"[:1024],
        }
        return Participation.model_validate({**raw, "status": status})
