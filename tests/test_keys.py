"""Keys: files, errors that show no secret, the command that makes them."""

import pickle
import stat
from pathlib import Path

import pytest

from udpulse import Keys
from udpulse.cli import main

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
