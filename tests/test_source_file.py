import gzip
import hashlib
import zlib

import pytest
from tiny_mimic import (
    ITEM,
    long_table,
    read_ingested,
    read_notes,
    write_table,
    write_tree,
)

from cxrfuture_data.schema import ContractError
from etl import ingest, source_file


def test_a_file_of_no_bytes_is_refused(tmp_path):
    params = write_tree(tmp_path, {}, ".csv")
    (tmp_path / "mimic-iv" / "icu" / "d_items.csv").write_bytes(b"")
    with pytest.raises(ContractError, match="empty, not even a header"):
        ingest.run(params)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_truncated_gzip_is_refused_wherever_it_is_cut(tmp_path, kept):
    params = write_tree(tmp_path, {})
    path = tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz"
    whole = gzip.compress(long_table(4000).encode())
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ContractError, match=r"chartevents\.csv\.gz: truncated gzip"):
        ingest.run(params)
    assert not params.build("ingest", "chartevents.parquet").exists()


@pytest.mark.parametrize("lost", [1, 4, 8])
def test_a_gzip_without_its_last_bytes_is_refused(tmp_path, lost):
    """All data is there, only the checksum or the length is cut."""
    params = write_tree(tmp_path, {})
    path = tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz"
    path.write_bytes(gzip.compress(long_table(10).encode())[:-lost])
    with pytest.raises(ContractError, match="truncated gzip"):
        ingest.run(params)


def test_a_gzip_cut_between_two_blocks_is_refused(tmp_path):
    """At a full flush both halves are whole lines and a whole deflate block."""
    params = write_tree(tmp_path, {})
    text = long_table(1000).encode()
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    half = packer.compress(text[: text.index(b"\n", 20000) + 1]) + packer.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz").write_bytes(half)
    with pytest.raises(ContractError, match="truncated gzip"):
        ingest.run(params)


@pytest.mark.parametrize("at", [0.5, -6])  # in the data; in the checksum
def test_a_damaged_gzip_is_refused(tmp_path, at):
    params = write_tree(tmp_path, {})
    path = tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz"
    data = bytearray(gzip.compress(long_table(4000).encode()))
    data[int(len(data) * at) if at > 0 else at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ContractError, match="damaged gzip"):
        ingest.run(params)


def test_a_gzip_of_two_members_and_padding_is_read_whole(tmp_path):
    params = write_tree(tmp_path, {})
    lines = long_table(100).encode()
    cut = lines.index(b"\n", 1000) + 1
    members = gzip.compress(lines[:cut]) + gzip.compress(lines[cut:]) + b"\0" * 512
    (tmp_path / "mimic-iv" / "icu" / "chartevents.csv.gz").write_bytes(members)
    ingest.run(params)
    assert read_ingested(params, "chartevents").height == 100


def test_a_file_that_is_not_the_one_of_the_checksums_is_refused(tmp_path):
    params = write_tree(tmp_path, {"d_items": [ITEM]})
    root = tmp_path / "mimic-iv"
    right = hashlib.sha256((root / "icu" / "d_items.csv.gz").read_bytes()).hexdigest()
    (root / "SHA256SUMS.txt").write_text(f"{right} icu/d_items.csv.gz\n")
    ingest.run(params)
    write_table(root, "d_items", [ITEM | {"label": "Pulse"}])
    with pytest.raises(ContractError, match=r"d_items\.csv\.gz: not the file that SHA256SUMS"):
        ingest.run(params)


def test_byte_order_mark_crlf_blank_lines_and_a_missing_last_line_end_are_read(tmp_path):
    params = write_tree(tmp_path, {}, ".csv")
    path = tmp_path / "mimic-iv" / "hosp" / "d_labitems.csv"
    path.write_bytes(b"\xef\xbb\xbfitemid,label,fluid,category\r\n1,A,,\r\n\r\n2,B,,x")
    ingest.run(params)
    assert read_ingested(params, "d_labitems").rows() == [(1, "A", None, None), (2, "B", None, "x")]
    assert read_notes(params, "d_labitems") == {"last line without an end": 1}


def test_a_csv_that_ends_inside_a_quoted_field_is_refused(tmp_path):
    params = write_tree(tmp_path, {}, ".csv")
    path = tmp_path / "mimic-iv" / "hosp" / "d_labitems.csv"
    path.write_text('itemid,label,fluid,category\n1,"Calcium, fr')
    with pytest.raises(ContractError, match="ends inside a quoted field"):
        ingest.run(params)


def test_a_field_of_megabytes_is_read(tmp_path):
    comment = "line\n" * 600_000
    params = write_tree(tmp_path, {"labevents": [{"subject_id": 1, "comments": comment}]})
    ingest.run(params)
    assert read_ingested(params, "labevents")["comments"][0] == comment


@pytest.mark.parametrize("block_bytes", [1, 10, 64, 1000])
def test_blocks_end_where_records_end(tmp_path, monkeypatch, block_bytes):
    """Whatever the size of blocks: quoted line ends and doubled quotes do not split a record."""
    monkeypatch.setattr(source_file, "READ_BYTES", 7)
    path = tmp_path / "x.csv"
    records = [b'1,"a\nb"\n', b'2,"say ""\n"""\n', b"3,plain\n", b'4,"\n\n"\n']
    path.write_bytes(b"".join(records))
    blocks = list(source_file.SourceFile(path).blocks(block_bytes))
    assert b"".join(blocks) == b"".join(records)
    ends = {len(b"".join(records[:count])) for count in range(len(records) + 1)}
    at = 0
    for block in blocks:
        at += len(block)
        assert at in ends
