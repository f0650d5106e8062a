"""The aggregation of a masked round: survivors, their answers, and sums without masks; it sees no single update."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedsnap.jobs.entry import log
from fedsnap.jobs.masking import MaskedRound, Sharing
from fedsnap.jobs.parts import PartsReader, shard_coordinates, shard_parts
from fedsnap.secagg.masking import agreement, answers, recovery
from fedsnap.secagg.masking.agreement import Agreed
from fedsnap.secagg.masking.errors import MaskingRefused, Reason
from fedsnap.secagg.masking.files import Masked, Unmask, UnmaskShares
from fedsnap.secagg.masking.keystream import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasking:
    """All that takes the masks of the survivors' sum away."""

    round: MaskedRound
    masked: dict[str, Masked]
    left: list[Mask]

    @classmethod
    def open(cls, masked: MaskedRound, private: X25519PrivateKey) -> Unmasking:
        """Check everything that was signed, and recover the secrets that survivors revealed.

        Raises:
            MaskingRefused: where sets, acks or answers are not in order, or too few answered.
        """
        sharing = masked.sharing()
        agreed = agreed_survivors(masked, sharing)
        given = _answers(masked, agreed, private)
        recovered = recovery.recover(masked.session, sharing.values, agreed, given)
        for refused in recovered.refused:
            log("share refused", sender=refused.offender or "", reason=refused.reason, message=str(refused))
        return cls(
            round=masked,
            masked={name: _expect_counted(masked, sharing, agreed, name) for name in agreed.survivors},
            left=recovery.remaining_masks(masked.session, agreed, recovered),
        )

    def blocks(self, shards: int, index: int) -> Iterator[bytes]:
        """Sums of one shard as little-endian int64; they end only after every digest was seen to hold.

        Raises:
            MaskingRefused: where masks do not cancel, or the weights are not those that members committed to.
        """
        plan = self.round.cohort.plan
        coordinates = shard_coordinates(plan, shards, index)
        readers = {name: self._reader(name, one) for name, one in self.masked.items()}
        reads = {name: one.read for name, one in readers.items()}
        encoding, parts = self.round.encoding, shard_parts(plan.coordinates, shards, index)
        try:
            yield from recovery.unmasked_blocks(encoding, reads, self.left, coordinates)
            if parts and shard_parts(plan.coordinates, 1, 0).stop == parts.stop:
                self._expect_weight(recovery.unmasked_weight(encoding, reads, self.left, plan.coordinates))
        except MaskingRefused:
            # Somebody's bytes are not what they were: perhaps the digests tell whose.
            for reader in readers.values():
                reader.expect_parts(parts)
            raise
        for reader in readers.values():
            reader.finish()

    def _reader(self, name: str, masked: Masked) -> PartsReader:
        paths = [self.round.paths.masked_part(name, part) for part in range(len(masked.parts))]
        return PartsReader(self.round.store, paths, masked.parts, owner=name)

    def _expect_weight(self, found: int) -> None:
        weights = self.round.weights
        expected = sum(weights[name] for name in self.masked)
        if found != expected:
            raise MaskingRefused(
                Reason.SUM_OUT_OF_BOUNDS,
                f"expected the weights {expected} that the survivors committed to, the masked updates hold {found}; "
                "one of them masked another weight; start a new attempt",
            )


def agreed_survivors(masked: MaskedRound, sharing: Sharing) -> Agreed:
    """The survivors whom enough of them acknowledged.

    Raises:
        MaskingRefused: where there are too few, or they saw others.
    """
    proposal = masked.proposal(sharing)
    return agreement.agree(masked.session, proposal, masked.acks(proposal))


def _expect_counted(masked: MaskedRound, sharing: Sharing, agreed: Agreed, name: str) -> Masked:
    signed = masked.masked(sharing, name)
    agreed.expect_own(name, signed.digest)
    return signed.value


def _answers(masked: MaskedRound, agreed: Agreed, private: X25519PrivateKey) -> dict[str, UnmaskShares]:
    """What survivors revealed; an answer that cannot be read is refused by name, and is missing."""
    given: dict[str, UnmaskShares] = {}
    for name in agreed.survivors:
        reply = masked.reply(Unmask, name, masked.paths.unmask(name))
        if reply is None:
            continue
        try:
            given[name] = answers.open_answer(masked.session, agreed, name, reply.value, private)
        except MaskingRefused as error:
            log("answer refused", sender=name, reason=error.reason, message=str(error))
    return given
