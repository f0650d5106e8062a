"""Steps towards what is wanted, on objects of the API server. Applying one twice is the same as applying it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fedsnap.builders.names import ANNOTATION_PLAN, ANNOTATION_SURVIVORS
from fedsnap.clients.cluster import LostRace, ResourceType, of_object
from fedsnap.clients.errors import Conflict
from fedsnap.reconcilers.context import Context


class Action(Protocol):
    """One step towards what is wanted. Applying it twice is the same as applying it once."""

    def describe(self) -> str:
        """What is done, for logs: a verb and a name."""

    async def apply(self, context: Context) -> None:
        """Do it."""


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply of one object."""

    obj: Mapping[str, Any]
    hub: bool = False

    def describe(self) -> str:
        """The kind and name that are applied."""
        metadata = self.obj["metadata"]
        return f"apply {self.obj['kind']} {metadata.get('namespace', '')}/{metadata['name']}"

    async def apply(self, context: Context) -> None:
        """Create or change the object."""
        await context.client(hub=self.hub).apply(self.obj)


@dataclass(frozen=True, slots=True)
class CreateObject:
    """Creation of an object that others may change later; one that exists already is left as it is.

    Where the object says for what it was made, by our annotations, one that was made for something else is a
    conflict, not the same thing.
    """

    obj: Mapping[str, Any]
    hub: bool = False

    def describe(self) -> str:
        """The kind and name that are created."""
        metadata = self.obj["metadata"]
        return f"create {self.obj['kind']} {metadata.get('namespace', '')}/{metadata['name']}"

    async def apply(self, context: Context) -> None:
        """Create the object, unless it is there."""
        try:
            await context.client(hub=self.hub).create(self.obj)
        except LostRace as error:
            if error.reason != "AlreadyExists":
                raise
            await self._expect_same_purpose(context)

    async def _expect_same_purpose(self, context: Context) -> None:
        wanted = _purpose(self.obj)
        if not wanted:
            return
        metadata = self.obj["metadata"]
        there = await context.client(hub=self.hub).get(of_object(self.obj), metadata["namespace"], metadata["name"])
        if there is not None and (found := _purpose(there)) != wanted:
            raise Conflict(
                "NameTaken",
                f"{self.obj['kind']} {metadata['namespace']}/{metadata['name']} was made for {found or 'nothing'}, "
                f"expected {wanted}; find out who made it",
            )


def _purpose(obj: Mapping[str, Any]) -> dict[str, str]:
    annotations = obj["metadata"].get("annotations") or {}
    return {name: annotations[name] for name in (ANNOTATION_PLAN, ANNOTATION_SURVIVORS) if name in annotations}


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Deletion of one object, with its children in the background."""

    resource: ResourceType
    namespace: str
    name: str
    hub: bool = False

    def describe(self) -> str:
        """The kind and name that are deleted."""
        return f"delete {self.resource.kind} {self.namespace}/{self.name}"

    async def apply(self, context: Context) -> None:
        """Delete the object; that there is none is fine."""
        await context.client(hub=self.hub).delete(self.resource, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class PatchObject:
    """A merge patch of some fields, such as a Job's `spec.suspend`."""

    resource: ResourceType
    namespace: str
    name: str
    patch: Mapping[str, Any]
    hub: bool = False

    def describe(self) -> str:
        """The kind and name that are patched."""
        return f"patch {self.resource.kind} {self.namespace}/{self.name}"

    async def apply(self, context: Context) -> None:
        """Patch the object."""
        await context.client(hub=self.hub).merge_patch(self.resource, self.namespace, self.name, self.patch)
