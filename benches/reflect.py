"""Compare the STAMP reflector with our echo server and with stamp-suite, if that is installed.

Build first: cargo bench --no-run --no-default-features; maturin develop --release. Servers and load
run as in echo.py, with packets of 44 bytes, and so does the output.
"""

import shutil
import sys

import echo

REFLECTOR = """
import sys, udpulse
with udpulse.StampReflector(port=0, keep=0) as server:
    print(server.address[1], flush=True)
    sys.stdin.read()
"""
STAMP_SUITE = """
import os, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
print(port, flush=True)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(1, 2)
options = ["-i", "-S", "127.0.0.1", "-o", str(port), "--stateful-reflector"]
os.execvp("stamp-suite", ["stamp-suite", *options])
"""


def main() -> None:
    """Run all servers in turns and print the results."""
    echo.SERVERS = {
        "udpulse": echo.SERVERS["udpulse"],
        "reflector": [sys.executable, "-c", REFLECTOR],
    }
    if shutil.which("stamp-suite"):
        echo.SERVERS["stamp-suite"] = [sys.executable, "-c", STAMP_SUITE]
    echo.LOADS = {
        "1 client, window 64": (1, 64, 50_000, 44, "plain"),
        "64 clients, window 1": (64, 1, 50_000, 44, "plain"),
        "1 client, window 64, one datagram per call": (1, 64, 50_000, 44, "single"),
        "64 clients, window 1, one datagram per call": (64, 1, 50_000, 44, "single"),
    }
    echo.main()


if __name__ == "__main__":
    main()
