"""Engines: they run work on hosts."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from udpulse.meshes._work import release

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """Work that was submitted, such as a `concurrent.futures.Future`."""

    def result(self, timeout: float | None = None) -> T_co:
        """Return the result; raise the error of the work or of its host."""

    def add_done_callback(self, call: Callable[[Any], object], /) -> None:
        """Call a function with this once the work has ended, in any thread."""

    def cancel(self) -> object:
        """Give up the work if that is possible."""


class Engine(Protocol):
    """Runs functions on hosts.

    A function is one of a module that the hosts can import, and it may block for the time of a
    measurement. Whatever keeps it from its end, such as a host that hangs, must not block `submit`.
    """

    def hosts(self) -> Mapping[str, str]:
        """Return the hosts that can run work now, each with the address that others reach it at."""

    def submit(self, host: str, work: Callable[..., T], /, *arguments: Any) -> Pending[T]:
        """Start work on a host."""

    def open(self, mesh: str) -> None:
        """Prepare for the work of a mesh of this name."""

    def close(self, mesh: str) -> None:
        """Call `release(mesh)` in each process that did work."""


class Threads:
    """An engine of threads in this process, for several addresses of this host.

    addresses: the addresses.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        """Note the addresses; nothing runs yet."""
        self._addresses = list(addresses)
        self._pools: dict[str, ThreadPoolExecutor] = {}

    def hosts(self) -> Mapping[str, str]:
        """Return the addresses."""
        return {address: address for address in self._addresses}

    def submit(self, host: str, work: Callable[..., T], /, *arguments: Any) -> Pending[T]:
        """Start work in the thread of an address."""
        return self._pools[host].submit(work, *arguments)

    def open(self, mesh: str) -> None:
        """Make a thread for each address; it starts with its first work."""
        self._pools = {address: ThreadPoolExecutor(1) for address in self._addresses}

    def close(self, mesh: str) -> None:
        """Stop the responders; the threads end with their work."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        release(mesh)
