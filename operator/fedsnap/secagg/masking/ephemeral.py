"""What a member keeps secret in one attempt; all of it follows from 32 bytes that its Vault wraps.

So a Job that is run again, anywhere, makes equal shares, boxes and masks, and no key ever protects two messages.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedsnap.formats.control import MaskingKeys
from fedsnap.formats.digests import Digest, format_digest
from fedsnap.secagg.masking.context import ephemeral_info, self_mask_data
from fedsnap.secagg.masking.derivation import SECRET_BYTES, derive, private_key, public_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """A member's secrets in one attempt.

    Attributes:
        organization: whose they are.
        mask_key: pairwise masks come from it. Recovered by others if the member drops out.
        box_key: opens the boxes that others send.
        self_mask: seed of the member's own mask. Recovered by others if the member survives.
        polynomials: where the coefficients of the shares come from.
    """

    organization: str
    mask_key: X25519PrivateKey = field(repr=False)
    box_key: X25519PrivateKey = field(repr=False)
    self_mask: bytes = field(repr=False)
    polynomials: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: bytes, plan_digest: Digest, organization: str) -> Ephemeral:
        """The secrets of one attempt; the plan says which.

        Args:
            secret: 32 random bytes, made for this attempt.
            plan_digest: digest of the attempt's plan.
            organization: whose they are.

        Raises:
            ValueError: where `secret` is of another length.
        """
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"expected {SECRET_BYTES} random bytes, got {len(secret)}")
        raw = derive(secret, ephemeral_info(plan_digest, organization), 4 * SECRET_BYTES)
        mask_key, box_key, self_mask, polynomials = (
            raw[i : i + SECRET_BYTES] for i in range(0, len(raw), SECRET_BYTES)
        )
        return cls(
            organization=organization,
            mask_key=private_key(mask_key),
            box_key=private_key(box_key),
            self_mask=self_mask,
            polynomials=polynomials,
        )

    def announce(self) -> MaskingKeys:
        """What the member's commit says of them."""
        return MaskingKeys(
            mask_key=public_key(self.mask_key),
            box_key=public_key(self.box_key),
            self_mask_digest=self_mask_digest(self.self_mask),
        )


def self_mask_digest(seed: bytes) -> Digest:
    """By which a recovered seed is known to be the right one."""
    return format_digest(hashlib.sha256(self_mask_data() + seed).digest())
