"""Lexicons: the same entries from every format, what counts as one entry, and the message for every damage."""

import gzip
import lzma
from pathlib import Path

import pyarrow
import pytest

from lingraft.errors import TextError
from lingraft.text.lexicon import read_lexicon, write_lexicon, write_lines

ENTRIES = [("dog", "Hund", 1.0), ("dog", "Rüde", 1.0), ("ice cream", "Eis", 1.0)]
TSV = "dog\tHund\ndog\tRüde\nice cream\tEis\n".encode()

TEI = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE TEI SYSTEM "freedict-P5.dtd">
<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><title>no <q>entry</q></title></teiHeader><text><body>
<entry><form><orth>dog</orth><pron>dɒg</pron></form><form type="infl"><orth>dogs</orth></form>
  <sense n="1"><cit type="trans"><quote>Hund</quote><gramGrp><gen>m</gen></gramGrp></cit>
    <cit type="example"><quote>the dog barks</quote><cit type="trans"><quote>der Hund bellt</quote></cit></cit></sense>
  <sense n="2"><sense><cit type="translation"><quote>R&#252;de</quote></cit><def>no translation</def></sense></sense></entry>
<entry><form><orth>ice
  cream</orth></form><sense><cit type="trans"><quote>Eis</quote></cit><cit type="trans"><quote> </quote></cit></sense></entry>
