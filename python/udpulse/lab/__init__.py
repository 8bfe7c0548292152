"""The four programs of the UDP pinger lab."""
