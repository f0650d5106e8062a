"""Kubernetes resource quantities."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei|[eE][+-]?[0-9]+)?$")
_DECIMAL = {"m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def parse_quantity(text: str) -> Decimal:
    """Read a quantity such as `500m`, `2`, `1.5Gi` or `1e3`.

    Raises:
        ValueError: where `text` is not a quantity.
    """
    match = _FORM.match(text)
    if not match:
        raise ValueError(f"expected a Kubernetes quantity such as 500m, 2 or 1.5Gi, got {text!r}")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * Decimal(1024) ** (_BINARY.index(suffix) + 1)
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))
