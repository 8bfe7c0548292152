"""Tables: Arrow streams equal the columns, and libraries and CSV show the same values."""

import csv
import ctypes
import io
import math
import socket
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from udpulse import VERDICTS, EchoServer, HeartbeatServer, PingReport, Probe, events, ping
from udpulse.impair import Link, Rule
from udpulse.reports import Table

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NS = 1_000_000_000

REPORT = PingReport.from_probes(
    [
        Probe(seq=1, verdict="answered", rtt=0.010, kernel_rtt=0.009, sent_at=1000.0),
        Probe(seq=1, verdict="late", rtt=2.0, sent_at=1000.05, flow=1),
        Probe(seq=2, verdict="lost", sent_at=1000.1),
    ]
)
PROBES: dict[str, list[Any]] = {
    "seq": [1, 1, 2],
    "flow": [0, 1, 0],
    "sent_at": [1_000 * NS, 1_000_050_000_000, 1_000_100_000_000],
    "rtt": [10_000_000, 2 * NS, None],
    "kernel_rtt": [9_000_000, None, None],
    "verdict": ["answered", "late", "lost"],
    "size": [64, 64, 64],
}


class ArrowSchema(ctypes.Structure):
    """The type of a column, as in Arrow's C data interface."""


class ArrowArray(ctypes.Structure):
    """The values of a column."""


class ArrowArrayStream(ctypes.Structure):
    """A stream of tables, as in Arrow's C stream interface."""


RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
ArrowSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(ArrowSchema))),
    ("dictionary", ctypes.POINTER(ArrowSchema)),
    ("release", RELEASE),
    ("private_data", ctypes.c_void_p),
]
ArrowArray._fields_ = [
    *[(name, ctypes.c_int64) for name in ("length", "null_count", "offset")],
    *[(name, ctypes.c_int64) for name in ("n_buffers", "n_children")],
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(ArrowArray))),
    ("dictionary", ctypes.POINTER(ArrowArray)),
    ("release", RELEASE),
    ("private_data", ctypes.c_void_p),
]
ArrowArrayStream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ArrowSchema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ArrowArray))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
    ("release", RELEASE),
    ("private_data", ctypes.c_void_p),
]
C_TYPES: dict[str, Any] = {
    "C": ctypes.c_uint8,
    "S": ctypes.c_uint16,
    "I": ctypes.c_uint32,
    "L": ctypes.c_uint64,
    "tsn:UTC": ctypes.c_int64,
    "tDn": ctypes.c_int64,
}


class Stream:
    """A consumer of an Arrow stream."""

    def __init__(self, capsule: object) -> None:
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        self._capsule = capsule
        address = pointer(capsule, b"arrow_array_stream")
        assert address is not None
        self._stream = ArrowArrayStream.from_address(address)

    @property
    def released(self) -> bool:
        return not self._stream.release

    def read(self) -> tuple[dict[str, str], dict[str, list[Any]]]:
        """Return the formats and the values of the columns, and release the stream."""
        stream, schema, array = ctypes.byref(self._stream), ArrowSchema(), ArrowArray()
        assert self._stream.get_schema(stream, schema) == 0
        types = [schema.children[i].contents for i in range(schema.n_children)]
        formats = {type_.name.decode(): full_format(type_) for type_ in types}
        columns: dict[str, list[Any]] = {name: [] for name in formats}
        while self._stream.get_next(stream, array) == 0 and array.release:
            for i, (type_, column) in enumerate(zip(types, columns.values(), strict=True)):
                column.extend(values_of(type_, array.children[i].contents))
            array.release(ctypes.addressof(array))
        schema.release(ctypes.addressof(schema))
        self._stream.release(ctypes.addressof(self._stream))
        return formats, columns


def full_format(schema: Any) -> str:
    """Return the format of a column; of a dictionary that of its words, too."""
    words = f":{schema.dictionary.contents.format.decode()}" if schema.dictionary else ""
    # Bit 1: values can be missing.
    return f"{schema.format.decode()}{words}{'?' if schema.flags & 2 else ''}"


def values_of(schema: Any, array: Any) -> Iterator[Any]:
    """Return the values of a column, dictionaries decoded."""
    code = schema.format.decode()
    valid, first, *more = [array.buffers[i] for i in range(array.n_buffers)]
    words = schema.dictionary and list(
        values_of(schema.dictionary.contents, array.dictionary.contents)
    )
    for i in range(array.offset, array.offset + array.length):
        if valid and not bit(valid, i):
            yield None
        elif code == "b":
            yield bit(first, i)
        elif code == "u":
            start, end = (ctypes.c_int32 * 2).from_address(first + 4 * i)
            yield ctypes.string_at(more[0] + start, end - start).decode()
        else:
            size = ctypes.sizeof(C_TYPES[code])
            value = C_TYPES[code].from_address(first + size * i).value
            yield words[value] if words else value


