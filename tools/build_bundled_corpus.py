#!/usr/bin/env python3
"""Rebuild src/lingraft/data/libreoffice_help from Debian's packages of the LibreOffice help.

    python tools/build_bundled_corpus.py WORK_FOLDER [--out FOLDER]

WORK_FOLDER may hold `libreoffice-help-XX_*.deb` files (or an already unpacked tree in `x/`); what is missing is fetched there with
`apt-get download` and unpacked with `dpkg -x`. Only the standard library is used.

A row is one paragraph of one page: paragraphs carry the same id on the same page of every language. Rows whose texts were all seen
before, in the same combination, are dropped: so every text, and every pair of texts, keeps its first occurrence. Written are, row by row,
    pages.tsv.xz   number of the page in the sorted list of English pages, TAB, its path
    CODE.txt.xz    the paragraph's text in that language (NFC); empty where it is not translated, that is, equal to the English
"""

import argparse
import html
import lzma
import re
import subprocess
import unicodedata
from pathlib import Path

LANGUAGES = {"en": "en-US", "de": "de", "es": "es", "eu": "eu", "fr": "fr", "ja": "ja", "ru": "ru"}
PARAGRAPH = re.compile(r'<(p|h\d?)\b[^>]*?\bid="([^"]+)"[^>]*>(.*?)</\1>', re.DOTALL)
TAG = re.compile(r"<[^>]+>")
Page = dict[str, str]  # paragraph id -> text


def unpack(folder: Path, name: str) -> Path:
    """The folder of one language's pages, downloaded and unpacked into `folder`/x where it is missing."""
    pages = folder / "x/usr/share/libreoffice/help" / name / "text"
    if not pages.is_dir():
        package = f"libreoffice-help-{name.lower()}"
        if not list(folder.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        archive = max(folder.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg", "-x", str(archive), str(folder / "x")], check=True)
    return pages


def read_page(path: Path) -> Page:
    """The paragraphs of a page with an id, tags stripped and white space squeezed, in page order."""
    if not path.is_file():
        return {}
    source = path.read_text(encoding="utf-8")
    body = source[source.find('id="DisplayArea"') : source.find('id="SearchFrame"')]  # without menus, search box and footer
    page: Page = {}
    for _, name, inner in PARAGRAPH.findall(body):
        text = " ".join(html.unescape(TAG.sub("", inner)).split())
        page.setdefault(name, unicodedata.normalize("NFC", text))
    return page


def read_rows(folders: dict[str, Path]) -> tuple[list[str], dict[str, list[str]]]:
    """The lines of pages.tsv, and of each CODE.txt, before compression; row by row the same paragraph."""
    pages: list[str] = []
    texts: dict[str, list[str]] = {code: [] for code in folders}
    seen: set[tuple[str, ...]] = set()
    for number, path in enumerate(sorted(p.relative_to(folders["en"]).as_posix() for p in folders["en"].rglob("*.html"))):
        read = {code: read_page(folder / path) for code, folder in folders.items()}
        for name, english in read["en"].items():
            row = tuple("" if code != "en" and page.get(name) == english else page.get(name, "") for code, page in read.items())
            if english and row not in seen:
                seen.add(row)
                pages.append(f"{number}\t{path}")
                for code, text in zip(read, row, strict=True):
                    texts[code].append(text)
    return pages, texts


def write(path: Path, lines: list[str]) -> None:
    """Compress lines into `path` and say how many bytes that took."""
    path.write_bytes(lzma.compress("".join(line + "\n" for line in lines).encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{path.name:14} {sum(map(bool, lines)):6} lines {sum(map(len, lines)):9} characters {path.stat().st_size:9} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the packages are, or are put")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "src/lingraft/data/libreoffice_help")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    pages, texts = read_rows({code: unpack(arguments.folder, name) for code, name in LANGUAGES.items()})
    write(arguments.out / "pages.tsv.xz", pages)
    for code, lines in texts.items():
        write(arguments.out / f"{code}.txt.xz", lines)


if __name__ == "__main__":
    main()
