#!/usr/bin/env python3
"""Rebuild src/lingraft/data/wals from an excerpt of WALS Online as two CSV files.

    python tools/build_wals_excerpt.py wals_languages.csv wals_values.csv [--out FOLDER]

wals_languages.csv has the columns code, wals_code, wals_name, macroarea, family, genus, latitude, longitude; wals_values.csv has code,
feature_id, feature_name, value_name. WALS leaves family and genus of an isolate empty: here they get its own
name. Only the standard library is used.
"""

import argparse
import csv
import lzma
import re
from collections.abc import Iterable
from pathlib import Path

LANGUAGE = ("code", "wals_code", "wals_name", "family", "genus", "macroarea", "latitude", "longitude")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_number(feature: str) -> tuple[int, str]:
    """Order of WALS chapters: 9A before 10A."""
    number, letter = re.fullmatch(r"(\d+)(\w)", feature).groups()  # type: ignore[union-attr]
    return int(number), letter


def write(path: Path, rows: Iterable[Iterable[str]]) -> None:
    """One row a line, tabs between; compressed where the name says so."""
    text = "".join("\t".join(row) + "\n" for row in rows).encode()
    path.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME) if path.suffix == ".xz" else text)
    print(f"{path.name:14} {len(text.splitlines()):5} lines {path.stat().st_size:6} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", type=Path)
    parser.add_argument("values", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "src/lingraft/data/wals")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    languages, values = read(arguments.languages), read(arguments.values)
    for row in languages:
        row["family"] = row["family"] or row["wals_name"]
        row["genus"] = row["genus"] or row["wals_name"]
        row["latitude"], row["longitude"] = f"{float(row['latitude']):.2f}", f"{float(row['longitude']):.2f}"
    values.sort(key=lambda row: (row["code"], by_number(row["feature_id"])))
    names = {row["feature_id"]: row["feature_name"] for row in values}
    write(arguments.out / "languages.tsv", ([row[key] for key in LANGUAGE] for row in sorted(languages, key=lambda row: row["code"])))
    write(arguments.out / "features.tsv", sorted(names.items(), key=lambda item: by_number(item[0])))
    write(arguments.out / "values.tsv.xz", ([row["code"], row["feature_id"], row["value_name"]] for row in values))


if __name__ == "__main__":
    main()
