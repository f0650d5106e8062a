"""The byte strings that bind every key, box and share to one attempt of one round; see docs/spec/secure-aggregation.md.

Every part is of fixed length, follows its length, or ends in 0x00, and names hold no 0x00, so that no two meanings
share bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fedsnap.formats.digests import Digest, digest_bytes

_LABEL = b"fedsnap/masking/v1/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What every member of an attempt must agree on before it masks anything.

    Attributes:
        federation: name that tells this federation from others.
        plan_digest: digest of the signed plan.
        base_content_root: the model that was trained.
        round: number of the round, below 2^64.
        attempt: number of the attempt, below 2^64.
        roster_digest: digest of the signed roster, and so of every member's keys.
    """

    federation: str
    plan_digest: Digest
    base_content_root: Digest
    round: int
    attempt: int
    roster_digest: Digest

    def context(self) -> bytes:
        """The 32 bytes that stand for this attempt."""
        federation = self.federation.encode()
        parts = (
            _LABEL + b"context\0",
            len(federation).to_bytes(4, "big"),
            federation,
            digest_bytes(self.plan_digest),
            digest_bytes(self.base_content_root),
            self.round.to_bytes(8, "big"),
            self.attempt.to_bytes(8, "big"),
            digest_bytes(self.roster_digest),
        )
        return hashlib.sha256(b"".join(parts)).digest()


def ephemeral_info(plan_digest: Digest, organization: str) -> bytes:
    """HKDF info of what a member derives from its one secret of the attempt."""
    return _label("ephemeral") + digest_bytes(plan_digest) + _name(organization)


def pair_mask_info(context: bytes, one: str, other: str) -> bytes:
    """HKDF info of the mask that two members share; the same for both."""
    first, second = sorted((one, other))
    return _label("pair-mask") + context + _name(first) + _name(second)


def self_mask_info(context: bytes, organization: str) -> bytes:
    """HKDF info of a member's own mask."""
    return _label("self-mask") + context + _name(organization)


def polynomial_info(context: bytes, organization: str, secret: str) -> bytes:
    """HKDF info of the coefficients by which a member shares `secret`."""
    return _label("polynomial") + context + _name(organization) + _name(secret)


def box_info(context: bytes, sender: str, recipient: str) -> bytes:
    """HKDF info of the key of one box."""
    return _label("box") + box_data(context, sender, recipient)


def box_data(context: bytes, sender: str, recipient: str) -> bytes:
    """What a box authenticates beside its contents: ctx ‖ from ‖ to."""
    return context + _name(sender) + _name(recipient)


def share_data(context: bytes, owner: str, holder: str, secret: str) -> bytes:
    """What stands before a share where its digest is taken."""
    return _label("share") + context + _name(owner) + _name(holder) + _name(secret)


def self_mask_data() -> bytes:
    """What stands before a self-mask seed where its digest is taken."""
    return _label("self-mask-digest")


def unmask_info(context: bytes, organization: str, survivors_digest: Digest) -> bytes:
    """HPKE info of an answer to the aggregation Job."""
    return _label("unmask") + context + digest_bytes(survivors_digest) + _name(organization)


def _label(what: str) -> bytes:
    return _LABEL + what.encode() + b"\0"


def _name(name: str) -> bytes:
    return name.encode() + b"\0"
