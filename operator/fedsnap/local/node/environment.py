"""The environment of a container's process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fedsnap.local.node.errors import misconfigured
from fedsnap.local.node.fields import field_of, resource_of
from fedsnap.local.node.images import Image
from fedsnap.local.node.mounts import Mounts
from fedsnap.local.node.podspec import Container, KeyRef, Pod, ValueSource, Variable
from fedsnap.local.node.sources import Content, Sources

SERVICE_ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MACHINE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")
_NAME = re.compile(r"^[A-Za-z_.-][A-Za-z0-9_.-]*$")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the node tells each container."""

    api_host: str
    api_port: str
    allocatable: Mapping[str, str] = field(default_factory=dict)

    @property
    def service_variables(self) -> dict[str, str]:
        """Where the API server is."""
        return {"KUBERNETES_SERVICE_HOST": self.api_host, "KUBERNETES_SERVICE_PORT": self.api_port}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; unknown names stay, and `$$` stands for `$`, as the API reference of `env` says."""

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


@dataclass(frozen=True, slots=True)
class Context:
    """Where the values of a pod's containers come from."""

    pod: Pod
    sources: Sources
    around: Surroundings


async def declared(container: Container, context: Context) -> dict[str, str]:
    """The variables that the pod gives, with paths as in its specification.

    Raises:
        CannotStart: where something that is referred to is not there.
    """
    variables = await _from_objects(container, context.sources)
    for variable in container.env:
        value = await _value(variable, container, context, context.around.service_variables | variables)
        if value is not None:
            variables[variable.name] = value
    return variables


async def _from_objects(container: Container, sources: Sources) -> dict[str, str]:
    variables: dict[str, str] = {}
    for one in container.env_from:
        content: dict[str, bytes] = {}
        if one.config_map_ref:
            content.update(await sources.config_map(one.config_map_ref.name, optional=one.config_map_ref.optional))
        if one.secret_ref:
            content.update(await sources.secret(one.secret_ref.name, optional=one.secret_ref.optional))
        named = {f"{one.prefix}{key}": value for key, value in content.items()}
        variables |= {name: _text(value, name) for name, value in named.items() if _NAME.match(name)}
    return variables


async def _value(variable: Variable, container: Container, context: Context, known: Mapping[str, str]) -> str | None:
    """The value, or None where an optional key is missing and the variable stays unset."""
    origin = variable.value_from
    if origin is None:
        return expand(variable.value, known)
    if origin.field_ref:
        return field_of(context.pod, origin.field_ref.field_path)
    if origin.resource_field_ref:
        return resource_of(container, origin.resource_field_ref, context.around.allocatable)
    return await _from_key(variable.name, origin, context.sources)


async def _from_key(name: str, origin: ValueSource, sources: Sources) -> str | None:
    if origin.config_map_key_ref:
        ref, kind = origin.config_map_key_ref, "ConfigMap"
        content = await sources.config_map(ref.name, optional=ref.optional)
    elif origin.secret_key_ref:
        ref, kind = origin.secret_key_ref, "Secret"
        content = await sources.secret(ref.name, optional=ref.optional)
    else:
        raise misconfigured(f"variable {name}: expected a fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef")
    return _keyed(name, kind, ref, content)


def _keyed(name: str, kind: str, ref: KeyRef, content: Content) -> str | None:
    if ref.key in content:
        return _text(content[ref.key], name)
    if ref.optional:
        return None
    raise misconfigured(f"variable {name}: expected key {ref.key} in {kind} {ref.name}, got {sorted(content)}")


def _text(value: bytes, name: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise misconfigured(f"variable {name}: expected UTF-8 text: {error.reason}") from error
    if "\0" in text:
        raise misconfigured(f"variable {name}: expected text without zero bytes")
    return text


@dataclass(frozen=True, slots=True)
class Program:
    """What to execute."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)


def program(
    container: Container, image: Image, variables: Mapping[str, str], mounts: Mounts, context: Context
) -> Program:
    """Command and environment with paths of this machine.

    Expansion sees the paths as specified, so that no path is rewritten twice.

    Raises:
        CannotStart: where there is no command.
    """
    service = context.around.service_variables
    known = service | dict(variables)
    command = tuple(mounts.rewrite_argument(expand(text, known)) for text in container.command)
    args = tuple(mounts.rewrite_argument(expand(text, known)) for text in container.args)
    own = {name: mounts.rewrite(value) for name, value in variables.items()}
    base = _base(context.pod, image) | _agreed(container, mounts) | service
    return Program(image.argv(command, args), base | own)


def _base(pod: Pod, image: Image) -> dict[str, str]:
    plain = {"LANG": "C.UTF-8", "HOSTNAME": pod.spec.hostname or pod.metadata.name}
    path = f"{image.path}:{MACHINE_PATH}" if image.path else MACHINE_PATH
    return plain | {"PATH": path} | dict(image.env)


def _agreed(container: Container, mounts: Mounts) -> dict[str, str]:
    """Paths that in containers are always the same and here are not."""
    found = {
        "FEDSNAP_SERVICE_ACCOUNT_DIR": mounts.backing(SERVICE_ACCOUNT_MOUNT),
        "FEDSNAP_TERMINATION_LOG": mounts.backing(container.termination_message_path),
    }
    return {name: str(path) for name, path in found.items() if path}
