"""The volumes of a Pod that a process node can lay out as directories."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class VolumePart(BaseModel):
    """One object inside a volume; unknown kinds of volumes leave all fields empty."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


class KeyToPath(VolumePart):
    """Which key becomes which file."""

    key: str
    path: str
    mode: int | None = None


class ConfigMapVolume(VolumePart):
    """Keys of a ConfigMap as files; all of them where `items` is empty."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool = False


class SecretVolume(VolumePart):
    """Keys of a Secret as files; a plain volume says `secretName`, a projected one `name`."""

    secret_name: str = ""
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool = False


class PodField(VolumePart):
    """A field of the pod."""

    field_path: str


class DownwardFile(VolumePart):
    """A field of the pod as a file."""

    path: str
    field_ref: PodField | None = None
    mode: int | None = None


class DownwardVolume(VolumePart):
    """Fields of the pod as files."""

    items: tuple[DownwardFile, ...] = ()


class TokenSource(VolumePart):
    """A service account token; the API server's own audience where `audience` is empty."""

    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class ProjectedSource(VolumePart):
    """One of the sources that share a directory."""

    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    downward_api: DownwardVolume | None = Field(None, alias="downwardAPI")
    service_account_token: TokenSource | None = None


class ProjectedVolume(VolumePart):
    """Several sources in one directory."""

    sources: tuple[ProjectedSource, ...] = ()


class EmptyDir(VolumePart):
    """A fresh directory that lives as long as the pod."""


class HostPath(VolumePart):
    """A path of the machine."""

    path: str
    type: str = ""


class Claim(VolumePart):
    """A directory that outlives the pod."""

    claim_name: str


class Volume(VolumePart):
    """A directory that containers share."""

    name: str
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    downward_api: DownwardVolume | None = Field(None, alias="downwardAPI")
    projected: ProjectedVolume | None = None
    empty_dir: EmptyDir | None = None
    host_path: HostPath | None = None
    persistent_volume_claim: Claim | None = None
