from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError

from fedsnap.clients.cluster import LostRace
from fedsnap.clients.errors import Conflict, InvalidData, Misconfigured, NotFound, PermissionDenied, Unavailable
from fedsnap.reconcilers.failures import Waiting, failure_of


@pytest.mark.parametrize(
    ("error", "kind", "condition", "reported"),
    [
        (Waiting("Waiting", "for it"), "waiting", "Reconciling", True),
        (Unavailable("VaultSealed", ""), "transient", "Reconciling", True),
        (PermissionDenied("Forbidden", ""), "waiting", "Reconciling", True),
        (NotFound("KeyNotFound", ""), "waiting", "Reconciling", True),
        (Misconfigured("CertificateNotFound", ""), "waiting", "Reconciling", True),
        (LostRace("AlreadyExists", ""), "transient", "Reconciling", False),
        (Conflict("ObjectConflict", ""), "terminal", "Stalled", True),
        (InvalidData("NotJson", ""), "terminal", "Stalled", True),
    ],
)
def test_each_error_has_one_meaning(error, kind, condition, reported):
    failure = failure_of(error)
    assert (failure.kind, failure.condition, failure.reported) == (kind, condition, reported)


def test_waiting_says_when_to_look_again():
    assert failure_of(Waiting("A", "b", timedelta(seconds=7))).requeue_after == timedelta(seconds=7)


def test_an_invalid_object_names_the_field_and_not_its_value():
    class Spec(BaseModel):
        number: int

    with pytest.raises(ValidationError) as caught:
        Spec(number="secret")
    failure = failure_of(caught.value)
    assert (failure.kind, failure.reason) == ("terminal", "InvalidObject")
    assert "number" in failure.message
    assert "secret" not in failure.message
