"""Numbers and words that look like MIMIC's ids, in a context that makes it likely.

A bare number of eight digits is no finding: it may be a count, a size or a date. It becomes one
where a column is named beside it, where two kinds of id stand together, where many stand in a row,
or beside a date of MIMIC's shifted years. No id is ever part of what is said.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from etl.guard_hit import Hit, line_at

CLASSES = {1: "subject_id", 2: "hadm_id", 3: "stay_id", 5: "study_id"}  # by the first digit
LOWEST_REAL = 14
"""mimic-code's load.sql gives 10000032, 20000019, 30000153 as the lowest; nobody is 10000001."""
PUBLISHED = frozenset(
    (
        # The example of a folder on MIMIC-CXR's own public page (physionet.org/content/mimic-cxr).
        *("10000032", "50414267", "53189527", "53911762", "56699142"),
        "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014",
        "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962",
        "2a2277a9-b0ded155-c0de8eb9-c124d10e-82c5caab",
        "e084de3b-be89b11e-20fe3f9f-9c8d8dfe-4cfd202c",
        "68b5c4b1-227d0485-9cc38c3f-7b84ab51-4b472714",
        "fffabebf-74fd3a1f-673b6b41-96ec0ac9-2ab69818",
        "ea030e7a-2e3b1346-bc518786-7a8fd698-f673b44c",
    )
)

NUMBERS_READ = 4000  # of one text: what leaks tables, leaks them at once
COLUMN_REACH = 4000  # bytes from a column's name to its numbers, outside tables
DATE_REACH = 120
PAIR_REACH = 60
PAIRS, TRIPLES, LISTED, NAMED_NEARBY = 3, 1, 5, 3  # so many make a finding

# What may stand before is asked after the first sign: re finds a sign of a set ten times as fast.
_NUMBER = re.compile(rb"([1235](?<![0-9A-Za-z.].)\d{7})(?:\.0)?(?![0-9A-Za-z]|\.\d)")
_PREFIXED = re.compile(rb"[ps](?<![0-9A-Za-z].)(?:(?<=p)1|(?<=s)5)\d{7}(?![0-9A-Za-z])")
_DICOM = re.compile(rb"[0-9a-f](?<![0-9a-z-].)[0-9a-f]{7}(?:-[0-9a-f]{8}){4}(?![0-9a-z-])")
_NAMED = re.compile(
    rb"(?i)(?<![a-z])(?:(subject|patient)|(hadm|admission)|(stay|icustay|episode)|(study))"
    rb"(?:s?[_ -]?ids?)?[\"'\])]{0,3}\s{0,3}(?:==|!=|<-|:=|=|:|,|in\b|is\b|\.isin|\.eq)?"
    rb"\s{0,3}[\[({\"']{0,3}([1235]\d{7})(?:\.0)?(?![0-9A-Za-z]|\.\d)"
)
_NAMED_CLASSES = (1, 2, 3, 5)  # of the groups above, in their order
COLUMN = re.compile(
    rb"(?i)(?<![a-z0-9])(?:(subject_id)|(hadm_id)|(stay_id|icustay_id)|(study_id)|dicom_id)(?![a-z0-9])"
)
_SHIFTED_DATE = re.compile(
    rb"2(?<!\d.)(?:1\d\d|200)([-/]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?![\d-])"
)
_TAG = re.compile(rb"<[^<>]{0,200}>")
_WORD = re.compile(rb"[A-Za-z]{3}")
_BETWEEN_LISTED = re.compile(rb"[\s,;|'\"\[\]()]{1,16}")
_BETWEEN_ROWS = re.compile(rb"[^A-Za-z\n]{0,16}\r?\n")
_NOTE = re.compile(rb"FINAL REPORT|Unit No:\s+___|Admission Date:\s+___")
_NOTE_PARTS = (b"FINDINGS:", b"IMPRESSION:", b"INDICATION:", b"History of Present Illness:")


