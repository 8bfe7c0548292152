"""A monitor: sessions, a heartbeat server and echo servers that one configuration describes."""
