"""The published vectors: made by the second implementation, reproduced by ours, step by step.

`PYTHONPATH=tests:tests/secagg python -m masking.test_vectors` writes them again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.masking import member
from fedsnap.secagg.masking.cohort import threshold
from fedsnap.secagg.masking.context import Attempt
from fedsnap.secagg.masking.ephemeral import Ephemeral
from fedsnap.secagg.masking.keystream import apply_masks
from fedsnap.secagg.masking.ring import WeightedEncoding
from fedsnap.secagg.masking.session import Session
from masking import independent
from masking.members import FEW

FILE = Path(__file__).parents[2] / "vectors" / "masking" / "attempt.json"
MEMBERS = ("cleveland", "hungary", "switzerland", "va-long-beach")
DROPPED = "hungary"
COORDINATES, BITS = 9, 8


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def made():
    """Every value of one small attempt, as hexadecimal text or integers."""
    attempt = {
        "federation": "research/heart",
        "planDigest": digest("plan"),
        "baseContentRoot": digest("base"),
        "round": 3,
        "attempt": 1,
        "rosterDigest": digest("roster"),
    }
    ctx, least = independent.context(attempt), 2 * len(MEMBERS) // 3 + 1
    secrets = {one: hashlib.sha256(f"secret of {one}".encode()).digest() for one in MEMBERS}
    members = {one: independent.Member(secrets[one], attempt["planDigest"], one) for one in MEMBERS}
    publics = {one: members[one].mask_public for one in MEMBERS}
    vectors = {"attempt": attempt, "context": ctx.hex(), "threshold": least, "weightBits": BITS, "dropped": [DROPPED]}
    vectors["members"] = {one: _member(members, one, secrets[one], ctx, least, publics) for one in MEMBERS}
    survivors = [one for one in MEMBERS if one != DROPPED]
    vectors["sums"] = _sums([vectors["members"][one]["weighted"] for one in survivors])
    return vectors


def _member(members, who, secret, ctx, least, publics):
    me, place = members[who], MEMBERS.index(who)
    shares = {kind: me.shares(ctx, kind, len(MEMBERS), least) for kind in ("self-mask", "key")}
    encoded = [(-1) ** (place + j) * (1000 * place + 77 * j) for j in range(COORDINATES)]
    weight = 60 * (place + 1)
    weighted = [*independent.weigh(encoded, weight, BITS), weight]
    holders = dict(enumerate(MEMBERS))
    return {
        "secret": secret.hex(),
        "maskPublic": me.mask_public.hex(),
        "boxPublic": me.box_public.hex(),
        "selfMaskSeed": me.seed.hex(),
        "selfMaskDigest": me.seed_digest.hex(),
        "selfMaskKey": me.self_mask_key(ctx).hex(),
        "selfMaskWords": independent.words(me.self_mask_key(ctx), 4),
        "pairMaskKeys": {one: me.pair_mask_key(ctx, one, publics[one]).hex() for one in MEMBERS if one != who},
        "shares": {kind: [one.hex() for one in given] for kind, given in shares.items()},
        "shareDigests": {
            kind: [independent.share_digest(ctx, who, holders[i], kind, one).hex() for i, one in enumerate(given)]
            for kind, given in shares.items()
        },
        "boxes": {
            holder: me.box(ctx, holder, members[holder].box_public, shares["self-mask"][i] + shares["key"][i]).hex()
            for i, holder in holders.items()
        },
        "encoded": encoded,
        "weight": weight,
        "weighted": weighted,
        "masked": me.masked(ctx, publics, weighted),
    }


def _sums(weighted):
    totals = [sum(column) % 2**32 for column in zip(*weighted, strict=True)]
    return [one - 2**32 if one >= 2**31 else one for one in totals]


@pytest.fixture(scope="module")
def vectors():
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ours(vectors):
    given = vectors["attempt"]
    attempt = Attempt(
        federation=given["federation"],
        plan_digest=given["planDigest"],
        base_content_root=given["baseContentRoot"],
        round=given["round"],
        attempt=given["attempt"],
        roster_digest=given["rosterDigest"],
    )
    members = {
        one: Ephemeral.derive(bytes.fromhex(said["secret"]), given["planDigest"], one)
        for one, said in vectors["members"].items()
    }
    return Session.open(attempt, {one: me.announce() for one, me in members.items()}, FEW), members


def unbase64(text):
    return base64.b64decode(text).hex()


def test_the_published_vectors_are_those_of_the_second_implementation(vectors):
    assert vectors == made()


def test_context_and_threshold_are_as_published(vectors, ours):
    session, _ = ours
    assert session.context.hex() == vectors["context"]
    assert session.threshold == threshold(len(MEMBERS)) == vectors["threshold"]


@pytest.mark.parametrize("who", MEMBERS)
def test_keys_shares_and_boxes_are_as_published(vectors, ours, who):
    (session, members), said = ours, vectors["members"][who]
    announced = members[who].announce()
    assert (unbase64(announced.mask_key), unbase64(announced.box_key)) == (said["maskPublic"], said["boxPublic"])
    assert announced.self_mask_digest == f"sha256:{said['selfMaskDigest']}"
    dealt = member.deal(session, members[who])
    assert {box.to: unbase64(box.box) for box in dealt.boxes} == said["boxes"]
    for kind, attribute in (("self-mask", "self_mask_share_digest"), ("key", "key_share_digest")):
        assert [getattr(box, attribute).removeprefix("sha256:") for box in dealt.boxes] == said["shareDigests"][kind]


@pytest.mark.parametrize("who", MEMBERS)
def test_masks_and_masked_updates_are_as_published(vectors, ours, who):
    (session, members), said = ours, vectors["members"][who]
    own, *pairs = member.masks(session, members[who], MEMBERS)
    assert own.key.hex() == said["selfMaskKey"]
    assert sorted(mask.key.hex() for mask in pairs) == sorted(said["pairMaskKeys"].values())
    encoding = WeightedEncoding(FixedPoint(len(MEMBERS), "8", 20), BITS)
    ring = np.append(encoding.weigh(np.array(said["encoded"], "<i4"), said["weight"]), np.uint32(said["weight"]))
    assert ring.tolist() == said["weighted"]
    apply_masks(ring, 0, [own, *pairs])
    assert ring.tolist() == said["masked"]


def test_the_second_implementation_recovers_the_survivors_sum_from_what_is_revealed(vectors):
    ctx, said = bytes.fromhex(vectors["context"]), vectors["members"]
    survivors = [one for one in MEMBERS if one not in vectors["dropped"]]
    places = {place: one for place, one in enumerate(MEMBERS, start=1) if one in survivors}
    total = [sum(column) % 2**32 for column in zip(*(said[one]["masked"] for one in survivors), strict=True)]
    for one in survivors:
        seed = independent.recover({x: bytes.fromhex(said[one]["shares"]["self-mask"][x - 1]) for x in places})
        assert seed.hex() == said[one]["selfMaskSeed"]
        total = independent.add(
            total, independent.hkdf(seed, independent.label("self-mask") + ctx + independent.name(one)), -1
        )
    for gone in vectors["dropped"]:
        private = independent.recover({x: bytes.fromhex(said[gone]["shares"]["key"][x - 1]) for x in places})
        for one in survivors:
            first, second = sorted((gone, one))
            shared = independent.exchange(private, bytes.fromhex(said[one]["maskPublic"]))
            info = independent.label("pair-mask") + ctx + independent.name(first) + independent.name(second)
            total = independent.add(total, independent.hkdf(shared, info), -1 if one == first else 1)
    assert [one - 2**32 if one >= 2**31 else one for one in total] == vectors["sums"]


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(made(), indent=1) + "\n", encoding="utf-8")
