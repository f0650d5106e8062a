"""Control files on the wire: a model's RFC 8785 payload, alone or in a signed envelope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from fedsnap.formats.canonical_json import dump, parse
from fedsnap.formats.control import Control
from fedsnap.formats.digests import Digest, digest_of
from fedsnap.formats.dsse import Sign, sign_envelope, verify_envelope
from fedsnap.formats.errors import InvalidFormat

T_co = TypeVar("T_co", bound=Control, covariant=True)
ControlT = TypeVar("ControlT", bound=Control)


@dataclass(frozen=True, slots=True)
class Signed(Generic[T_co]):
    """What a pinned key signed; `digest` is the SHA-256 of the payload, whoever signed it."""

    value: T_co
    digest: Digest


def payload_type(kind: type[Control]) -> str:
    """Media type of a control file's payload."""
    return f"application/vnd.fedsnap.{kind.KIND}.v1+json"


def payload_of(value: Control) -> bytes:
    """The one byte string that stands for `value`."""
    return dump(value)


def parse_payload(kind: type[ControlT], data: bytes, where: str) -> ControlT:
    """Read what `payload_of` wrote.

    Raises:
        InvalidFormat: not RFC 8785 JSON, or not such a control file; the message names the first wrong field.
    """
    parse(data, canonical=True, where=where)
    try:
        return kind.model_validate_json(data, strict=True, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InvalidFormat(f"{where}: expected a {kind.KIND}, it is wrong at {place!r}: {first['msg']}") from None


def sign_control(value: Control, sign: Sign) -> bytes:
    """The signed envelope of a control file; equal bytes for an equal value and key."""
    return sign_envelope(payload_type(type(value)), payload_of(value), sign)


def read_control(kind: type[ControlT], data: bytes, keys: Mapping[str, bytes], where: str) -> Signed[ControlT]:
    """A control file, believed only after its signature was checked.

    Args:
        kind: what it must be.
        data: the envelope, at most 1 MiB.
        keys: pinned raw Ed25519 public keys by id.
        where: name of the object or file, for messages.

    Raises:
        SignatureInvalid: no pinned key signed it.
        InvalidFormat: malformed, or another kind.
    """
    payload = verify_envelope(payload_type(kind), data, keys, where).payload
    return Signed(parse_payload(kind, payload, where), digest_of(payload))
