"""Notes of the two clients on why their datagrams do not arrive."""

from dataclasses import dataclass

from udpulse import HeartbeatClient, PingClient
from udpulse._printable import joined
from udpulse.cli._run import Screen


@dataclass
class Trouble:
    """The reasons that are known; each is noted once."""

    client: PingClient | HeartbeatClient
    screen: Screen
    has_refused: bool = False
    has_failed: bool = False

    def note(self, *, refused: int, send_failed: int) -> None:
        """Note the reasons if any datagrams were refused or could not be sent."""
        if refused and not self.has_refused:
            host, port = self._server
            self.screen.note(f"{host} answered that nothing listens on port {port}")
            self.has_refused = True
        if send_failed and not self.has_failed:
            if error := self.client.last_send_error:
                server = joined(self._server)
                self.screen.note(f"Cannot send to {server}: {error.strerror}")
            self.has_failed = True

    @property
    def _server(self) -> tuple[str, int]:
        # A name may have no address yet.
        return self.client.server or (self.client.host, self.client.port)
