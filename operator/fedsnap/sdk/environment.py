"""The train container's environment, read once into one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fedsnap.api.federatedround import Hyperparameters
from fedsnap.sdk.errors import Misconfigured

DEFAULT_TERMINATION_LOG = "/dev/termination-log"
MODEL_FILE = "model.safetensors"
REPORT_FILE = "report.json"
_MAX_SEED = 2**63 - 1
_MAX_ROUND = 1_000_000
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Initialization:
    """Make a model's first weights."""

    seed: int
    output: Path


@dataclass(frozen=True, slots=True)
class Training:
    """Train the base weights for one round."""

    seed: int
    output: Path
    base: Path
    round: int
    hyperparameters: Hyperparameters


def read_task(environment: Mapping[str, str]) -> Initialization | Training:
    """What the environment asks for.

    Raises:
        Misconfigured: EnvironmentMissing or EnvironmentInvalid, naming the variable.
    """
    mode = _required(environment, "FEDSNAP_MODE")
    if mode not in ("Train", "Initialize"):
        expected = f"expected FEDSNAP_MODE to be Train or Initialize, got {mode[:_SHOWN]!r}"
        raise Misconfigured("EnvironmentInvalid", expected)
    seed = _integer(environment, "FEDSNAP_SEED", _MAX_SEED)
    output = Path(_required(environment, "FEDSNAP_OUTPUT_DIR"))
    if mode == "Initialize":
        return Initialization(seed=seed, output=output)
    return Training(
        seed=seed,
        output=output,
        base=Path(_required(environment, "FEDSNAP_BASE_DIR")),
        round=_integer(environment, "FEDSNAP_ROUND", _MAX_ROUND),
        hyperparameters=_hyperparameters(_required(environment, "FEDSNAP_HYPERPARAMETERS")),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise Misconfigured(
            "EnvironmentMissing", f"the environment variable {name} is not set; set it in the container"
        )
    return value


def _integer(environment: Mapping[str, str], name: str, largest: int) -> int:
    text = _required(environment, name)
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(largest)) and int(text) <= largest):
        raise Misconfigured(
            "EnvironmentInvalid", f"expected {name} to be a whole number in 0..{largest}, got {text[:_SHOWN]!r}"
        )
    return int(text)


def _hyperparameters(text: str) -> Hyperparameters:
    try:
        return Hyperparameters.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise Misconfigured(
            "EnvironmentInvalid", f"FEDSNAP_HYPERPARAMETERS is wrong at {where!r}: {first['msg']}"
        ) from None
