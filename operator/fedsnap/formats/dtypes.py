"""The element types of safetensors that models use: sizes, and real numbers from and to little-endian bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Bytes per element, by safetensors' names.
SIZES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
# Types that training changes; all others stay as they are in the base.
FLOATING = frozenset({"F16", "BF16", "F32", "F64"})
Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def decode_floats(dtype: str, raw: bytes) -> Floats:
    """Numbers of a floating type, exactly; F64 as float64, all others as float32."""
    if dtype == "BF16":
        return (np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "F16":
        return np.frombuffer(raw, dtype="<f2").astype(np.float32)
    if dtype == "F32":
        return np.frombuffer(raw, dtype="<f4")
    return np.frombuffer(raw, dtype="<f8")


def encode_floats(dtype: str, values: npt.NDArray[np.float64]) -> bytes:
    """Numbers rounded half to even into a floating type; what is too large becomes infinity.

    BF16 is rounded from float32, as frameworks do.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "BF16":
            return _to_bfloat16(values.astype(np.float32)).tobytes()
        return values.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).tobytes()


def _to_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    bits = values.view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    quiet = (bits >> 16) | 0x40  # adding would carry a NaN into infinity
    return np.where(np.isnan(values), quiet, rounded).astype("<u2")
