"""The status page of a monitor, its JSON API and its metrics over HTTP."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import ipaddress
import json
import logging
import re
import socket
import socketserver
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from http.server import BaseHTTPRequestHandler
from importlib import resources
from itertools import islice
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

from udpulse import metrics
from udpulse._core import ping
from udpulse._printable import joined
from udpulse.monitor._status import EventDict, HttpConfig, Kind, Row, Snapshot, Source

log = logging.getLogger("udpulse.monitor")

#: The time that the answer to a request may take to arrive or to leave, in seconds.
PATIENCE = 10.0

#: Requests that are answered at a time, besides viewers.
MAX_REQUESTS = 64

#: Probes of `/probe` that run at a time.
MAX_PROBES = 8

#: The time between two updates of a viewer, and between two with all figures, in seconds.
UPDATE = 1.0
FIGURES = 5.0

#: The time after which a viewer without news gets a comment, so that both ends notice a dead path.
KEEPALIVE = 15.0

#: How many of the last updates a slow viewer may be behind.
UPDATES = 64

#: The time after which a browser connects again, in milliseconds.
RETRY_MS = 2000

TARGETS: tuple[Kind, ...] = ("ping", "stamp", "ping_many", "echo", "reflect")
CLIENTS: tuple[Kind, ...] = ("heartbeat",)

#: The fields of a row that a list shows.
LIVE = (
    "address",
    "state",
    "since",
    "cause",
    "loss",
    "loss_interval",
    "p50",
    "p99",
    "uptime",
    "history",
)


class Monitored(Protocol):
    """A monitor, as far as its page needs it; any thread may call it."""

    def snapshot(self) -> Snapshot:
        """Return the state, made at most once per second."""

    def row(self, kind: Kind, name: str) -> Row | None:
        """Return a row, also of a client beyond those of the snapshot."""

    def events(self, after: int = 0) -> list[EventDict]:
        """Return the last events with a greater id."""

    def sources(self) -> Sequence[Source]:
        """Return the origins of the metrics."""

    def outages(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """Return the last outages of a row."""

    def strip(self, kind: Kind, name: str) -> list[tuple[float, str, float | None]]:
        """Return the last probes of a row."""


def serve_http(monitor: Monitored, config: HttpConfig) -> HttpServer:
    """Start to serve the page of a monitor.

    Raises OSError if the address is in use or the host has none.
    """
    try:
        return HttpServer(monitor, config)
    except OSError as error:
        place = joined((config.host, config.port))
        raise type(error)(error.errno, f"[http] {place}: {error.strerror or error}") from None


class HttpServer:
    """A running HTTP server."""

    def __init__(self, monitor: Monitored, config: HttpConfig) -> None:
        """Bind the socket and start the threads."""
        self._feed = Feed(monitor, config.max_viewers)
        self._server = Server(monitor, config, self._feed)
        #: The (host, port) of its socket.
        self.address: tuple[str, int] = self._server.socket.getsockname()[:2]
        run = self._server.serve_forever
        self._thread = threading.Thread(target=run, args=(0.1,), name="udpulse http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the server and its viewers."""
        self._feed.end()
        self._server.shutdown()
        self._server.server_close()
        self._server.end_all()
        self._thread.join()


