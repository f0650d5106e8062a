"""What a model is made of: names, element types and shapes of its tensors, in name order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from fedsnap.formats.canonical_json import Json, dump
from fedsnap.formats.digests import Digest, digest_of
from fedsnap.formats.dtypes import FLOATING, SIZES


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements; a tensor without dimensions has one."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.elements * SIZES[self.dtype]

    def describe(self) -> dict[str, Json]:
        """The JSON object that stands for it in digests."""
        return {"dtype": self.dtype, "name": self.name, "shape": list(self.shape)}


@dataclass(frozen=True)
class Layout:
    """All tensors of a model, by name in the order of their UTF-8 bytes."""

    tensors: tuple[TensorSpec, ...]

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of the RFC 8785 list of all tensors; see docs/spec/sealed-update.md."""
        return digest_of(dump([spec.describe() for spec in self.tensors]))

    @cached_property
    def floating(self) -> tuple[TensorSpec, ...]:
        """The tensors that training changes."""
        return tuple(spec for spec in self.tensors if spec.dtype in FLOATING)

    @property
    def coordinates(self) -> int:
        """Elements of all floating tensors: the length of an update."""
        return sum(spec.elements for spec in self.floating)

    def first_difference(self, other: Layout) -> str | None:
        """What differs in the first tensor, by name, that `other` does not have alike; None where all are equal."""
        own, others = ({spec.name: spec for spec in one.tensors} for one in (self, other))
        for name in sorted(own.keys() | others.keys(), key=str.encode):
            difference = _difference(own.get(name), others.get(name))
            if difference:
                return f"tensor {name[:128]!r} {difference}"
        return None


def _difference(expected: TensorSpec | None, found: TensorSpec | None) -> str | None:
    if expected is None:
        return "is not expected"
    if found is None:
        return "is missing"
    if expected.dtype != found.dtype:
        return f"has type {found.dtype}, expected {expected.dtype}"
    if expected.shape != found.shape:
        return f"has shape {list(found.shape)}, expected {list(expected.shape)}"
    return None
