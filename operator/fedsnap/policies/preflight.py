"""Pre-flight: what must hold in the organization before a training Job starts. Each refusal is a readable reason."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fedsnap.api.quantity import parse_quantity

TRAIN_CONTAINER = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What matters of the organization's PodTemplate."""

    name: str
    containers: dict[str, str]
    requests: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """What Vault says of the key that the base snapshot is wrapped with."""

    name: str
    latest_version: int
    oldest_usable_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was seen in the organization's cluster and Vault.

    Attributes:
        allocatable: of each node; None where this operator may not read nodes, which leaves it to the scheduler.
    """

    wanted_template: str
    template: Template | None
    image: str
    allocatable: tuple[dict[str, str], ...] | None
    key: KeyState | None
    key_name: str
    key_version: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a round cannot start here."""

    reason: str
    message: str


def check(site: Site) -> Refusal | None:
    """The first thing that stands in the way, or None."""
    return check_template(site) or _fits_a_node(site) or _key_is_usable(site)


def check_template(site: Site) -> Refusal | None:
    """What must hold of the template whenever a Job is made from it: it may have changed since the invitation."""
    return _template_exists(site) or _trainer_is_there(site) or _image_is_the_plans(site)


def _template_exists(site: Site) -> Refusal | None:
    if site.template:
        return None
    return Refusal(
        "TemplateNotFound", f"the rule names PodTemplate {site.wanted_template!r}, which does not exist; create it"
    )


def _trainer_is_there(site: Site) -> Refusal | None:
    template = site.template
    if template is None or list(template.containers) == [TRAIN_CONTAINER]:
        return None
    names = ", ".join(sorted(template.containers)) or "none"
    return Refusal(
        "TemplateInvalid",
        f"PodTemplate {template.name!r} needs exactly one container, named {TRAIN_CONTAINER!r}; it has: {names}",
    )


def _image_is_the_plans(site: Site) -> Refusal | None:
    image = site.template.containers[TRAIN_CONTAINER] if site.template else ""
    if image == site.image:
        return None
    return Refusal(
        "ImageMismatch",
        f"the plan trains with image {site.image!r}, PodTemplate {site.wanted_template!r} has {image!r}",
    )


def _fits_a_node(site: Site) -> Refusal | None:
    requests = {name: parse_quantity(text) for name, text in (site.template.requests if site.template else {}).items()}
    if site.allocatable is None or any(_fits(requests, node) for node in site.allocatable):
        return None
    wanted = ", ".join(
        f"{name}={value}" for name, value in sorted((site.template.requests if site.template else {}).items())
    )
    return Refusal(
        "CapacityInsufficient", f"no node of {len(site.allocatable)} has room for the template's requests: {wanted}"
    )


def _fits(requests: dict[str, Decimal], node: dict[str, str]) -> bool:
    return all(parse_quantity(node.get(name, "0")) >= wanted for name, wanted in requests.items())


def _key_is_usable(site: Site) -> Refusal | None:
    if site.key is None:
        return Refusal("KeyNotFound", f"Vault has no key {site.key_name!r} that this organization may read")
    if site.key.oldest_usable_version <= site.key_version <= site.key.latest_version:
        return None
    return Refusal(
        "KeyVersionUnusable",
        f"the base snapshot is wrapped with version {site.key_version} of {site.key_name!r}; "
        f"usable are {site.key.oldest_usable_version} to {site.key.latest_version}",
    )
