"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes on loopback."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from fedsnap.local.apiserver import ApiServer
from fedsnap.local.binaries import Kubernetes
from fedsnap.local.certificates import Authority, KeyPair, signing_key, write_private
from fedsnap.local.ports import LOOPBACK
from fedsnap.local.processes import Processes

ISSUER = "https://kubernetes.default.svc.cluster.local"
PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_SERVICES = "10.96.0.0/16"
_SERVICE_ADDRESS = "10.96.0.1"
# As whom the API server asks nodes for the logs of pods.
NODE_CLIENT = "kube-apiserver-kubelet-client"
_ADMINISTRATORS = "system:masters"
# The demo and the benchmark make bursts of Jobs; the defaults (20 a second) are for shared API servers.
_CLIENT_RATE = ("--kube-api-qps=300", "--kube-api-burst=600")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """What others need to use a control plane; all of it exists before the processes do."""

    server: str
    directory: Path
    authority: KeyPair
    kubeconfig: Path
    token_key: str
    api: ApiServer


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a control plane keeps its files, and the ports it listens on."""

    directory: Path
    ports: dict[str, int]

    @property
    def server(self) -> str:
        """Address of the API server."""
        return f"https://{LOOPBACK}:{self.ports['kube-apiserver']}"

    @property
    def certificates(self) -> Path:
        """Directory of the cluster's certificates."""
        return self.directory / "certificates"

    @property
    def token_key(self) -> tuple[Path, Path]:
        """Files of the key that signs service accounts' tokens: private, public."""
        return self.certificates / "service-accounts.key", self.certificates / "service-accounts.pub"


def prepare(directory: Path, ports: dict[str, int]) -> ControlPlane:
    """Make certificates, keys and the administrator's kubeconfig; nothing is started."""
    layout = Layout(directory, ports)
    authority = Authority(layout.certificates, "fedsnap-local")
    admin = authority.client("admin", "fedsnap-admin", _ADMINISTRATORS)
    kubeconfig = write_kubeconfig(directory / "kubeconfig", layout.server, authority.pair.certificate, admin)
    return ControlPlane(
        server=layout.server,
        directory=directory,
        authority=authority.pair,
        kubeconfig=kubeconfig,
        token_key=signing_key(*layout.token_key),
        api=ApiServer(layout.server, authority.pair.certificate, admin),
    )


def user(plane: ControlPlane, name: str, *groups: str) -> Path:
    """A kubeconfig of a user of the given groups, who may do what RBAC allows it."""
    pair = Authority(plane.directory / "certificates", "fedsnap-local").client(_file_name(name), name, *groups)
    path = plane.directory / f"{_file_name(name)}.kubeconfig"
    return write_kubeconfig(path, plane.server, plane.authority.certificate, pair)


def start(plane: ControlPlane, ports: dict[str, int], programs: Kubernetes, processes: Processes) -> None:
    """Start what does not run, in order, and wait until all of it works.

    Raises:
        NotStarted: naming the process, with its log's tail.
    """
    layout = Layout(plane.directory, ports)
    etcd_authority = Authority(plane.directory / "etcd-certificates", "fedsnap-local-etcd")
    etcd = etcd_authority.server("etcd")
    processes.start("etcd", [programs.program("etcd"), *_etcd(layout, etcd_authority.pair, etcd)])
    # kube-apiserver waits for etcd itself; asking etcd first would need another client.
    authority = Authority(layout.certificates, "fedsnap-local")
    serving = authority.server("apiserver", (LOOPBACK, _SERVICE_ADDRESS))
    options = [*_apiserver(layout, serving), *_storage(layout, etcd_authority.pair, etcd), *_node_access(authority)]
    processes.start("kube-apiserver", [programs.program("kube-apiserver"), *options])
    processes.wait_until("kube-apiserver", lambda: plane.api.answers("/readyz"))
    more = {"kube-controller-manager": _controllers(layout), "kube-scheduler": []}
    for name, options in more.items():
        processes.start(name, [programs.program(name), *_component(plane, layout, name), *options])
    for name in more:
        health = ApiServer(f"https://{LOOPBACK}:{ports[name]}", plane.authority.certificate, serving)
        processes.wait_until(name, partial(health.answers, "/healthz"))


def write_kubeconfig(path: Path, server: str, authority: Path, client: KeyPair) -> Path:
    """A kubeconfig that holds everything it needs; only its owner may read it."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority-data": _data(authority)}}],
        "users": [
            {
                "name": "local",
                "user": {
                    "client-certificate-data": _data(client.certificate),
                    "client-key-data": _data(client.key),
                },
            }
        ],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
        "current-context": "local",
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False))
    return path


def _etcd(layout: Layout, authority: KeyPair, pair: KeyPair) -> list[str]:
    client = f"https://{LOOPBACK}:{layout.ports['etcd']}"
    peer = f"https://{LOOPBACK}:{layout.ports['etcd-peer']}"
    trust = [
        option
        for prefix in ("", "peer-")
        for option in (
            f"--{prefix}trusted-ca-file={authority.certificate}",
            f"--{prefix}cert-file={pair.certificate}",
            f"--{prefix}key-file={pair.key}",
            f"--{prefix}client-cert-auth",
        )
    ]
    return [
        "--name=local",
        f"--data-dir={layout.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        # State of a demo or a test: speed is worth more than surviving a power cut.
        "--unsafe-no-fsync",
        *trust,
    ]


def _storage(layout: Layout, authority: KeyPair, pair: KeyPair) -> list[str]:
    return [
        f"--etcd-servers=https://{LOOPBACK}:{layout.ports['etcd']}",
        f"--etcd-cafile={authority.certificate}",
        f"--etcd-certfile={pair.certificate}",
        f"--etcd-keyfile={pair.key}",
    ]


def _node_access(authority: Authority) -> list[str]:
    client = authority.client("node-client", NODE_CLIENT)
    return [
        f"--kubelet-client-certificate={client.certificate}",
        f"--kubelet-client-key={client.key}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _apiserver(layout: Layout, serving: KeyPair) -> list[str]:
    private, public = layout.token_key
    return [
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={layout.ports['kube-apiserver']}",
        # Loopback may not be an endpoint of the `kubernetes` Service.
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={layout.certificates / 'ca.crt'}",
        # No proxy is trusted; controllers only complain where this is not set.
        f"--requestheader-client-ca-file={layout.certificates / 'ca.crt'}",
        "--requestheader-allowed-names=nobody",
        "--anonymous-auth=false",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-signing-key-file={private}",
        f"--service-account-key-file={public}",
        f"--service-cluster-ip-range={_SERVICES}",
        "--allow-privileged=false",
        "--profiling=false",
    ]


def _component(plane: ControlPlane, layout: Layout, name: str) -> list[str]:
    kubeconfig = user(plane, f"system:{name}")
    serving = Authority(layout.certificates, "fedsnap-local").server(f"{name}-serving")
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={layout.ports[name]}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        "--leader-elect=false",
        "--profiling=false",
        *_CLIENT_RATE,
    ]


def _controllers(layout: Layout) -> list[str]:
    return [
        f"--root-ca-file={layout.certificates / 'ca.crt'}",
        f"--service-account-private-key-file={layout.token_key[0]}",
        # Without it the Job and EndpointSlice controllers are denied by RBAC.
        "--use-service-account-credentials=true",
    ]


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _file_name(user_name: str) -> str:
    return user_name.replace(":", "-")