@dataclass(frozen=True)
class Number:
    """A number of eight digits in a text: its place, its class, and the digits."""

    start: int
    end: int
    first: int
    digits: bytes


def find_ids(
    text: bytes, allowed: frozenset[str], *, named_nearby: int = NAMED_NEARBY
) -> Iterator[Hit]:
    """Ids in a text, one hit a reason. ``named_nearby``: so many distinct numbers below the name
    of their column are a finding; 0: none are, for columns are looked at elsewhere."""
    marked = list(_marked(text, allowed))
    yield from marked
    numbers = list(islice(_numbers(text, allowed), NUMBERS_READ))
    if numbers and not marked:
        found = _in_context(text, numbers, named_nearby)
        if found is not None:
            yield found


def find_note(text: bytes) -> Iterator[Hit]:
    """The headings of the release's notes around what was blanked out."""
    note = _NOTE.search(text)
    if note and text.count(b"___") >= 2 and any(part in text for part in _NOTE_PARTS):
        yield Hit(kind="note", what="looks like a clinical note", line=line_at(text, note.start()))


def find_names(data: bytes, allowed: frozenset[str]) -> str | None:
    """What in a file of data speaks of MIMIC: names of columns, films, folders."""
    names = {match.group().lower().decode() for match in islice(COLUMN.finditer(data), 1000)}
    if len(names) > 1 or (names and names <= {"subject_id", "hadm_id", "dicom_id"}):
        return f"columns {', '.join(sorted(names))}"
    return find_marked(data, allowed)


def find_marked(data: bytes, allowed: frozenset[str]) -> str | None:
    """Ids in a file that is no text, whose own form says what they are."""
    for pattern, what in ((_DICOM, "a dicom_id"), (_PREFIXED, "names of MIMIC-CXR's folders")):
        if any(_is_real(match.group(), allowed) for match in pattern.finditer(data)):
            return what
    return None


def is_id(digits: str, allowed: frozenset[str]) -> bool:
    """A number that may be a patient's: of eight digits, nobody's placeholder, not published."""
    return bool(re.fullmatch(r"[1235]\d{7}", digits)) and _is_real(digits.encode(), allowed)


def _is_real(word: bytes, allowed: frozenset[str]) -> bool:
    """Neither allowed, nor published, nor below the lowest id that was ever given."""
    text = word.decode().lstrip("ps") if len(word) < 10 else word.decode()
    if text in PUBLISHED or text in allowed:
        return False
    return len(text) != 8 or int(text[1:]) >= LOWEST_REAL


def _marked(text: bytes, allowed: frozenset[str]) -> Iterator[Hit]:
    """Ids whose own form or whose neighbour says what they are: one is enough."""
    for pattern, what in ((_PREFIXED, "folder of MIMIC-CXR"), (_DICOM, "dicom_id of MIMIC-CXR")):
        real = [
            match.start() for match in pattern.finditer(text) if _is_real(match.group(), allowed)
        ]
        if real:
            yield Hit(kind="id", what=_counted(len(real), what), line=line_at(text, real[0]))
    named = []
    for match in _NAMED.finditer(text):
        group = match.lastindex or 0
        wanted = next(n for n, value in enumerate(match.groups()[:4]) if value)
        digits = match.group(group)
        if int(digits[:1]) == _NAMED_CLASSES[wanted] and _is_real(digits, allowed):
            named.append((match.start(group), CLASSES[_NAMED_CLASSES[wanted]]))
    if named:
        what = _counted(len(named), f"number named as {named[0][1]}")
        yield Hit(kind="id", what=what, line=line_at(text, named[0][0]))


def _numbers(text: bytes, allowed: frozenset[str]) -> Iterator[Number]:
    for match in _NUMBER.finditer(text):
        digits = match.group(1)
        if digits.endswith(b"000") or not _is_real(digits, allowed) or _is_date(digits):
            continue
        yield Number(match.start(), match.end(), int(digits[:1]), digits)


