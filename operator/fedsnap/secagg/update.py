"""From trained weights to an encoded update: clipped, in fixed point, in two passes and constant memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedsnap.formats.digests import FileDigest, format_digest
from fedsnap.formats.tensorfile import TensorFile
from fedsnap.secagg.encoding import COORDINATES_AT_ONCE, FixedPoint
from fedsnap.secagg.errors import NonFiniteUpdate, UpdateRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedUpdate:
    """An encoded update, and what encoding did to it.

    Attributes:
        file: digest and size of the file of little-endian int32.
        coordinates: how many there are.
        norm: L2 norm before clipping.
        clipped: whether the norm was above the plan's.
        clip_factor: what every coordinate was multiplied by, at most 1.
        saturated: coordinates that rounding put beyond the bound.
    """

    file: FileDigest
    coordinates: int
    norm: float
    clipped: bool
    clip_factor: float
    saturated: int


def encode_update(trained: TensorFile, base: TensorFile, codec: FixedPoint, file: Path) -> EncodedUpdate:
    """Write `trained - base` over the floating tensors in name order; both must have the same layout.

    Raises:
        NonFiniteUpdate: NaN or infinity, with the tensor's name.
        UpdateRefused: where there is nothing to train.
    """
    coordinates = base.layout.coordinates
    if not coordinates:
        raise UpdateRefused("the model has no elements of type F16, BF16, F32 or F64; there is nothing to train")
    norm = _norm(trained, base)
    factor = min(1.0, codec.clip / norm) if norm > 0 else 1.0
    sha256, saturated = hashlib.sha256(), 0
    with file.open("wb") as out:
        for block in _differences(trained, base):
            encoded, moved = codec.encode(block * factor)
            raw = encoded.tobytes()
            sha256.update(raw)
            out.write(raw)
            saturated += moved
        size = out.tell()
    return EncodedUpdate(
        file=FileDigest(format_digest(sha256.digest()), size),
        coordinates=coordinates,
        norm=norm,
        clipped=norm > codec.clip,
        clip_factor=factor,
        saturated=saturated,
    )


def _norm(trained: TensorFile, base: TensorFile) -> float:
    """L2 norm of the update. Sums of numpy, not of a BLAS: equal for every number of threads."""
    with np.errstate(over="ignore"):
        norm = math.sqrt(math.fsum(float(np.sum(np.square(block))) for block in _differences(trained, base)))
    if not math.isfinite(norm):
        raise NonFiniteUpdate("the update's norm is too large for a float64; lower the learning rate")
    return norm


def _differences(trained: TensorFile, base: TensorFile) -> Iterator[npt.NDArray[np.float64]]:
    for spec in base.layout.floating:
        for start in range(0, spec.elements, COORDINATES_AT_ONCE):
            stop = min(start + COORDINATES_AT_ONCE, spec.elements)
            with np.errstate(invalid="ignore", over="ignore"):
                block = trained.floats(spec.name, start, stop).astype(np.float64)
                block -= base.floats(spec.name, start, stop)
            if not np.isfinite(block).all():
                raise NonFiniteUpdate(
                    f"tensor {spec.name[:128]!r} holds NaN or infinity; lower the learning rate, check the data"
                )
            yield block
