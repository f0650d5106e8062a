"""The members of one attempt and their keys: what everybody reads alike before anything is shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedsnap.formats.control import MaskingKeys
from fedsnap.formats.digests import Digest, format_digest
from fedsnap.secagg.masking.cohort import Limits, expect_members, threshold
from fedsnap.secagg.masking.context import Attempt
from fedsnap.secagg.masking.derivation import exchange, private_key
from fedsnap.secagg.masking.errors import MaskingRefused, Reason

# Any private key serves to find keys of small order.
_PROBE = private_key(bytes(range(32)))


@dataclass(frozen=True, slots=True)
class Session:
    """One attempt: its context and the roster's keys in the order of names.

    Attributes:
        context: 32 bytes that are bound into every key and box.
        keys: of each member of the roster, from its signed commit.
    """

    context: bytes
    keys: Mapping[str, MaskingKeys]

    @classmethod
    def open(cls, attempt: Attempt, keys: Mapping[str, MaskingKeys], limits: Limits) -> Session:
        """Begin an attempt after its roster was closed.

        Args:
            attempt: as this party knows it itself: its own base, the plan that it accepted.
            keys: from the commits that the roster names, their signatures checked.
            limits: of this party's policy.

        Raises:
            MaskingRefused: the roster is too small, or a member's keys are not its own or not usable.
        """
        expect_members(len(keys), limits)
        expect_distinct_keys(keys)
        for name, one in keys.items():
            expect_usable_keys(name, one)
        return cls(attempt.context(), {name: keys[name] for name in sorted(keys)})

    @property
    def names(self) -> tuple[str, ...]:
        """The roster, sorted."""
        return tuple(self.keys)

    @property
    def threshold(self) -> int:
        """t: shares that recover a secret, and acks that close a set of survivors."""
        return threshold(len(self.keys))

    @property
    def context_digest(self) -> Digest:
        """The context as control files have it."""
        return format_digest(self.context)

    def holders(self) -> dict[str, int]:
        """At which x each member's shares are taken: its place in the roster, from 1."""
        return {name: place for place, name in enumerate(self.keys, start=1)}

    def expect_member(self, name: str) -> None:
        """Refuse who is not on the roster.

        Raises:
            MaskingRefused: with the name.
        """
        if name not in self.keys:
            raise MaskingRefused(
                Reason.NOT_A_MEMBER, f"{name!r} is not on the roster; only its members take part", offender=name
            )

    def expect_context(self, context: Digest, sender: str, what: str) -> None:
        """Refuse a file of another attempt: another plan, base, round, attempt or roster than this party's.

        Raises:
            MaskingRefused: names who sent it.
        """
        if context != self.context_digest:
            raise MaskingRefused(
                Reason.CONTEXT_MISMATCH,
                f"{what} of {sender!r} is for context {context}, expected {self.context_digest}: it has another plan, "
                "base, attempt or roster; compare what the hub told each of you",
                offender=sender,
            )


def expect_distinct_keys(keys: Mapping[str, MaskingKeys]) -> None:
    """Refuse a public key that appears twice, whoever's and whatever for.

    Raises:
        MaskingRefused: names the later of two members; the signed commits show who was first.
    """
    owners: dict[str, str] = {}
    for name in sorted(keys):
        for key in (keys[name].mask_key, keys[name].box_key):
            owner = owners.setdefault(key, name)
            if owner != name or keys[name].mask_key == keys[name].box_key:
                raise MaskingRefused(
                    Reason.KEY_REPEATED,
                    f"expected a key of {name!r} alone, it is also {owner!r}'s; each member makes its own two keys",
                    offender=name,
                )


def expect_usable_keys(name: str, keys: MaskingKeys) -> None:
    """Refuse keys with which every secret is the same; for the coordinator, before it closes the roster.

    Raises:
        MaskingRefused: names the member.
    """
    for key in (keys.mask_key, keys.box_key):
        exchange(_PROBE, key, name)
