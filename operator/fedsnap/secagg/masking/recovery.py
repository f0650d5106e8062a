"""What the aggregation Job computes: secrets from shares, and the sum of the survivors' updates from masked ones."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from fedsnap.secagg.encoding import COORDINATE_BYTES, COORDINATES_AT_ONCE
from fedsnap.secagg.masking.agreement import Agreed
from fedsnap.secagg.masking.boxes import KEY, SELF_MASK, expect_share
from fedsnap.secagg.masking.derivation import SECRET_BYTES, private_key, public_key
from fedsnap.secagg.masking.ephemeral import self_mask_digest
from fedsnap.secagg.masking.errors import MaskingRefused, Reason
from fedsnap.secagg.masking.files import Shares, UnmaskShares
from fedsnap.secagg.masking.keystream import Mask, Ring, apply_masks
from fedsnap.secagg.masking.member import pair_mask, self_mask
from fedsnap.secagg.masking.ring import WeightedEncoding
from fedsnap.secagg.masking.session import Session
from fedsnap.secagg.masking.shamir import lagrange
from fedsnap.secagg.masking.shamir import recover as recover_secret

ReadRange = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Recovered:
    """The one secret of each member of the share roster that takes its masks away.

    Attributes:
        self_masks: seeds of survivors.
        mask_keys: raw X25519 private keys of the dropped.
        refused: shares that were not what their owner dealt; enough others were.
    """

    self_masks: Mapping[str, bytes] = field(repr=False)
    mask_keys: Mapping[str, bytes] = field(repr=False)
    refused: tuple[MaskingRefused, ...]


class _Secrets:
    """Recovers secrets; the Lagrange coefficients of a set of holders are computed once."""

    def __init__(self, session: Session, shares: Mapping[str, Shares]) -> None:
        self._session = session
        self._digests = {
            (owner, box.to): {SELF_MASK: box.self_mask_share_digest, KEY: box.key_share_digest}
            for owner, file in shares.items()
            for box in file.boxes
        }
        self._holders = session.holders()
        self._coefficients: dict[tuple[int, ...], list[int]] = {}
        self.refused: list[MaskingRefused] = []

    def recover(self, owner: str, secret: str, revealed: Mapping[str, str]) -> bytes:
        """One secret, from the first t of the shares that its owner dealt, in the order of their holders."""
        dealt = self._dealt(owner, secret, revealed)
        needed = self._session.threshold
        if len(dealt) < needed:
            raise MaskingRefused(
                Reason.TOO_FEW_SHARES,
                f"expected {needed} shares of the {secret} secret of {owner!r}, got {len(dealt)} that hold "
                f"(of {', '.join(sorted(dealt)) or 'nobody'}); wait for more answers or start a new attempt",
            )
        chosen = sorted(dealt)[:needed]
        holders = tuple(self._holders[name] for name in chosen)
        coefficients = self._coefficients.get(holders) or self._coefficients.setdefault(holders, lagrange(holders))
        number = recover_secret(coefficients, [dealt[name] for name in chosen])
        if number.bit_length() > 8 * SECRET_BYTES:
            raise inconsistent(owner, secret)
        return number.to_bytes(SECRET_BYTES, "big")

    def _dealt(self, owner: str, secret: str, revealed: Mapping[str, str]) -> dict[str, int]:
        dealt: dict[str, int] = {}
        for holder, text in revealed.items():
            try:
                dealt[holder] = expect_share(
                    self._session,
                    owner=owner,
                    holder=holder,
                    secret=secret,
                    share=base64.b64decode(text),
                    digest=self._digests[owner, holder][secret],
                    offender=holder,
                )
            except MaskingRefused as error:
                self.refused.append(error)
        return dealt


def recover(
    session: Session, shares: Mapping[str, Shares], agreed: Agreed, answers: Mapping[str, UnmaskShares]
) -> Recovered:
    """The survivors' self-mask seeds and the mask keys of the dropped.

    Args:
        session: the attempt.
        shares: of each member of the share roster, as `agreement.expect_share_roster` checked them.
        agreed: the survivors.
        answers: of at least t survivors, as `answers.open_answer` gives them.

    Raises:
        MaskingRefused: too few shares, or an owner dealt shares of something else than it announced.
    """
    secrets = _Secrets(session, shares)
    seeds, keys = {}, {}
    for owner in agreed.survivors:
        revealed = {name: one.self_masks[owner] for name, one in answers.items() if owner in one.self_masks}
        seeds[owner] = secrets.recover(owner, SELF_MASK, revealed)
        if self_mask_digest(seeds[owner]) != session.keys[owner].self_mask_digest:
            raise inconsistent(owner, SELF_MASK)
    for owner in agreed.dropped:
        revealed = {name: one.keys[owner] for name, one in answers.items() if owner in one.keys}
        keys[owner] = secrets.recover(owner, KEY, revealed)
        if public_key(private_key(keys[owner])) != session.keys[owner].mask_key:
            raise inconsistent(owner, KEY)
    return Recovered(seeds, keys, tuple(secrets.refused))


def inconsistent(owner: str, secret: str) -> MaskingRefused:
    """The shares hold what their owner dealt, and that is not what its commit announced."""
    return MaskingRefused(
        Reason.SECRET_INCONSISTENT,
        f"the shares that {owner!r} dealt do not give the {secret} secret that its commit announced; exclude it",
        offender=owner,
    )


def remaining_masks(session: Session, agreed: Agreed, recovered: Recovered) -> list[Mask]:
    """What to apply to the sum of the survivors' masked updates so that no mask is left."""
    left = [self_mask(session, name, recovered.self_masks[name]).inverse for name in agreed.survivors]
    for gone in agreed.dropped:
        private = private_key(recovered.mask_keys[gone])
        # Seen from the dropped member this mask has the sign opposite to the survivor's, as is wanted.
        left += [pair_mask(session, gone, private, name) for name in agreed.survivors]
    return left


