"""Masked rounds a second time, from docs/spec/secure-aggregation.md alone: nothing of `fedsnap` is imported."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P = 2**521 - 1


def label(text):
    return b"fedsnap/masking/v1/" + text.encode() + b"\0"


def name(text):
    return text.encode() + b"\0"


def raw(digest):
    return bytes.fromhex(digest.removeprefix("sha256:"))


def hkdf(key, info, length=32):
    return HKDF(SHA256(), length, None, info).derive(key)


def keystream(key, length):
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(length))


def context(attempt):
    federation = attempt["federation"].encode()
    return hashlib.sha256(
        label("context")
        + len(federation).to_bytes(4, "big")
        + federation
        + raw(attempt["planDigest"])
        + raw(attempt["baseContentRoot"])
        + attempt["round"].to_bytes(8, "big")
        + attempt["attempt"].to_bytes(8, "big")
        + raw(attempt["rosterDigest"])
    ).digest()


class Member:
    def __init__(self, secret, plan_digest, who):
        made = hkdf(secret, label("ephemeral") + raw(plan_digest) + name(who), 128)
        self.name = who
        self.mask_private, self.box_private, self.seed, self.polynomials = (made[i : i + 32] for i in range(0, 128, 32))

    @property
    def mask_public(self):
        return X25519PrivateKey.from_private_bytes(self.mask_private).public_key().public_bytes_raw()

    @property
    def box_public(self):
        return X25519PrivateKey.from_private_bytes(self.box_private).public_key().public_bytes_raw()

    @property
    def seed_digest(self):
        return hashlib.sha256(label("self-mask-digest") + self.seed).digest()

    def shares(self, ctx, kind, members, threshold):
        secret = int.from_bytes({"self-mask": self.seed, "key": self.mask_private}[kind], "big")
        key = hkdf(self.polynomials, label("polynomial") + ctx + name(self.name) + name(kind))
        stream = keystream(key, 66 * (threshold - 1))
        pieces = [stream[66 * i : 66 * (i + 1)] for i in range(threshold - 1)]
        polynomial = [secret, *((int.from_bytes(piece, "big") & P) % P for piece in pieces)]
        return [
            (sum(one * x**power for power, one in enumerate(polynomial)) % P).to_bytes(66, "big")
            for x in range(1, members + 1)
        ]

    def box(self, ctx, to, to_public, pair):
        key = hkdf(exchange(self.box_private, to_public), label("box") + ctx + name(self.name) + name(to))
        return ChaCha20Poly1305(key).encrypt(bytes(12), pair, ctx + name(self.name) + name(to))

    def self_mask_key(self, ctx):
        return hkdf(self.seed, label("self-mask") + ctx + name(self.name))

    def pair_mask_key(self, ctx, other, other_public):
        first, second = sorted((self.name, other))
        shared = exchange(self.mask_private, other_public)
        return hkdf(shared, label("pair-mask") + ctx + name(first) + name(second))

    def masked(self, ctx, publics, ring):
        """`publics`: mask keys of the share roster, by name."""
        total = add(ring, self.self_mask_key(ctx), 1)
        for other, public in publics.items():
            if other != self.name:
                sign = 1 if self.name < other else -1
                total = add(total, self.pair_mask_key(ctx, other, public), sign)
        return total


def exchange(private, public):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def words(key, count):
    stream = keystream(key, 4 * count)
    return [int.from_bytes(stream[4 * i : 4 * i + 4], "little") for i in range(count)]


def add(ring, key, sign):
    return [(value + sign * word) % 2**32 for value, word in zip(ring, words(key, len(ring)), strict=True)]


def share_digest(ctx, owner, holder, kind, share):
    return hashlib.sha256(label("share") + ctx + name(owner) + name(holder) + name(kind) + share).digest()


def recover(points):
    """The secret of the polynomial through `points`, a mapping of place to share, as 32 bytes."""
    total = 0
    for x, share in points.items():
        numerator = denominator = 1
        for other in points:
            if other != x:
                numerator, denominator = numerator * other % P, denominator * (other - x) % P
        total += int.from_bytes(share, "big") * numerator * pow(denominator, -1, P)
    return (total % P).to_bytes(32, "big")


def weigh(encoded, weight, bits):
    return [((one * weight + (1 << bits >> 1)) >> bits) % 2**32 for one in encoded]
