"""Shows the outcomes of a client's beats."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from udpulse import Beat, HeartbeatClient
from udpulse._printable import joined, printable
from udpulse.cli._run import INTERRUPTED, LOCAL_FAILURE, USAGE, Screen
from udpulse.cli._text import clock, counted, duration
from udpulse.events import ClientEvent


@dataclass
class Beats:
    """Shows beats, and why they do not arrive."""

    client: HeartbeatClient
    screen: Screen
    #: Prints the line about a beat.
    put: Callable[[str], None] | None = None
    #: Set at the first beat.
    first: Event = field(default_factory=Event)
    trouble: str | None = None
    #: Whether it has noted that no reply is signed with the client's key.
    told: bool = False
    #: Failures when the last beat left, and now.
    failures: tuple[int, int] = (0, 0)

    def title(self) -> str:
        """Return the first line: where beats go."""
        client = self.client
        also = "".join(f", {printable(joined(server))}" for server in client.also)
        to = printable(joined((client.host, client.port)))
        return f"Beating to {to}{also} every {duration(client.interval)}"

    def show(self, events: list[ClientEvent]) -> None:
        """Show events, and trouble that begins or ends."""
        for event in events:
            if isinstance(event, Beat):
                self.failures = self.failures[1], self.count()
                self.first.set()
                if self.put:
                    self.put(f"{clock(event.time)} beat {event.seq} {spaced(event.outcome)}")
                elif event.outcome == "failed":
                    self.screen.note(f"beat {event.seq}: simulated crash")
            else:
                silence = duration(event.silence)
                self.screen.note(f"{joined(event.server)} has not replied for {silence}")
        self.note_trouble()
        if not self.told and self.client.counters.unauthenticated and self.client.heard_at is None:
            self.told = True
            self.screen.note(
                "No reply has a right signature: the server has no keys, or other ones"
            )

    def note_trouble(self) -> None:
        """Note why beats do not arrive, once, and that they leave again."""
        before, _ = self.failures
        trouble = self.reason() if self.count() > before or self.client.unresolved else None
        if trouble != self.trouble:
            self.trouble = trouble
            self.screen.note(trouble or "Beats leave again")

    def count(self) -> int:
        """Return how many datagrams failed, as far as this host knows."""
        return self.client.counters.refused + self.client.counters.send_failed

    def reason(self) -> str:
        """Return why beats do not arrive."""
        client = self.client
        for server, text in client.unresolved.items():
            return f"{printable(joined(server))} has no address: {printable(text)}"
        to = joined(client.server or (client.host, client.port))
        if client.counters.send_failed and (error := client.last_send_error):
            return f"Cannot send to {printable(to)}: {error.strerror}"
        return f"Nothing listens at {printable(to)}; `udpulse watch` does"

    def summary(self) -> str:
        """Return the line about all beats so far."""
        counters = self.client.counters
        sent = counters.sent - counters.send_failed
        line = f"{counted(sent, 'datagram')} sent, goodbyes included"
        return line + "".join(
            f"; {text}"
            for number, text in (
                (counters.skipped, f"{counters.skipped} skipped"),
                (counters.send_failed, f"{counters.send_failed} could not be sent"),
                (counters.refused, f"{counters.refused} refused"),
                (counters.received, counted(counters.received, "reply", "replies")),
                (counters.unauthenticated, f"{counters.unauthenticated} without a right signature"),
            )
            if number
        )

    def verdict(self, *, interrupted: bool) -> int:
        """Return the exit code."""
        counters = self.client.counters
        if counters.sent > counters.send_failed:
            return 0
        if len(self.client.unresolved) > len(self.client.also):
            return USAGE
        return INTERRUPTED if interrupted else LOCAL_FAILURE


def spaced(word: str) -> str:
    """Return a word of the API as people write it."""
    return word.replace("_", " ")
