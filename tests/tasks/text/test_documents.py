"""Pages out of every kind of file, and what is told of files that hold none."""

import bz2
import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.tables import Reject
from tasks.text.documents import Document, read_documents
from tasks.text.wikitext import HOLE, sections_of

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">
<page><title>Mill</title><ns>0</ns><id>1</id><revision><id>9</id><text>{text}</text></revision></page>
<page><title>Mills</title><ns>0</ns><id>2</id><redirect title="Mill"/><revision><text>#R</text></revision></page>
<page><title>Talk:Mill</title><ns>1</ns><id>3</id><revision><text>Hm.</text></revision></page>
</mediawiki>"""


def documents(path: Path) -> list[Document]:
    return list(read_documents(path))


def reason(document: Document) -> str:
    assert document.reject is not None
    return document.reject.reason


def test_a_text_file_is_a_page_in_sections(tmp_path: Path) -> None:
    path = tmp_path / "Water mill.txt"
    path.write_bytes("\ufeffOne.\r\nTwo.\r\n\r\n\r\nThree.".encode())
    assert documents(path) == [Document("0", "Water mill", ("One.\nTwo.", "Three."))]


def test_rows_of_jsonl_keep_their_own_licence_and_bad_lines_are_told(tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    rows = [
        {"id": 7, "title": "Mill", "text": "It grinds.", "licence": "CC0-1.0", "credit": "nobody"},
        ["no", "object"],
    ]
    lines = [json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join([lines[0], b"", b"{broken", b'{"text": "\xff"}', lines[1], b'{"text": 3}']) + b"\n")
    first, *bad = documents(path)
    assert first == Document("7", "Mill", ("It grinds.",), "", {"licence": "CC0-1.0", "credit": "nobody"})
    assert [(d.name, reason(d)) for d in bad] == [
        ("line 3", "not_json"),
        ("line 4", "not_utf8"),
        ("line 5", "no_text"),
        ("line 6", "no_text"),
    ]


def test_half_a_character_is_told_and_the_other_pages_are_read(tmp_path: Path) -> None:
    half = "\\ud83d"
    lines = [f'{{"text": "A {half} mill."}}', f'{{"text": "A mill.", "title": "{half}"}}', '{"text": "\\ud83d\\ude00"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert [d.reject and reason(d) for d in documents(tmp_path / "a.jsonl")] == ["not_utf8", "not_utf8", None]
    pages = f'{{"{half}": {{"extract": "A mill."}}, "Wheel": {{"extract": "A {half}"}}, '
    pages += '"Mill": {"extract": "It grinds."}}'
    (tmp_path / "a.json").write_text(pages)
    assert [d.reject and reason(d) for d in documents(tmp_path / "a.json")] == ["not_utf8", "not_utf8", None]
    for document in documents(tmp_path / "a.json"):
        document.name.encode()


def test_parquet_and_summaries_give_the_same_pages(tmp_path: Path) -> None:
    rows = [{"id": "Mill", "title": "Mill", "text": "It grinds.", "topic": "Technology"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps({"Mill": {"extract": "It grinds.", "topic": "Technology"}, "None": {}}))
    summary, none = documents(tmp_path / "a.json")
    assert documents(tmp_path / "a.parquet") == [summary]
    assert reason(none) == "no_text"


def test_rows_of_parquet_that_cannot_be_read_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    cells = pa.py_buffer(b"It grinds.\xff\xfe!")
    ends = pa.py_buffer(struct.pack("<3i", 0, 10, 13))
    texts = pa.Array.from_buffers(pa.string(), 2, [None, ends, cells])
    beyond = pa.array([1 << 62] * 2, pa.timestamp("us"))  # no date that Python knows
    pq.write_table(pa.table({"text": texts, "seen": beyond}), tmp_path / "a.parquet")
    good, bad = documents(tmp_path / "a.parquet")
    assert (good.sections, reason(bad)) == (("It grinds.",), "not_utf8")
    pq.write_table(pa.table({"text": ["It grinds."] * 2, "url": beyond}), tmp_path / "a.parquet")
    assert [reason(document) for document in documents(tmp_path / "a.parquet")] == ["no_text", "no_text"]


def test_ids_may_be_nought_and_what_is_not_a_number_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 0, "title": NaN, "text": "A mill."}\n{"id": 0, "text": "A wheel."}\n')
    assert [(d.name, d.title) for d in documents(tmp_path / "a.jsonl")] == [("0", ""), ("0", "")]


def test_titles_and_credits_are_one_line_without_controls(tmp_path: Path) -> None:
    odd = "\x1b]0;Mill\x07\r\n\u202ewheel"
    row = {"text": "A mill.", "title": odd, "topic": odd, "credit": odd}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    (tmp_path / "a.json").write_text(json.dumps({"a": {"extract": "A mill.", "title": odd, "topic": odd}}))
    (tmp_path / "a\nmill\x1b.txt").write_text("A mill.")
    for name in ("a.jsonl", "a.json"):
        (document,) = documents(tmp_path / name)
        assert {document.title, document.topic, *document.facts.values()} == {"]0;Mill wheel"}
    assert [document.title for document in documents(tmp_path / "a\nmill\x1b.txt")] == ["a mill"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"caf\xe9", "not_utf8"),
        ("a.json", b"[1, 2]", "not_json"),
        ("a.json", b"[" * 100_000, "not_json"),
        ("a.parquet", b"PAR1 and no more", "unreadable"),
        ("a.xml", b"<mediawiki><page>", "unreadable"),
        ("a.xml.bz2", b"BZh9 broken", "unreadable"),
        ("a.xml.bz2", bz2.compress(b"<mediawiki><page><ns>0</ns></page></mediawiki>" * 50)[:-20], "unreadable"),
        ("a.docx", b"PK", "unknown_format"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_told(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Reject) as caught:
        documents(tmp_path / name)
    assert caught.value.reason == expected


def test_a_parquet_file_without_text_names_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(Reject, match=r"no column 'text'.*body"):
        documents(tmp_path / "a.parquet")


def test_a_dump_gives_articles_and_says_what_the_other_pages_are(tmp_path: Path) -> None:
    for path, opened in ((tmp_path / "a.xml", open), (tmp_path / "a.xml.bz2", bz2.open)):
        with opened(path, "wb") as file:
            file.write(DUMP.format(text="A '''mill''' grinds [[grain|corn]].").encode())
        mill, mills, talk = documents(path)
        assert mill == Document("1", "Mill", ("A '''mill''' grinds [[grain|corn]].",), wikitext=True)
        assert (reason(mills), reason(talk)) == ("redirect", "no_article")


def test_wikitext_becomes_the_words_that_readers_see() -> None:
    text = (
        "{{Infobox mill|height=3}}[[File:Mill.jpg|thumb|A mill.]]A '''mill''' (&nbsp;{{IPA|x}}) is a "
        "[[machine|device]] to ''grind'' [[grain]].<ref>A book.</ref><!-- not seen --> It is "
        "{{convert|5|m}} tall.{{cn}}\n"
        "* a list\n{| class=x\n| a table\n|}\n\nIt has [http://x.invalid two wheels].\n"
        "== History ==\nThe mill of {{lang|fr|Moulin}} burnt.<br>It was rebuilt.\n== References ==\nA book.\n"
    )
    assert list(sections_of(text)) == [
        "A mill is a device to grind grain. It is 5 m tall.\n\nIt has two wheels.",
        "The mill of Moulin burnt.\n\nIt was rebuilt.",
    ]


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{convert|5|m|ft}}", "5 m"),
        ("{{convert|400|to|800|mm|in}}", "400 to 800 mm"),
        ("{{convert|60|-|70|km/h|abbr=on}}", "60\u201370 km/h"),
        ("{{convert|2|x|3|x|4|m}}", "2 by 3 by 4 m"),
        ("{{convert|7}}", "7"),
    ],
)
def test_a_quantity_is_shown_as_it_was_put_in(template: str, shown: str) -> None:
    assert list(sections_of(f"It measures {template}.")) == [f"It measures {shown}."]


def test_a_reference_by_name_shows_nothing() -> None:
    assert list(sections_of("A mill grinds.{{r|book|p=3}} It {{refn|not always}}turns.")) == [
        "A mill grinds. It turns."
    ]


def test_what_a_template_would_have_shown_is_marked_as_missing() -> None:
    assert list(sections_of("Its area is {{area of|mill}} and <math>x^2</math> more.")) == [
        f"Its area is {HOLE} and {HOLE} more."
    ]
