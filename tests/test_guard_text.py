"""Ids, notes and credentials in text. Numbers are written with underscores and secrets in pieces,
so that the guard passes this very file."""

import time

import pytest

from etl.guard_csv import find_in_table
from etl.guard_file import find_in_file
from etl.guard_id import find_ids, find_note
from etl.guard_secret import RULES, find_secret_file, find_secrets
from etl.guard_table import Content

SUBJECT, HADM, STAY, STUDY = 12_345_678, 23_456_789, 34_567_891, 56_789_123
DICOM = "-".join(["1a2b3c4d"] * 5)
NOTHING = frozenset()


def ids(text, **options):
    return [hit for hit in find_ids(text.encode(), NOTHING, **options)]


LEAKS = {
    "a folder": f"files/p12/p{SUBJECT}/s{STUDY}/film.jpg",
    "a report": f"see s{STUDY}.txt",
    "a film": f"{DICOM}.jpg",
    "a condition": f"df[df.subject_id == {SUBJECT}]",
    "a query": f"WHERE hadm_id IN ({HADM}, 1)",
    "a dictionary": f'{{"stay_id": {STAY}}}',
    "words": f"patient {SUBJECT} has two studies",
    "a printed float": f"stay_id={STAY}.0",
    "an episode": f"episode{STAY}_timeseries.csv",
    "a date": f"{SUBJECT} came on 2157-03-04 11:00:00",
    "a list": "ids = [" + ", ".join(str(SUBJECT + 7 * i) for i in range(6)) + "]",
    "a list by lines": "\n".join(f"{SUBJECT + 7 * i},{i % 2}" for i in range(6)),
    "pairs": "\n".join(f"{SUBJECT + 7 * i}\t{STUDY + 9 * i}\t0.5" for i in range(3)),
    "three kinds together": f"{SUBJECT} {HADM} {STAY}",
    "a table in HTML": "".join(
        f"<tr><td>{SUBJECT + 7 * i}</td>\n<td>{HADM + 9 * i}</td></tr>\n" for i in range(3)
    ),
}


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_ids_are_found_and_never_repeated(text):
    hits = ids(text)
    assert hits
    for hit in hits:
        for secret in (SUBJECT, HADM, STAY, STUDY, DICOM):
            assert str(secret) not in hit.what


INNOCENT = {
    "a count": f"prescriptions: {SUBJECT}",
    "two counts": f"emar {SUBJECT}\nlabs {HADM}",
    "sizes": f"{SUBJECT} bytes of {HADM} bytes",
    "dates": "20240101, 20240102, 20240103, 20240104, 20240105, 20240106",
    "a fraction": f"0.{SUBJECT} 1.{HADM} {SUBJECT}.25",
    "a hash": f"ab{SUBJECT}cd{HADM}ef",
    "a longer number": f"{SUBJECT}0 {HADM}0",
    "round numbers": "[10000000, 11000000, 12000000, 13000000, 14000000]",
    "placeholders": "subject_id == 10000001 and hadm_id == 20000002",
    "the public page": "p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.dcm",
    "a uuid": "123e4567-e89b-12d3-a456-426614174000",
    "another class": f"subject_id == {HADM}",
    "a column alone": "SELECT subject_id, hadm_id, dicom_id FROM film",
    "codes like dates": "\n".join(f'"{SUBJECT + i}": "2149080{i}",' for i in range(1, 9)),
}  # fmt: skip


@pytest.mark.parametrize("text", INNOCENT.values(), ids=INNOCENT)
def test_what_is_no_id_is_passed(text):
    assert ids(text) == []


def test_a_column_is_enough_in_an_output_but_not_in_prose():
    text = f"subject_id\n0  {SUBJECT}\n"
    assert ids(text) == []
    assert [hit.line for hit in ids(text, named_nearby=1)] == [2]


def test_allowed_values_are_passed():
    text = f"subject_id == {SUBJECT}".encode()
    assert list(find_ids(text, NOTHING))
    assert list(find_ids(text, frozenset([str(SUBJECT)]))) == []


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_table_s_columns_are_read(delimiter):
    rows = [["", "subject_id", "x0_study_id", "value"], ["0", SUBJECT, f"{STUDY}.0", HADM]]
    text = "\r\n".join(delimiter.join(map(str, row)) for row in rows)
    (hit,) = find_in_table(text.encode(), NOTHING)
    assert (hit.line, hit.what) == (2, "a table with ids in subject_id, x0_study_id")


def test_a_column_of_that_name_with_other_numbers_is_passed():
    # Mappings of vocabularies (SSSOM) have a subject_id, and codes of eight digits elsewhere.
    rows = "\n".join(f"mimic:22426{i},PICC,{SUBJECT + i}" for i in range(9))
    assert list(find_in_table(f"subject_id,label,code\n{rows}".encode(), NOTHING)) == []


@pytest.mark.parametrize("text", [b"", b"\n", b"subject_id", b"subject_id\n\n", b'"', b"\0,\0\n\0"])
def test_odd_tables_are_passed(text):
    assert list(find_in_table(text, NOTHING)) == []


def test_a_note_is_found_by_its_headings():
    note = (
        b"FINAL"
        + b" REPORT\n EXAMINATION: CHEST\n\nINDICATION: ___ year old\nIMPRESSION: ___ clear"
    )
    assert [hit.kind for hit in find_note(note)] == ["note"]
    assert list(find_note(note.replace(b"___", b"ten"))) == []


