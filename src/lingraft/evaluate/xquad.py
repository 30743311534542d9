"""How XQuAD was made (Artetxe et al. 2020, appendix B), for more languages: files for translators, and these back into SQuAD JSON.

Answers stand in the contexts between marks, `*0* span #0#`, where 0 is the number of the question within its paragraph. A mark and the one
space on its inner side are what was put in and what is taken out again, in scripts without spaces too; all other white space is the text's.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.errors import LingraftWarning, TextError
from lingraft.evaluate.squad import Answer, Asked, Contents, Document, Paragraph, contents, documents, locate
from lingraft.files import write_json, write_text
from lingraft.text.read import open_bytes

MANIFEST = "manifest.json"
INSTRUCTIONS = "instructions.txt"
MARK = re.compile(r"\*(0|[1-9][0-9]*)\* ?| ?#(0|[1-9][0-9]*)#")
SPOILT = re.compile(r"[*#＊＃]\s*\d+\s*[*#＊＃]|[*#＊＃]+\0|\0[*#＊＃]+")  # after marks have become \0
REMNANT = re.compile(r"[*#＊＃]\s*\d+|\d+\s*[*#＊＃]|[*#＊＃]{2,}")
HEADING = re.compile(r"\[(\d+\.\d+) (context|question \d+)\]\s*")
GUIDE = """\
Instructions for translators

1. Translate the text below each heading, such as [1.2 context] or [1.2 question 0], and leave the headings as they are.
2. Contexts have marks: *0* an answer #0#. The words between *0* and #0# answer question 0. Keep every mark, exactly as it is spelled (with
   the digits 0-9), once, and place it around the words of your translation that answer the question. Marks need not come in the order of
   the original. Answers may lie inside one another or overlap; but *0* must come before #0#, with some words between them.
3. One space belongs to each mark, on the side of the answer: *0*_answer_#0#, where _ is the space. It will be removed with the mark. Put no
   other space there, none on the outer side where your language would have none, and no mark inside a word where it can be avoided.
4. Questions have no marks. Use the same words in a question as in its context where the original does.
5. Write names of people, places and works as the Wikipedia of your language does: transliterate them where it does.
6. Keep paragraphs of one document consistent with each other; they are all in the same file.
7. Save the file as plain text in UTF-8, under the same name. Then have it checked: lingraft xquad check FILE --source DIR --out FILE.json
"""


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below a heading of a translator's file: its file, the number of its first line, and the text."""

    file: Path
    line: int
    text: str

    def place(self, offset: int) -> str:
        """File, line and character (both from 1) of a place in the text."""
        before = self.text[:offset]
        return f"{self.file}, line {self.line + before.count(chr(10))}, character {offset - before.rfind(chr(10))}"


@dataclass(slots=True)
class Found:
    """What is wrong with translators' files, a line for each fault."""

    problems: list[str] = field(default_factory=list)

    def add(self, name: str, section: Section, offset: int, what: str) -> None:
        """Note a fault at a place of a paragraph."""
        self.problems.append(f"{section.place(offset)}: {name}: {what}")


def build(path: Path, out: Path, seed: int = 0, paragraphs: int = 5, batches: int = 10, most: int = 48) -> dict[str, int]:
    """Write the files that translators of a sample of a SQuAD file get, and return counts.

    Of each of at most `most` documents, drawn by `seed`, so many paragraphs are drawn, in their own order. Left out, with a warning, are
    documents with fewer, and paragraphs whose text cannot be told from marks. out: batch-NN.txt (a document is in one batch only),
    instructions.txt, and manifest.json: the sample as SQuAD JSON, one answer a question, by which `check` reads the batches.
    Raises TextError where no document is left.
    """
    sample = Contents(data=list(_sample(documents(path), np.random.default_rng(seed), paragraphs, most)))
    for batch, numbers in enumerate(np.array_split(np.arange(len(sample.data)), min(batches, len(sample.data))), 1):
        for number in numbers:
            sample.data[number].batch = batch
    names = sorted({document.batch or 0 for document in sample.data})
    for batch in names:
        write_text(out / f"batch-{batch:02}.txt", batch_text(sample, batch))
    write_text(out / INSTRUCTIONS, GUIDE)
    write_json(out / MANIFEST, sample.model_dump())
    every = [paragraph for document in sample.data for paragraph in document.paragraphs]
    return {
        "documents": len(sample.data),
        "paragraphs": len(every),
        "questions": sum(len(paragraph.qas) for paragraph in every),
        "batches": len(names),
    }


