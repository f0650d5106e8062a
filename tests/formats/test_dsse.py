from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fedsnap.api.organization import IdentityKey
from fedsnap.formats.dsse import pinned_keys, pre_authentication_encoding, sign_envelope, verify_envelope
from fedsnap.formats.errors import InvalidFormat, SignatureInvalid

KIND = "application/vnd.fedsnap.test.v1+json"
OWN, OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)), Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
KEYS = {"own:v1": OWN.public_key().public_bytes_raw()}


def signed_by(private, name="own:v1", kind=KIND, payload=b"{}"):
    return sign_envelope(kind, payload, lambda message: (name, private.sign(message)))


def test_the_encoding_is_that_of_the_dsse_protocol_page():
    made = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert made == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_an_envelope_opens_with_the_key_that_signed_it():
    verified = verify_envelope(KIND, signed_by(OWN), KEYS, "it")
    assert verified == (b"{}", "own:v1")


def test_one_good_signature_among_others_is_enough():
    envelope = json.loads(signed_by(OTHER, "other:v1"))
    envelope["signatures"] += json.loads(signed_by(OWN))["signatures"]
    assert verify_envelope(KIND, json.dumps(envelope).encode(), KEYS, "it").key_id == "own:v1"


@pytest.mark.parametrize(
    "envelope",
    [
        signed_by(OTHER, "other:v1"),
        signed_by(OTHER, "own:v1"),
        signed_by(OWN, "unknown:v1"),
        signed_by(OWN).replace(base64.b64encode(b"{}"), base64.b64encode(b"[]")),
    ],
    ids=["another signer", "another signer under our id", "an unknown id", "another payload"],
)
def test_what_no_pinned_key_signed_is_refused(envelope):
    with pytest.raises(SignatureInvalid, match=r"commit/a\.json: expected a signature by one of the pinned keys"):
        verify_envelope(KIND, envelope, KEYS, "commit/a.json")


def test_a_signature_for_another_kind_of_file_is_refused():
    with pytest.raises(InvalidFormat, match="expected payload type"):
        verify_envelope("application/vnd.fedsnap.plan.v1+json", signed_by(OWN), KEYS, "it")
    relabelled = signed_by(OWN).replace(b"fedsnap.test", b"fedsnap.plan")
    with pytest.raises(SignatureInvalid):
        verify_envelope("application/vnd.fedsnap.plan.v1+json", relabelled, KEYS, "it")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"payload":"e30=","payloadType":"x","signatures":[]}',
        signed_by(OWN).replace(b'"payload":"e30="', b'"payload":"e3 0="'),
        signed_by(OWN).replace(b'"keyid"', b'"keyId"'),
        b" " * (1024 * 1024) + signed_by(OWN),
    ],
    ids=["empty", "a list", "nothing in it", "unsigned", "loose base64", "another field", "too large"],
)
def test_malformed_envelopes_are_refused(data):
    with pytest.raises(InvalidFormat):
        verify_envelope(KIND, data, KEYS, "it")


@given(st.integers(0, len(signed_by(OWN)) - 1), st.integers(1, 255))
def test_no_changed_byte_passes_as_another_payload(position, change):
    data = bytearray(signed_by(OWN))
    data[position] ^= change
    try:
        assert verify_envelope(KIND, bytes(data), KEYS, "it").payload == b"{}"
    except InvalidFormat:
        return


def test_an_envelope_too_large_for_readers_is_not_made():
    with pytest.raises(InvalidFormat, match="at most"):
        signed_by(OWN, payload=bytes(1024 * 1024))


def identity(name, **window):
    return IdentityKey(id=name, public_key=base64.b64encode(KEYS["own:v1"]).decode(), **window)


def test_only_keys_whose_window_holds_now_are_pinned():
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    keys = [identity("always"), identity("ended", not_after=early), identity("not yet", not_before=late)]
    keys.append(identity("now", not_before=early, not_after=late))
    assert pinned_keys(keys, datetime(2026, 2, 1, tzinfo=UTC)) == {
        "always": KEYS["own:v1"],
        "now": KEYS["own:v1"],
    }


def test_a_window_without_a_zone_is_utc():
    key = identity("zoneless", not_before=datetime(2026, 1, 1))  # noqa: DTZ001
    assert pinned_keys([key], datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert not pinned_keys([key], datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