def unmasked_blocks(
    encoding: WeightedEncoding, readers: Mapping[str, ReadRange], left: list[Mask], coordinates: range
) -> Iterator[bytes]:
    """Weighted sums of the survivors' updates as little-endian int64, in blocks, in constant memory.

    They are in the unit of `aggregate.weighted_sum_blocks`: divided by (total weight · 2^k) they are the mean.

    Args:
        encoding: of all updates.
        readers: for each survivor, what reads (start, length) bytes of its masked update.
        left: from `remaining_masks`.
        coordinates: which ones to sum, without the one for the weight.

    Raises:
        MaskingRefused: truncated updates, with their sender; a sum beyond its bound.
    """
    for start in range(coordinates.start, coordinates.stop, COORDINATES_AT_ONCE):
        length = min(COORDINATES_AT_ONCE, coordinates.stop - start)
        total = _unmasked(readers, left, start, length)
        yield encoding.sums(total, len(readers), start).tobytes()


def unmasked_weight(
    encoding: WeightedEncoding, readers: Mapping[str, ReadRange], left: list[Mask], coordinates: int
) -> int:
    """The sum of the survivors' weights: the coordinate after the last of the model's `coordinates`.

    Raises:
        MaskingRefused: as `unmasked_blocks`.
    """
    return encoding.total_weight(int(_unmasked(readers, left, coordinates, 1)[0]), len(readers))


def _unmasked(readers: Mapping[str, ReadRange], left: list[Mask], start: int, length: int) -> Ring:
    total = np.zeros(length, dtype="<u4")
    for name in sorted(readers):
        raw = readers[name](COORDINATE_BYTES * start, COORDINATE_BYTES * length)
        if len(raw) != COORDINATE_BYTES * length:
            raise MaskingRefused(
                Reason.MASKED_MISMATCH,
                f"expected {length} coordinates of {name!r} from {start}, got {len(raw)} bytes",
                offender=name,
            )
        total += np.frombuffer(raw, dtype="<u4")
    apply_masks(total, start, left)
    return total
