"""Texts that several programs show."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """Format a share without a needless decimal; only none is 0%, only all is 100%."""
    value = 100 * share
    for decimals in range(1, 16):
        text = f"{value:.{decimals}f}"
        if value in (0, 100) or float(text) not in (0, 100):
            break
    return text.rstrip("0").rstrip(".") + "%"


def printable(message: bytes | str) -> str:
    """Decode a message and escape the characters that control a terminal."""
    text = message if isinstance(message, str) else message.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def joined(address: tuple[str, int]) -> str:
    """Format an address as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def milliseconds(seconds: float) -> str:
    """Format a duration in milliseconds, with a resolution of a microsecond."""
    return f"{1000 * seconds:.3f}"


def short_milliseconds(seconds: float) -> str:
    """Format a duration in milliseconds, in at most six characters up to a day."""
    value = 1000 * seconds
    return f"{value:.{3 if value < 10 else 2 if value < 100 else 1 if value < 1000 else 0}f}"
