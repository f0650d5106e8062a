"""Every parser of a peer's bytes: whatever comes, only declared errors, and no more than the limits allow."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsnap.formats.canonical_json import dump
from fedsnap.formats.control import Commit
from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.signed import parse_payload, payload_of, payload_type, read_control, sign_control
from fedsnap.secagg.masking import answers
from fedsnap.secagg.masking.boxes import open_box
from fedsnap.secagg.masking.errors import MaskingRefused
from fedsnap.secagg.masking.files import Ack, Box, Masked, ShareRoster, Shares, Survivors, Unmask, UnmaskShares
from masking.members import AGGREGATOR, AGGREGATOR_PUBLIC, shared_and_masked

KEY = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
PINNED = {"k:v1": KEY.public_key().public_bytes_raw()}
ROUND = shared_and_masked(4, dropped=[1], coordinates=3)
NAME = ROUND.names[0]
AGREED = ROUND.agree()
ANSWER = ROUND.answers(AGREED)[NAME]
FILES = {
    Shares: ROUND.shares[NAME].value,
    ShareRoster: ROUND.share_roster.value,
    Masked: ROUND.masked_files[NAME].value,
    Survivors: ROUND.survivors.value,
    Ack: ROUND.acks()[0],
    Unmask: answers.seal_answer(ROUND.session, AGREED, ANSWER, AGGREGATOR_PUBLIC),
    UnmaskShares: ANSWER,
}
KINDS = [*FILES, Commit]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def only_declared(parse):
    try:
        parse()
    except (InvalidFormat, MaskingRefused):
        return


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused_as_envelope_and_as_payload(kind, data):
    only_declared(lambda: read_control(kind, data, PINNED, "peer"))
    only_declared(lambda: parse_payload(kind, data, "peer"))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(value=JSON)
def test_any_json_that_a_member_signs_is_refused_or_is_such_a_file(kind, value):
    payload = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    only_declared(lambda: parse_payload(kind, payload, "peer"))


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=80)
@given(data=st.data())
def test_a_valid_file_with_any_bytes_changed_is_refused_or_differs_only_in_what_it_says(kind, data):
    payload = bytearray(payload_of(FILES[kind]))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    only_declared(lambda: parse_payload(kind, bytes(payload), "peer"))
    only_declared(lambda: parse_payload(kind, bytes(payload[:cut]), "peer"))


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=40)
@given(data=st.data())
def test_a_signed_file_does_not_verify_with_any_byte_of_its_payload_changed(kind, data):
    envelope = json.loads(sign_control(FILES[kind], lambda message: ("k:v1", KEY.sign(message))))
    payload = bytearray(base64.b64decode(envelope["payload"]))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] ^= data.draw(st.integers(1, 255))
    envelope["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(InvalidFormat):
        read_control(kind, dump_envelope(envelope), PINNED, "peer")


def dump_envelope(envelope):
    return json.dumps(envelope, separators=(",", ":"), sort_keys=True).encode()


def test_a_file_is_never_taken_for_another_kind():
    for kind, value in FILES.items():
        envelope = sign_control(value, lambda message: ("k:v1", KEY.sign(message)))
        for other in KINDS:
            if other is not kind:
                with pytest.raises(InvalidFormat):
                    read_control(other, envelope, PINNED, "peer")
    assert len({payload_type(kind) for kind in KINDS}) == len(KINDS)


@settings(max_examples=60)
@given(sealed=st.binary(min_size=148, max_size=148))
def test_any_box_that_was_not_made_for_the_member_is_refused_with_its_sender(sealed):
    digest = "sha256:" + "0" * 64
    box = Box(
        to=NAME,
        box=base64.b64encode(sealed).decode(),
        self_mask_share_digest=digest,
        key_share_digest=digest,
    )
    with pytest.raises(MaskingRefused) as caught:
        open_box(ROUND.session, ROUND.secrets[NAME], ROUND.names[2], box)
    assert caught.value.offender == ROUND.names[2]


@settings(max_examples=60)
@given(sealed=st.binary(min_size=3, max_size=300))
def test_any_answer_that_does_not_open_is_refused_with_its_sender(sealed):
    unmask = FILES[Unmask].model_copy(update={"sealed": base64.b64encode(sealed).decode()})
    with pytest.raises(MaskingRefused) as caught:
        answers.open_answer(ROUND.session, AGREED, NAME, unmask, AGGREGATOR)
    assert caught.value.offender == NAME


def test_a_megabyte_more_than_a_control_file_may_have_is_refused_unread():
    with pytest.raises(InvalidFormat):
        read_control(Shares, b"{" * (2 * 1024 * 1024), PINNED, "peer")


def test_canonical_form_is_demanded():
    value = json.loads(payload_of(FILES[Ack]))
    assert dump(FILES[Ack]) == payload_of(FILES[Ack])
    with pytest.raises(InvalidFormat):
        parse_payload(Ack, json.dumps(value, indent=1).encode(), "peer")
