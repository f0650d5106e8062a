"""What a member computes: its shares, its masks and its answer. Equal inputs give equal bytes."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedsnap.formats.digests import Digest
from fedsnap.secagg.masking.agreement import Agreed, Proposal
from fedsnap.secagg.masking.boxes import KEY, SELF_MASK, SharePair, open_box, seal_box
from fedsnap.secagg.masking.context import pair_mask_info, polynomial_info, self_mask_info
from fedsnap.secagg.masking.derivation import derive, exchange
from fedsnap.secagg.masking.ephemeral import Ephemeral
from fedsnap.secagg.masking.errors import COORDINATOR, MaskingRefused, Reason
from fedsnap.secagg.masking.files import Ack, Shares, UnmaskShares
from fedsnap.secagg.masking.keystream import Mask, keystream_bytes
from fedsnap.secagg.masking.session import Session
from fedsnap.secagg.masking.shamir import PRIME, SHARE_BYTES
from fedsnap.secagg.masking.shamir import deal as deal_secret


@dataclass(frozen=True, slots=True)
class Opened:
    """The boxes that others sent a member.

    Attributes:
        pairs: shares by owner.
        refused: what was wrong with the others, by sender. The round goes on as long as enough members hold shares.
    """

    pairs: Mapping[str, SharePair]
    refused: Mapping[str, MaskingRefused]


def deal(session: Session, me: Ephemeral) -> Shares:
    """Both of a member's secrets, shared among the whole roster.

    Raises:
        MaskingRefused: where this member is not on the roster, or not with these keys.
    """
    expect_own_keys(session, me)
    self_masks = _shares(session, me, SELF_MASK, me.self_mask)
    keys = _shares(session, me, KEY, me.mask_key.private_bytes_raw())
    pairs = (SharePair(*both) for both in zip(self_masks, keys, strict=True))
    boxes = tuple(seal_box(session, me, name, pair) for name, pair in zip(session.names, pairs, strict=True))
    return Shares(organization=me.organization, context=session.context_digest, boxes=boxes)


def expect_own_keys(session: Session, me: Ephemeral) -> None:
    """Refuse a roster in which somebody else's keys stand beside this member's name.

    Raises:
        MaskingRefused: names the coordinator.
    """
    session.expect_member(me.organization)
    if session.keys[me.organization] != me.announce():
        raise MaskingRefused(
            Reason.KEY_INVALID,
            f"the roster counts keys of {me.organization!r} that it did not announce; the commit is not its own",
            offender=COORDINATOR,
        )


def _shares(session: Session, me: Ephemeral, what: str, secret: bytes) -> list[bytes]:
    key = derive(me.polynomials, polynomial_info(session.context, me.organization, what))
    raw = keystream_bytes(key, SHARE_BYTES * (session.threshold - 1))
    coefficients = [
        # The lowest 521 bits; uniform but for one value of 2^521.
        (int.from_bytes(raw[i : i + SHARE_BYTES], "big") & PRIME) % PRIME
        for i in range(0, len(raw), SHARE_BYTES)
    ]
    shares = deal_secret(int.from_bytes(secret, "big"), coefficients, len(session.keys))
    return [share.to_bytes(SHARE_BYTES, "big") for share in shares]


def open_boxes(session: Session, me: Ephemeral, shares: Mapping[str, Shares]) -> Opened:
    """Read what the members of the share roster sent this one.

    Args:
        session: the attempt.
        me: this member's secrets.
        shares: the control file of each member of the share roster, as `agreement.expect_share_roster` checked them.
    """
    pairs: dict[str, SharePair] = {}
    refused: dict[str, MaskingRefused] = {}
    for sender, file in shares.items():
        try:
            box = next(one for one in file.boxes if one.to == me.organization)
            pairs[sender] = open_box(session, me, sender, box)
        except StopIteration:
            refused[sender] = MaskingRefused(
                Reason.SHARES_INCOMPLETE, f"{sender!r} sent no box to {me.organization!r}", offender=sender
            )
        except MaskingRefused as error:
            refused[sender] = error
    return Opened(pairs, refused)


def masks(session: Session, me: Ephemeral, share_roster: Collection[str]) -> list[Mask]:
    """What a member adds to its weighted update: its own mask, and one with each other member of the share roster.

    Raises:
        MaskingRefused: where this member or a peer is not on the roster.
    """
    made = [self_mask(session, me.organization, me.self_mask)]
    for peer in sorted(share_roster):
        session.expect_member(peer)
        if peer != me.organization:
            made.append(pair_mask(session, me.organization, me.mask_key, peer))
    return made


def self_mask(session: Session, organization: str, seed: bytes) -> Mask:
    """A member's own mask, which it adds."""
    return Mask(derive(seed, self_mask_info(session.context, organization)), added=True)


def pair_mask(session: Session, organization: str, private: X25519PrivateKey, peer: str) -> Mask:
    """The mask of two members: who comes first in the order of names adds it, the other subtracts it."""
    shared = exchange(private, session.keys[peer].mask_key, peer)
    return Mask(derive(shared, pair_mask_info(session.context, organization, peer)), added=organization < peer)


def acknowledge(session: Session, me: Ephemeral, proposal: Proposal, own_masked: Digest) -> Ack:
    """A survivor's word for these survivors. The caller stores it before any other is made.

    Args:
        session: the attempt.
        me: this member's secrets.
        proposal: what `agreement.propose` found in order.
        own_masked: digest of the control file by which this member uploaded its masked update.

    Raises:
        MaskingRefused: where this member is no survivor, or with another masked update.
    """
    proposal.expect_own(me.organization, own_masked)
    return Ack(organization=me.organization, context=session.context_digest, survivors_digest=proposal.digest)


def answer(me: Ephemeral, opened: Opened, agreed: Agreed) -> UnmaskShares:
    """Self-mask shares of survivors and key shares of the dropped. The caller stores the intent first.

    Raises:
        MaskingRefused: where this member is no survivor.
    """
    agreed.expect_survivor(me.organization)
    pairs = opened.pairs
    return UnmaskShares(
        organization=me.organization,
        self_masks={name: _text(pairs[name].self_mask) for name in agreed.survivors if name in pairs},
        keys={name: _text(pairs[name].key) for name in agreed.dropped if name in pairs},
    )


def _text(share: bytes) -> str:
    return base64.b64encode(share).decode("ascii")