def _sample(every: Sequence[Document], generator: np.random.Generator, paragraphs: int, most: int) -> Iterator[Document]:
    ready = [[_with_one_answer(paragraph) for paragraph in document.paragraphs if paragraph.qas] for document in every]
    usable = [[paragraph for paragraph in found if paragraph and _comes_back(paragraph)] for found in ready]
    if unusable := sum(map(len, ready)) - sum(map(len, usable)):
        _warn(
            f"{unusable} of {sum(map(len, ready))} paragraphs are left out: an answer is not in its context, or the text looks like a mark "
            "(*0* or #0#) or a heading, or has empty lines at its ends"
        )
    few = [document.title or str(number) for number, document in enumerate(every) if len(usable[number]) < paragraphs]
    enough = [number for number, found in enumerate(usable) if len(found) >= paragraphs]
    if few:
        said = f"{len(few)} of {len(every)} documents are left out, as they have fewer than {paragraphs} usable paragraphs with questions"
        _warn(f"{said}: {', '.join(few[:10])}{' …' if len(few) > 10 else ''}")
    if not enough:
        raise TextError(f"No document has {paragraphs} usable paragraphs with questions. Give fewer: --paragraphs.")
    if len(enough) < most:
        _warn(f"{most} documents were asked for, and {len(enough)} are there")
    for number in np.sort(generator.choice(enough, min(most, len(enough)), replace=False)):
        chosen = np.sort(generator.choice(len(usable[number]), paragraphs, replace=False))
        yield Document(title=every[number].title, paragraphs=[usable[number][place] for place in chosen])


def _warn(message: str) -> None:
    warnings.warn(message, LingraftWarning, stacklevel=3)


def _with_one_answer(paragraph: Paragraph) -> Paragraph | None:
    """The paragraph with the most frequent answer of each question; None where one is not in the context."""
    answers = [_answer(paragraph.context, asked) for asked in paragraph.qas]
    if not all(answers):
        return None
    return Paragraph(
        context=paragraph.context,
        qas=[
            Asked(id=asked.id, question=asked.question, answers=[answer])
            for asked, answer in zip(paragraph.qas, answers, strict=True)
            if answer
        ],
    )


def _answer(context: str, asked: Asked) -> Answer | None:
    """The most frequent answer of a question, the first of equally frequent ones, without white space at its edges."""
    counts = Counter(answer.text for answer in asked.answers)
    best = max(asked.answers, key=lambda answer: counts[answer.text])
    place = locate(context, best.text, best.answer_start)
    start, end = _trimmed(context, place, place + len(best.text))
    return Answer(text=context[start:end], answer_start=start) if place >= 0 and start < end else None


def _comes_back(paragraph: Paragraph) -> bool:
    """Whether a paragraph, written for translators and read back, is the same: not where its own text looks like marks or headings."""
    sample, found = Contents(data=[Document(batch=1, paragraphs=[paragraph])]), Found()
    back = _translated(sample, _sections(Path(), batch_text(sample, 1), found), {1}, found)
    return back.data[0].paragraphs == [paragraph] and not found.problems


def batch_text(sample: Contents, batch: int) -> str:
    """The translators' file of a batch: below headings, the marked contexts and the questions."""
    blocks = []
    for name, paragraph in _paragraphs(sample, {batch}):
        spans = [(asked.answers[0].answer_start, asked.answers[0].answer_start + len(asked.answers[0].text)) for asked in paragraph.qas]
        blocks.append(f"[{name} context]\n{mark(paragraph.context, spans)}\n")
        blocks += [f"[{name} question {number}]\n{asked.question}\n" for number, asked in enumerate(paragraph.qas)]
    return "\n".join(blocks)


def _paragraphs(sample: Contents, batches: Iterable[int | None]) -> Iterator[tuple[str, Paragraph]]:
    """The paragraphs of batches, each with its name: the numbers of document and paragraph, from 1."""
    for number, document in enumerate(sample.data, 1):
        if document.batch in batches:
            yield from ((f"{number}.{place}", paragraph) for place, paragraph in enumerate(document.paragraphs, 1))


