"""A member's shares for one other member: ChaCha20-Poly1305 under a key that only the two can derive.

The key serves one message, which follows from the sender's secrets alone; hence the nonce is zero.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fedsnap.formats.digests import Digest, format_digest
from fedsnap.secagg.masking.context import box_data, box_info, share_data
from fedsnap.secagg.masking.derivation import derive, exchange
from fedsnap.secagg.masking.ephemeral import Ephemeral
from fedsnap.secagg.masking.errors import MaskingRefused, Reason
from fedsnap.secagg.masking.files import Box
from fedsnap.secagg.masking.session import Session
from fedsnap.secagg.masking.shamir import PRIME, SHARE_BYTES

SELF_MASK, KEY = "self-mask", "key"
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class SharePair:
    """One holder's shares of one owner's two secrets; 66 bytes each, big-endian."""

    self_mask: bytes = field(repr=False)
    key: bytes = field(repr=False)


def share_digest(session: Session, owner: str, holder: str, secret: str, share: bytes) -> Digest:
    """By which a revealed share is known to be the one that its owner dealt."""
    return format_digest(hashlib.sha256(share_data(session.context, owner, holder, secret) + share).digest())


def share_number(share: bytes) -> int | None:
    """The share as a number, or None where it is none modulo the prime."""
    number = int.from_bytes(share, "big")
    return number if len(share) == SHARE_BYTES and number < PRIME else None


def seal_box(session: Session, me: Ephemeral, recipient: str, pair: SharePair) -> Box:
    """Shares for `recipient`."""
    cipher = _cipher(session, me, me.organization, recipient, peer=recipient)
    data = box_data(session.context, me.organization, recipient)
    sealed = cipher.encrypt(_NONCE, pair.self_mask + pair.key, data)
    return Box(
        to=recipient,
        box=base64.b64encode(sealed).decode("ascii"),
        self_mask_share_digest=share_digest(session, me.organization, recipient, SELF_MASK, pair.self_mask),
        key_share_digest=share_digest(session, me.organization, recipient, KEY, pair.key),
    )


def open_box(session: Session, me: Ephemeral, sender: str, box: Box) -> SharePair:
    """Shares that `sender` dealt me.

    Raises:
        MaskingRefused: names the sender; the box is not for me, or its contents are not what their digests say.
    """
    cipher = _cipher(session, me, sender, me.organization, peer=sender)
    try:
        plain = cipher.decrypt(_NONCE, base64.b64decode(box.box), box_data(session.context, sender, me.organization))
    except InvalidTag:
        raise MaskingRefused(
            Reason.BOX_INVALID,
            f"the box from {sender!r} to {me.organization!r} does not open; its keys, context or bytes are others",
            offender=sender,
        ) from None
    pair = SharePair(plain[:SHARE_BYTES], plain[SHARE_BYTES:])
    for secret, share, digest in (
        (SELF_MASK, pair.self_mask, box.self_mask_share_digest),
        (KEY, pair.key, box.key_share_digest),
    ):
        expect_share(session, owner=sender, holder=me.organization, secret=secret, share=share, digest=digest)
    return pair


def expect_share(
    session: Session, *, owner: str, holder: str, secret: str, share: bytes, digest: Digest, offender: str | None = None
) -> int:
    """The share as a number, if its owner dealt it.

    Raises:
        MaskingRefused: names `offender`, by default the owner.
    """
    number = share_number(share)
    if number is None or share_digest(session, owner, holder, secret, share) != digest:
        raise MaskingRefused(
            Reason.SHARE_INVALID,
            f"expected the {secret} share of {owner!r} that {holder!r} holds to have digest {digest}, it has another",
            offender=offender or owner,
        )
    return number


def _cipher(session: Session, me: Ephemeral, sender: str, recipient: str, *, peer: str) -> ChaCha20Poly1305:
    shared = exchange(me.box_key, session.keys[peer].box_key, peer)
    return ChaCha20Poly1305(derive(shared, box_info(session.context, sender, recipient)))
