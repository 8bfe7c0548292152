"""Texts in which nothing controls a terminal or hides on a page."""


def printable(message: bytes | str) -> str:
    """Decode a message and escape the characters that control a terminal."""
    text = message if isinstance(message, str) else message.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else escaped(c) for c in text)


def escaped(character: str) -> str:
    """Return a character as Python writes its escape."""
    return character.encode("unicode_escape").decode()


def joined(address: tuple[str, int]) -> str:
    """Format an address as people write it, its control characters escaped."""
    host, port = address
    return printable(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
