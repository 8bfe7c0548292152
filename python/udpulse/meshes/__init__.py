"""Meshes of hosts that measure each other: `udpulse.mesh(hosts)`.

An `Engine` runs the measurements: threads for addresses of this host, the workers of a Dask
cluster (`pip install 'udpulse[mesh]'`), or another one with the same methods.
"""

from typing import TYPE_CHECKING, Any

from udpulse.meshes._engine import Engine, Pending, Threads
from udpulse.meshes._mesh import Mesh, mesh
from udpulse.meshes._report import Cause, MeshReport
from udpulse.meshes._work import release

if TYPE_CHECKING:
    from udpulse.meshes._dask import Dask

__all__ = ["Cause", "Dask", "Engine", "Mesh", "MeshReport", "Pending", "Threads", "mesh", "release"]


def __getattr__(name: str) -> Any:
    """Import the engine that needs an extra when it is used."""
    if name != "Dask":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from udpulse.meshes._dask import Dask

    return Dask
