"""A whole masked attempt in memory: members, a coordinator that is honest unless a test lies for it, an aggregator."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedsnap.formats.digests import digest_of
from fedsnap.formats.signed import Signed, payload_of
from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.masking import agreement, answers, member, recovery
from fedsnap.secagg.masking.cohort import Limits
from fedsnap.secagg.masking.context import Attempt
from fedsnap.secagg.masking.ephemeral import Ephemeral
from fedsnap.secagg.masking.files import Masked, Part, Sharer, ShareRoster, Survivor, Survivors
from fedsnap.secagg.masking.keystream import apply_masks
from fedsnap.secagg.masking.ring import WeightedEncoding
from fedsnap.secagg.masking.session import Session

PLAN, BASE, ROSTER = (digest_of(text) for text in (b"plan", b"base", b"roster"))
ATTEMPT = Attempt(
    federation="hospitals", plan_digest=PLAN, base_content_root=BASE, round=3, attempt=1, roster_digest=ROSTER
)
FEW = Limits(least_members=3, assumed_colluders=0, least_honest=2, least_difference=2)
AGGREGATOR = X25519PrivateKey.from_private_bytes(b"\x07" * 32)
AGGREGATOR_PUBLIC = base64.b64encode(AGGREGATOR.public_key().public_bytes_raw()).decode()


def signed(value):
    """As if its signature had been checked."""
    return Signed(value, digest_of(payload_of(value)))


def names_of(count):
    return tuple(f"org-{number:03}" for number in range(count))


def secret_of(name):
    return hashlib.sha256(b"secret of " + name.encode()).digest()


def ephemeral_of(name, plan_digest=PLAN):
    return Ephemeral.derive(secret_of(name), plan_digest, name)


@dataclass
class Round:
    """Everything that one attempt stores, made stage by stage."""

    names: tuple[str, ...]
    session: Session
    secrets: dict
    encoding: WeightedEncoding
    updates: dict
    weights: dict
    shares: dict = field(default_factory=dict)
    share_roster: Signed | None = None
    masked: dict = field(default_factory=dict)
    masked_files: dict = field(default_factory=dict)
    survivors: Signed | None = None

    @property
    def coordinates(self):
        return len(next(iter(self.updates.values())))

    def share(self, without=()):
        self.shares = {
            name: signed(member.deal(self.session, self.secrets[name])) for name in self.names if name not in without
        }
        sharers = tuple(Sharer(organization=name, shares_digest=one.digest) for name, one in self.shares.items())
        self.share_roster = signed(ShareRoster(context=self.session.context_digest, members=sharers))
        agreement.expect_share_roster(self.session, self.share_roster.value, self.shares)

    def masked_of(self, name):
        ring = np.empty(self.coordinates + 1, "<u4")
        ring[:-1] = self.encoding.weigh(self.updates[name], self.weights[name])
        ring[-1] = self.weights[name]
        apply_masks(ring, 0, member.masks(self.session, self.secrets[name], self.shares))
        return ring.tobytes()

    def mask(self, without=()):
        for name in self.shares:
            if name in without:
                continue
            raw = self.masked_of(name)
            file = Masked(
                organization=name,
                context=self.session.context_digest,
                share_roster_digest=self.share_roster.digest,
                coordinates=self.coordinates + 1,
                parts=(Part(size=len(raw), digest=digest_of(raw)),),
            )
            agreement.expect_masked(self.session, self.share_roster, name, file, self.coordinates)
            self.masked[name], self.masked_files[name] = raw, signed(file)
        self.survivors = signed(self.survivors_file())

    def survivors_file(self, **changes):
        fields = {
            "context": self.session.context_digest,
            "share_roster_digest": self.share_roster.digest,
            "members": tuple(
                Survivor(organization=name, masked_digest=one.digest) for name, one in self.masked_files.items()
            ),
            "dropped": tuple(name for name in self.shares if name not in self.masked),
        }
        return Survivors(**(fields | changes))

    def propose(self, survivors=None, limits=FEW):
        return agreement.propose(self.session, self.share_roster, survivors or self.survivors, limits)

    def acks(self, proposal=None, names=None):
        proposal = proposal or self.propose()
        return [
            member.acknowledge(self.session, self.secrets[name], proposal, self.masked_files[name].digest)
            for name in names or proposal.survivors
        ]

    def agree(self):
        proposal = self.propose()
        return agreement.agree(self.session, proposal, self.acks(proposal))

    def opened(self, name):
        return member.open_boxes(
            self.session, self.secrets[name], {sender: one.value for sender, one in self.shares.items()}
        )

    def answers(self, agreed, names=None):
        return {
            name: member.answer(self.secrets[name], self.opened(name), agreed) for name in names or agreed.survivors
        }

    def recover(self, agreed, given):
        return recovery.recover(self.session, {name: one.value for name, one in self.shares.items()}, agreed, given)

    def unmask(self, *, silent=(), shards=1):
        """Sums and total weight, with answers by way of their encryption."""
        agreed = self.agree()
        given = {}
        for name, shares in self.answers(agreed, [one for one in agreed.survivors if one not in silent]).items():
            file = answers.seal_answer(self.session, agreed, shares, AGGREGATOR_PUBLIC)
            given[name] = answers.open_answer(self.session, agreed, name, file, AGGREGATOR)
        left = recovery.remaining_masks(self.session, agreed, self.recover(agreed, given))
        readers = {name: self.reader(name) for name in agreed.survivors}
        bounds = [self.coordinates * shard // shards for shard in range(shards + 1)]
        blocks = b"".join(
            b"".join(recovery.unmasked_blocks(self.encoding, readers, left, range(start, stop)))
            for start, stop in pairwise(bounds)
        )
        weight = recovery.unmasked_weight(self.encoding, readers, left, self.coordinates)
        return np.frombuffer(blocks, "<i8"), weight

    def reader(self, name):
        return lambda start, length: self.masked[name][start : start + length]

    def plain_sums(self):
        """What the same updates add up to without any mask."""
        total = sum(
            self.encoding.weigh(self.updates[name], self.weights[name]).view("<i4").astype("<i8")
            for name in self.masked
        )
        return total << self.encoding.weight_bits, sum(self.weights[name] for name in self.masked)


def make_round(count, coordinates=50, *, weight_bits=10, seed=1, attempt=ATTEMPT, limits=FEW):
    """A roster of so many members with random updates; nothing is shared yet."""
    random = np.random.default_rng(seed)
    names = names_of(count)
    encoding = WeightedEncoding(FixedPoint(count, "8", 20), weight_bits)
    bound = encoding.codec.bound
    secrets = {name: ephemeral_of(name, attempt.plan_digest) for name in names}
    return Round(
        names=names,
        session=Session.open(attempt, {name: one.announce() for name, one in secrets.items()}, limits),
        secrets=secrets,
        encoding=encoding,
        updates={name: random.integers(-bound, bound + 1, coordinates).astype("<i4") for name in names},
        weights={name: int(random.integers(1, 2**weight_bits + 1)) for name in names},
    )


def shared_and_masked(count, *, unshared=(), dropped=(), **options):
    """A round whose survivors are known; members are named by their place."""
    made = make_round(count, **options)
    made.share(without=[made.names[place] for place in unshared])
    made.mask(without=[made.names[place] for place in dropped])
    return made
