"""The model card: README.md of the folder that a run leaves, with what the hub reads on top. A pure reader of the run folder."""

import re
from pathlib import Path, PurePath
from typing import Any

import yaml

from lingraft.figures import keeps_rows
from lingraft.report import Record, environment, read_runs, score_tables

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+|[\w-]+")
BUNDLED_LICENCE = "MPL-2.0 (LibreOffice help)"
KINDS = {"mlm": ("AutoModelForMaskedLM", "fill-mask"), "clm": ("AutoModelForCausalLM", "text-generation")}


def model_card(run: Path) -> str:
    """The text of the card for `run`'s model: front matter in YAML, then Markdown. Raises RunError where `run` is not a run."""
    record = read_runs([run])[0]
    auto_class, _ = KINDS[record.about.get("kind") or "mlm"]
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", record.recipe)), default=0))
    page = environment(autoescape=False)
    page.filters["plain"] = plain
    return page.get_template("card.md").render(
        front=yaml.safe_dump(_front_matter(record), sort_keys=False, allow_unicode=True),
        run=record,
        auto_class=auto_class,
        keeps_rows=keeps_rows(record),
        source_name=_hub_name(record) or record.source,
        fence=fence,
        texts=_texts(record),
        tables=score_tables([record]),
    )


def plain(text: Any) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would act on."""
    return re.sub(r"([\\`*_\[\]<>|#~&!])", r"\\\1", " ".join(str(text).split()))


def _front_matter(run: Record) -> dict[str, Any]:
    """What the hub reads of the card; what is not known is left out."""
    name, licence = _hub_name(run), (run.about.get("source") or {}).get("licence")
    matter = {
        "language": run.about.get("language"),
        "license": licence and str(licence).lower(),
        "library_name": "transformers",
        "base_model": name,
        "pipeline_tag": KINDS[run.about.get("kind") or "mlm"][1],
        "tags": ["lingraft"],
    }
    return {key: value for key, value in matter.items() if value}


def _hub_name(run: Record) -> str | None:
    """The source's name on the hub; None: it was a folder."""
    name = str((run.about.get("source") or {}).get("name") or "")
    return name if HUB_NAME.fullmatch(name) and not Path(name).is_dir() else None


def _texts(run: Record) -> list[dict[str, Any]]:
    """Each language's text, and the parallel text: code, places, sizes and licence. Of a local path only the last part: a card is
    published."""
    result, parallel = [], run.about.get("parallel")
    for code, text in [*(run.about.get("text") or {}).items(), *([("parallel text", parallel)] if parallel else [])]:
        places = [str(place) for place in text.get("places") or []]
        bundled = bool(places) and all(place.startswith("bundled") for place in places)
        shown = [PurePath(place).name if PurePath(place).is_absolute() else place for place in places]
        result.append({**text, "code": code, "places": shown, "licence": text.get("licence") or (BUNDLED_LICENCE if bundled else None)})
    return result
