"""The pytest plugin, in a pytest of its own."""

import inspect
import re
from pathlib import Path

import pcapng
import pytest

from udpulse import EchoServer, Relay
from udpulse.pytest_plugin import EchoOptions, RelayOptions


def test_a_failure_shows_the_truth(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import udpulse

        def test_fails(echo_server):
            server = echo_server(loss=1.0, seed=1)
            report = udpulse.ping(*server.address, count=2, timeout=0.01)
            while server.counters.received < 2:
                pass
            assert report.lost == 0
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*echo_server 1*",
            "EchoServer('127.0.0.1', 0, loss=1.0, seed=1)",
            "capture: *echo_server_1.pcapng",
            "2 packets: 0 replied, 2 dropped",
            "uplink: 2 lost",
            "seconds since the first packet:",
            "    0.000000 127.0.0.1:* #1 64 B: uplink lost; no reply",
            "    0.?????? 127.0.0.1:* #2 64 B: uplink lost; no reply",
        ]
    )


def test_servers_end_with_their_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        servers = []

        def test_starts_two(echo_server):
            servers.extend([echo_server(), echo_server(keep=0)])
            assert all(server.running for server in servers)

        def test_they_are_gone():
            assert len(servers) == 2
            assert not any(server.running for server in servers)
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


WIDER = """
    import pytest
    import udpulse

    @pytest.fixture(scope="{scope}")
    def server({scope}_echo_server):
        return {scope}_echo_server(seed=7)

    @pytest.mark.parametrize("count", [1, 2])
    def test_fails(server, count):
        udpulse.ping(*server.address, count=count, size=64 + count)
        assert not server.running
"""


@pytest.mark.parametrize("scope", ["module", "session"])
def test_a_wider_server_tells_what_it_did_in_the_test(
    pytester: pytest.Pytester, scope: str
) -> None:
    pytester.makepyfile(WIDER.format(scope=scope))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=2)
    told = [line for line in result.outlines if "127.0.0.1:" in line and " B: " in line]
    assert [line.partition(" B:")[0].split()[-2:] for line in told] == [
        ["#1", "65"],
        ["#1", "66"],
        ["#2", "66"],
    ]


def test_the_report_reaches_other_processes(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist", reason="needs pytest-xdist")
    pytester.makepyfile(WIDER.format(scope="session"))
    result = pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["EchoServer('127.0.0.1', 0, seed=7)", "*#1 65 B: replied after*"])


def test_a_coroutine_uses_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import udpulse

        def test_pings(echo_server):
            async def main():
                server = echo_server()
                report = await udpulse.async_ping(*server.address, count=3)
                assert report.answered == 3

            asyncio.run(main())
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize(("kind", "options"), [(EchoServer, EchoOptions), (Relay, RelayOptions)])
def test_the_options_are_those_of_the_server(kind: type, options: type) -> None:
    names = [*inspect.signature(kind).parameters]
    assert ["host", "port", *options.__annotations__] == names


def test_a_failure_shows_a_relay(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import udpulse
        from udpulse.impair import Link, LossPattern

        def test_fails(echo_server, udp_relay):
            downlink = Link(loss=LossPattern([False, True]))
            relay = udp_relay(*echo_server().address, downlink=downlink, seed=1)
            report = udpulse.ping(*relay.address, count=2, timeout=0.5)
            assert report.lost == 0
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*udp_relay 2*",
            "Relay('127.0.0.1', *, downlink=Link(loss=LossPattern(lost=(False, True))), seed=1)",
            "capture: *udp_relay_1.pcapng",
            "4 packets: 3 relayed, 1 dropped",
            "downlink: 1 lost",
            "seconds since the first packet:",
            "    0.000000 127.0.0.1:* #1 64 B uplink: relayed after * ms",
            "    0.?????? 127.0.0.1:* #1 64 B downlink: relayed after * ms",
            "    0.?????? 127.0.0.1:* #2 64 B uplink: relayed after * ms",
            "    0.?????? 127.0.0.1:* #2 64 B downlink: lost; dropped",
        ]
    )


def captures(result: pytest.RunResult) -> list[Path]:
    """Return the captures that a report names."""
    return [
        Path(path) for path in re.findall(r"^capture: (.+)$", result.stdout.str(), re.MULTILINE)
    ]


def test_the_capture_of_a_failed_test_stays(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        import udpulse

        @pytest.fixture(scope="module")
        def server(module_echo_server):
            return module_echo_server()

        def test_passes(echo_server, server):
            udpulse.ping(*echo_server().address, count=1)

        def test_fails(echo_server, server):
            udpulse.ping(*echo_server().address, count=2)
            udpulse.ping(*server.address, count=3)
            assert False

        def test_passes_again(server):
            pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--basetemp=base")
    result.assert_outcomes(passed=2, failed=1)
    of_module, of_test = captures(result)
    assert [len(pcapng.read(path).at("in")) for path in (of_module, of_test)] == [3, 2]
    assert {*(pytester.path / "base").rglob("*.pcapng")} == {of_module, of_test}
    # The directory of the test that passed is gone.
    assert len([*(pytester.path / "base").glob("captures*")]) == 2


def test_nothing_stays_if_all_tests_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import udpulse

        def test_passes(echo_server, udp_relay):
            server = echo_server()
            relay = udp_relay(*server.address, capture=None)
            assert relay.capture is None
            assert udpulse.ping(*relay.address, count=1).answered == 1
            own = echo_server(capture="own.pcapng")
            udpulse.ping(*own.address, count=1)
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--basetemp=base")
    result.assert_outcomes(passed=1)
    assert [*pytester.path.rglob("*.pcapng")] == [pytester.path / "own.pcapng"]
    assert not [*(pytester.path / "base").glob("captures*")]