def mark(context: str, spans: Sequence[tuple[int, int]]) -> str:
    """The context with the marks of spans (start, end); see the module. At one place, closing marks come first, inner ones before outer."""
    marks = [(end, 0, -start, -number, f" #{number}#") for number, (start, end) in enumerate(spans)]
    marks += [(start, 1, -end, number, f"*{number}* ") for number, (start, end) in enumerate(spans)]
    pieces, last = [], 0
    for place, *_, text in sorted(marks):
        pieces += [context[last:place], text]
        last = place
    return "".join([*pieces, context[last:]])


def unmark(section: Section, count: int, name: str, found: Found) -> tuple[str, list[tuple[int, int]]]:
    """A marked context without its marks, and the span of each of `count` questions. What is wrong is added to `found`."""
    pieces, last, length = [], 0, 0
    places: dict[str, list[tuple[int, int]]] = {}  # by mark: places in the plain and in the marked text
    for match in MARK.finditer(section.text):
        pieces.append(section.text[last : match.start()])
        length += len(pieces[-1])
        places.setdefault(match[0].strip(), []).append((length, match.start() + match[0].startswith(" ")))
        last = match.end()
    plain = "".join([*pieces, section.text[last:]])
    spans = [_span(section, number, name, found, places, plain) for number in range(count)]
    for text in places.keys() - {form.format(number) for number in range(count) for form in ("*{}*", "#{}#")}:
        found.add(name, section, places[text][0][1], f"altered: there is a mark {text}, but no question with that number")
    _find_spoilt(section, count, name, found, places)
    return plain, spans


def _span(section: Section, number: int, name: str, found: Found, places: dict[str, list[tuple[int, int]]], plain: str) -> tuple[int, int]:
    """Where the answer of a question is in the plain text; (0, 0) where its marks are wrong."""
    opening, closing = (places.get(text, []) for text in (f"*{number}*", f"#{number}#"))
    for text, there, other in ((f"*{number}*", opening, closing), (f"#{number}#", closing, opening)):
        if not there:
            found.add(name, section, other[0][1] if other else 0, f"missing: there is no mark {text}")
        for _, place in there[1:]:
            found.add(name, section, place, f"doubled: the mark {text} is there {len(there)} times")
    if len(opening) != 1 or len(closing) != 1:
        return 0, 0
    (start, begins), (end, ends) = opening[0], closing[0]
    if ends < begins:
        found.add(name, section, ends, f"crossed: #{number}# comes before *{number}*")
        return 0, 0
    if not plain[start:end].strip():
        found.add(name, section, begins, f"empty: nothing stands between *{number}* and #{number}#")
    return _trimmed(plain, start, end)


def _find_spoilt(section: Section, count: int, name: str, found: Found, places: dict[str, list[tuple[int, int]]]) -> None:
    """What looks like a mark that was changed; signs on one side of a number only where a mark is missing, since texts have such."""
    rest = MARK.sub(lambda match: re.sub(r"\S", "\0", match[0]), section.text)
    whole = all(form.format(number) in places for number in range(count) for form in ("*{}*", "#{}#"))
    spoilt = list(SPOILT.finditer(rest)) or ([] if whole else list(REMNANT.finditer(rest)))
    for match in spoilt:
        text = section.text[max(match.start() - 2, 0) : match.end() + 2].strip()
        found.add(name, section, match.start(), f"altered: {text!r} looks like a mark that was changed; marks look like *0* and #0#")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its edges."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())


def check(files: Sequence[Path], source: Path) -> tuple[Contents, list[str]]:
    """The translated documents of files (or of the batches in a folder), and a list of what is wrong with them, with line and character.

    source: the folder that `build` wrote. All paragraphs of a batch that has any in the files must be there. Raises TextError where a file
    cannot be read or none of its paragraphs belongs to the source.
    """
    manifest = source / MANIFEST
    if not manifest.is_file():
        raise TextError(f"{source} has no {MANIFEST}. Give the folder that `lingraft xquad build` wrote.")
    sample, found = contents(manifest), Found()
    sections: dict[str, Section] = {}
    for file in [path for given in files for path in (sorted(given.glob("batch-*.txt")) if given.is_dir() else [given])]:
        for name, section in _sections(file, _read(file), found).items():
            if name in sections:
                found.add(f"paragraph {name}", section, 0, f"doubled: it is in {sections[name].file} too")
            sections[name] = section
    names = {name.split()[0] for name in sections}
    batches = {d.batch for number, d in enumerate(sample.data, 1) if any(name.startswith(f"{number}.") for name in names)}
    if not batches:
        raise TextError(
            f"{', '.join(map(str, files))}: no heading such as [1.1 context] of {source}. Keep the headings of the files that you got."
        )
    return _translated(sample, sections, batches, found), found.problems


