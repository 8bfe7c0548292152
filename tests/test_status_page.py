"""The status page over HTTP: routes, the stream of events, and what it refuses."""

import base64
import errno
import hashlib
import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import peers
import pytest
from expositions import parsed, value
from monitors import START, FakeMonitor, row

from udpulse import EchoServer
from udpulse.monitor import Monitor, _http
from udpulse.monitor._http import HttpServer, serve_http
from udpulse.monitor._status import HttpConfig, Source

HOSTILE = "<script>alert(1)</script>\"'&/ ../\u202e漢"

Serve = Callable[..., HttpServer]


@pytest.fixture
def monitor() -> FakeMonitor:
    clients = row(HOSTILE, "down", kind="heartbeat", cause="silence"), row("b", kind="heartbeat")
    return FakeMonitor([row("a"), row("group/one", kind="ping_many"), *clients])


@pytest.fixture
def serve(monitor: FakeMonitor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server that updates often."""
    monkeypatch.setattr(_http, "UPDATE", 0.01)
    monkeypatch.setattr(_http, "FIGURES", 0.0)
    with ExitStack() as stack:

        def start(**config: Any) -> HttpServer:
            server = serve_http(monitor, HttpConfig(port=0, **config))
            stack.callback(server.stop)
            return server

        yield start


def get(server: HttpServer, path: str, **headers: str) -> http.client.HTTPResponse:
    """Send a request; underscores in the names of headers are hyphens."""
    connection = http.client.HTTPConnection(*server.address, timeout=peers.PATIENCE)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=named)
    return connection.getresponse()


def get_json(server: HttpServer, path: str) -> Any:
    response = get(server, path)
    assert (response.status, response.getheader("Content-Type")) == (200, "application/json")
    return json.load(response)


class Stream:
    """A viewer's stream of events."""

    def __init__(self, server: HttpServer, **headers: str) -> None:
        self.response = get(server, "/events", **headers)
        assert self.response.status == 200

    def next(self) -> dict[str, str]:
        """Return the next message: its fields, or none for a comment; nothing at the end."""
        fields = {}
        while (line := self.response.readline()) not in (b"\n", b""):
            name, _, rest = line.decode().rstrip("\n").partition(":")
            fields[name] = rest.strip()
        return fields

    def until(self, *events: str) -> list[Any]:
        """Return the data of the next message of each of some kinds, which come in any order."""
        found: dict[str, Any] = {}
        while len(found) < len(events):
            fields = self.next()
            assert fields, "the stream has ended"
            if fields.get("event") in events:
                found[fields["event"]] = json.loads(fields["data"])
        return [found[event] for event in events]


def test_the_page_loads_nothing_from_elsewhere(serve: Serve) -> None:
    server = serve()
    for path in ("/", "/targets/a", "/clients/b"):
        response = get(server, path)
        assert response.status == 200
        body = response.read()
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", body)
        policy = response.getheader("Content-Security-Policy") or ""
        assert "default-src 'none'" in policy
        for tag, text in re.findall(rb"<(script|style)>(.*?)</", body, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
            assert f"{tag.decode()}-src 'sha256-{digest}'" in policy
        assert not re.search(rb"<[^>]+ (style|on\w+)=|innerHTML|insertAdjacent|eval", body)
        assert response.getheader("X-Content-Type-Options") == "nosniff"


def test_the_api_has_all_rows(serve: Serve) -> None:
    status = get_json(serve(), "/api/")
    rows = {(each["kind"], each["name"]): each for each in status["rows"]}
    assert len(rows) == 4
    bad = rows["heartbeat", HOSTILE]
    assert (bad["state"], bad["since"], bad["cause"]) == ("down", START, "silence")
    assert (bad["loss"], bad["loss_interval"]) == (0.01, [0.00177, 0.0545])
    assert bad["history"] == ["up"] * 29 + ["down"]
    assert status["clients"] == {"down": 1, "up": 1}
    assert status["observer"]["receive_drops"] == 3


def test_a_row_is_found_by_any_name(serve: Serve) -> None:
    server = serve()
    quoted = "".join(f"%{byte:02X}" for byte in HOSTILE.encode())
    detail = get_json(server, f"/api/clients/{quoted}")
    assert (detail["name"], len(detail["strip"]), len(detail["outages"])) == (HOSTILE, 100, 2)
    assert get_json(server, "/api/targets/group%2Fone")["kind"] == "ping_many"
    assert get_json(server, "/api/targets/group/one?kind=ping_many")["kind"] == "ping_many"
    assert get(server, f"/clients/{quoted}").status == 200


def test_there_is_nothing_else(serve: Serve) -> None:
    server = serve()
    for path in (
        "/none",
        "/events/x",
        "/api/none",
        "/targets/none",
        "/targets/",
        "/targets/b",
        "/targets/a?kind=stamp",
        "/api/targets/",
        "/probe?target=127.0.0.1:7",
    ):
        assert get(server, path).status == 404, path


def test_events_have_numbers(serve: Serve, monitor: FakeMonitor) -> None:
    server = serve()
    for state in ("down", "up", "down"):
        monitor.change(row("a", state))
    events = get_json(server, "/api/events?after=1")["events"]
    assert [(event["id"], event["state"]) for event in events] == [(2, "up"), (3, "down")]
    assert [event["id"] for event in get_json(server, "/api/targets/a")["events"]] == [1, 2, 3]
    assert get(server, "/api/events?after=x").status == 400


def test_only_our_own_names_are_served(serve: Serve) -> None:
    server = serve(names=("Status.Example",))
    for host in ("127.0.0.1", "localhost:9469", "[::1]:80", "198.18.0.1", "status.example:80"):
        assert get(server, "/api/", Host=host).status == 200, host
    for host in ("evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example:80"):
        assert get(server, "/api/", Host=host).status == 421, host


class TestStream:
    def test_a_viewer_sees_what_changes(self, serve: Serve, monitor: FakeMonitor) -> None:
        stream = Stream(serve())
        assert stream.next() == {"retry": str(_http.RETRY_MS)}
        monitor.change(row("a", "down", since=START + 1, cause="refused"), cause="refused")
        event, patch = stream.until("happened", "rows")
        assert (event["id"], event["was"], event["cause"]) == (1, "up", "refused")
        (change,) = patch["rows"]
        assert change == {
            "kind": "ping",
            "name": "a",
            "state": "down",
            "since": START + 1,
            "cause": "refused",
            "history": ["up"] * 29 + ["down"],
        }
        monitor.change(replace(row("a", "down", since=START + 1, cause="refused"), p50=0.25))
        (patch,) = stream.until("rows")
        assert patch["rows"] == [{"kind": "ping", "name": "a", "p50": 0.25}]
        monitor.change(row("new"))
        (patch,) = stream.until("rows")
        (added,) = patch["rows"]
        assert (added["name"], added["loss"]) == ("new", 0.01)

    def test_a_viewer_that_comes_back_misses_nothing(
        self, serve: Serve, monitor: FakeMonitor
    ) -> None:
        server = serve()
        for state in ("down", "up", "down", "up"):
            monitor.change(row("a", state))
        stream = Stream(server, Last_Event_ID="2")
        assert [stream.next().get("id") for _ in range(3)] == [None, "3", "4"]
        # A new viewer has asked for no old ones.
        fresh = Stream(server)
        monitor.change(row("a", "suspect"))
        for each in (fresh, stream):
            (event,) = each.until("happened")
            assert event["id"] == 5

    def test_viewers_are_bounded(self, serve: Serve, monitor: FakeMonitor) -> None:
        server = serve(max_viewers=2)
        first, _second = Stream(server), Stream(server)
        assert get(server, "/events").status == 503
        assert get(server, "/api/").status == 200
        first.response.close()
        # The server notices with an update that it cannot send.
        while (response := get(server, "/events")).status == 503:
            monitor.tick()
        assert response.status == 200

    def test_a_quiet_stream_has_comments(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_http, "KEEPALIVE", 0.01)
        stream = Stream(serve())
        stream.next()
        assert [stream.next() for _ in range(2)] == [{"": ""}] * 2

    def test_nobody_watching_costs_nothing(self, serve: Serve, monitor: FakeMonitor) -> None:
        server = serve()
        for _ in range(3):
            assert get(server, "/healthz").status == 200
        assert monitor.snapshots == 3

    def test_the_end_ends_viewers(self, serve: Serve) -> None:
        server = serve()
        stream = Stream(server)
        stream.next()
        server.stop()
        assert stream.response.read() == b""


def test_a_viewer_that_is_behind_is_told(monitor: FakeMonitor) -> None:
    feed = _http.Feed(monitor, 1)
    try:
        joined = feed.join(None)
        assert joined
        for n in range(_http.UPDATES + 1):
            monitor.change(row(f"new {n}"))
            with feed._changed:
                feed._update()
        followed = feed.follow(joined[0])
        assert followed
        assert b"event: behind" in followed[1]
        monitor.change(row("last"))
        with feed._changed:
            feed._update()
        more = feed.follow(followed[0])
        assert more
        assert b'"last"' in more[1]
    finally:
        feed.end()


class TestMetrics:
    def test_the_format_is_the_preferred_one(self) -> None:
        for accept, openmetrics in [
            ("", False),
            ("*/*", False),
            ("text/plain", False),
            ("application/openmetrics-text", True),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
                True,
            ),
            ("application/openmetrics-text;version=1.0.0;q=0.1,text/plain;q=0.2", False),
            ("application/openmetrics-text;version=0.0.1", False),
            ("application/openmetrics-text;q=0", False),
            ("application/openmetrics-text;q=x", False),
        ]:
            assert _http.prefers_openmetrics(accept) == openmetrics, accept

    @pytest.mark.parametrize("openmetrics", [False, True])
    def test_a_scrape(self, openmetrics: bool) -> None:
        sources = [
            Source(
                kind="echo", name="e", address="", object=EchoServer(port=0), base={"replied": 7}
            )
        ]
        server = serve_http(FakeMonitor([], sources), HttpConfig(port=0))
        try:
            accept = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain"
            response = get(server, "/metrics", Accept=accept)
            kind = response.getheader("Content-Type") or ""
            assert kind.startswith(accept)
            samples = parsed(response.read(), openmetrics)
        finally:
            server.stop()
        assert value(samples, "udpulse_echo_replied_total", name="e") == 7
        assert value(samples, "udpulse_observer_receive_drops_total") == 3


class TestProbe:
    def test_a_target_that_answers(self, serve: Serve) -> None:
        server = serve(probe=True)
        with EchoServer(port=0) as echo:
            port = echo.address[1]
            path = f"/probe?target=127.0.0.1:{port}&count=3"
            response = get(server, path, X_Prometheus_Scrape_Timeout_Seconds="1")
            samples = parsed(response.read())
        assert value(samples, "probe_success") == 1
        assert value(samples, "probe_duration_seconds") > 0
        assert value(samples, "udpulse_ping_sent_total", target=f"127.0.0.1:{port}") == 3

    def test_a_target_that_does_not(self, serve: Serve) -> None:
        server = serve(probe=True)
        with peers.nobody() as port:
            response = get(server, f"/probe?target=127.0.0.1:{port}&count=1")
            samples = parsed(response.read())
        assert value(samples, "probe_success") == 0
        refused = value(samples, "udpulse_ping_refused_total")
        assert value(samples, "udpulse_ping_sent_total") == 1
        assert refused == 1 or peers.PORTABLE

    def test_wrong_questions(self, serve: Serve) -> None:
        server = serve(probe=True)
        for query in (
            "",
            "target=127.0.0.1",
            "target=127.0.0.1:0",
            "target=127.0.0.1:65536",
            "target=127.0.0.1:7&count=0",
            "target=127.0.0.1:7&count=101",
            "target=127.0.0.1:7&count=-1",
            "&".join(f"p{n}=1" for n in range(20)),
        ):
            assert get(server, f"/probe?{query}").status == 400, query

    def test_probes_are_not_for_other_sites(self, serve: Serve) -> None:
        path = "/probe?target=127.0.0.1:7"
        assert get(serve(probe=True), path, Sec_Fetch_Site="cross-site").status == 403

    def test_probes_are_bounded(self, serve: Serve) -> None:
        server = serve(probe=True)
        for _ in range(_http.MAX_PROBES):
            assert server._server.probes.acquire(blocking=False)
        assert get(server, "/probe?target=127.0.0.1:7").status == 503


def test_a_client_that_asks_nothing_is_cut_off(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    with monkeypatch.context() as patch:
        patch.setattr(_http, "PATIENCE", 0.0)
        with socket.create_connection(server.address, timeout=peers.PATIENCE) as slow:
            slow.sendall(b"GET / HT")
            assert slow.recv(100) == b""
    assert get(server, "/healthz").status == 200


def test_connections_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "MAX_REQUESTS", 1)
    server = serve(max_viewers=0)
    with socket.create_connection(server.address, timeout=peers.PATIENCE) as first:
        first.sendall(b"GET")
        assert get(server, "/healthz").status == 503


def test_a_monitor_that_fails_is_not_healthy(
    serve: Serve, monitor: FakeMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    with monkeypatch.context() as patch:
        patch.delattr(FakeMonitor, "snapshot")
        for path in ("/healthz", "/api/", "/metrics"):
            assert get(server, path).status == 500, path
    assert get(server, "/healthz").status == 200


def test_a_head_has_no_body(serve: Serve) -> None:
    with socket.create_connection(serve().address, timeout=peers.PATIENCE) as client:
        client.sendall(b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with client.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (b"200", b"")


def test_nothing_can_be_changed(serve: Serve) -> None:
    server = serve()
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        connection = http.client.HTTPConnection(*server.address, timeout=peers.PATIENCE)
        connection.request(method, "/api/")
        assert connection.getresponse().status == 501, method


def test_an_address_in_use_is_an_error(serve: Serve) -> None:
    _, port = serve().address
    with pytest.raises(OSError, match="in use"):
        serve_http(FakeMonitor([]), HttpConfig(port=port))


CONFIG = """
[[ping]]
name = "here"
host = "127.0.0.1"
port = {port}
interval = 0.05
[[ping_many]]
targets = ["127.0.0.1:{port}"]
interval = 0.05
[heartbeat]
port = 0
[http]
port = 0
probe = true
"""


def test_a_real_monitor_is_served(tmp_path: Path) -> None:
    with EchoServer(port=0) as echo:
        port = echo.address[1]
        path = tmp_path / "udpulse.toml"
        path.write_text(CONFIG.format(port=port), "utf-8")
        with Monitor(path) as monitor:
            assert monitor.http_address
            client = http.client.HTTPConnection(*monitor.http_address, timeout=peers.PATIENCE)

            def ask(path: str) -> bytes:
                client.request("GET", path)
                response = client.getresponse()
                assert response.status == 200, path
                return response.read()

            while not json.loads(ask("/api/targets/here"))["strip"]:
                pass
            rows = {(row["kind"], row["name"]) for row in json.loads(ask("/api/"))["rows"]}
            assert rows == {("ping", "here"), ("ping_many", f"127.0.0.1:{port}")}
            for kind, name in rows:
                assert json.loads(ask(f"/api/targets/{name}?kind={kind}"))["kind"] == kind
            samples = parsed(ask("/metrics"))
    for kind, _ in rows:
        assert value(samples, "udpulse_ping_sent_total", kind=kind) >= 0
    assert value(samples, "udpulse_running", kind="heartbeat") == 1


def test_a_lack_of_descriptors_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Listener:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    server = _http.Server.__new__(_http.Server)
    server.socket = Listener()  # type: ignore[assignment]
    with pytest.raises(OSError, match="Too many open files"):
        server.get_request()
    assert slept == [1.0]
