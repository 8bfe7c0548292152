"""Addresses as text."""


def joined(address: tuple[str, int]) -> str:
    """Format an address as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
