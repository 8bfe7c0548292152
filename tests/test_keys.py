"""Keys: files, errors that show no secret, the command that makes them, signed beats."""

import hmac
import io
import pickle
import stat
import time
from pathlib import Path

import peers
import pytest
from rich.console import Console

from udpulse import Beat, HeartbeatClient, HeartbeatServer, Keys, events
from udpulse.cli import main
from udpulse.cli._beats import Beats
from udpulse.cli._fleet import Fleet, summary
from udpulse.cli._run import Screen

SECRET = bytes(range(16))


def saved(path: Path, text: str, mode: int = 0o600) -> Path:
    path.touch(mode)
    path.write_text(text)
    return path


def assert_hidden(text: str) -> None:
    assert SECRET.hex()[:8] not in text
    assert repr(SECRET)[2:10] not in text


def test_keys_are_written_and_read(tmp_path: Path) -> None:
    keys = Keys({"b": SECRET, "a.1_-": SECRET * 4})
    keys.write(tmp_path / "keys")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    again = Keys.read(str(tmp_path / "keys"))
    assert (again.ids, again.names) == (["b", "a.1_-"], [None, None])
    with pytest.raises(FileExistsError, match="keys"):
        keys.write(tmp_path / "keys")
    with pytest.raises(FileNotFoundError) as missing:
        Keys.read(tmp_path / "none")
    assert missing.value.filename == str(tmp_path / "none")


def test_a_client_has_keys_of_its_own(tmp_path: Path) -> None:
    keys = Keys({"a": SECRET, "b": SECRET[::-1]})
    keys.client("api").write(tmp_path / "api")
    assert_hidden((tmp_path / "api").read_text())
    api = Keys.read(tmp_path / "api")
    assert (api.ids, api.names) == (["a", "b"], ["api", "api"])
    assert repr(api) == "<Keys a of api, b of api>"
    for wrong in ("", "a b", "db"):
        with pytest.raises(ValueError, match=f"^name must be .* not '{wrong}'"):
            api.client(wrong)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no key in .*keys, line 1"),
        (
            f"# secret\n\na {SECRET.hex()}\na {SECRET.hex()}",
            "the id of an earlier key in .*, line 4",
        ),
        (SECRET.hex(), "a line of another form in .*, line 1"),
        (f"{SECRET.hex()} a", "an? .*hexadecimal in .*, line 1"),
        (f"a {SECRET[1:].hex()}", "a key of 15 bytes in .*, line 1"),
        (f"a {SECRET.hex()} x;y", "a name of another form in .*, line 1"),
        ("\n" * 70_000, "another kind of text in .*, line 1"),
    ],
)
def test_errors_of_files_name_the_line_and_show_no_secret(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^path must be a file whose lines.*, not {reason}$") as e:
        Keys.read(saved(tmp_path / "keys", text))
    assert_hidden(str(e.value))


def test_a_file_that_others_can_open_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "keys", f"a {SECRET.hex()}\n")
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(ValueError, match=rf"\(chmod 600 {path}\), not {path}"):
            Keys.read(path)


def test_other_errors_show_no_secret() -> None:
    keys = Keys({"a": SECRET})
    assert repr(keys) == "<Keys a>"
    with pytest.raises(TypeError) as pickled:
        pickle.dumps(keys)
    wrong_types: list[object] = [SECRET, {SECRET: SECRET}, {"a": SECRET.hex()}, [("a", SECRET)]]
    for wrong in wrong_types:
        with pytest.raises(TypeError, match=r"^keys must be a dict") as error:
            Keys(wrong)  # type: ignore[arg-type]
        assert_hidden(str(error.value))
    for value in ({}, {"": SECRET}, {"a b": SECRET}, {"x" * 17: SECRET}, {"a": SECRET[1:]}):
        with pytest.raises(ValueError, match=r"^keys must be a dict") as refusal:
            Keys(value)
        assert_hidden(str(refusal.value))
    with pytest.raises(TypeError, match="of type bytes") as path:
        Keys.read(SECRET)  # type: ignore[arg-type]
    assert_hidden(str(path.value) + str(pickled.value))