<entry><form><orth>empty</orth></form></entry>
</body></text></TEI>
"""
P4 = """<TEI.2><text><body>
<entry><form><orth>dog</orth></form><trans><tr>Hund</tr></trans><trans><tr>Rüde</tr></trans>
<eg><q>a dog</q><trans><tr>ein Hund</tr></trans></eg></entry>
<entry><form><orth>ice cream</orth></form><sense><trans><tr>Eis</tr></trans></sense></entry></body></text></TEI.2>"""

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def in_base64(value: int) -> str:
    digits = ""
    while value or not digits:
        value, digit = divmod(value, 64)
        digits = BASE64[digit] + digits
    return digits


def write_dictd(folder: Path, articles: list[tuple[str, str]], packed: bool) -> Path:
    data, index = b"", ""
    for head, article in articles:
        index += f"{head}\t{in_base64(len(data))}\t{in_base64(len(article.encode()))}\n"
        data += article.encode()
    (folder / ("x.dict.dz" if packed else "x.dict")).write_bytes(gzip.compress(data) if packed else data)
    (folder / "x.index").write_text(index, encoding="utf-8")
    return folder / "x.index"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.tsv", TSV),
        ("x", b"\xef\xbb\xbf" + TSV.replace(b"\n", b"\r\n") + b"\r\n \n"),
        ("x.tsv", b"dog\tHund\t1\ndog\tR\xc3\xbcde\t1.0\nice cream \t Eis\t1e0\n"),
        ("x.tsv.gz", gzip.compress(TSV)),
        ("x.tsv.xz", lzma.compress(TSV)),
        ("x.tsv.zst", pyarrow.compress(TSV, "zstd", asbytes=True)),
        ("x.tei", TEI.encode()),
        ("x", TEI.encode()),
        ("x.tei.xz", lzma.compress(TEI.encode())),
        ("x.xml", P4.encode()),
        ("x.txt", P4.encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # gzip's bytes hold the time: every process would name the case otherwise
)
def test_every_format_gives_the_same_entries(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert read_lexicon(tmp_path / name) == read_lexicon(str(tmp_path / name)) == ENTRIES


def test_muse(tmp_path: Path) -> None:
    (tmp_path / "en-de.0-5000.txt").write_text("dog hund\nthe\tdie\ncat   katze\nNew\u00a0York ニューヨーク\n", encoding="utf-8")
    found = [("dog", "hund", 1), ("the", "die", 1), ("cat", "katze", 1), ("New\u00a0York", "ニューヨーク", 1)]
    assert read_lexicon(tmp_path / "en-de.0-5000.txt") == found


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("named", ["x.index", "x.dict"])
def test_dictd(tmp_path: Path, packed: bool, named: str) -> None:
    articles = [
        ("00databaseshort", "00-database-short\n     English-German\n"),
        ("dog", 'dog /dɒg/ <n, sg>\n1. Hund [zool.] <m>\n     "the dog" - der Hund\n 2. Rüde; Hund (male, of a dog)\n'),
        ("ice cream", "ice cream /aɪs/\n\n Eis {n}, Eiskrem, \n see: sundae\n" + "x" * 5000),
        ("last monday", "last Monday //lɑːst// <adv>\nletzten Montag 2.\n km/h\n"),
        ("nothing", "nothing /x/\n"),
        ("", "\n"),
    ]
    write_dictd(tmp_path, articles, packed)
    found = [("dog", "Hund"), ("dog", "Rüde"), ("ice cream", "Eis"), ("ice cream", "Eiskrem"), ("last Monday", "letzten Montag")]
    path = tmp_path / (named + ".dz" if packed and named == "x.dict" else named)
    assert read_lexicon(path) == [(*pair, 1.0) for pair in found]


@pytest.mark.parametrize(
    ("pairs", "kept"),
    [
        ("a b|a b|a c", "a b|a c"),
        ("dog hund|Dog Hund|DOG hund|dog Hund", "dog hund"),
        ("Dog Hund|dog Hund", "dog Hund"),
        ("dog Hund|dog hund", "dog hund"),
        ("Dog Hund|DOG Hund", "Dog Hund|DOG Hund"),
        ("Polish Polnisch|polish polieren", "Polish Polnisch|polish polieren"),
        ("DOG hund|dog Hund", "DOG hund|dog Hund"),
    ],
)
def test_a_pair_counts_once_and_not_once_per_letter_case(tmp_path: Path, pairs: str, kept: str) -> None:
    (tmp_path / "x.txt").write_text(pairs.replace("|", "\n"), encoding="utf-8")
    assert [f"{source} {target}" for source, target, _ in read_lexicon(tmp_path / "x.txt")] == kept.split("|")


def test_scores_are_kept_the_highest_of_a_pair(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("a\tb\t0.25\nc\td\t3\na\tb\t0.5\nc\td\t2\ne\tf\n", encoding="utf-8")
    assert read_lexicon(tmp_path / "x.tsv") == [("a", "b", 0.5), ("c", "d", 3.0), ("e", "f", 1.0)]


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz", "deeper/x.tsv"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    entries = [*ENTRIES, ("Straße", "улица", 0.1), ("a\u00a0b", "c\u2028d", 1 / 3)]
    write_lexicon(tmp_path / name, entries)
    assert read_lexicon(tmp_path / name) == entries
    before = (tmp_path / name).read_bytes()
    write_lexicon(tmp_path / name, entries)
    assert (tmp_path / name).read_bytes() == before


def test_what_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    write_lexicon(path, ENTRIES)
    with pytest.raises(ValueError, match="unpack"):
        write_lexicon(path, [*ENTRIES, ("one",)])  # type: ignore[list-item]
    assert read_lexicon(path) == ENTRIES and list(tmp_path.iterdir()) == [path]
    with pytest.raises(TextError, match=r"\.zst are read, but not written"):
        write_lines(tmp_path / "x.zst", [])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.tsv", b"a\tb\nalone\n", "x.tsv, line 2 has one column: 'alone'. An entry is a line with source, a tab, target"),
        ("x.tsv", b"a\tb\n\na\t\n", "x.tsv, line 3 has one column: 'a'"),
        ("x.tsv", b"a\tb\n\tb\n", "x.tsv, line 2 has no source and target"),
        ("x.txt", b"ice cream Eis\n", "x.txt, line 1 has no source and target: 'ice cream Eis'"),
        ("x.tsv", b"a\tb\tc\td\n", "x.tsv, line 1 has no source and target"),
        ("x.tsv", b"a\tb\tnoun\n", "x.tsv, line 1: the score 'noun' is not a number from 0 up"),
        ("x.tsv", b"a\tb\t-1\n", "x.tsv, line 1: the score '-1' is not a number from 0 up"),
        ("x.tsv", b"a\tb\tnan\n", "the score 'nan' is not a number"),
        ("x.tsv", b"a\tb\nStra\xdfe\tstreet\n", "x.tsv, line 2 is not valid UTF-8. Convert the file"),
        ("x.tsv", b"a\0b\n", "x.tsv has NUL bytes"),
        ("x.tsv", b"\n", "x.tsv has no entries"),
        ("x.tsv.gz", b"plain", "cannot be read.*damaged or incomplete, or have the wrong ending"),
        ("x.tei", TEI.encode()[:700], r"x.tei, line \d+: not XML .*damaged or incomplete"),
        ("x.tei", TEI.replace("dɒg", "&eacute;").encode(), r"x.tei, line 4: not XML \(undefined entity"),
        ("x.tei", b"<TEI/>", "x.tei has no entries"),
        ("x.index", b"dog\tA\tB\n", "There is no file .*x.dict'"),
    ],
)
def test_damage_is_said_with_its_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TextError, match=message):
        read_lexicon(tmp_path / name)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"There is no file .*x\.tsv"):
        read_lexicon(tmp_path / "x.tsv")


def test_nothing_is_fetched_by_xml(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    doctype = f'<!DOCTYPE TEI [<!ENTITY out SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    text = f"{doctype}<TEI><entry><form><orth>a</orth></form><cit type='trans'><quote>b&out;</quote></cit></entry></TEI>"
    (tmp_path / "x.tei").write_text(text, encoding="utf-8")
    with pytest.raises(TextError, match="undefined entity"):
        read_lexicon(tmp_path / "x.tei")


@pytest.mark.parametrize("index", ["dog\tA\n", "dog\tA\t!\n", "dog only\n"])
def test_damaged_dictd(tmp_path: Path, index: str) -> None:
    write_dictd(tmp_path, [("dog", "dog\nHund\n")], packed=True)
    (tmp_path / "x.index").write_text("dog\tA\tJ\n" + index, encoding="utf-8")
    with pytest.raises(TextError, match=r"x\.index, line 2 does not fit .*x\.dict\.dz"):
        read_lexicon(tmp_path / "x.index")
