"""The server's step: new weights are the base plus the mean of the updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedsnap.formats.dtypes import FLOATING, decode_floats, encode_floats
from fedsnap.formats.layout import TensorSpec
from fedsnap.formats.tensorfile import TensorFile, write_canonical
from fedsnap.secagg.encoding import COORDINATES_AT_ONCE, FixedPoint
from fedsnap.secagg.errors import NonFiniteUpdate

ReadSums = Callable[[int, int], npt.NDArray[np.int64]]


def apply_mean(base: TensorFile, sums: ReadSums, total_examples: int, codec: FixedPoint, new_file: Path) -> None:
    """Write base + sums / (total_examples · 2^k), computed in float64 and rounded to each tensor's type.

    Tensors that are not floating stay as they are in the base.

    Args:
        base: the weights that were trained.
        sums: gives the weighted sums of coordinates `start` to `stop`, exclusive.
        total_examples: sum of the members' weights.
        codec: encoding of the updates.
        new_file: canonical safetensors file to write.

    Raises:
        NonFiniteUpdate: where the new weights leave the range of their type.
    """
    begins: dict[str, int] = {}
    end = 0
    for spec in base.layout.floating:
        begins[spec.name] = end
        end += spec.elements

    def blocks(spec: TensorSpec) -> Iterator[bytes]:
        if spec.dtype not in FLOATING:
            yield from base.raw(spec.name)
            return
        for start in range(0, spec.elements, COORDINATES_AT_ONCE):
            stop = min(start + COORDINATES_AT_ONCE, spec.elements)
            begin = begins[spec.name]
            mean = codec.decode_mean(sums(begin + start, begin + stop), total_examples)
            yield _stepped(spec, base.floats(spec.name, start, stop).astype(np.float64) + mean)

    write_canonical(new_file, base.layout, blocks)


def _stepped(spec: TensorSpec, values: npt.NDArray[np.float64]) -> bytes:
    raw = encode_floats(spec.dtype, values)
    if not np.isfinite(decode_floats(spec.dtype, raw)).all():
        raise NonFiniteUpdate(
            f"tensor {spec.name[:128]!r} would leave the range of {spec.dtype}; lower clip norm or learning rate"
        )
    return raw