FILLER = "aB3dE5gH7" * 5
SECRETS = {
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "AWS key id": "AKIA" + "ABCDEFGHIJ234567",
    "AWS secret": "aws_secret_access_key = " + "a1B2/" * 8,
    "Azure": "DefaultEndpointsProtocol=https;AccountKey=" + "a1B2" * 21 + "ab==",
    "Hugging Face": "token: hf_" + FILLER[:34],
    "OpenAI": "OpenAI(api_key='sk-" + "proj-" + FILLER + "')",
    "wandb": "wandb.login(key='" + "0123456789abcdef" * 2 + "01234567')",
    "Google": "AIza" + FILLER[:35],
    "GitHub": "ghp" + "_" + FILLER[:36],
    "GitLab": "glpat" + "-" + FILLER[:20],
    "Slack": "xoxb" + "-1234567890-" + FILLER[:10],
    "URL": "postgresql://me:" + "Xk29!pq@db.hospital.org/mimic",
    "wget": "wget -r --user me --password" + "=Xk29pq https://physionet.org/files/mimiciv/3.1/",
    "wget apart": "wget -r --user me --password" + " letmein https://physionet.org/",
    "curl": "curl -u me:" + "Xk29pq! https://physionet.org/",
    "netrc": "machine physionet.org login me pass" + "word Xk29pq",
    "PGPASSWORD": "PGPASS" + "WORD=Xk29pqrs psql",
    "an environment": "export PHYSIONET_PASS" + "WORD='Xk29pqrs!'",
    "a compose file": "  POSTGRES_PASS" + 'WORD: "Xk29pqrs"',
    "a literal": "pass" + "word = 'Xk29 pq'.strip() or pass" + "word='Xk29pqrs'",
    "a setting": '"api' + '_key": "' + FILLER[:20] + '"',
}


@pytest.mark.parametrize("line", SECRETS.values(), ids=SECRETS)
def test_a_credential_is_found_and_never_shown(line):
    hits = list(find_secrets(f"first\n{line}\nlast".encode(), NOTHING))
    assert [(hit.kind, hit.line) for hit in hits] == [("credential", 2)]
    for part in (FILLER[:6], "Xk29", "letmein", "0123456789", "a1B2", "ABCDEFGH"):
        assert part not in hits[0].what


def test_every_rule_is_provoked():
    found = [hit.what for line in SECRETS.values() for hit in find_secrets(line.encode(), NOTHING)]
    for rule in RULES:
        assert any(what.startswith(rule.what) for what in found), rule.what


HARMLESS = (
    'wget --user "$PHYSIONET_USERNAME" --ask-password --base=https://physionet.org/',
    "postgresql://user:password@host/db",
    "postgresql://me:$PGPASSWORD@host/db",
    "https://${USER}:${TOKEN}@host/",
    "http://localhost:8080/a@b",
    "PGPASSWORD=",
    "export OPENAI_API_KEY=your-key-here",
    "api_key=os.environ[name]",
    "api_key_env: OPENAI_API_KEY",
    'password = "********"',
    "HF_TOKEN=<your token>",
    "hf_hub_download(repo_id='a/b', filename='config.json')",
    "sk-learn and task-specific-embedding-layers-of-a-model",
    "git clone git@github.com:owner/name",
    "def login(password: str, token: str | None = None) -> None:",
    "tokenizer.pad_token = tokenizer.eos_token",
)


@pytest.mark.parametrize("line", HARMLESS)
def test_examples_and_code_are_no_credentials(line):
    assert list(find_secrets(line.encode(), NOTHING)) == []


def test_a_dummy_password_may_be_allowed():
    line = SECRETS["URL"].encode()
    assert list(find_secrets(line, frozenset(["Xk29!pq"]))) == []


@pytest.mark.parametrize("path", [".netrc", "home/.pgpass", ".env", "kaggle.json", "a/id_ed25519"])
def test_files_of_passwords_are_told_by_their_name(path):
    assert [hit.kind for hit in find_secret_file(path)] == ["credential"]
    assert list(find_secret_file(path + ".md")) == []


@pytest.mark.parametrize(
    "name", [f"p12/p{SUBJECT}/s{STUDY}/a.txt", f"out/episode{STAY}_timeseries.csv", f"{DICOM}.txt"]
)
def test_the_name_of_a_file_may_be_the_leak(name):
    hits = list(find_in_file(name, Content.of(b"nothing"), NOTHING))
    assert [(hit.kind, hit.line) for hit in hits][:1] == [("id", 0)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "cp1252"])
def test_text_is_read_in_any_encoding(encoding):
    text = f"Zurück: subject_id == {SUBJECT}".encode(encoding)
    assert [hit.kind for hit in find_in_file("a.txt", Content.of(text), NOTHING)] == ["id"]


def test_no_text_takes_long():
    # Rules must not go back and forth in long lines; where they do, it takes hours.
    started = time.monotonic()
    for piece in (b"a" * 100, b"_A" * 50, b"subject_id ", b"://a:", b"1234567,", b"iVBORw0KGgo "):
        list(find_in_file("a.md", Content.of(piece * (400_000 // len(piece))), NOTHING))
    assert time.monotonic() - started < 10