def _read(file: Path) -> str:
    with open_bytes(str(file)) as stream:
        data = stream.read()
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError(f"{file}, line {line}: byte 0x{data[error.start]:02x} is not valid UTF-8. Save it as UTF-8.") from None


def _sections(file: Path, text: str, found: Found) -> dict[str, Section]:
    """The sections of a translator's file, by what their headings say; empty lines around the text are not part of it."""
    lines = text.split("\n")
    headings = [(number, match) for number, line in enumerate(lines) if (match := HEADING.fullmatch(line))]
    sections: dict[str, Section] = {}
    ends = [number for number, _ in headings[1:]] + [len(lines)]
    for (number, match), end in zip(headings, ends, strict=False):
        body = "\n".join(lines[number + 1 : end]).rstrip("\n")
        text = body.lstrip("\n")
        name = f"{match[1]} {match[2]}"
        section = Section(file, number + 2 + len(body) - len(text), text)
        if name in sections:
            found.add(f"paragraph {match[1]}", section, 0, f"doubled: the heading [{name}] is there twice")
        sections[name] = section
    return sections


def _translated(sample: Contents, sections: dict[str, Section], batches: Iterable[int | None], found: Found) -> Contents:
    """The documents of batches with the texts of sections; what is missing, empty or unknown is added to `found`."""
    rest = dict(sections)
    translated = []
    for number, document in enumerate(sample.data, 1):
        if document.batch in batches:
            back = [_paragraph(f"{number}.{place}", paragraph, rest, found) for place, paragraph in enumerate(document.paragraphs, 1)]
            translated.append(
                Document(title=document.title, batch=document.batch, paragraphs=[paragraph for paragraph in back if paragraph])
            )
        else:
            translated.append(Document(title=document.title, paragraphs=[]))
    for name, section in rest.items():
        found.add(f"paragraph {name.split()[0]}", section, 0, f"altered: the source has no [{name}]")
    return Contents(version=sample.version, data=translated)


def _paragraph(name: str, source: Paragraph, sections: dict[str, Section], found: Found) -> Paragraph | None:
    """A translated paragraph, None where something is wrong with it. Its sections are taken out of `sections`."""
    parts = ["context", *(f"question {number}" for number in range(len(source.qas)))]
    texts = [sections.pop(f"{name} {part}", None) for part in parts]
    there = next(filter(None, texts), None)
    if there is None:
        found.problems.append(f"paragraph {name}: missing: none of its headings is there, such as [{name} context]")
        return None
    before = len(found.problems)
    for part, section in zip(parts, texts, strict=True):
        if section is None:
            found.add(f"paragraph {name}", there, 0, f"missing: there is no heading [{name} {part}]")
        elif not section.text.strip():
            found.add(f"paragraph {name}", section, 0, f"empty: nothing stands below [{name} {part}]")
        elif part != "context" and (match := MARK.search(section.text)):
            found.add(f"paragraph {name}", section, match.start(), f"altered: [{name} {part}] has a mark, which belongs into the context")
    context, *questions = texts
    if context is None or not context.text.strip():
        return None
    plain, spans = unmark(context, len(questions), f"paragraph {name}", found)
    if len(found.problems) > before:
        return None
    return Paragraph(
        context=plain,
        qas=[
            Asked(id=asked.id, question=question.text, answers=[Answer(text=plain[start:end], answer_start=start)])
            for asked, question, (start, end) in zip(source.qas, questions, spans, strict=True)
            if question
        ],
    )


def as_squad(translated: Contents) -> dict[str, Any]:
    """Documents as SQuAD JSON, those without paragraphs left out."""
    found = translated.model_dump(exclude={"data": {"__all__": {"batch"}}})
    return found | {"data": [document for document in found["data"] if document["paragraphs"]]}
