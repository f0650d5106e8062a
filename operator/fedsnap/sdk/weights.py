"""Weights between a model and model.safetensors: exact names, shapes and types, finite values, atomic files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fedsnap.sdk.errors import Refused

_NAMED = 4
Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]


def layout(model: nn.Module) -> Layout:
    """Shape and type of every tensor of the model's state, by name.

    Raises:
        Refused: ModelUnsupported, where the state holds more than tensors.
    """
    return _layout(_state(model))


def load_base(model: nn.Module, path: Path) -> None:
    """Put the base weights of `path` into the model.

    Raises:
        Refused: BaseMissing, BaseInvalid, or BaseMismatch naming tensors that are missing, unexpected or different.
    """
    if not path.is_file():
        raise Refused("BaseMissing", f"expected the base weights at {path.name} in FEDSNAP_BASE_DIR, found no file")
    try:
        base = load_file(path)
    except SafetensorError as error:
        raise Refused("BaseInvalid", f"the base weights are not a safetensors file: {error}") from None
    differences = _differences(layout(model), _layout(base))
    if differences:
        raise Refused(
            "BaseMismatch",
            f"the base weights are not those of the model that build_model makes: {differences}; "
            "use the trainer that the model's first weights were made with",
        )
    model.load_state_dict(base, strict=True)


def save(model: nn.Module, path: Path, expected: Layout) -> None:
    """Write the model's weights to `path`: contiguous, on the CPU, whole or not at all.

    Raises:
        Refused: ModelChanged where the layout is no longer `expected`, WeightsNotFinite.
    """
    state = _state(model)
    differences = _differences(expected, _layout(state))
    if differences:
        raise Refused(
            "ModelChanged", f"training changed the model's tensors: {differences}; train context.model in place"
        )
    _expect_finite(state)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    atomically(path, lambda partial: save_file(tensors, partial))


def atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a file beside `path`, then give it its name: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    # safetensors makes files for their owner alone; the container that reads this one may run as another user.
    partial.chmod(0o644)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _state(model: nn.Module) -> Mapping[str, Tensor]:
    state = model.state_dict()
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise Refused("ModelUnsupported", f"expected a state of tensors alone, found others at {_some(others)}")
    if not state:
        raise Refused("ModelUnsupported", "the model that build_model makes has no weights")
    return cast("Mapping[str, Tensor]", state)


def _layout(state: Mapping[str, Tensor]) -> Layout:
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}


def _differences(expected: Layout, found: Layout) -> str:
    parts = []
    if missing := sorted(expected.keys() - found.keys()):
        parts.append(f"missing {_some(missing)}")
    if unexpected := sorted(found.keys() - expected.keys()):
        parts.append(f"unexpected {_some(unexpected)}")
    changed = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    parts.extend(f"{name}: expected {_form(expected[name])}, found {_form(found[name])}" for name in changed[:_NAMED])
    if len(changed) > _NAMED:
        parts.append(f"and {len(changed) - _NAMED} more tensors that differ")
    return "; ".join(parts)


def _expect_finite(state: Mapping[str, Tensor]) -> None:
    bad = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise Refused(
            "WeightsNotFinite",
            f"after training, {_some(bad)} {'holds' if len(bad) == 1 else 'hold'} NaN or infinite values; "
            "lower the learning rate or clip gradients",
        )


def _form(shape_and_type: tuple[tuple[int, ...], torch.dtype]) -> str:
    shape, kind = shape_and_type
    return f"{str(kind).removeprefix('torch.')}{list(shape)}"


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
