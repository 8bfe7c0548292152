"""The pytest plugin, in a pytest of its own."""

import pytest


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
            "*echo server 1*",
            "EchoServer(127.0.0.1:*, received=2, replied=0, dropped=2)",
            "EchoCounters(received=2, replied=0, dropped=2, send_failed=0)",
            "EchoTruth(uplink=LinkCounters(lost=2,*",
            "Fate(*outcome='lost', answer=b'Ping 1 *",
            "Fate(*outcome='lost', answer=b'Ping 2 *",
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
