"""Hosts for tests: network namespaces joined by virtual cables."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import pytest


class Host(NamedTuple):
    """A network namespace."""

    name: str
    address: str
    hardware: str


def host(label: str, number: int) -> Host:
    """Return the host with this number, 1 to 9, in 198.18.0.0/16."""
    name = f"udpulse-{os.getpid()}-{label}"
    return Host(name, f"198.18.0.{number}", f"02:00:00:00:00:0{number}")


def ip(*args: str) -> None:
    """Run `ip`; raise `CalledProcessError` if it fails."""
    subprocess.run(["ip", *args], check=True, capture_output=True, timeout=10)


@contextmanager
def joined(one: Host, other: Host) -> Iterator[None]:
    """Create both hosts and their cable, delete them at the end; skip the test if not permitted."""
    if shutil.which("ip") is None:
        pytest.skip("there is no program `ip`")
    with ExitStack() as gone_at_the_end:
        try:
            for each in (one, other):
                ip("netns", "add", each.name)
                # This deletes its end of the cable, and with it the cable.
                gone_at_the_end.callback(ip, "netns", "delete", each.name)
            first, second = (
                ["cable", "address", each.hardware, "netns", each.name] for each in (one, other)
            )
            ip("link", "add", *first, "type", "veth", "peer", *second)
            for each in (one, other):
                ip("-n", each.name, "address", "add", f"{each.address}/16", "dev", "cable")
                for device in ("lo", "cable"):
                    ip("-n", each.name, "link", "set", device, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no right to make network namespaces: {error.stderr.decode()}")
        yield


class Routed(NamedTuple):
    """Three namespaces: the links "one" and "two" join client and router, "far" joins the server.

    On link n (far is 3), the addresses end in n.2 (client, server) and n.1 (router).
    """

    client: str
    router: str
    server: str

    def on(self, name: str, *args: str) -> None:
        """Run `ip` in a namespace."""
        ip("-n", name, *args)


class Bridged(NamedTuple):
    """Namespaces on two networks, each a bridge: host n has the addresses 198.18.10.n and .20.n.

    The first is that of the link "control", the second of the link "data".
    """

    hosts: list[str]

    def control(self, number: int) -> str:
        """Return the address of a host, from 1, for whatever manages it."""
        return f"198.18.10.{number}"

    def data(self, number: int) -> str:
        """Return the address of a host for traffic to measure."""
        return f"198.18.20.{number}"


@contextmanager
def bridged(count: int) -> Iterator[Bridged]:
    """Create a `Bridged` of `count` hosts, delete it at the end; skip the test if not permitted."""
    if shutil.which("ip") is None:
        pytest.skip("there is no program `ip`")
    switch = f"udpulse-{os.getpid()}-switch"
    hosts = Bridged([f"udpulse-{os.getpid()}-{number}" for number in range(1, count + 1)])
    with ExitStack() as gone_at_the_end:
        try:
            for name in (switch, *hosts.hosts):
                ip("netns", "add", name)
                gone_at_the_end.callback(ip, "netns", "delete", name)
                ip("-n", name, "link", "set", "lo", "up")
            for device, address in (("control", hosts.control), ("data", hosts.data)):
                ip("-n", switch, "link", "add", device, "type", "bridge")
                ip("-n", switch, "link", "set", device, "up")
                for number, name in enumerate(hosts.hosts, 1):
                    port = f"{device}{number}"
                    end = ["peer", device, "netns", name]
                    ip("link", "add", port, "netns", switch, "type", "veth", *end)
                    ip("-n", switch, "link", "set", port, "master", device, "up")
                    ip("-n", name, "address", "add", f"{address(number)}/24", "dev", device)
                    ip("-n", name, "link", "set", device, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no right to make network namespaces: {error.stderr.decode()}")
        yield hosts


V4 = "198.18.{}.{}"
V6 = "2001:db8:{}::{}"


@contextmanager
def routed() -> Iterator[Routed]:
    """Create a `Routed`, delete it at the end; skip the test if not permitted."""
    if shutil.which("ip") is None:
        pytest.skip("there is no program `ip`")
    hosts = Routed(*(f"udpulse-{os.getpid()}-{label}" for label in ("client", "router", "server")))
    with ExitStack() as gone_at_the_end:
        try:
            for name in hosts:
                ip("netns", "add", name)
                gone_at_the_end.callback(ip, "netns", "delete", name)
                ip("-n", name, "link", "set", "lo", "up")
                # An IPv6 address can be used immediately.
                sysctl(name, "ipv6.conf.default.accept_dad=0")
            for number, device in enumerate(("one", "two", "far"), 1):
                end = hosts.server if device == "far" else hosts.client
                join(hosts.router, end, device, number)
            sysctl(hosts.router, "ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1")
            # Otherwise a router sends one ICMP error per second.
            sysctl(hosts.router, "ipv4.icmp_ratelimit=0", "ipv6.icmp.ratelimit=0")
            # Accept packets of one link that arrive through the other.
            sysctl(hosts.router, "ipv4.conf.all.rp_filter=0", "ipv4.conf.one.rp_filter=0")
            for end, number in ((hosts.client, 1), (hosts.server, 3)):
                for address in (V4, V6):
                    ip("-n", end, "route", "add", "default", "via", address.format(number, 1))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no right to make network namespaces: {error.stderr.decode()}")
        yield hosts


def sysctl(name: str, *settings: str) -> None:
    """Set network parameters of a namespace."""
    ip("netns", "exec", name, "sysctl", "-qw", *(f"net.{setting}" for setting in settings))


def join(router: str, end: str, device: str, number: int) -> None:
    """Join two namespaces by a link with this name in both."""
    ip("link", "add", device, "netns", router, "type", "veth", "peer", device, "netns", end)
    for last, name in enumerate((router, end), 1):
        ip("-n", name, "address", "add", V4.format(number, last) + "/24", "dev", device)
        ip("-n", name, "address", "add", V6.format(number, last) + "/64", "dev", device)
        ip("-n", name, "link", "set", device, "up")


@contextmanager
def within(host: Host | str, script: str, *args: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a Python script on a host; kill it at the end."""
    name = host if isinstance(host, str) else host.name
    with running("ip", "netns", "exec", name, sys.executable, "-c", script, *args) as process:
        yield process


@contextmanager
def running(*command: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a program with pipes; kill it at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_json(process: "subprocess.Popen[str]") -> Any:
    """Return the next line that a program prints, parsed as JSON."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())