class TestKeygen:
    def test_it_makes_a_servers_keys_and_a_clients(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server, client = str(tmp_path / "server"), str(tmp_path / "client")
        assert main(["keygen", server]) == 0
        keys = Keys.read(server)
        assert capsys.readouterr().out == f"{server}: {keys.ids[0]}\n"
        assert main(["keygen", client, "--client", "api", "--from", server]) == 0
        assert (Keys.read(client).ids, Keys.read(client).names) == (keys.ids, ["api"])
        other = tmp_path / "other"
        assert main(["keygen", str(other)]) == 0
        assert other.read_text() != Path(server).read_text()

    def test_it_overwrites_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = saved(tmp_path / "keys", "mine")
        assert main(["keygen", str(path)]) == 3
        assert f"File exists: {path}" in capsys.readouterr().err
        assert path.read_text() == "mine"

    def test_its_errors_name_the_options(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, new = saved(tmp_path / "keys", f"a {SECRET.hex()}\n", 0o644), str(tmp_path / "new")
        path.chmod(0o644)
        for options, error in (
            (["--client", "api"], "--client and --from go together"),
            (["--client", "api", "--from", str(path)], "--from must be a file that only its owner"),
        ):
            assert main(["keygen", new, *options]) == 2
            assert error in capsys.readouterr().err
        path.chmod(0o600)
        assert main(["keygen", new, "--client", "a b", "--from", str(path)]) == 2
        assert "--client must be a name" in capsys.readouterr().err


class TestBeats:
    def test_a_client_with_its_own_key_is_authenticated(self, tmp_path: Path) -> None:
        keys = Keys({"new": SECRET[::-1], "old": SECRET})
        keys.write(tmp_path / "server")
        Keys({"old": SECRET}).client("api").write(tmp_path / "api")
        with HeartbeatServer(port=0, keys=tmp_path / "server", reply=True) as server:
            client = HeartbeatClient(
                *server.address, name="api", keys=str(tmp_path / "api"), interval=0.01
            )
            with client:
                while client.heard_at is None:
                    next(client)
            stopped = next(event for event in server if isinstance(event, events.Stopped))
            peer = server.peer("api")
        assert stopped.name == "api"
        assert peer is not None
        assert peer.key == peer.to_dict()["key"] == "old"
        assert list(server.columns()["key"]) == ["old"]
        assert (client.counters.unauthenticated, server.counters.unauthenticated) == (0, 0)
        assert repr(client.keys) == "<Keys old of api>"
        assert ", keys=<Keys new, old>" in repr(server)

    def test_a_server_says_what_it_does_with_others(self) -> None:
        keys = Keys({"a": SECRET})
        other = Keys({"a": SECRET[::-1]})
        unknown = Keys({"b": SECRET})
        for treatment in ("refuse", "accept"):
            with HeartbeatServer(port=0, keys=keys, unauthenticated=treatment) as server:
                for name, wrong in (("x", None), ("y", other), ("z", unknown), ("api", keys)):
                    client = HeartbeatClient(
                        *server.address, name=name, keys=wrong, count=1, goodbye=False
                    )
                    assert [beat.outcome for beat in client if isinstance(beat, Beat)] == ["sent"]
                ups = iter(server)
                names = [next(ups).name for _ in range(1 + (treatment == "accept"))]
                counters = server.counters
                keys_of = {peer.name: peer.key for peer in server.peers()}
            assert keys_of == ({"api": "a"} if treatment == "refuse" else {"x": None, "api": "a"})
            assert {*names} == {*keys_of}
            assert (counters.bad_tags, counters.unknown_keys) == (1, 1)
            assert counters.unauthenticated == (treatment == "refuse")
            assert counters.received == 4

    def test_the_screen_and_the_summary_tell_who_is_authenticated(self) -> None:
        keys = Keys({"2026a": SECRET})
        with HeartbeatServer(port=0, keys=keys, unauthenticated="accept") as server:
            for name, own in (("api", keys), ("x", None)):
                client = HeartbeatClient(
                    *server.address, name=name, keys=own, count=1, goodbye=False
                )
                list(client)
                next(server)
            console = Console(width=90, record=True, file=io.StringIO())
            console.print(Fleet(server).render(90, 24))
            lines = console.export_text().splitlines()
            text = summary(server)
        ends = {line.split()[0]: line.split()[-1] for line in lines if line.strip()}
        assert (ends["client"], ends["api"], ends["x"]) == ("key", "2026a", "none")
        assert text.splitlines()[1] == "1 client not authenticated"

    def test_a_client_says_that_replies_have_no_right_signature(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        keys = Keys({"a": SECRET})
        with HeartbeatServer(port=0, reply=True) as server:
            client = HeartbeatClient(*server.address, name="api", keys=keys, interval=0.01)
            beats = Beats(client, Screen())
            with client:
                while client.counters.unauthenticated < 2:
                    beats.show([next(client)])
                beats.show([next(client)])
        assert capsys.readouterr().err.count("No reply has a right signature: the server has") == 1

    def test_only_a_client_with_a_name_can_sign(self) -> None:
        keys = Keys({"a": SECRET}).client("api")
        for options, reason in (
            ({}, "name must be the client's name"),
            ({"name": "db"}, "name must be 'api', the only client"),
            ({"name": "api", "format": "x"}, "format must be None beside name"),
        ):
            with pytest.raises(ValueError, match=reason):
                HeartbeatClient("127.0.0.1", keys=keys, **options)  # type: ignore[arg-type]
        for make in (
            lambda wrong: HeartbeatClient("127.0.0.1", name="api", keys=wrong),
            lambda wrong: HeartbeatServer(port=0, keys=wrong),
        ):
            with pytest.raises(TypeError, match="keys must be Keys or the path of a file") as error:
                make(SECRET)
            assert_hidden(str(error.value))

    def test_the_command_line_has_keys_in_a_file(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        keys = Keys({"a": SECRET})
        keys.write(tmp_path / "keys")
        with HeartbeatServer(port=0, keys=keys) as server:
            host, port = server.address
            beat = ["beat", f"{host}:{port}", "--name", "api", "--once", "--every", "1d"]
            monkeypatch.setenv("UDPULSE_KEYS", str(tmp_path / "keys"))
            assert main([*beat, "--keys", "none"]) == 0
            assert main(beat) == 0
            next(server)
            counters = server.counters
        assert (counters.beats, counters.unauthenticated) == (1, 1)
        monkeypatch.setenv("UDPULSE_KEYS", str(tmp_path / "none"))
        for command in (beat, ["watch"]):
            assert main(command) == 3
            assert f"No such file or directory: {tmp_path}/none" in capsys.readouterr().err

    def test_the_documented_format_is_that_of_another_program(self) -> None:
        """docs/keys.md, as Python's hmac has it."""

        def tag(use: bytes, text: bytes) -> bytes:
            before, after = text.split(b";m=TAG")
            covered = use + before + after
            return hmac.new(own, covered, "sha256").hexdigest()[:32].encode()

        own = hmac.digest(SECRET, b"udpulse client" + b"api", "sha256")
        text = b"hb;b=a;id=api;n=0000000000000000;k=1;m=TAG 7 %.1f" % time.time()
        beat = text.replace(b"TAG", tag(b"udpulse beat 1 c>s", text))
        keys = Keys({"1": SECRET})
        with HeartbeatServer(port=0, keys=keys, reply=True) as server, peers.open_socket() as udp:
            udp.sendto(beat, server.address)
            answer = udp.recv(2048)
            peer = server.peer("api")
        assert peer is not None
        assert (peer.key, peer.seq, len(answer)) == ("1", 7, len(beat))
        start = answer.index(b";M=") + 3
        given, rest = answer[start : start + 32], answer[:start] + answer[start + 32 :]
        unsigned = rest.replace(b";M=", b";m=TAG")
        assert unsigned.startswith(b"HB;B=A;ID=API;N=")
        assert unsigned.endswith(b";K=1;m=TAG" + text.partition(b"TAG")[2])
        assert given == tag(b"udpulse beat 1 s>c", unsigned)
