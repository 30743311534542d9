"""Wikipedia dumps: what a reader of an article sees as running text, and nothing else."""

import bz2
from pathlib import Path

import pytest

from lingraft.errors import TextError
from lingraft.text.corpus import TextSettings, resolve
from lingraft.text.read import read

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="sv"><siteinfo>
<sitename>Wikipedia</sitename><dbname>svwiki</dbname><generator>MediaWiki</generator><case>first-letter</case><namespaces>
<namespace key="0" case="first-letter" /><namespace key="6" case="first-letter">Fil</namespace>
<namespace key="1" case="first-letter">Diskussion</namespace><namespace key="14" case="first-letter">Kategori</namespace>
</namespaces></siteinfo>"""
ARTICLE = """{{Faktamall|namn=Uppsala
* punkt i en mall
}}
[[Fil:Dom.jpg|thumb|En bild av [[domkyrkan]].]]
'''Uppsala''' ({{ljudfil|x.ogg}}) är en [[Stad|tätort]] i [[Sverige]].&lt;ref&gt;En källa.&lt;/ref&gt; Den har 160&amp;nbsp;000 invånare.
&lt;!-- dolt --&gt;
== Historia ==
Staden &lt;b&gt;växte&lt;/b&gt; vid [https://example.org ån].
[[Bild:Alt namn.jpg|höger|200px|En bild.]]&lt;span&gt;Trasigt.
* En [[lista]]
# Nummer
: Indrag
{| class="wikitable"
! Rubrik
|-
| Cell
|}
Slutet.&lt;br /&gt;Ja.
{{trasig mall
[[Kategori:Städer]] [[de:Uppsala]]"""
SEEN = ["Uppsala är en tätort i Sverige. Den har 160 000 invånare.", "Staden växte vid ån.", "Slutet. Ja."]


def page(title: str, text: str, namespace: int = 0, inside: str = "") -> str:
    return f"""<page><title>{title}</title><ns>{namespace}</ns><id>{len(title)}</id>{inside}<revision><id>1</id><parentid>1</parentid>
<timestamp>2021-11-01T00:00:00Z</timestamp><contributor><username>A</username><id>1</id></contributor><model>wikitext</model>
<format>text/x-wiki</format><text xml:space="preserve">{text}</text></revision></page>"""


def dump(folder: Path, name: str = "svwiki-20211101-pages-articles.xml.bz2") -> Path:
    pages = [
        page("Uppsala", ARTICLE),
        page("Upsala", "#OMDIRIGERING [[Uppsala]]", inside='<redirect title="Uppsala" />'),
        page("Diskussion:Uppsala", "Inte en artikel.", namespace=1),
        page("Lund", "Lund är en annan stad."),
    ]
    (folder / name).write_bytes(bz2.compress((HEAD + "".join(pages) + "</mediawiki>").encode()))
    return folder / name


def test_articles_become_paragraphs_without_markup_lists_tables_templates_and_redirects(tmp_path: Path) -> None:
    pytest.importorskip("mwxml")
    lines = [line for batch in read(str(dump(tmp_path)), "strict") for line in batch]
    assert lines == [*SEEN, "", "Lund är en annan stad.", ""]


def test_a_folder_of_dumps_holds_the_text_of_their_languages(tmp_path: Path) -> None:
    pytest.importorskip("mwxml")
    dump(tmp_path)
    assert [document.lines for document in resolve([str(tmp_path)], "sv", settings=TextSettings()).documents(1000)] == [
        SEEN,
        ["Lund är en annan stad."],
    ]
    with pytest.raises(TextError, match=r"holds no de\.txt"):
        resolve([str(tmp_path)], "de", settings=TextSettings())


@pytest.mark.parametrize(
    "content", [bz2.compress(b"<html><p>x</p></html>"), bz2.compress(HEAD.encode()), bz2.compress(HEAD.encode())[:200]]
)
def test_what_is_no_dump_or_is_cut_off_is_an_error(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("mwxml")
    (tmp_path / "svwiki-x.xml.bz2").write_bytes(content)
    with pytest.raises(TextError, match="svwiki-x"):
        list(read(str(tmp_path / "svwiki-x.xml.bz2"), "strict"))
