"""The engine that runs on the workers of a Dask cluster: `pip install 'udpulse[mesh]'`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from distributed import Client, WorkerPlugin

from udpulse.meshes._engine import Pending
from udpulse.meshes._work import release

T = TypeVar("T")

#: Above the priority of a user's own work.
PRIORITY = 100


class Release(WorkerPlugin):
    """Stops the responders of a mesh when a worker leaves or the mesh ends."""

    def __init__(self, mesh: str) -> None:
        """Be named after the mesh."""
        self.name = self.mesh = mesh

    def teardown(self, worker: Any) -> None:
        """Stop them."""
        release(self.mesh)


class Dask:
    """An engine of the workers of a Dask cluster: one per host, that of the lowest address.

    client: the cluster's client.
    addresses: of a host, as the scheduler knows it, the address that the others reach it at, if
        that is not the same.
    """

    def __init__(self, client: Client, addresses: Mapping[str, str] | None = None) -> None:
        """Use the cluster; nothing runs yet."""
        self._client = client
        self._addresses = dict(addresses or {})
        self._workers: dict[str, str] = {}

    def hosts(self) -> Mapping[str, str]:
        """Return the hosts that have a worker now."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        self._workers = {
            worker["host"]: address for address, worker in sorted(workers.items(), reverse=True)
        }
        return {host: self._addresses.get(host, host) for host in self._workers}

    def submit(self, host: str, work: Callable[..., T], /, *arguments: Any) -> Pending[T]:
        """Start work on the worker of a host, and only there."""
        pending: Pending[T] = self._client.submit(
            work,
            *arguments,
            workers=[self._workers[host]],
            allow_other_workers=False,
            pure=False,
            priority=PRIORITY,
            retries=0,
        )
        return pending

    def open(self, mesh: str) -> None:
        """Have each worker, now or later, stop the responders of a mesh when it leaves."""
        self._client.register_plugin(Release(mesh))

    def close(self, mesh: str) -> None:
        """Stop the responders of a mesh."""
        self._client.unregister_worker_plugin(mesh)  # type: ignore[no-untyped-call]