class Shared:
    """A value for all requests of a second."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        """Begin without a value."""
        self._make = make
        self._lock = threading.Lock()
        self._value = b""
        self._made: float | None = None

    def get(self) -> bytes:
        """Return the value, made now if it is older than a second."""
        with self._lock:
            now = time.monotonic()
            if self._made is None or now - self._made >= 1.0:
                self._value = self._make()
                self._made = now
            return self._value


class Feed:
    """The updates of all viewers, made once for all of them."""

    def __init__(self, monitor: Monitored, max_viewers: int) -> None:
        """Begin without viewers; the thread of updates ends with `end`."""
        self._monitor = monitor
        self._max_viewers = max_viewers
        self._changed = threading.Condition()
        self._updates: deque[bytes] = deque(maxlen=UPDATES)
        #: The number of the next update.
        self._next = 0
        self._last_id = 0
        #: The snapshot that viewers have, and the rows and fields of it that they were sent.
        self._shown: Snapshot | None = None
        self._rows: dict[tuple[Kind, str], tuple[Row, dict[str, Any]]] = {}
        self._figures_due = 0.0
        self.viewers = 0
        self._stopping = threading.Event()
        threading.Thread(target=self._run, name="udpulse viewers", daemon=True).start()

    def end(self) -> None:
        """Send all viewers away."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, after: int | None) -> tuple[int, bytes] | None:
        """Add a viewer that knows the events up to `after`, or wants no old ones.

        Returns the number of its next update and the events that it missed; None if there are too
        many viewers.
        """
        with self._changed:
            if self.viewers >= self._max_viewers or self._stopping.is_set():
                return None
            if self.viewers == 0:
                self._begin()
            self.viewers += 1
            missed = [] if after is None else self._monitor.events(after)
            known = (event for event in missed if event["id"] <= self._last_id)
            return self._next, b"".join(map(of_event, known))

    def leave(self) -> None:
        """Remove a viewer."""
        with self._changed:
            self.viewers -= 1

    def follow(self, number: int) -> tuple[int, bytes] | None:
        """Wait for the update `number`; return the number after the last one, and all from there.

        The updates are empty if there are none for a while. None if the server stops.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._next > number or self._stopping.is_set(), KEEPALIVE
            )
            if self._stopping.is_set():
                return None
            behind = self._next - number
            if behind > len(self._updates):
                return self._next, b"event: behind\ndata: {}\n\n"
            return self._next, b"".join(islice(self._updates, len(self._updates) - behind, None))

    def _run(self) -> None:
        while not self._stopping.wait(UPDATE):
            try:
                with self._changed:
                    if self.viewers:
                        self._update()
            except Exception:
                log.exception("no update for the viewers")

    def _begin(self) -> None:
        """Note what a viewer learns by itself."""
        events = self._monitor.events(self._last_id)
        self._last_id = max((event["id"] for event in events), default=self._last_id)
        self._shown = snapshot = self._monitor.snapshot()
        self._rows = {(row.kind, row.name): (row, live(row)) for row in snapshot.rows}

    def _update(self) -> None:
        """Add an update if something has changed."""
        parts = []
        for event in self._monitor.events(self._last_id):
            self._last_id = event["id"]
            parts.append(of_event(event))
        patch = self._patch(self._monitor.snapshot())
        if len(patch) > 1:
            parts.append(f"event: rows\ndata: {dumps(patch)}\n\n".encode())
        if parts:
            self._updates.append(b"".join(parts))
            self._next += 1
            self._changed.notify_all()

    def _patch(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return the differences between the last snapshot and this one."""
        patch: dict[str, Any] = {"time": snapshot.time}
        now = time.monotonic()
        with_figures = now >= self._figures_due
        if with_figures:
            self._figures_due = now + FIGURES
        changed = []
        for row in snapshot.rows:
            key = (row.kind, row.name)
            before, old = self._rows.get(key, (None, {}))
            if before is row:
                continue
            same = before and (row.state, row.since, row.cause) == (
                before.state,
                before.since,
                before.cause,
            )
            if same and not with_figures:
                continue
            new = live(row)
            self._rows[key] = row, new
            differences = {name: value for name, value in new.items() if old.get(name) != value}
            if differences or not before:
                changed.append({"kind": row.kind, "name": row.name, **differences})
        if changed:
            patch["rows"] = changed
        if len(self._rows) > len(snapshot.rows):
            there = {(row.kind, row.name) for row in snapshot.rows}
            patch["gone"] = [key for key in self._rows if key not in there]
            self._rows = {key: row for key, row in self._rows.items() if key in there}
        for name, value in of_snapshot(snapshot).items():
            if self._shown is None or of_snapshot(self._shown)[name] != value:
                patch[name] = value
        self._shown = snapshot
        return patch


def of_event(event: EventDict) -> bytes:
    """Return an event as a part of a stream."""
    return f"id: {event['id']}\nevent: happened\ndata: {dumps(event)}\n\n".encode()


