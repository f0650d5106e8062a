"""The part of a Pod that a process node reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fedsnap.local.node.volumespec import Volume


class Part(BaseModel):
    """One object inside a Pod; what the agent does not read is left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class FieldRef(Part):
    """A field of the pod, as `metadata.name`."""

    field_path: str


class ResourceFieldRef(Part):
    """A request or limit of a container, as `limits.memory`, in units of `divisor`."""

    resource: str
    divisor: str = "1"


class KeyRef(Part):
    """One key of a ConfigMap or Secret."""

    name: str
    key: str
    optional: bool = False


class ValueSource(Part):
    """Where an environment variable's value comes from."""

    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class Variable(Part):
    """One environment variable."""

    name: str
    value: str = ""
    value_from: ValueSource | None = None


class ObjectRef(Part):
    """A ConfigMap or Secret by its name."""

    name: str = ""
    optional: bool = False


class VariablesFrom(Part):
    """All keys of a ConfigMap or Secret as variables."""

    prefix: str = ""
    config_map_ref: ObjectRef | None = None
    secret_ref: ObjectRef | None = None


class Mount(Part):
    """Where a volume appears in a container."""

    name: str
    mount_path: str
    sub_path: str = ""
    sub_path_expr: str = ""


class Header(Part):
    """A header of a probe's request."""

    name: str
    value: str


class HttpGet(Part):
    """A probe that is content with an answer of 200 to 399."""

    port: int | str
    path: str = "/"
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    host: str = "127.0.0.1"
    http_headers: tuple[Header, ...] = ()


class TcpSocket(Part):
    """A probe that is content with a connection."""

    port: int | str
    host: str = "127.0.0.1"


class Exec(Part):
    """A probe that is content with exit code 0."""

    command: tuple[str, ...] = ()


class Probe(Part):
    """When a container is ready; times in seconds."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    initial_delay_seconds: float = 0
    period_seconds: float = 10
    timeout_seconds: float = 1
    success_threshold: int = 1
    failure_threshold: int = 3


class Port(Part):
    """A named port of a container."""

    container_port: int
    name: str = ""


class Resources(Part):
    """Quantities by resource name."""

    requests: Mapping[str, str] = Field(default_factory=dict)
    limits: Mapping[str, str] = Field(default_factory=dict)


class Container(Part):
    """One program of a pod."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[Variable, ...] = ()
    env_from: tuple[VariablesFrom, ...] = ()
    volume_mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    resources: Resources = Resources()
    readiness_probe: Probe | None = None
    restart_policy: str | None = None
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"


class PodSpec(Part):
    """What to run."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    service_account_name: str = "default"
    node_name: str = ""
    hostname: str = ""
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None


class Metadata(Part):
    """What a pod is called."""

    name: str
    namespace: str
    uid: str
    generation: int | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None


class PodStatus(Part):
    """What the API server remembers of a pod."""

    phase: str = "Pending"
    start_time: datetime | None = None
    conditions: tuple[dict[str, Any], ...] = ()
    init_container_statuses: tuple[dict[str, Any], ...] = ()
    container_statuses: tuple[dict[str, Any], ...] = ()


class Pod(Part):
    """A pod that is bound to this node."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus = PodStatus()

    def __str__(self) -> str:
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def terminal(self) -> bool:
        """Whether it ended for good."""
        return self.status.phase in ("Succeeded", "Failed")
