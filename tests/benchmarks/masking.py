"""Secure aggregation: what a member and the aggregator compute, on one core, with a tenth of the members dropped."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.table import Row
from fedsnap.formats.digests import digest_of
from fedsnap.formats.signed import ControlT, Signed, payload_of
from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.masking import agreement, member, recovery
from fedsnap.secagg.masking.agreement import Agreed
from fedsnap.secagg.masking.cohort import Limits
from fedsnap.secagg.masking.context import Attempt
from fedsnap.secagg.masking.ephemeral import Ephemeral
from fedsnap.secagg.masking.files import Sharer, ShareRoster, Shares, Survivor, Survivors, UnmaskShares
from fedsnap.secagg.masking.keystream import Mask, apply_masks
from fedsnap.secagg.masking.ring import WeightedEncoding
from fedsnap.secagg.masking.session import Session

# Members and coordinates: the pairs that other libraries were measured with, and those between.
_CASES = ((5, 10**6), (10, 10**6), (10, 10**7), (50, 10**6), (100, 10**6))
_PLAN, _BASE, _ROSTER = (digest_of(text) for text in (b"plan", b"base", b"roster"))
_LIMITS = Limits(least_members=5, least_honest=2, least_difference=2)
_COORDINATES_OF_MASK = 2**24


@dataclass
class _Clock:
    """Seconds by what was done; repeated measurements are kept apart."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds.setdefault(what, []).append(time.perf_counter() - begin)

    def median(self, *what: str) -> float:
        return sum(statistics.median(self.seconds[one]) for one in what)


def measure(directory: Path, sizes: Sequence[int]) -> list[Row]:
    """Time of each stage; `sizes` are for other parts of the table, and nothing is written to `directory`."""
    del directory, sizes
    rows = [Row("masks: coordinates per second and core", f"{_masks_per_second() / 1e9:.2f}·10⁹")]
    for members, coordinates in _CASES:
        rows += _measured(members, coordinates)
    return rows


def _masks_per_second() -> float:
    block, masks = np.zeros(_COORDINATES_OF_MASK, "<u4"), [Mask(bytes(32), added=True)]
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        apply_masks(block, 0, masks)
        times.append(time.perf_counter() - begin)
    return _COORDINATES_OF_MASK / min(times)


def _measured(members: int, coordinates: int) -> list[Row]:
    clock, dropped = _Clock(), max(1, members // 10)
    _run(clock, members, coordinates, dropped)
    what = f"masking, n = {members}, d = {coordinates:.0e}, {dropped} dropped"
    sharing = clock.median("open", "deal", "boxes")
    return [
        Row(f"{what}: a member", f"{_text(sharing)} sharing + {_text(clock.median('mask'))} masking"),
        Row(
            f"{what}: the aggregator",
            f"{_text(clock.median('recover'))} secrets + {_text(clock.median('unmask'))} sum and masks",
        ),
    ]


def _run(clock: _Clock, count: int, coordinates: int, dropped: int) -> None:
    """One attempt; the sum is checked, so that what is measured is right."""
    names = [f"org-{number:03}" for number in range(count)]
    encoding = WeightedEncoding(FixedPoint(count, "1", 22), 10)
    secrets = {name: _secret(name) for name in names}
    keys = {name: one.announce() for name, one in secrets.items()}
    attempt = Attempt(
        federation="bench", plan_digest=_PLAN, base_content_root=_BASE, round=1, attempt=1, roster_digest=_ROSTER
    )
    with clock("open"):
        session = Session.open(attempt, keys, _LIMITS)
    shares: dict[str, Signed[Shares]] = {}
    for name in names:
        with clock("deal"):
            file = member.deal(session, secrets[name])
        shares[name] = _signed(file)
    masked, plain = _masked(clock, session, secrets, names[dropped:], encoding, coordinates)
    agreed, answers = _answers(clock, session, secrets, shares, names[dropped:])
    with clock("recover"):
        recovered = recovery.recover(session, {name: one.value for name, one in shares.items()}, agreed, answers)
        left = recovery.remaining_masks(session, agreed, recovered)
    readers = {name: _reader(raw) for name, raw in masked.items()}
    sha256 = hashlib.sha256()
    with clock("unmask"):
        blocks = list(recovery.unmasked_blocks(encoding, readers, left, range(coordinates)))
    for block in blocks:
        sha256.update(block)
    if sha256.digest() != hashlib.sha256(memoryview(plain << encoding.weight_bits)).digest():
        raise AssertionError("the sum without masks is not the plain sum")


def _secret(name: str) -> Ephemeral:
    return Ephemeral.derive(os.urandom(32), _PLAN, name)


def _masked(
    clock: _Clock,
    session: Session,
    secrets: Mapping[str, Ephemeral],
    survivors: Sequence[str],
    encoding: WeightedEncoding,
    coordinates: int,
) -> tuple[dict[str, bytes], np.ndarray]:
    random, bound = np.random.default_rng(1), encoding.codec.bound
    masked, plain = {}, np.zeros(coordinates, "<i8")
    update = random.integers(-bound, bound + 1, coordinates, dtype="<i4")
    for place, name in enumerate(survivors):
        with clock("mask"):
            ring = encoding.weigh(update, 500 + place)
            apply_masks(ring, 0, member.masks(session, secrets[name], session.names))
        masked[name] = ring.tobytes()
        plain += encoding.weigh(update, 500 + place).view("<i4")
    return masked, plain


def _answers(
    clock: _Clock,
    session: Session,
    secrets: Mapping[str, Ephemeral],
    shares: Mapping[str, Signed[Shares]],
    survivors: Sequence[str],
) -> tuple[Agreed, dict[str, UnmaskShares]]:
    context, digest = session.context_digest, digest_of(b"masked")
    sharers = tuple(Sharer(organization=name, shares_digest=one.digest) for name, one in shares.items())
    roster = _signed(ShareRoster(context=context, members=sharers))
    listed = Survivors(
        context=context,
        share_roster_digest=roster.digest,
        members=tuple(Survivor(organization=name, masked_digest=digest) for name in survivors),
        dropped=tuple(name for name in session.names if name not in survivors),
    )
    proposal = agreement.propose(session, roster, _signed(listed), _LIMITS)
    acks = [member.acknowledge(session, secrets[name], proposal, digest) for name in survivors]
    agreed = agreement.agree(session, proposal, acks)
    answers = {}
    for name in survivors:
        with clock("boxes"):
            opened = member.open_boxes(session, secrets[name], {sender: one.value for sender, one in shares.items()})
        answers[name] = member.answer(secrets[name], opened, agreed)
    return agreed, answers


def _signed(value: ControlT) -> Signed[ControlT]:
    return Signed(value, digest_of(payload_of(value)))


def _reader(raw: bytes) -> recovery.ReadRange:
    return lambda start, length: raw[start : start + length]


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