def dumps(value: Any) -> str:
    """Return JSON on one line; numbers that it does not have are an error."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def rounded(value: float | None) -> float | None:
    """Return four digits of a figure."""
    return None if value is None else float(f"{value:.4g}")


def figures(row: Row) -> dict[str, Any]:
    """Return the figures of a row with the digits that mean something."""
    interval = row.loss_interval
    return {
        "loss": rounded(row.loss),
        "loss_interval": interval and [rounded(end) for end in interval],
        "p50": rounded(row.p50),
        "p99": rounded(row.p99),
        "uptime": None if row.uptime is None else round(row.uptime, 6),
    }


def live(row: Row) -> dict[str, Any]:
    """Return the fields that a list shows."""
    shown = {name: getattr(row, name) for name in LIVE}
    return {**shown, **figures(row)}


def of_row(row: Row) -> dict[str, Any]:
    """Return a row for JSON."""
    members = {field.name: getattr(row, field.name) for field in fields(row)}
    return {**members, **figures(row), "counts": dict(row.counts)}


def of_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """Return what a snapshot has besides its rows and its time."""
    return {
        "started_at": snapshot.started_at,
        "clients": dict(snapshot.clients),
        "alerts": [asdict(alert) for alert in snapshot.alerts],
        "observer": asdict(snapshot.observer),
    }


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """The socket, with a thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, monitor: Monitored, config: HttpConfig, feed: Feed) -> None:
        """Bind the socket."""
        found = socket.getaddrinfo(
            config.host or "0.0.0.0", config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        self.address_family, _, _, _, address = found[0]
        self.monitor = monitor
        self.config = config
        self.feed = feed
        self.names = {"localhost", config.host.lower(), *map(str.lower, config.names)}
        self.page = Page()
        self.status = Shared(self._status)
        self.metrics = {
            False: Shared(lambda: exposition(monitor, config, openmetrics=False)),
            True: Shared(lambda: exposition(monitor, config, openmetrics=True)),
        }
        self.probes = threading.BoundedSemaphore(MAX_PROBES)
        self._slots = threading.BoundedSemaphore(config.max_viewers + MAX_REQUESTS)
        #: When each open connection must have sent its request; None once it has.
        self.deadlines: dict[socket.socket, float | None] = {}
        self._lock = threading.Lock()
        super().__init__(cast(Any, address), Handler)

    def _status(self) -> bytes:
        snapshot = self.monitor.snapshot()
        rows = [of_row(row) for row in snapshot.rows]
        return dumps({"time": snapshot.time, **of_snapshot(snapshot), "rows": rows}).encode()

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # It stays in the backlog; to try again immediately would take a whole core.
                time.sleep(UPDATE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, unless there are too many."""
        if not self._slots.acquire(blocking=False):
            request.setblocking(False)
            with contextlib.suppress(OSError):
                request.send(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n")
            self.shutdown_request(request)
            return
        with self._lock:
            self.deadlines[request] = time.monotonic() + PATIENCE
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self.deadlines.pop(request, None)
        self._slots.release()

    def service_actions(self) -> None:
        """Cut off those that have not sent their request in time."""
        now = time.monotonic()
        self._end(lambda deadline: deadline is not None and now > deadline)

    def end_all(self) -> None:
        """Cut off everybody."""
        self._end(lambda _: True)

    def _end(self, is_due: Callable[[float | None], bool]) -> None:
        with self._lock:
            for request, deadline in self.deadlines.items():
                if is_due(deadline):
                    # Its thread sees the end of the stream, and closes it.
                    with contextlib.suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log errors that the client did not cause."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.error("an answer to %s failed", client_address, exc_info=error)


class Page:
    """The page, which is one file, and the policy that allows only its own script and style."""

    def __init__(self) -> None:
        """Read the file."""
        self.body = resources.files("udpulse.monitor").joinpath("page.html").read_bytes()

        def source(tag: bytes) -> str:
            inline = re.search(b"<%s>(.*?)</%s>" % (tag, tag), self.body, re.DOTALL)
            digest = hashlib.sha256(inline[1] if inline else b"").digest()
            return f"'sha256-{base64.b64encode(digest).decode()}'"

        self.policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src {source(b'script')}",
                f"style-src {source(b'style')}",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        )


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, reason: str) -> None:
        """Note the status code and a line that explains it."""
        super().__init__(reason)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version = "udpulse"
    sys_version = ""
    timeout = PATIENCE

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: requests are not events of the monitor."""

    def do_GET(self) -> None:
        """Answer a request."""
        with self.server._lock:
            self.server.deadlines[self.connection] = None
        try:
            self.check_host()
            self.route()
        except RefusedError as refused:
            self.send(refused.status, "text/plain; charset=utf-8", f"{refused}\n".encode())
        except OSError:
            raise
        except Exception:
            self.send(500, "text/plain; charset=utf-8", b"the monitor failed to answer\n")
            raise

    do_HEAD = do_GET  # noqa: N815

    def check_host(self) -> None:
        """Refuse a name that may be somebody else's, whose page would read ours (DNS rebinding)."""
        host = self.headers.get("Host", "")
        name = re.sub(r":\d*$", "", host).lower()
        if name in self.server.names:
            return
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            raise RefusedError(
                421, f"Host must be an address, localhost or one of names, not {name[:100]!r}"
            ) from None

    def route(self) -> None:
        """Answer by path."""
        url = urlsplit(self.path)
        first, _, rest = url.path.lstrip("/").partition("/")
        if first == "api":
            self.answer_api(rest, url.query)
        elif first in ("targets", "clients") and rest:
            self.find(first, rest, url.query)
            self.send_page()
        elif rest:
            raise RefusedError(404, "there is nothing here")
        elif first == "":
            self.send_page()
        elif first == "events":
            self.stream()
        elif first == "metrics":
            self.answer_metrics()
        elif first == "probe" and self.server.config.probe:
            self.answer_probe(url.query)
        elif first == "healthz":
            self.answer_health()
        else:
            raise RefusedError(404, "there is nothing here")

    def find(self, first: str, rest: str, query: str) -> Row:
        """Return the row of a path."""
        kinds = TARGETS if first == "targets" else CLIENTS
        kind = self.query(query).get("kind")
        for each in kinds:
            if kind in (None, each):
                row = self.server.monitor.row(each, unquote(rest))
                if row:
                    return row
        raise RefusedError(404, f"there is no {first[:-1]} of that name")

    def query(self, query: str) -> dict[str, str]:
        """Return the parameters of a request."""
        try:
            fields = parse_qs(query, max_num_fields=16)
        except ValueError:
            raise RefusedError(400, "the request has too many parameters") from None
        return {name: values[0] for name, values in fields.items()}

    def answer_api(self, path: str, query: str) -> None:
        """Answer with JSON."""
        first, _, rest = path.partition("/")
        if first == "":
            self.send_json(self.server.status.get())
        elif first == "events" and not rest:
            after = self.query(query).get("after", "0")
            if not re.fullmatch(r"\d{1,18}", after):
                raise RefusedError(400, "after must be the id of an event")
            events = self.server.monitor.events(int(after))
            self.send_json(dumps({"events": events}).encode())
        elif first in ("targets", "clients") and rest:
            row = self.find(first, rest, query)
            monitor = self.server.monitor
            about = [
                event
                for event in monitor.events()
                if (event.get("kind"), event.get("name")) == (row.kind, row.name)
            ]
            detail = {
                **of_row(row),
                "outages": monitor.outages(row.kind, row.name),
                "strip": monitor.strip(row.kind, row.name),
                "events": about[-100:],
            }
            self.send_json(dumps(detail).encode())
        else:
            raise RefusedError(404, "there is nothing here")

    def answer_metrics(self) -> None:
        """Answer a scrape in the format that it prefers."""
        openmetrics = prefers_openmetrics(self.headers.get("Accept", ""))
        kind = metrics.OPENMETRICS_CONTENT_TYPE if openmetrics else metrics.CONTENT_TYPE
        self.send(200, kind, self.server.metrics[openmetrics].get())

    def answer_health(self) -> None:
        """Answer whether the monitor works."""
        snapshot = self.server.monitor.snapshot()
        health = {"time": snapshot.time, "observer": asdict(snapshot.observer)}
        self.send_json(dumps(health).encode())

    def answer_probe(self, query: str) -> None:
        """Ping a target and answer with metrics, as Prometheus' blackbox exporter does."""
        # A page of another site must not send probes through its reader's browser.
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise RefusedError(403, "probes are not for pages of other sites")
        given = self.query(query)
        target = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})", given.get("target", ""))
        count = given.get("count", "5")
        if not target or not 1 <= int(target[3]) <= 65535:
            raise RefusedError(400, "target must be HOST:PORT")
        if not re.fullmatch(r"\d{1,3}", count) or not 1 <= int(count) <= 100:
            raise RefusedError(400, "count must be 1 to 100")
        try:
            budget = float(self.headers.get("X-Prometheus-Scrape-Timeout-Seconds", "10"))
        except ValueError:
            budget = 10.0
        budget = min(max(budget - 0.5, 0.5), 30.0)
        if not self.server.probes.acquire(blocking=False):
            raise RefusedError(503, f"{MAX_PROBES} probes run already")
        try:
            body = probe(target[1] or target[2], int(target[3]), int(count), budget)
        finally:
            self.server.probes.release()
        self.send(200, metrics.CONTENT_TYPE, body)

    def stream(self) -> None:
        """Send updates until the viewer or the server leaves."""
        last = self.headers.get("Last-Event-ID", "")
        after = int(last) if re.fullmatch(r"\d{1,18}", last) else None
        joined = self.server.feed.join(after)
        if joined is None:
            raise RefusedError(503, "there are too many viewers")
        try:
            number, missed = joined
            self.begin(200, "text/event-stream")
            if self.command == "HEAD":
                return
            self.wfile.write(b"retry: %d\n\n%s" % (RETRY_MS, missed))
            while (following := self.server.feed.follow(number)) is not None:
                number, updates = following
                self.wfile.write(updates or b":\n\n")
        finally:
            self.server.feed.leave()

    def send_page(self) -> None:
        """Send the page, which asks for its data itself."""
        page = self.server.page
        policy = {"Content-Security-Policy": page.policy}
        self.send(200, "text/html; charset=utf-8", page.body, policy)

    def send_json(self, body: bytes) -> None:
        """Send JSON."""
        self.send(200, "application/json", body)

    def send(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Send an answer."""
        self.begin(status, kind, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status: int, kind: str, headers: dict[str, str] | None = None) -> None:
        """Send the head of an answer."""
        self.send_response(status)
        fixed = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()


def prefers_openmetrics(accept: str) -> bool:
    """Return whether an Accept header prefers OpenMetrics 1.0 to the format of Prometheus."""
    best = {"openmetrics": 0.0, "plain": 0.0}
    for item in accept.split(","):
        kind, *parameters = (part.strip() for part in item.lower().split(";"))
        values = dict(part.partition("=")[::2] for part in parameters)
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            quality = 0.0
        if kind == "application/openmetrics-text" and values.get("version", "1.0.0") == "1.0.0":
            best["openmetrics"] = max(best["openmetrics"], quality)
        elif kind in ("text/plain", "text/*", "*/*"):
            best["plain"] = max(best["plain"], quality)
    return best["openmetrics"] > 0 and best["openmetrics"] >= best["plain"]


def exposition(monitor: Monitored, config: HttpConfig, *, openmetrics: bool) -> bytes:
    """Return the metrics of a monitor and of its running objects."""
    sources = [(each.name, each.object, each.base, each.labels) for each in monitor.sources()]
    page = metrics.render(sources, openmetrics=openmetrics, max_series=config.max_series)
    snapshot = monitor.snapshot()
    observer = snapshot.observer
    families = (
        ("observer_pauses", "counter", "Pauses of this process.", observer.pauses),
        ("observer_pause_seconds", "counter", "Their sum.", observer.paused_total),
        (
            "observer_receive_drops",
            "counter",
            "Datagrams that this host dropped before they were read.",
            observer.receive_drops,
        ),
        ("observer_events_dropped", "counter", "Events dropped unread.", observer.events_dropped),
        ("store_errors", "counter", "Writes to the store that failed.", observer.store_errors),
        ("store_dropped", "counter", "Events that were never stored.", observer.store_dropped),
        ("alerts_dropped", "counter", "Alerts whose command was not run.", observer.alerts_dropped),
        ("alert_errors", "counter", "Commands of alerts that failed.", observer.alert_errors),
        ("alerts", "gauge", "Alerts that are raised.", len(snapshot.alerts)),
    )
    lines = []
    for name, kind, help_, value in families:
        sample = f"udpulse_{name}{'_total' if kind == 'counter' else ''}"
        family = f"udpulse_{name}" if openmetrics else sample
        lines += [f"# HELP {family} {help_}", f"# TYPE {family} {kind}", f"{sample} {value}"]
    more = "".join(f"{line}\n" for line in lines).encode()
    end = b"# EOF\n" if openmetrics else b""
    return page.removesuffix(end) + more + end


def probe(host: str, port: int, count: int, budget: float) -> bytes:
    """Return the metrics of a ping that takes at most `budget` seconds."""
    started = time.monotonic()
    timeout = min(1.0, budget / 2)
    interval = min(0.2, (budget - timeout) / count)
    answered, page = 0, b""
    try:
        report = ping(
            host, port, count=count, interval=interval, timeout=timeout, linger=0.0, keep=0
        )
    except OSError:
        # The name has no address, or the system refuses it.
        pass
    else:
        answered = report.answered
        page = metrics.render([("probe", report)])
    success = int(answered > 0)
    took = time.monotonic() - started
    head = (
        "# HELP probe_success Whether the target answered.\n# TYPE probe_success gauge\n"
        f"probe_success {success}\n"
        "# HELP probe_duration_seconds The time that the probe took.\n"
        "# TYPE probe_duration_seconds gauge\n"
        f"probe_duration_seconds {took:.9f}\n"
    )
    return head.encode() + page