def bit(buffer: int, i: int) -> bool:
    return bool(ctypes.c_uint8.from_address(buffer + i // 8).value >> i % 8 & 1)


def read(exporter: Any) -> dict[str, list[Any]]:
    """Return the columns of anything that exports a stream."""
    return Stream(exporter.__arrow_c_stream__()).read()[1]


def plain(columns: dict[str, Any]) -> dict[str, list[Any]]:
    """Return columns of NumPy as lists, with None for NaN."""
    return {
        name: [None if isinstance(x, float) and math.isnan(x) else x for x in column.tolist()]
        for name, column in columns.items()
    }


def as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


@pytest.fixture(scope="module")
def echo() -> EchoServer:
    """A stopped server with fates and replies of all kinds."""
    rules = [Rule("drop", nth=3), Rule("duplicate", nth=range(5, 9))]
    rough = Link(rules=rules, loss=0.2, duplication=0.3, corruption=0.3)
    with EchoServer(port=0, uplink=rough, downlink=rough, seed=1) as server:
        ping(*server.address, count=60, interval=0.001, timeout=0.5)
    return server


@pytest.fixture
def fleet() -> Iterator[HeartbeatServer]:
    """A server with a client that declares a name that CSV has to quote, and one without."""
    with (
        HeartbeatServer(port=0, every_beat=True) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        for beat in ('hb;i=1000;id=a,"\u202e;b=fedcba9876543211 7', "3 1486420330.5"):
            client.sendto(beat.encode(), server.address)
            while not isinstance(next(server), events.Heard):
                pass
        yield server


def test_probes() -> None:
    formats, columns = Stream(REPORT.__arrow_c_stream__()).read()
    assert formats == {
        "seq": "L",
        "flow": "C",
        "sent_at": "tsn:UTC",
        "rtt": "tDn?",
        "kernel_rtt": "tDn?",
        "verdict": "C:u",
        "size": "S",
    }
    assert columns == PROBES


def test_probes_equal_the_columns() -> None:
    columns, arrow = plain(REPORT.columns()), read(REPORT)
    assert [name.removesuffix("_ns") for name in columns] == list(arrow)
    assert [VERDICTS[code] for code in columns.pop("verdict")] == arrow.pop("verdict")
    assert columns.pop("sent_at_ns") == [time - 1000 * NS for time in arrow.pop("sent_at")]
    assert columns == {name + "_ns" * ("rtt" in name): arrow[name] for name in arrow}


def test_fates_equal_the_columns(echo: EchoServer) -> None:
    columns, arrow = plain(echo.columns()), read(echo)
    assert list(arrow) == [name.removesuffix("_ns") for name in columns]
    assert None in arrow["sent_at"]
    assert {None, 0, 1} == set(arrow["uplink_rule"])
    start = arrow["received_at"][0] - columns["received_at_ns"][0]
    assert start / 1e9 == pytest.approx(echo.started_at, abs=1e-6)
    for name in ("received_at", "sent_at"):
        times = columns.pop(f"{name}_ns")
        assert arrow.pop(name) == [None if ns is None else start + int(ns) for ns in times]
    clients = [f"{host}:{port}" for host, port in echo.clients]
    assert arrow.pop("client") == [clients[index] for index in columns.pop("client")]
    assert arrow == columns


def test_copies_equal_the_columns(echo: EchoServer) -> None:
    formats, arrow = Stream(echo.table("copies").__arrow_c_stream__()).read()
    columns = plain(echo.columns("copies"))
    assert formats["uplink_bit"] == "I?"
    assert arrow.pop("sent_at")[0] - columns.pop("sent_at_ns")[0] == pytest.approx(
        (echo.started_at or 0) * 1e9, abs=1000
    )
    assert {True, False} == set(arrow["corrupted"])
    assert arrow == columns
    with pytest.raises(ValueError, match="table must be 'fates' or 'copies'"):
        echo.table("replies")  # type: ignore[arg-type]


def test_peers_equal_the_columns(fleet: HeartbeatServer) -> None:
    fleet.stop()
    formats, arrow = Stream(fleet.__arrow_c_stream__()).read()
    columns = plain(fleet.columns())
    assert set(arrow["boot"]) == {None, 0xFEDCBA9876543211}
    assert (formats["state"], formats["name"], formats["interval"]) == ("C:u", "u?", "tDn?")
    assert set(arrow["name"]) == {None, 'a,"\u202e'}
    assert arrow["address"] == ["127.0.0.1"] * 2
    last = zip(arrow.pop("last_received_at"), fleet.peers(), strict=True)
    assert all(ns / 1e9 == pytest.approx(peer.last_received_at, abs=1e-6) for ns, peer in last)
    columns.pop("last_received_at_ns")
    # NumPy's floats are exact up to 2**53 only.
    assert {name: list(map(as_float, column)) for name, column in arrow.items()} == {
        name.removesuffix("_ns"): list(map(as_float, column)) for name, column in columns.items()
    }


def test_values_of_a_distribution_equal_the_columns() -> None:
    formats, arrow = Stream(REPORT.rtt.__arrow_c_stream__()).read()
    assert formats == {"value": "tDn", "count": "L"}
    assert arrow == {"value": [10_000_000], "count": [1]} == read(REPORT.rtt.table())
    assert [column.tolist() for column in REPORT.rtt.columns().values()] == list(arrow.values())


def test_empty_tables() -> None:
    server, fleet = EchoServer(port=0), HeartbeatServer(port=0)
    for table in (PingReport().table(), server.table(), server.table("copies"), fleet.table()):
        assert len(table) == 0
        assert set(map(len, read(table).values())) == {0}
        text = io.StringIO()
        table.write_csv(text)
        assert text.getvalue().count("\n") == 1


def test_a_stream_is_read_once_and_its_exporter_any_number_of_times() -> None:
    table = REPORT.table()
    stream = Stream(table.__arrow_c_stream__())
    assert not stream.released
    stream.read()
    assert stream.released
    assert read(table) == read(table) == read(REPORT)


def test_a_requested_schema_is_ignored() -> None:
    capsule = REPORT.__arrow_c_stream__(requested_schema=object())
    assert Stream(capsule).read()[1] == PROBES


def test_a_stream_outlives_its_exporter() -> None:
    probes = [Probe(seq=1, verdict="lost", sent_at=1.0)]
    stream = Stream(PingReport.from_probes(probes).__arrow_c_stream__())
    assert stream.read()[1]["sent_at"] == [NS]


def test_tables_do_not_change_with_the_server() -> None:
    server = EchoServer(port=0)
    with server:
        ping(*server.address, count=3)
        table, capsule = server.table(), server.__arrow_c_stream__()
        ping(*server.address, count=4)
        assert len(server.table()) == 7
    server.start()
    server.stop()
    assert len(server.table()) == 0
    assert read(table)["number"] == Stream(capsule).read()[1]["number"] == [1, 2, 3]
    assert repr(table).startswith("<Table of 3 rows: client, number, ")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("consumed", [False, True])
def test_memory_is_returned(consumed: bool) -> None:
    def memory() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096

    count = 20_000
    probes = (Probe(seq=seq, verdict="lost", sent_at=seq / 1e3) for seq in range(1, count + 1))
    report = PingReport.from_probes(probes)
    before = memory()
    for _ in range(500):
        stream = Stream(report.__arrow_c_stream__())
        if consumed:
            stream._stream.release(ctypes.addressof(stream._stream))
    # 500 tables of 36 bytes per row would be 360 MB.
    assert memory() - before < 100 << 20


def test_csv() -> None:
    text = io.StringIO()
    REPORT.table().write_csv(text)
    assert text.getvalue() == (
        "seq,flow,sent_at,rtt_ns,kernel_rtt_ns,verdict,size\n"
        "1,0,1970-01-01T00:16:40.000000000+00:00,10000000,9000000,answered,64\n"
        "1,1,1970-01-01T00:16:40.050000000+00:00,2000000000,,late,64\n"
        "2,0,1970-01-01T00:16:40.100000000+00:00,,,lost,64\n"
    )


def csv_of(table: Table) -> dict[str, list[str]]:
    text = io.StringIO()
    table.write_csv(text)
    header, *rows = csv.reader(io.StringIO(text.getvalue()))
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def shown(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_csv_has_the_values_of_the_stream(echo: EchoServer) -> None:
    for table in (echo.table(), echo.table("copies")):
        columns, arrow = csv_of(table), read(table)
        assert list(columns) == list(arrow)
        for name, column in columns.items():
            if name.endswith("_at"):
                assert [nanoseconds(time) if time else None for time in column] == arrow[name]
            else:
                assert column == [shown(value) for value in arrow[name]]


def nanoseconds(text: str) -> int:
    second, fraction = text[:-6].split(".")
    return int((datetime.fromisoformat(second + "+00:00") - EPOCH).total_seconds()) * NS + int(
        fraction
    )


def test_csv_quotes_names_and_escapes_what_controls_a_terminal(fleet: HeartbeatServer) -> None:
    columns = csv_of(fleet.table())
    assert set(columns["name"]) == {"", 'a,"\\u202e'}
    assert set(columns["boot"]) == {"", str(0xFEDCBA9876543211)}
    assert set(columns["interval_ns"]) == {"", str(NS)}


def test_csv_to_a_path(tmp_path: Path) -> None:
    path, text = tmp_path / "probes.csv", io.StringIO()
    path.write_text("old\n" * 100, "ascii")
    REPORT.table().write_csv(text)
    for target in (path, str(path)):
        REPORT.table().write_csv(target)
        assert path.read_bytes() == text.getvalue().encode()


def test_csv_to_nowhere(tmp_path: Path) -> None:
    table = REPORT.table()
    with pytest.raises(FileNotFoundError, match="missing"):
        table.write_csv(tmp_path / "missing" / "probes.csv")
    with pytest.raises(TypeError, match="file must be a path or a text file, not 5"):
        table.write_csv(5)  # type: ignore[arg-type]

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        table.write_csv(Full())


def test_csv_is_written_in_pieces() -> None:
    class Pieces(io.StringIO):
        longest, lines = 0, 0

        def write(self, text: str) -> int:
            self.longest = max(self.longest, len(text))
            self.lines += text.count("\n")
            return len(text)

    count, pieces = 30_000, Pieces()
    probes = (Probe(seq=seq, verdict="lost", sent_at=1000.0) for seq in range(1, count + 1))
    PingReport.from_probes(probes).table().write_csv(pieces)
    assert pieces.lines == count + 1
    assert pieces.longest < 1 << 19


class TestLibraries:
    """Each reads the streams by itself and finds the values of the C interface."""

    @pytest.fixture(params=["probes", "fates", "copies", "peers", "none"])
    def table(self, request: pytest.FixtureRequest) -> Table:
        if request.param == "peers":
            fleet: HeartbeatServer = request.getfixturevalue("fleet")
            return fleet.table()
        if request.param in ("fates", "copies"):
            echo: EchoServer = request.getfixturevalue("echo")
            return echo.table(request.param)
        return (REPORT if request.param == "probes" else PingReport()).table()

    def test_polars(self, table: Table, tmp_path: Path) -> None:
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(table)
        frame.write_parquet(tmp_path / "rows.parquet")
        for rows in (frame, polars.read_parquet(tmp_path / "rows.parquet")):
            times = polars.selectors.temporal().to_physical()
            assert rows.with_columns(times).to_dict(as_series=False) == read(table)
        if "verdict" in frame.columns:
            assert frame.schema["verdict"] == polars.Categorical
            assert frame.schema["rtt"] == polars.Duration("ns")
            assert frame.schema["sent_at"] == polars.Datetime("ns", "UTC")

    def test_pyarrow(self, table: Table) -> None:
        pyarrow = pytest.importorskip("pyarrow")
        rows = pyarrow.table(table)
        rows.validate(full=True)
        for i, field in enumerate(rows.schema):
            if pyarrow.types.is_temporal(field.type):
                rows = rows.set_column(i, field.name, rows[i].cast("int64"))
        assert rows.to_pydict() == read(table)

    def test_pandas(self, table: Table) -> None:
        pandas = pytest.importorskip("pandas", "3")
        pytest.importorskip("pyarrow")
        frame = pandas.DataFrame.from_arrow(table)
        for name, column in read(table).items():
            # Times have their nanoseconds in `value`; whole numbers with missing ones are floats.
            found = [None if pandas.isna(x) else getattr(x, "value", x) for x in frame[name]]
            if frame[name].dtype.kind == "f":
                column = list(map(as_float, column))
            assert found == column, name

    def test_duckdb(self, table: Table) -> None:
        duckdb = pytest.importorskip("duckdb")
        rows = table  # DuckDB finds it by the name of the variable.
        with duckdb.connect() as connection:
            for name, column in read(rows).items():
                values = connection.sql(f'SELECT "{name}" FROM rows')
                if str(values.types[0]).startswith("TIMESTAMP"):
                    values = connection.sql(f'SELECT epoch_ns("{name}") FROM rows')
                found = [value for (value,) in values.fetchall()]
                if str(values.types[0]) == "INTERVAL":
                    # It has microseconds.
                    found = [
                        gap if gap is None else gap // timedelta(microseconds=1) for gap in found
                    ]
                    column = [ns if ns is None else ns // 1000 for ns in column]
                assert found == column, name
