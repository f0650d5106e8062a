"""A survivor's answer on its way to the aggregation Job, which alone can read it: HPKE (RFC 9180)."""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.signed import parse_payload, payload_of
from fedsnap.secagg.masking.agreement import Agreed
from fedsnap.secagg.masking.context import unmask_info
from fedsnap.secagg.masking.errors import MaskingRefused, Reason
from fedsnap.secagg.masking.files import Unmask, UnmaskShares
from fedsnap.secagg.masking.session import Session

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal_answer(session: Session, agreed: Agreed, shares: UnmaskShares, aggregator: str) -> Unmask:
    """Encrypt an answer. The caller stores these bytes: another call gives others.

    Args:
        session: the attempt.
        agreed: the survivors.
        shares: from `member.answer`.
        aggregator: raw X25519 public key of the plan's aggregator, base64.
    """
    public = X25519PublicKey.from_public_bytes(base64.b64decode(aggregator))
    info = unmask_info(session.context, shares.organization, agreed.digest)
    sealed = _SUITE.encrypt(payload_of(shares), public, info=info)
    return Unmask(
        organization=shares.organization,
        context=session.context_digest,
        survivors_digest=agreed.digest,
        sealed=base64.b64encode(sealed).decode("ascii"),
    )


def open_answer(
    session: Session, agreed: Agreed, sender: str, unmask: Unmask, private: X25519PrivateKey
) -> UnmaskShares:
    """Read an answer whose sender's signature was checked.

    Args:
        session: the attempt.
        agreed: the survivors.
        sender: who signed `unmask`.
        unmask: what it says.
        private: the aggregator's key.

    Raises:
        MaskingRefused: names the sender; it is no survivor, or answers for others, or with what nobody may reveal.
    """
    agreed.expect_survivor(sender)
    session.expect_context(unmask.context, sender, "the answer")
    if unmask.organization != sender or unmask.survivors_digest != agreed.digest:
        raise _invalid(sender, f"expected it for survivors {agreed.digest}, got {unmask.survivors_digest}")
    info = unmask_info(session.context, sender, agreed.digest)
    try:
        payload = _SUITE.decrypt(base64.b64decode(unmask.sealed), private, info=info)
        shares = parse_payload(UnmaskShares, payload, f"the answer of {sender!r}")
    except (InvalidTag, ValueError) as error:
        detail = str(error) if isinstance(error, InvalidFormat) else "it does not open with the aggregator's key"
        raise _invalid(sender, detail) from None
    _expect_allowed(sender, shares, agreed)
    return shares


def _expect_allowed(sender: str, shares: UnmaskShares, agreed: Agreed) -> None:
    wrong = (shares.self_masks.keys() - agreed.masked.keys()) | (shares.keys.keys() - set(agreed.dropped))
    if shares.organization != sender or wrong:
        raise _invalid(
            sender, f"it names {', '.join(sorted(wrong)) or shares.organization}, of whom no such share may be revealed"
        )


def _invalid(sender: str, detail: str) -> MaskingRefused:
    return MaskingRefused(Reason.UNMASK_INVALID, f"the answer of {sender!r} is refused: {detail}", offender=sender)
