"""Ranges are joined and cut without losing a byte; what fails or comes short is asked for again."""

import itertools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from range_server import run_range_server

from cxrfuture_data import ranges
from cxrfuture_data.object_store import ObjectStore
from cxrfuture_data.ranges import ask, cut_range, merge_ranges, read_ranges
from cxrfuture_data.schema import ContractError

DATA = bytes(range(256)) * 40  # 10,240 bytes


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch):
    monkeypatch.setattr(ranges, "SECONDS_BETWEEN_TRIES", 0.01)


@pytest.fixture
def server(tmp_path):
    (tmp_path / "x").write_bytes(DATA)
    with run_range_server(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("given", "gap", "merged"),
    [
        ([], 5, []),
        ([(0, 10), (10, 20)], 0, [(0, 20)]),
        ([(0, 10), (11, 20)], 0, [(0, 10), (11, 20)]),
        ([(30, 40), (0, 10), (15, 20)], 5, [(0, 20), (30, 40)]),
        ([(0, 100), (10, 20), (104, 110)], 5, [(0, 110)]),
    ],
)
def test_near_ranges_are_one(given, gap, merged):
    assert merge_ranges(given, gap) == merged


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_merged_ranges_hold_all_and_lie_further_apart_than_the_gap(gap):
    starts = itertools.combinations(range(12), 3)
    for given in ([(start, start + 1 + start % 3) for start in three] for three in starts):
        merged = merge_ranges(given, gap)
        assert all(any(a <= start and end <= b for a, b in merged) for start, end in given)
        assert all(after[0] - before[1] > gap for before, after in itertools.pairwise(merged))
        wanted = {byte for start, end in given for byte in range(start, end)}
        assert {a for a, _ in merged} | {b - 1 for _, b in merged} <= wanted


@pytest.mark.parametrize(
    ("start", "end", "longest"), [(0, 10, 3), (7, 8, 5), (0, 12, 4), (3, 3, 4)]
)
def test_a_cut_range_is_whole_and_in_short_pieces(start, end, longest):
    cuts = cut_range(start, end, longest)
    assert [cuts[0][0], cuts[-1][1]] == [start, end]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(cuts))
    assert all(b - a <= longest for a, b in cuts)
    assert len(cuts) == max(1, -(-(end - start) // longest))


def test_a_long_range_is_several_requests(server, monkeypatch):
    monkeypatch.setattr(ranges, "RANGE_BYTES", 3000)
    parts = read_ranges(ObjectStore(server.url), "x", [(100, 200), (240, 10_240)])
    assert parts == [DATA[100:200], DATA[240:]]
    assert sorted(server.requests) == [
        "GET /x 100-199",
        "GET /x 240-2739",
        "GET /x 2740-5239",
        "GET /x 5240-7739",
        "GET /x 7740-10239",
    ]


@pytest.mark.parametrize("fault", [{"status": 503}, {"is_cut": True}, {"status": 429}])
def test_a_request_that_fails_is_made_again(server, fault):
    server.fail("GET /x", times=ranges.TRIES - 1, **fault)
    assert ask(ObjectStore(server.url), "x", [(0, 5000)]) == [DATA[:5000]]
    assert len(server.requests) == ranges.TRIES


def test_a_server_that_stays_busy_is_one_line(server):
    server.fail("GET /x", status=503)
    with pytest.raises(ContractError, match=r"/x: .*\(HTTP 503\).*5 tries of up to 15 s") as caught:
        ask(ObjectStore(server.url), "x", [(0, 10), (20, 5020)])
    assert "for 2 ranges of up to 5,000 bytes" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slow_answer_is_given_up_and_asked_for_again(server, monkeypatch):
    monkeypatch.setattr(ranges, "SECONDS_OF_A_TRY", 1.0)
    server.fail("GET /x", times=1, seconds=20.0)
    assert ask(ObjectStore(server.url), "x", [(0, 10)]) == [DATA[:10]]


def test_a_stuck_server_is_told_in_seconds_and_bytes(server, monkeypatch):
    monkeypatch.setattr(ranges, "SECONDS_OF_A_TRY", 0.1)
    monkeypatch.setattr(ranges, "TRIES", 2)
    server.fail("GET /x", seconds=20.0)
    said = r"\(TimeoutError\).* 2 tries of up to 0 s for 1 ranges of up to 5,000 bytes"
    with pytest.raises(ContractError, match=said):
        ask(ObjectStore(server.url), "x", [(0, 5000)])


def test_refused_access_is_not_asked_for_again(server):
    server.fail("GET /x", status=403)
    with pytest.raises(ContractError, match="access refused"):
        ask(ObjectStore(server.url), "x", [(0, 10)])
    assert len(server.requests) == 1


def test_an_object_that_ends_early_gives_what_it_has_after_several_reads(server):
    assert read_ranges(ObjectStore(server.url), "x", [(10_000, 11_000)]) == [DATA[10_000:]]
    assert len(server.requests) == ranges.READS


def test_no_such_object_is_one_line(server):
    with pytest.raises(ContractError, match=r"/y: no such object; .* push it again"):
        ask(ObjectStore(server.url), "y", [(0, 10)])


def test_a_server_without_ranges_is_named(tmp_path):
    (tmp_path / "x").write_bytes(DATA)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *given):
            super().__init__(*given, directory=str(tmp_path))

        def log_message(self, *_):
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as plain:
        Thread(target=plain.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{plain.server_address[1]}"
        with pytest.raises(ContractError, match=r"/x: 11 bytes where 10 were asked for.*Range"):
            ask(ObjectStore(url), "x", [(0, 10)])
        plain.shutdown()
