from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedsnap.api.federatedround import Hyperparameters
from fedsnap.formats.control import (
    Aggregator,
    BaseSnapshot,
    Commit,
    Excluded,
    Plan,
    Roster,
    RosterMember,
    SealedObject,
    decimal_text,
)
from fedsnap.formats.digests import digest_of
from fedsnap.formats.errors import InvalidFormat, SignatureInvalid
from fedsnap.formats.signed import parse_payload, payload_of, payload_type, read_control, sign_control

DIGEST = "sha256:" + "0" * 64
NOON = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = {"hub:v1": KEY.public_key().public_bytes_raw()}


def sign(message):
    return "hub:v1", KEY.sign(message)


def make_plan(**changes):
    base = BaseSnapshot(
        content_root=DIGEST,
        plaintext_digest=DIGEST,
        plaintext_size=100,
        path="snapshots/heart/0/1/model.safetensors.c2sp",
        ciphertext_digest=DIGEST,
        ciphertext_size=172,
        wrapped_key="vault:v1:abcd",
        vault_mount="transit",
        vault_key="heart",
        key_version=1,
    )
    fields = {
        "namespace": "research",
        "model": "heart",
        "round": 1,
        "attempt": 1,
        "organizations": ("a", "b", "c"),
        "quorum": 2,
        "image": "trainer@sha256:" + "1" * 64,
        "secure_aggregation": "Plain",
        "clip_norm": "8",
        "scale_exponent": 20,
        "seed": 7,
        "accept_by": NOON,
        "train_by": NOON + timedelta(hours=2),
        "bucket": "fedsnap",
        "base": base,
        "layout_digest": DIGEST,
        "coordinates": 50,
        "hyperparameters": Hyperparameters(proximal_mu="0.1"),
        "aggregator": Aggregator(public_key="A" * 43 + "=", wrapped_private_key="vault:v1:abcd"),
    }
    return Plan(**(fields | changes))


def make_commit(**changes):
    fields = {
        "organization": "a",
        "plan_digest": DIGEST,
        "train_attempt": 1,
        "sealed": SealedObject(path="rounds/r/m/1/1/sealed/a/1", size=472, digest=DIGEST),
        "coordinates": 100,
        "examples": 303,
        "metrics": {"loss": decimal_text(0.1)},
        "update_norm": decimal_text(3.5),
        "clipped": False,
        "clip_factor": decimal_text(1.0),
        "saturated": 0,
        "wrapped_key": "vault:v1:abcd",
        "aggregator_key": "AAAA",
        "environment": {"torch": "2.15.0"},
    }
    return Commit(**(fields | changes))


@pytest.mark.parametrize("value", [make_plan(), make_commit()])
def test_a_signed_file_reads_back_with_the_digest_of_its_payload(value):
    envelope = sign_control(value, sign)
    read = read_control(type(value), envelope, KEYS, "it")
    assert read.value == value
    assert read.digest == digest_of(payload_of(value))
    assert sign_control(read.value, sign) == envelope


def test_a_plan_is_not_a_commit():
    assert payload_type(Plan) == "application/vnd.fedsnap.plan.v1+json"
    with pytest.raises(InvalidFormat, match="payload type"):
        read_control(Commit, sign_control(make_plan(), sign), KEYS, "it")


def test_nothing_is_read_before_the_signature_holds():
    with pytest.raises(SignatureInvalid):
        read_control(Plan, sign_control(make_plan(), sign), {}, "it")


def test_times_are_written_as_whole_seconds_of_utc():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    plan = make_plan(accept_by=elsewhere)
    assert json.loads(payload_of(plan))["acceptBy"] == "2026-01-31T12:00:00Z"
    assert plan.accept_by == NOON.replace(microsecond=0)
    assert payload_of(plan) == payload_of(make_plan())


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValidationError, match="time zone"):
        make_plan(accept_by=NOON.replace(tzinfo=None))


def altered(value, **changes):
    document = json.loads(payload_of(value)) | changes
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"extra": 1}, "extra"),
        ({"round": "1"}, "round"),
        ({"round": 0}, "round"),
        ({"quorum": True}, "quorum"),
        ({"quorum": 4}, "quorum exceeds"),
        ({"organizations": ["a", "a"]}, "named twice"),
        ({"acceptBy": "2026-01-31T12:00:00+00:00"}, "acceptBy"),
        ({"acceptBy": 1_700_000_000}, "acceptBy"),
        ({"acceptBy": "2026-13-31T12:00:00Z"}, "acceptBy"),
        ({"layout_digest": DIGEST}, "layout_digest"),
        ({"layoutDigest": DIGEST.upper()}, "layoutDigest"),
        ({"scaleExponent": 41}, "scaleExponent"),
        ({"hyperparameters": {"localEpochs": 1, "batchSize": 1, "learningRate": "1", "x": 1}}, "hyperparameters.x"),
    ],
)
def test_a_plan_that_is_not_exactly_a_plan_is_refused_with_the_place(changes, place):
    with pytest.raises(InvalidFormat, match=rf"plan\.json: expected a plan.*{place}"):
        parse_payload(Plan, altered(make_plan(), **changes), "plan.json")


@pytest.mark.parametrize(
    "changes", [{"updateNorm": "NaN"}, {"updateNorm": "1e"}, {"examples": 0}, {"metrics": {"a": 1}}]
)
def test_a_commit_with_unusable_numbers_is_refused(changes):
    with pytest.raises(InvalidFormat):
        parse_payload(Commit, altered(make_commit(), **changes), "commit/a.json")


def test_another_spelling_of_a_payload_is_refused():
    with pytest.raises(InvalidFormat, match="RFC 8785"):
        parse_payload(Plan, b" " + payload_of(make_plan()), "plan.json")


def test_a_roster_names_everyone_once():
    member, out = RosterMember(organization="a", commit_digest=DIGEST), Excluded(organization="a", reason="Late")
    with pytest.raises(ValidationError, match="named twice"):
        Roster(plan_digest=DIGEST, members=(member,), excluded=(out,))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_text_reads_back_as_the_same_number(value):
    text = decimal_text(value)
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert make_commit(update_norm=text).update_norm == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_decimal_text_has_no_infinities(value):
    with pytest.raises(InvalidFormat, match="finite"):
        decimal_text(value)
