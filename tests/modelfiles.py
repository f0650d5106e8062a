"""safetensors files for tests, written by hand so that they can also be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

DTYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64", "bool": "BOOL"}


def raw_safetensors(header: dict | bytes, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def write_model(file: Path, tensors: dict[str, np.ndarray], *, metadata: dict[str, str] | None = None) -> Path:
    """As a trainer would: in the order given, not in ours. An array of uint16 stands for BF16."""
    header: dict = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, array in tensors.items():
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        dtype = "BF16" if array.dtype == np.uint16 else DTYPES[array.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(raw_safetensors(header, data))
    return file
