"""What a mesh of N hosts costs: the length of a visit, probes per host, tasks on the scheduler.

The planner and the visit are the real ones; an engine without a network ends each task after its
time on a simulated clock. Not measured: the time that a real scheduler takes for a task.
"""

import heapq
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any
from unittest import mock

from udpulse import PingReport
from udpulse.meshes import Mesh

COUNT, RATE = 20, 100.0
HOSTS = (10, 30, 100, 300, 1000)


class Simulated:
    """An engine of hosts that take the time of a measurement for it, on a clock of its own."""

    def __init__(self, number: int) -> None:
        """Begin at the time 0."""
        self.names = [f"host{n:05}" for n in range(number)]
        self.now = 0.0
        self.tasks = 0
        self.most = 0
        self.due: list[tuple[float, int, Future[Any]]] = []

    def open(self, mesh: str) -> None:
        """Do nothing."""

    def close(self, mesh: str) -> None:
        """Do nothing."""

    def hosts(self) -> Mapping[str, str]:
        """Return the hosts."""
        return {name: name for name in self.names}

    def submit(self, host: str, work: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Note the end of a task."""
        self.tasks += 1
        future: Future[Any] = Future()
        if work.__name__ == "respond":
            future.set_result((host, 9000))
        else:
            heapq.heappush(self.due, (self.now + COUNT / RATE, self.tasks, future))
            self.most = max(self.most, len(self.due))
        return future

    def get(self, ended: Any) -> Any:
        """End the tasks that are due next, if none has ended before."""
        if ended.empty() and self.due:
            self.now = self.due[0][0]
            while self.due and self.due[0][0] == self.now:
                heapq.heappop(self.due)[2].set_result(PingReport())
        return ended.get_nowait()


def main() -> None:
    """Print the table."""
    print(f"{COUNT} probes at {RATE:g} per second for each path")
    head = ("hosts", "paths", "visit", "all paths", "probes/host", "at a time", "tasks/s", "CPU")
    for row in (head, *map(visited, HOSTS)):
        print("".join(f"{cell:>13}" for cell in row))


def visited(number: int) -> tuple[str, ...]:
    """Return the row of a mesh of this many hosts."""
    engine = Simulated(number)

    class Clocked(queue.SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            return engine.get(self)

    with mock.patch("queue.SimpleQueue", Clocked), Mesh(engine, count=COUNT, rate=RATE) as mesh:
        start = time.process_time()
        paths = len(mesh.visit().reports)
        spent = time.process_time() - start
    visits = -(-number * (number - 1) // paths)
    return (
        str(number),
        f"{paths:,}",
        f"{engine.now:.0f} s",
        f"{engine.now * visits / 60:.0f} min",
        str(2 * COUNT * paths // number),
        str(engine.most),
        f"{engine.tasks / engine.now:.0f}",
        f"{spent:.1f} s",
    )


if __name__ == "__main__":
    main()
