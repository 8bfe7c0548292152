"""Alerts: conditions that last, and the programs that are told."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from udpulse._printable import printable
from udpulse.monitor._config import TARGETS, AlertRule
from udpulse.monitor._rows import Target, Track
from udpulse.monitor._status import Alert, Kind

#: Messages that wait for their programs.
WAITING = 1000

#: How long the end of a monitor waits for the program that runs, in seconds.
PATIENCE = 5.0

Key = tuple[str, Kind, str]


@dataclass(slots=True)
class Watch:
    """A condition that holds, or held until a moment ago."""

    text: str
    #: When it began to hold, and not to hold, by the monotonic clock.
    begun: float
    ended: float | None = None
    #: When the alert was raised, in seconds since the Unix epoch.
    raised_at: float | None = None


class Alerts:
    """Raises and clears alerts; `tell` gets each change. It reads no clock."""

    def __init__(self, tell: Callable[[AlertRule, Alert, str], None]) -> None:
        self.rules: dict[str, AlertRule] = {}
        self._names: dict[str, re.Pattern[str]] = {}
        self._watches: dict[Key, Watch] = {}
        self._tell = tell

    def set_rules(self, rules: Iterable[AlertRule], wall: float) -> None:
        """Replace the rules; alerts of those that are gone or changed are cleared."""
        new = {rule.name: rule for rule in rules}
        for key in [*self._watches]:
            if new.get(key[0]) != self.rules[key[0]]:
                self._drop(key, wall)
        self.rules = new
        self._names = {
            rule.name: re.compile("|".join(map(translate, rule.rows))) for rule in new.values()
        }

    def recall(self, raised: dict[tuple[str, str, str], float], now: float) -> None:
        """Raise alerts again that were raised before a restart, without telling."""
        for (name, kind, row), since in raised.items():
            if name in self.rules:
                text = "raised before the restart"
                watch = Watch(text=text, begun=now, raised_at=since)
                self._watches[name, kind, row] = watch  # type: ignore[index]

    def raised(self) -> tuple[Alert, ...]:
        """Return the alerts that are raised."""
        return tuple(
            alert(key, watch, watch.raised_at)
            for key, watch in self._watches.items()
            if watch.raised_at is not None
        )

    def change(self, track: Track, now: float, wall: float) -> None:
        """Judge a row whose state changed."""
        for rule in self.rules.values():
            if rule.state and self._watches_row(rule, track):
                self._judge_state(rule, track, now, wall)

    def tick(
        self,
        targets: Iterable[Target],
        find: Callable[[Kind, str], Track | None],
        now: float,
        wall: float,
    ) -> None:
        """Judge the rules that depend on time and on new probes."""
        for key in [*self._watches]:
            name, kind, row = key
            rule, track = self.rules[name], find(kind, row)
            if track is None:
                self._drop(key, wall)
            elif rule.state:
                self._judge_state(rule, track, now, wall)
        numeric = [rule for rule in self.rules.values() if not rule.state]
        if numeric:
            for target in targets:
                for rule in numeric:
                    if self._watches_row(rule, target):
                        self._judge_value(rule, target, now, wall)

    def _watches_row(self, rule: AlertRule, track: Track) -> bool:
        kinds = rule.kinds or (() if rule.state else TARGETS)
        if kinds and track.kind not in kinds:
            return False
        return self._names[rule.name].match(track.name) is not None

    def _judge_state(self, rule: AlertRule, track: Track, now: float, wall: float) -> None:
        holds = track.state in rule.state
        if not holds and track.state == "unknown":
            # Nothing is known: an alert stays as it is.
            return
        cause = f", {track.cause}" if track.cause else ""
        self._judge(rule, track, holds, f"{track.state}{cause}", now, wall)

    def _judge_value(self, rule: AlertRule, target: Target, now: float, wall: float) -> None:
        median, p99 = target.percentiles() if rule.loss is None else (None, None)
        value, limit, name, unit, scale = next(
            condition
            for condition in (
                (target.loss, rule.loss, "loss", "%", 100),
                (median, rule.p50, "p50", " ms", 1000),
                (p99, rule.p99, "p99", " ms", 1000),
            )
            if condition[1] is not None
        )
        if value is None or limit is None:
            return
        text = f"{name} {scale * value:.3g}{unit} is above {scale * limit:.3g}{unit}"
        self._judge(rule, target, value > limit, text, now, wall)

    def _judge(
        self, rule: AlertRule, track: Track, holds: bool, text: str, now: float, wall: float
    ) -> None:
        key = (rule.name, track.kind, track.name)
        watch = self._watches.get(key)
        if holds:
            if watch is None:
                watch = self._watches[key] = Watch(text=text, begun=now)
            watch.text, watch.ended = text, None
            if watch.raised_at is None and now - watch.begun >= rule.for_:
                watch.raised_at = wall
                self._tell(rule, alert(key, watch, wall), "alert")
        elif watch is not None:
            if watch.ended is None:
                watch.ended = now
            if watch.raised_at is None:
                del self._watches[key]
            elif now - watch.ended >= rule.for_:
                watch.text = text
                self._drop(key, wall)

    def _drop(self, key: Key, wall: float) -> None:
        """Forget a condition; clear its alert."""
        watch = self._watches.pop(key)
        if watch.raised_at is not None:
            self._tell(self.rules[key[0]], alert(key, watch, watch.raised_at), "clear")


def alert(key: Key, watch: Watch, raised_at: float) -> Alert:
    """Return an alert as a value."""
    name, kind, row = key
    return Alert(name=name, kind=kind, row=row, since=raised_at, text=watch.text)


class Runner:
    """Runs the programs of alerts, one after another, on a thread of its own."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self.dropped = 0
        self.errors = 0
        self._failed = failed
        self._queue: queue.Queue[tuple[AlertRule, dict[str, Any]] | None] = queue.Queue(WAITING)
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="udpulse-alerts", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the programs that wait run for a moment; then kill the one that runs."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(PATIENCE)
        self._ending.set()
        if (process := self._process) is not None:
            kill(process)
        self._thread.join(PATIENCE)

    def put(self, rule: AlertRule, message: dict[str, Any]) -> None:
        """Run a rule's program with a message on stdin; drop it if too many wait."""
        try:
            self._queue.put_nowait((rule, message))
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        while not self._ending.is_set():
            entry = self._queue.get()
            if entry is None:
                return
            if reason := self._tell(*entry):
                self.errors += 1
                self._failed(f"{printable(entry[0].command[0])}: {reason}")

    def _tell(self, rule: AlertRule, message: dict[str, Any]) -> str | None:
        """Run a program; return why that failed."""
        try:
            process = subprocess.Popen(
                rule.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                # It may be a shell with children of its own.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or str(error)
        self._process = process
        try:
            process.communicate(json.dumps(message).encode() + b"\n", rule.timeout)
        except subprocess.TimeoutExpired:
            kill(process)
            process.wait()
            return f"killed after {rule.timeout:g} s"
        except OSError:
            # It does not read its stdin.
            process.wait(rule.timeout)
        finally:
            self._process = None
        return f"exit code {process.returncode}" if process.returncode else None


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a program and its children."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def message_of(rule: AlertRule, raised: Alert, event: str, time: float) -> dict[str, Any]:
    """Return the message on a program's stdin."""
    return {
        "event": event,
        "alert": rule.name,
        "kind": raised.kind,
        "name": raised.row,
        "text": raised.text,
        "since": raised.since,
        "time": time,
    }