def _is_date(digits: bytes) -> bool:
    """YYYYMMDD of 1900 to 2200, which are classes 1 and 2."""
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    return 1900 <= year <= 2200 and 1 <= month <= 12 and 1 <= day <= 31


def _in_context(text: bytes, numbers: list[Number], enough: int) -> Hit | None:
    """The strongest reason to take numbers for ids."""
    return (
        _near_dates(text, numbers)
        or (_below_column(text, numbers, enough) if enough else None)
        or _side_by_side(text, numbers)
        or _listed(text, numbers)
    )


def _near_dates(text: bytes, numbers: list[Number]) -> Hit | None:
    near, written_as_numbers = [], 0
    for number in numbers:
        start, end = max(0, number.start - DATE_REACH), number.end + DATE_REACH
        date = _SHIFTED_DATE.search(text, start, end)
        if date is not None:
            near.append(number)
            written_as_numbers += not date.group(1)
    if not near:
        return None
    if written_as_numbers == len(near) and b"studydate" not in text.lower():  # it may be a code
        return None
    what = f"{_counted(len(near), 'number like an id')} beside dates of MIMIC's years 2100 to 2200"
    return Hit(kind="id", what=what, line=line_at(text, near[0].start))


def _below_column(text: bytes, numbers: list[Number], enough: int) -> Hit | None:
    """Numbers of a class after the name of its column."""
    for group, first in enumerate(CLASSES, start=1):
        names = [match.end() for match in COLUMN.finditer(text) if match.group(group)]
        if not names:
            continue
        below = [
            number
            for number in numbers
            if number.first == first
            and any(0 <= number.start - end < COLUMN_REACH for end in names[:50])
        ]
        if len({number.digits for number in below}) >= enough:
            what = f"{_counted(len(below), 'number')} below {CLASSES[first]}"
            return Hit(kind="id", what=what, line=line_at(text, below[0].start))
    return None


def _side_by_side(text: bytes, numbers: list[Number]) -> Hit | None:
    """A subject's number beside a stay's or study's, with nothing like a sentence between."""
    pairs = [
        (one, other)
        for one, other in pairwise(numbers)
        if one.first != other.first
        and 1 in {one.first, other.first}
        and other.start - one.end <= PAIR_REACH
        and not _WORD.search(_TAG.sub(b" ", text[one.end : other.start]))
    ]
    triples = [
        pair
        for pair, third in zip(numbers, numbers[2:], strict=False)
        if len({pair.first, third.first}) == 2 and third.start - pair.end <= 2 * PAIR_REACH
    ]
    starts = {one.start for one, _ in pairs}
    full = [number for number in triples if number.start in starts]
    if len(pairs) < PAIRS and len(full) < TRIPLES:
        return None
    what = f"{_counted(len(pairs), 'pair')} of numbers like subject_id and another id"
    return Hit(kind="id", what=what, line=line_at(text, pairs[0][0].start))


def _listed(text: bytes, numbers: list[Number]) -> Hit | None:
    """Numbers of one class that follow each other as in a list, or begin line after line."""
    run: list[Number] = []
    for number in numbers:
        follows = (
            bool(run)
            and run[-1].first == number.first
            and number.start - run[-1].end <= 16
            and (
                _BETWEEN_LISTED.fullmatch(text, run[-1].end, number.start)
                or _BETWEEN_ROWS.fullmatch(text, run[-1].end, number.start)
            )
        )
        run = [*run, number] if follows else [number]
        if len({one.digits for one in run}) >= LISTED:
            what = f"a list of numbers like {CLASSES[number.first]}"
            return Hit(kind="id", what=what, line=line_at(text, run[0].start))
    return None


def _counted(count: int, what: str) -> str:
    return f"a {what}" if count == 1 else f"{count:,} times a {what}"
