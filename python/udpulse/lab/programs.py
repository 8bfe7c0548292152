"""The four programs of the lab, each a loop from events to lines."""

import sys
from contextlib import suppress
from dataclasses import dataclass

from udpulse._core import (
    Down,
    EchoServer,
    HeartbeatClient,
    HeartbeatServer,
    Ignored,
    PingClient,
    Stopped,
    Up,
)
from udpulse.lab import screens
from udpulse.lab.screens import counted

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended before its end."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a program shows lines (stdout) and says notes (stderr), each with a label in front."""

    label: str = ""

    def show(self, line: str) -> None:
        """Show a line of data at once, also into a pipe."""
        print(self.label + line, flush=True)

    def note(self, line: str) -> None:
        """Say something about the run; nobody needs to listen."""
        if sys.stderr is not None:
            with suppress(BrokenPipeError):
                print(self.label + line, file=sys.stderr, flush=True)


def ping_server(server: EchoServer, screen: Screen) -> int:
    """Show each packet and its fate until Ctrl-C."""
    try:
        with server:
            screen.note(f"Listening on {joined(server.address)}; Ctrl-C ends it")
            for fate in server:
                for line in screens.fate_lines(fate):
                    screen.show(line)
    except KeyboardInterrupt:
        counters = server.counters
        received = counted(counters.received, "packet")
        screen.note(f"Received {received}, dropped {counters.dropped}")
        if server.overflowed:
            screen.note(f"The screen was too slow for {counted(server.overflowed, 'packet')}")
    return 0


def ping_client(client: PingClient, screen: Screen) -> int:
    """Show each ping and the statistics."""
    end, code = screen.show, 0
    refused = False
    try:
        with client:
            host, port = client.server
            for probe in client:
                for line in screens.probe_lines(probe, host):
                    screen.show(line)
                if probe.verdict == "refused" and not refused:
                    screen.note(f"{host} answered that nothing listens on port {port}")
                    refused = True
    except KeyboardInterrupt:
        end, code = screen.note, INTERRUPTED
    report = client.report()
    for line in screens.report_lines(report):
        end(line)
    for line in screens.report_notes(report):
        screen.note(line)
    return code


def heartbeat_client(client: HeartbeatClient, screen: Screen) -> int:
    """Show each beat until the last, or the simulated crash."""
    code = 0
    refused = False
    try:
        with client:
            host, port = client.server
            for beat in client:
                screen.show(screens.beat_line(beat))
                if client.counters.refused and not refused:
                    screen.note(f"{host} answered that nothing listens on port {port}")
                    refused = True
    except KeyboardInterrupt:
        screen.note(f"Sent {counted(client.counters.sent, 'heartbeat')}")
        code = INTERRUPTED
    if client.counters.send_failed:
        failed = counted(client.counters.send_failed, "heartbeat")
        screen.note(f"{failed} could not be sent")
    return code


def heartbeat_server(
    server: HeartbeatServer, screen: Screen, *, keep_running: bool = False, by_host: bool = True
) -> int:
    """Show each beat and what happens to the client until it fails, or to all until Ctrl-C."""

    def label(address: tuple[str, int]) -> str:
        if not keep_running:
            return ""
        return f"{address[0] if by_host else joined(address)} "

    ignored = 0
    try:
        with server:
            screen.note(f"Listening on {joined(server.address)}; Ctrl-C ends it")
            for event in server:
                for line in screens.heartbeat_lines(event):
                    screen.show(label(event.address) + line)
                if isinstance(event, Up) and not keep_running:
                    screen.note(f"Following {event.address[0]}")
                if isinstance(event, Ignored):
                    if not ignored:
                        text = f"{event.payload!r:.80} of {joined(event.address)}"
                        screen.note(f"Ignored {text}: it is no heartbeat")
                    ignored += 1
                if isinstance(event, (Down, Stopped)) and not keep_running:
                    break
    except KeyboardInterrupt:
        for peer in server.peers():
            line = screens.received_line(peer.received, peer.expected)
            screen.note(label(peer.address) + line)
    counters = server.counters
    for number, what in (
        (counters.ignored, "ignored: no heartbeat"),
        (counters.duplicates, "had a number that had come before"),
        (counters.stale, "had a number too old to judge"),
        (counters.rejected, "ignored: of another client"),
        (counters.send_failed, "could not be answered"),
    ):
        if number:
            screen.note(f"{counted(number, 'datagram')} {what}")
    if server.overflowed:
        screen.note(f"The screen was too slow for {counted(server.overflowed, 'event')}")
    return 0


def joined(address: tuple[str, int]) -> str:
    """An address as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
