"""Wikipedia's XML dumps to plain text: the paragraphs of every article, without lists, tables, templates, headings and redirects."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import IO, Any

from lingraft.errors import MissingExtra, TextError

TEXT_TAGS = "b i u s em strong small big span div p sub sup blockquote center q cite abbr bdi font nowiki"
"""Whose content is text; all others (tables, references, formulas, lists…) go with what is in them."""
LIST = "\0"  # stands where a list's item begins, which no text can hold
_MAGIC_WORD = re.compile(r"__[A-Z]{4,}__")
_EMPTY_BRACKETS = re.compile(r" ?[(（][\s,;:，；、]*[)）]")  # what a template leaves
_LEFT_OVER = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||\|\}|-\{|^[|!]|'''|</?[A-Za-z]")
_OTHER_EDITION = re.compile(r"[a-z]{2,3}(-[a-z]+)*:\S")  # a link to the article in another language


def articles(stream: IO[bytes], path: str) -> Iterator[str]:
    """The plain text of each article with any, a paragraph on each line, from the bytes of a dump's XML.

    path: for messages. Raises MissingExtra without mwxml and mwparserfromhell, TextError where it is no dump or is damaged.
    """
    try:
        import mwparserfromhell
        import mwxml
        from mwxml.errors import MalformedXML
    except ImportError:
        raise MissingExtra(
            f"To read {path}, a Wikipedia dump, install lingraft with the extra 'wiki': pip install 'lingraft[wiki]'."
        ) from None
    try:
        dump = mwxml.Dump.from_file(stream)
        asides = {space.name.lower() for space in dump.site_info.namespaces or [] if space.name} | {"file", "image", "category"}
        for page in dump.pages:
            if page.namespace == 0 and not page.redirect:
                for revision in page:
                    if text := plain(mwparserfromhell.parse(revision.text or ""), asides):
                        yield text
    except (MalformedXML, ElementTree.ParseError, AssertionError) as error:  # mwxml asserts the first tag
        raise TextError(
            f"{path} is no Wikipedia dump, or a damaged one ({error or 'another kind of XML'}). Give a file …-pages-articles.xml.bz2."
        ) from None


def plain(code: Any, asides: set[str]) -> str:
    """The paragraphs of parsed wikitext, one a line. asides: namespaces, in small letters, whose links show no text in it."""
    lines = (_tidy(line) for line in _visible(code, asides).split("\n"))
    return "\n".join(line for line in lines if line and LIST not in line and not _LEFT_OVER.search(line))


def _visible(code: Any, asides: set[str]) -> str:
    return "".join(_text(node, asides) for node in code.nodes)


def _text(node: Any, asides: set[str]) -> str:
    """What a reader of the article sees of a node."""
    match type(node).__name__:
        case "Text":
            return str(node.value)
        case "HTMLEntity":
            return str(node.normalize())
        case "ExternalLink":
            return _visible(node.title, asides) if node.title else ""
        case "Wikilink":
            title = str(node.title).strip()
            aside = ":" in title and title.partition(":")[0].strip().lower() in asides
            picture = "|" in str(node.text or "")  # under an older name of its namespace, which the dump does not tell
            return "" if aside or picture or _OTHER_EDITION.match(title) else _visible(node.text or node.title, asides).lstrip(":")
        case "Tag":
            tag = str(node.tag).strip().lower()
            if tag in ("li", "dd", "dt"):
                return LIST
            return " " if tag == "br" else _visible(node.contents, asides) if tag in TEXT_TAGS.split() and node.contents else ""
    return ""  # a template, its argument, a heading, a comment


def _tidy(line: str) -> str:
    return " ".join(_EMPTY_BRACKETS.sub("", _MAGIC_WORD.sub("", line)).split())
