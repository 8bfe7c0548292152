"""The lab's four programs in one process, with the lines of both sides."""

from udpulse import EchoServer, HeartbeatClient, HeartbeatServer, PingClient
from udpulse.cli._run import Screen
from udpulse.events import Down, Heard, Unheard
from udpulse.lab import screens

SERVER = Screen("server | ")
CLIENT = Screen("client | ")
TITLE = Screen()


def demo() -> int:
    """Ping the lossy server, then watch a heartbeat until it fails. Takes five seconds."""
    TITLE.show("== UDPPingerServer and UDPPingerClient: 10 pings, 4 of 11 lost on purpose ==")
    ping()
    TITLE.show("")
    TITLE.show("== UDPHeartBeatServer and UDPHeartBeatClient: a client that fails ==")
    heartbeat()
    return 0


def ping() -> None:
    """Ping a server that loses packets as the lab's does."""
    with EchoServer(port=0, transform="upper", loss="lab", seed=6) as server:
        client = PingClient(*server.address, timeout=0.5, size=0, linger=0)
        # Each ping has one fate: loopback loses nothing.
        for probe, fate in zip(client, server, strict=False):
            for line in screens.fate_lines(fate):
                SERVER.show(line)
            for line in screens.probe_lines(probe, client.server[0]):
                CLIENT.show(line)
        for line in screens.report_lines(client.report()):
            CLIENT.show(line)


def heartbeat() -> None:
    """Follow a client that loses some beats on purpose and fails at the tenth."""
    with HeartbeatServer(port=0, timeout=1.0, every_beat=True, old_beats="accept") as server:
        for beat in HeartbeatClient(*server.address, interval=0.3, fail_at=10, loss=0.2, seed=5):
            if isinstance(beat, Unheard):
                continue
            CLIENT.show(screens.beat_line(beat))
            if beat.outcome == "skipped":
                continue
            # The server hears a beat and notices a failure.
            for event in server:
                for line in screens.heartbeat_lines(event):
                    SERVER.show(line)
                if isinstance(event, (Heard, Down)):
                    break
