"""Which host measures which, in which order."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

#: A sender and a receiver.
Pair = tuple[str, str]

#: Up to this many hosts, each measures each unless told otherwise.
FULL = 100
#: How many others a host of more measures per visit.
PEERS = 20

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))


def plan(
    hosts: Sequence[str],
    *,
    peers: int | None = None,
    groups: Mapping[str, str] | None = None,
    visit: int = 0,
) -> list[Pair]:
    """Return the pairs of a visit in an order in which neighbours share few hosts.

    With `groups`, each host measures those of its group, and one host of every other group. Else
    each measures all others, or `peers` of them: other ones at every visit until it has met all.
    """
    hosts = sorted(set(hosts))
    if groups:
        return list(by_group(hosts, groups))
    if peers is None:
        peers = len(hosts) if len(hosts) <= FULL else PEERS
    if peers >= len(hosts) - 1:
        return list(all_pairs(hosts))
    return list(some_pairs(hosts, peers, visit))


def all_pairs(hosts: Sequence[str]) -> Iterator[Pair]:
    """Yield all pairs in rounds in which no host occurs twice (the circle method), both ways."""
    ring: list[str | None] = [*hosts]
    if len(ring) % 2:
        ring.append(None)
    for _ in range(len(ring) - 1):
        opposite = zip(ring[: len(ring) // 2], reversed(ring), strict=False)
        round_ = [(one, other) for one, other in opposite if one is not None and other is not None]
        yield from round_
        yield from ((other, one) for one, other in round_)
        ring.insert(1, ring.pop())


def some_pairs(hosts: Sequence[str], peers: int, visit: int) -> Iterator[Pair]:
    """Yield `peers` receivers for each host: the next ones in an order of its own.

    The order is that of the hashes of host and receiver (rendezvous hashing, Thaler and Ravishankar
    1998), so that a host that comes or goes moves the others by one place. A host has met all
    others after `(len(hosts) - 1) / peers` visits.
    """
    hashes = np.array([number(host) for host in hosts], dtype=np.uint64)
    first = visit * peers
    chosen = []
    for index in range(len(hosts)):
        order = np.argsort(mixed(hashes[index], hashes), kind="stable")
        others = order[order != index]
        chosen.append(others[np.arange(first, first + peers) % len(others)])
    for nth in range(peers):
        for index, others in enumerate(chosen):
            yield hosts[index], hosts[others[nth]]


def number(host: str) -> int:
    """Return a hash of a name that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(host.encode(), digest_size=8).digest(), "big")


def mixed(
    one: np.uint64, others: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """Return a hash of each ordered pair."""
    with np.errstate(over="ignore"):
        value = (one * _MIX[0]) ^ others
        value = (value ^ (value >> np.uint64(30))) * _MIX[1]
        return value ^ (value >> np.uint64(27))


def by_group(hosts: Sequence[str], groups: Mapping[str, str]) -> Iterator[Pair]:
    """Yield all pairs within each group, and for two groups those of hosts of the same rank.

    The hosts of the smaller group take turns. (The scheme of Pingmesh, SIGCOMM 2015, section 3.3.)
    A host without a group is in one of its own.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for host in hosts:
        members[groups.get(host, host)].append(host)
    for one in members.values():
        yield from all_pairs(one)
    for one, other in combinations(members.values(), 2):
        for rank in range(max(len(one), len(other))):
            a, b = one[rank % len(one)], other[rank % len(other)]
            yield a, b
            yield b, a
