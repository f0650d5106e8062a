"""safetensors files: a strict reader in constant memory, and a writer that gives one file for one set of weights.

Format: github.com/huggingface/safetensors. The reader refuses what other readers disagree on: gaps, overlaps,
unused or trailing bytes, duplicate names. The public reader opens what the writer writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from fedsnap.formats.canonical_json import Json, dump, parse
from fedsnap.formats.digests import BLOCK_BYTES
from fedsnap.formats.dtypes import SIZES, Floats, decode_floats
from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.layout import Layout, TensorSpec

MAX_HEADER_BYTES = 16 * 1024 * 1024
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_MAX_NAME, _MAX_DIMENSIONS, _MAX_ELEMENTS = 512, 16, 2**48


class TensorFile:
    """An open safetensors file. Reads are by position: memory does not grow with the file."""

    def __init__(self, path: Path, file: BinaryIO, layout: Layout, starts: dict[str, int]) -> None:
        """Use `TensorFile.open`."""
        self.path, self.layout = path, layout
        self._file, self._starts = file, starts
        self._specs = {spec.name: spec for spec in layout.tensors}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path` after its header and its size were checked.

        Raises:
            InvalidFormat: not a safetensors file, truncated, or with bytes that no tensor owns.
        """
        file = path.open("rb")
        try:
            size = os.fstat(file.fileno()).st_size
            header, data_start = _read_header(file, size, path.name)
            places = [_place(name, entry, path.name) for name, entry in header.items() if name != _METADATA]
            _expect_contiguous(places, size - data_start, path.name)
        except BaseException:
            file.close()
            raise
        places.sort(key=lambda place: place[0].name.encode())
        layout = Layout(tuple(spec for spec, _ in places))
        return cls(path, file, layout, {spec.name: data_start + begin for spec, begin in places})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def floats(self, name: str, start: int, stop: int) -> Floats:
        """Elements `start` to `stop` (exclusive) of a floating tensor, flat; F64 as float64, others as float32."""
        spec = self._specs[name]
        width = SIZES[spec.dtype]
        return decode_floats(spec.dtype, self._read(self._starts[name] + width * start, width * (stop - start)))

    def raw(self, name: str) -> Iterator[bytes]:
        """The little-endian bytes of a tensor, in blocks."""
        begin, size = self._starts[name], self._specs[name].size
        for done in range(0, size, BLOCK_BYTES):
            yield self._read(begin + done, min(BLOCK_BYTES, size - done))

    def _read(self, start: int, length: int) -> bytes:
        got = os.pread(self._file.fileno(), length, start)
        if len(got) != length:
            raise InvalidFormat(f"{self.path.name}: expected {length} bytes at {start}, got {len(got)}; it was cut")
        return got


def write_canonical(file: Path, layout: Layout, blocks: Callable[[TensorSpec], Iterable[bytes]]) -> None:
    """Write tensors in name order, with an RFC 8785 header, padded with spaces, and no metadata.

    Args:
        file: to write.
        layout: what to write.
        blocks: the little-endian bytes of a tensor, in order; called once for each tensor in name order.
    """
    with file.open("wb") as out:
        out.write(_canonical_header(layout))
        for spec in layout.tensors:
            begin = out.tell()
            for block in blocks(spec):
                out.write(block)
            if out.tell() - begin != spec.size:
                raise ValueError(f"expected {spec.size} bytes of tensor {spec.name!r}, got {out.tell() - begin}")


def canonicalize(tensors: TensorFile, file: Path) -> None:
    """Write the same weights as the one file that stands for them."""
    write_canonical(file, tensors.layout, lambda spec: tensors.raw(spec.name))


def _canonical_header(layout: Layout) -> bytes:
    header: dict[str, Json] = {}
    end = 0
    for spec in layout.tensors:
        begin, end = end, end + spec.size
        header[spec.name] = {"data_offsets": [begin, end], "dtype": spec.dtype, "shape": list(spec.shape)}
    text = dump(header)
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _read_header(file: BinaryIO, size: int, where: str) -> tuple[dict[str, Json], int]:
    """The header's JSON object, and where the data begin."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
        raise InvalidFormat(
            f"{where}: expected a safetensors header of {length} bytes, the file has {size}; it was cut"
        )
    if length > MAX_HEADER_BYTES:
        raise InvalidFormat(f"{where}: expected a header of at most {MAX_HEADER_BYTES} bytes, it says {length}")
    text = file.read(length)
    header = parse(text, max_bytes=MAX_HEADER_BYTES, where=f"header of {where}")
    if not text.startswith(b"{") or not isinstance(header, dict):
        raise InvalidFormat(f"{where}: expected a safetensors header that begins with a brace")
    return header, _LENGTH_BYTES + length


def _place(name: str, entry: Json, where: str) -> tuple[TensorSpec, int]:
    """A tensor and where it begins in the data."""
    shown = f"{where}: tensor {name[:128]!r}"
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise InvalidFormat(f"{shown}: expected a printable name of 1 to {_MAX_NAME} characters")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise InvalidFormat(f"{shown}: expected dtype, shape and data_offsets, and nothing else")
    dtype = entry["dtype"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise InvalidFormat(f"{shown}: expected one of the types {', '.join(sorted(SIZES))}, got {str(dtype)[:32]!r}")
    shape, offsets = _integers(entry["shape"], shown), _integers(entry["data_offsets"], shown)
    spec = TensorSpec(name, dtype, shape)
    if len(shape) > _MAX_DIMENSIONS or spec.elements > _MAX_ELEMENTS:
        raise InvalidFormat(f"{shown}: expected at most {_MAX_DIMENSIONS} dimensions and {_MAX_ELEMENTS} elements")
    if len(offsets) != 2 or offsets[1] - offsets[0] != spec.size:  # noqa: PLR2004
        raise InvalidFormat(
            f"{shown}: expected {spec.size} bytes for {dtype} {list(shape)}, got offsets {list(offsets)}"
        )
    return spec, offsets[0]


def _integers(value: Json, shown: str) -> tuple[int, ...]:
    items = value if isinstance(value, list) else [None]
    found = [item for item in items if type(item) is int and 0 <= item <= _MAX_ELEMENTS * 8]
    if len(found) != len(items):
        raise InvalidFormat(f"{shown}: expected lists of integers from 0 as shape and data_offsets")
    return tuple(found)


def _expect_contiguous(places: list[tuple[TensorSpec, int]], data_size: int, where: str) -> None:
    """Tensors lie end to end: each byte belongs to exactly one."""
    end = 0
    for spec, begin in sorted(places, key=lambda place: (place[1], place[1] + place[0].size)):
        if begin != end:
            raise InvalidFormat(
                f"{where}: tensor {spec.name[:128]!r} begins at {begin}, expected {end}: gap or overlap"
            )
        end = begin + spec.size
    if end != data_size:
        raise InvalidFormat(
            f"{where}: expected {end} bytes of tensors, the file has {data_size}; it was cut or extended"
        )
