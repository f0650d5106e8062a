"""DSSE v1 envelopes (github.com/secure-systems-lab/dsse): a payload, its type, and Ed25519 signatures over both."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedsnap.api.organization import IdentityKey
from fedsnap.formats.canonical_json import MAX_CONTROL_BYTES, dump, parse
from fedsnap.formats.errors import InvalidFormat, SignatureInvalid

MAX_SIGNATURES = 8
# Signs a message; gives the key's id and the raw signature of 64 bytes, as `clients.vault.VaultClient.sign` does.
Sign = Callable[[bytes], tuple[str, bytes]]


class Verified(NamedTuple):
    """A payload that a pinned key signed, and the id of that key."""

    payload: bytes
    key_id: str


class _Signature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    keyid: Annotated[str, Field(min_length=1, max_length=128)]
    sig: Annotated[str, Field(max_length=128)]


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    payload: str
    payloadType: Annotated[str, Field(max_length=256)]  # noqa: N815  # DSSE's own name
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=MAX_SIGNATURES)]


def pinned_keys(identity_keys: Iterable[IdentityKey], now: datetime) -> dict[str, bytes]:
    """Raw public keys, by id, of those whose validity window holds `now`."""
    return {key.id: base64.b64decode(key.public_key) for key in identity_keys if _valid(key, now)}


def _valid(key: IdentityKey, now: datetime) -> bool:
    begun = key.not_before is None or _utc(key.not_before) <= now
    return begun and (key.not_after is None or now <= _utc(key.not_after))


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload_type: str, payload: bytes, sign: Sign) -> bytes:
    """The envelope as RFC 8785 JSON, with one signature.

    Raises:
        InvalidFormat: where it would be larger than readers accept.
    """
    key_id, signature = sign(pre_authentication_encoding(payload_type, payload))
    envelope = dump(
        {
            "payload": base64.b64encode(payload).decode("ascii"),
            "payloadType": payload_type,
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode("ascii")}],
        }
    )
    if len(envelope) > MAX_CONTROL_BYTES:
        raise InvalidFormat(f"expected a signed file of at most {MAX_CONTROL_BYTES} bytes, this has {len(envelope)}")
    return envelope


def verify_envelope(payload_type: str, data: bytes, keys: Mapping[str, bytes], where: str) -> Verified:
    """The payload, after at least one of `keys` was found to have signed it as `payload_type`.

    Args:
        payload_type: the only accepted type.
        data: the envelope, at most 1 MiB.
        keys: raw Ed25519 public keys by id, as `pinned_keys` gives them.
        where: name of the object or file, for messages.

    Raises:
        InvalidFormat: no such envelope.
        SignatureInvalid: no pinned key signed it.
    """
    envelope = _parse(data, where)
    if envelope.payloadType != payload_type:
        raise InvalidFormat(f"{where}: expected payload type {payload_type}, got {envelope.payloadType!r}")
    payload = _unbase64(envelope.payload, where)
    message = pre_authentication_encoding(payload_type, payload)
    for one in envelope.signatures:
        key = keys.get(one.keyid)
        if key is not None and _signed(key, _unbase64(one.sig, where), message):
            return Verified(payload, one.keyid)
    signers = ", ".join(one.keyid for one in envelope.signatures)
    raise SignatureInvalid(
        f"{where}: expected a signature by one of the pinned keys ({', '.join(sorted(keys)) or 'none is valid now'}), "
        f"found none that holds (signed by {signers[:256]}); pin the signer's key or ask its owner to sign anew"
    )


def _parse(data: bytes, where: str) -> _Envelope:
    document = parse(data, where=where)
    try:
        return _Envelope.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InvalidFormat(f"{where}: expected a DSSE envelope, it is wrong at {place!r}: {first['msg']}") from None


def _unbase64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidFormat(f"{where}: expected base64 in the DSSE envelope, got other characters") from None


def _signed(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
