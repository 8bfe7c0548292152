"""Other implementations of STAMP against ours; each is skipped unless it is installed.

`.ci/run peers` installs those that a package registry has.
"""

import hmac
import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peers
import pytest

from udpulse import Keys, StampReflector, stamp

SECRET = bytes(range(32))
KEY = SECRET.hex()
KEYS = Keys({"new": bytes(32), "old": SECRET})
TLVS = [
    *("--cos", "--dscp", "46", "--ecn", "2", "--direct-measurement", "--follow-up-telemetry"),
    *("--timestamp-info", "--location", "--extra-padding", "8"),
]


def needed(program: str) -> str:
    """Return the path of a program; skip the test without it."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def free_port() -> int:
    """Return a port that is free now; a peer does not take port 0."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def suite_sends(reflector: StampReflector, *options: str) -> dict[str, Any]:
    """Return the summary of five packets of stamp-suite's sender."""
    ends = ["-r", "127.0.0.1", "-S", "127.0.0.1", "-p", str(reflector.address[1])]
    command = [needed("stamp-suite"), *ends, "-o", str(free_port()), "-c", "5", "-d", "20"]
    ended = subprocess.run(
        [*command, "-L", "5", "-R", "--output-format", "json", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = (json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{"))
    return next(line for line in lines if line.get("type") == "summary")


@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("ours", ["ntp", "ptp"])
@pytest.mark.parametrize("theirs", ["NTP", "PTP"])
@pytest.mark.parametrize("ssid", [0, 77])
def test_stamp_suite_sends(stateful: bool, ours: Any, theirs: str, ssid: int) -> None:
    session = ["--ssid", str(ssid)] if ssid else []
    with StampReflector(port=0, stateful=stateful, timestamp_format=ours) as reflector:
        summary = suite_sends(reflector, "-K", theirs, *session, *TLVS)
        records = reflector.reflected()
    assert [record.outcome for record in records] == ["replied"] * 5
    assert {record.ssid for record in records} == {ssid}
    tlvs = summary["measurements"]["tlv_validation"]
    assert (tlvs["evaluated_replies"], tlvs["rejected_replies"]) == (5, 0)
    assert tlvs["observed_tlvs"] == 30
    flags = tlvs["flags"]
    # A stateless reflector has no counts for the direct measurement.
    assert flags["unrecognized"] == (0 if stateful else 5)
    assert (flags["malformed"], flags["integrity_failed"]) == (0, 0)


def test_stamp_suite_finds_tlvs_unverified_without_our_key() -> None:
    with StampReflector(port=0) as reflector:
        summary = suite_sends(reflector, "--cos", "--hmac-key", KEY)
    assert summary["measurements"]["tlv_validation"]["flags"]["integrity_failed"] == 10


@pytest.mark.parametrize("stateful", [True, False])
def test_stamp_suite_sends_authenticated_packets(stateful: bool) -> None:
    authenticated = ["-A", "A", "--hmac-key", KEY, "--verify-tlv-hmac"]
    with StampReflector(port=0, stateful=stateful, keys=KEYS) as reflector:
        summary = suite_sends(reflector, *authenticated, *TLVS)
        counters = reflector.counters
    assert (counters.received, counters.replied) == (5, 5)
    tlvs = summary["measurements"]["tlv_validation"]
    assert (tlvs["evaluated_replies"], tlvs["rejected_replies"]) == (5, 0)
    flags = tlvs["flags"]
    assert flags["unrecognized"] == (0 if stateful else 5)
    assert (flags["malformed"], flags["integrity_failed"]) == (0, 0)


@contextmanager
def listening(
    address: peers.Address, *command: str, request: bytes = bytes(44)
) -> Iterator[peers.Address]:
    """Run a reflector at this address, which answers this request."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + peers.PATIENCE
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.settimeout(0.1)
                sender.connect(address)
                while time.monotonic() < end:
                    try:
                        sender.send(request)
                        sender.recv(200)
                    except OSError:  # it does not listen yet
                        continue
                    break
            yield address
        finally:
            process.terminate()


@contextmanager
def suite_reflects(*options: str, request: bytes = bytes(44)) -> Iterator[peers.Address]:
    """Run stamp-suite's reflector."""
    host, port = "127.0.0.1", free_port()
    program = [needed("stamp-suite"), "-i", "-S", host, "-o", str(port)]
    with listening((host, port), *program, *options, request=request) as address:
        yield address


@pytest.mark.parametrize("size", [112, 136, 1000])
def test_stamp_suite_reflects_authenticated_packets(size: int) -> None:
    options = ["--stateful-reflector", "-A", "A", "--hmac-key", KEY, "--verify-tlv-hmac"]
    request = bytes(96) + hmac.new(SECRET, bytes(96), "sha256").digest()[:16]
    with suite_reflects(*options, request=request) as address:
        keys = Keys({"a": SECRET})
        report = stamp(*address, count=10, interval=0.005, timeout=5, size=size, keys=keys)
    assert (report.answered, report.corrupt, report.foreign) == (10, 0, 0)
    assert (report.reflector.mode, report.reflector.quirks) == ("stateful", ())


@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("ours", ["ntp", "ptp"])
@pytest.mark.parametrize("theirs", ["NTP", "PTP"])
@pytest.mark.parametrize("size", [44, 48, 1000])
def test_stamp_suite_reflects(stateful: bool, ours: Any, theirs: str, size: int) -> None:
    options = ["--stateful-reflector"] if stateful else []
    with suite_reflects("-K", theirs, *options) as address:
        report = stamp(
            *address, count=10, interval=0.005, timeout=5, ssid=77, size=size, timestamp_format=ours
        )
    assert (report.answered, report.corrupt, report.foreign) == (10, 0, 0)
    assert report.reflector.mode == ("stateful" if stateful else "stateless")
    assert report.reflector.timestamp_format == theirs.lower()
    assert report.reflector.quirks == ()
    assert (report.forward.lost, report.reverse.lost) == (0, 0)
    low, high = report.clock.offset or (1, 1)
    assert low <= 0 <= high


def test_twampy_reflects() -> None:
    if importlib.util.find_spec("twampy") is None:
        pytest.skip("twampy is not installed")
    host, port = "127.0.0.1", free_port()
    with listening(
        (host, port), sys.executable, "-m", "twampy", "responder", f"{host}:{port}"
    ) as address:
        report = stamp(*address, count=10, interval=0.005, timeout=5, size=100)
    assert (report.answered, report.reflector.mode) == (10, "stateful")
    assert report.reflector.quirks == ("short_reply", "ssid_zeroed", "t2_equals_t3")
    assert report.reflector.max_reply_size == 38


def test_two_reflectors_do_not_answer_each_other() -> None:
    with suite_reflects() as suite, StampReflector(port=0) as reflector:
        peers.forge(bytes(44), suite, reflector.address)
        outcomes = [next(reflector).outcome for _ in range(2)]
        assert outcomes == ["replied", "looped"]
        # Its answer to a later request comes after all others.
        peers.forge(bytes(44), reflector.address, suite)
        assert next(reflector).outcome == "looped"
        assert reflector.counters.received == 3


def test_twampy_sends() -> None:
    if importlib.util.find_spec("twampy") is None:
        pytest.skip("twampy is not installed")
    with StampReflector(port=0, twamp_light=True) as reflector:
        ends = [f"127.0.0.1:{reflector.address[1]}", f"127.0.0.1:{free_port()}"]
        command = [sys.executable, "-m", "twampy", "sender", *ends, "-c", "5", "-i", "50"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        records = reflector.reflected()
    assert re.search(r"Roundtrip:.* 0\.0%", ended.stdout)
    assert [(record.size, record.reflector_seq) for record in records] == [
        (14, seq) for seq in range(5)
    ]


def test_scapy_dissects_a_reply() -> None:
    stamp = pytest.importorskip("scapy.contrib.stamp")
    tail = bytes.fromhex("8001000461626364 80c800020102")
    with (
        StampReflector(port=0) as reflector,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        sender.settimeout(peers.PATIENCE)
        request = bytes(stamp.STAMPSessionSenderTestUnauthenticated(seq=5, ssid=7))
        sender.sendto(request + tail, reflector.address)
        reply = stamp.STAMPSessionReflectorTestUnauthenticated(sender.recv(1000))
    assert (reply.seq, reply.seq_sender, reply.ssid) == (0, 5, 7)
    assert [(tlv.type, tlv.value) for tlv in reply.tlv_objects] == [
        (1, b"abcd"),
        (200, b"\x01\x02"),
    ]
