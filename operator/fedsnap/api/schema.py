"""What every kind is made of: the base model, bounded field types and resource descriptions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

GROUP = "fedsnap.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

_DURATION_PART = re.compile(r"(\d+)(h|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


class Model(BaseModel):
    """A part of an object: camelCase on the wire, frozen, unknown fields ignored.

    Unknown fields are pruned by the API server before we read them; a newer server may know more than we do.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_wire(self) -> dict[str, Any]:
        """The JSON object that goes to the API server, without fields that are unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(expression: str, message: str, *, field_path: str | None = None) -> dict[str, str]:
    """One CEL validation rule; `message` says what is expected and what to do."""
    made = {"rule": expression, "message": message}
    if field_path:
        made["fieldPath"] = field_path
    return made


def validations(*rules: dict[str, str]) -> dict[str, Any]:
    """The schema extension that carries CEL rules."""
    return {"x-kubernetes-validations": list(rules)}


def named_after(model: str, number: str) -> dict[str, str]:
    """The rule that a model's object of a number is called `<model>-<number>`, so that there is only one."""
    # Written in two parts, because the API server takes the sum of three strings for unbounded.
    return rule(
        f"self.metadata.name.startsWith({model} + '-') && "
        f"self.metadata.name.substring(size({model}) + 1) == string({number})",
        f"metadata.name must be {model.removeprefix('self.')}-{number.removeprefix('self.')}, for example heart-3",
        field_path=".metadata.name",
    )


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}


def list_map(*keys: str) -> dict[str, Any]:
    """The schema extension of a list whose items are known by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def _timestamp(value: datetime) -> str:
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        utc = value  # at the edge of the calendar, where an offset leads out of it
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")


Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ImageReference = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")]
Digest = Annotated[str, Field(min_length=71, max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]
Duration = Annotated[str, Field(min_length=2, max_length=16, pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$")]
Decimal = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$")]
Text = Annotated[str, Field(max_length=1024)]
Key = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$")]
Generation = Annotated[int, Field(description="Which metadata.generation was looked at.", ge=0)]
Timestamp = Annotated[
    datetime,
    PlainSerializer(_timestamp, return_type=str, when_used="json"),
    Field(json_schema_extra={"format": "date-time"}),
]


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `90s`, `5m` or `1h30m`.

    Raises:
        ValueError: where `text` is not such a duration.
    """
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"expected a duration such as 90s, 5m or 1h30m, got {text!r}")
    return timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))


class Condition(Model):
    """One observation of an object's state, after the Kubernetes API conventions."""

    type: str = Field(description="What is observed, in one word.", min_length=1, max_length=64)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: str = Field(
        description="Why, in one word for programs.", min_length=1, max_length=128, pattern=r"^[A-Za-z][A-Za-z0-9]*$"
    )
    message: str = Field("", description="Why, in words for people.", max_length=2048)
    observed_generation: Generation = 0
    last_transition_time: Timestamp | None = Field(None, description="Since when `status` has been what it is.")


Conditions = Annotated[
    list[Condition],
    Field(description="What was observed, one entry per type.", max_length=16, json_schema_extra=list_map("type")),
]


class ObjectMeta(Model):
    """The part of an object's metadata that decisions read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)


class NameReference(Model):
    """A reference to an object of the same namespace."""

    name: Name = Field(description="Name of the object.")


@dataclass(frozen=True, slots=True)
class Column:
    """One printer column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Resource:
    """How a kind is known to the API server; names end up in labels, which hold at most 63 characters."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    namespaced: bool = True
    name_length: int = 63
    rules: tuple[dict[str, str], ...] = field(default=())


class Object(Model):
    """A whole object of one of our kinds."""

    metadata: ObjectMeta

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    @property
    def being_deleted(self) -> bool:
        """Whether somebody asked for its deletion."""
        return self.metadata.deletion_timestamp is not None


# Abnormal where true, as kstatus knows them.
RECONCILING, STALLED = "Reconciling", "Stalled"


def find_condition(conditions: list[Condition], kind: str) -> Condition | None:
    """The condition of type `kind`, if there is one."""
    return next((condition for condition in conditions if condition.type == kind), None)
