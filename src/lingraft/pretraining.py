"""The stages of a model from scratch, where they are not those of a transfer."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

from transformers import PreTrainedTokenizerBase

from lingraft import stages
from lingraft.errors import LingraftWarning, RecipeError
from lingraft.files import atomic_folder, fingerprint, write_text
from lingraft.grafting import check_phases, from_nothing
from lingraft.machine import first, hardware
from lingraft.model.load import Source, check_predictions
from lingraft.model.parts import longest_input, num_layers
from lingraft.model.scratch import outline, shape_of
from lingraft.model.surgery import check_specials, graft
from lingraft.request import Request, settings_of
from lingraft.run import RECIPE, Run
from lingraft.stages import Texts
from lingraft.text.balance import shares, training_lines
from lingraft.text.corpus import Corpus, resolve
from lingraft.text.parallel import Parallel, by_pair, resolve_parallel
from lingraft.text.shards import Shards, encode_to_shards
from lingraft.tokenizer import train as tokenizers_of
from lingraft.tokenizer import vocabulary
from lingraft.tokenizer.blank import blank
from lingraft.tokenizer.measure import measure
from lingraft.tokenizer.prepare import prepare
from lingraft.tongues import Tongue, Tongues, beside, masking, together
from lingraft.train.batches import Mixture
from lingraft.train.data import Data
from lingraft.train.loop import Options
from lingraft.train.pairs import encode_sides, open_sides

STATIC = "static"  # the row method that needs no model's rows

Tokenizers = Mapping[str, PreTrainedTokenizerBase]


def begin(request: Request, run: Run) -> PreTrainedTokenizerBase:
    """The architecture is one that transformers can build; a tokenizer that has its special tokens, and nothing else."""
    config, kind = shape_of(request.recipe.architecture)
    model = outline(request.recipe.architecture, config, kind)
    check_phases(request, model)
    longest = longest_input(model) or int(getattr(config, "max_position_embeddings", request.recipe.architecture.positions))
    shape = {key: value for key, value in config.to_dict().items() if key not in ("transformers_version", "_name_or_path")}
    inputs = {"settings": settings_of(request.recipe)["source"], "seed": request.seed, "configuration": fingerprint(shape)}
    with first():
        run.begin("source", inputs)
        run.finish("source")
    run.note(
        lingraft=version("lingraft"), recipe=request.recipe.name, kind=kind, seed=request.seed,
        hardware=hardware(), examples=request.examples, notes=[],
    )  # fmt: skip
    return blank(kind, config.model_type, longest)


def survey(request: Request, run: Run, places: Mapping[str, Sequence[str]]) -> dict[str, Corpus]:
    """The text of each language: found, read once, counted, fingerprinted."""
    settings = request.recipe.text
    if request.recipe.rows.method == STATIC and len(places) > 1:
        raise RecipeError(
            f"rows.method = {STATIC!r} is for one language, and --text has {len(places)}. Train on one, and make the other's rows with "
            "lingraft transfer --recipe clwe-graft."
        )
    texts = {code: resolve(named, code, settings=settings, spool=run.path / f"stdin-{code}.txt") for code, named in places.items()}
    prints = {f"{code} text": text.survey.fingerprint for code, text in texts.items()}
    with first():
        run.begin("text", {"language": list(texts), "settings": settings_of(request.recipe)["text"], **prints})
        language = list(texts) if len(texts) > 1 else request.to
        run.note(language=language, text={code: {**asdict(text.survey), "places": list(text.places)} for code, text in texts.items()})
        write_text(run.path / RECIPE, request.recipe.to_toml())
        run.finish("text")
    return texts


def parallel_texts(request: Request, codes: Sequence[str]) -> dict[tuple[str, str], Parallel]:
    """(source, target) -> parallel text, where a phase trains on it. Raises RecipeError where one does and there is none."""
    settings, given = request.recipe.text, request.given.parallel
    if not request.recipe.reads_parallel:
        if given:
            warnings.warn(f"The recipe {request.recipe.name!r} does not use --parallel; it is left aside.", LingraftWarning, stacklevel=2)
        return {}
    if not given:
        raise RecipeError(
            f"The recipe {request.recipe.name!r} trains on parallel text (objective tlm). Give --parallel CODE-CODE=FILE.tsv."
        )
    places = by_pair(given, codes)
    return {pair: resolve_parallel(named, *pair, settings.normalisation, settings.errors) for pair, named in places.items()}


def tokenizers(
    request: Request, run: Run, empty: PreTrainedTokenizerBase, texts: Mapping[str, Corpus]
) -> dict[str, PreTrainedTokenizerBase]:
    """Each language's tokenizer: one for all, trained on all texts, or one for each, trained on its own."""
    settings = request.recipe.tokenizer
    groups = {code: [code] for code in texts} if settings.vocabulary == "disjoint" or len(texts) == 1 else {"joint": list(texts)}
    folder = run.path / "tokenizer"
    with first():
        if not run.begin("tokenizer", {"settings": settings_of(request.recipe)["tokenizer"]}):
            measured: dict[str, dict[str, Any]] = {}
            for name, codes in groups.items():
                made = prepare(training_lines([texts[code] for code in codes], settings.alpha), settings, empty)
                config, kind = shape_of(request.recipe.architecture)
                tokenizers_of.check_family(made, config)
                check_specials(vocabulary.roles(made), kind)
                with atomic_folder(folder / name) as temporary:
                    made.save_pretrained(temporary)
                measured |= {code: measure(made, texts[code].split("held-out")) for code in codes}
            run.note(tokenizer=measured if len(texts) > 1 else measured[request.to])
            run.finish("tokenizer")
    read = {name: tokenizers_of.read(str(folder / name)) for name in groups}
    return {code: read[name] for name, codes in groups.items() for code in codes}


def tokens(
    request: Request, run: Run, texts: Mapping[str, Corpus], made: Tokenizers, parallel: Mapping[tuple[str, str], Parallel]
) -> Tongues:
    """The training part of each text as ids, and parallel text alike."""
    folder, settings = run.path / "tokens", request.recipe.tokenizer
    prints = {f"parallel {one}-{other}": found.survey.fingerprint for (one, other), found in parallel.items()}
    with first():
        if not run.begin("tokens", {"languages": list(texts), **prints}):
            for code, corpus in texts.items():
                encode_to_shards(corpus.split("train"), made[code], folder / code, end_id=vocabulary.end_id(made[code]))
            for (one, other), found in parallel.items():
                encode_sides(found.pairs, (made[one], made[other]), folder / f"{one}-{other}")
            run.finish("tokens")
    stacked = settings.vocabulary == "disjoint" and len(texts) > 1
    ids = dict(zip(made, beside(list(made.values())), strict=True)) if stacked else {}
    targets = {code: Tongue(made[code], Shards.open(folder / code), ids.get(code)) for code in texts}
    parts = {code: masking(made[code], run.facts["kind"]) for code in ids or [request.to]}
    of_all = together(list(parts.values()), list(ids.values())) if stacked else parts[request.to]
    lines = {pair: open_sides(folder / "-".join(pair)) for pair in parallel}
    sides = [tuple(Tongue(made[c], side, ids.get(c)) for c, side in zip(pair, found, strict=True)) for pair, found in lines.items()]
    return Tongues(targets, None, of_all, translations=tuple((one, other) for one, other in sides))


def _shares(request: Request, texts: Mapping[str, Corpus], spoken: Tongues) -> list[dict[str, Any]]:
    """A line for each language: its lines and tokens, its share of them, and its share after up-sampling where a tokenizer is trained for
    all (else None), and in the batches of each phase (of blocks, or of pairs of texts)."""
    lines = [corpus.survey.lines for corpus in texts.values()]
    tokens = [tongue.shards.info.num_tokens for tongue in spoken.targets.values()]
    columns: dict[str, Sequence[Any]] = {"language": list(texts), "lines": lines, "line_share": shares(lines, 1).tolist()}
    joint = spoken.target.ids is None
    columns["vocabulary_share"] = shares(lines, request.recipe.tokenizer.alpha).tolist() if joint else [None] * len(lines)
    columns |= {"tokens": tokens, "token_share": shares(tokens, 1).tolist()}
    for name, settings in request.recipe.phases.items():
        data = spoken.data(settings)
        assert isinstance(data, Data)
        blocks = data.blocks
        assert isinstance(blocks, Mixture)
        columns[f"phase.{name}"] = (blocks.slots / len(blocks)).tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def build(request: Request, run: Run, spoken: Tongues, texts: Mapping[str, Corpus]) -> tuple[Source, Tongues]:
    """The model, with random weights of the seed and a vocabulary for all languages, and these with the model that learns them; noted is
    how large each language is, before and after up-sampling."""
    source = Source("", None, spoken.target.tokenizer, run.facts["kind"], [])
    from_nothing(request, source, spoken, request.seed)
    check_predictions(model := source.model, "[architecture]")
    spoken = replace(spoken, model=model)
    for settings in request.recipe.phases.values():
        spoken.data(settings)  # texts that are too short are found before anything trains
    run.note(architecture={"family": model.config.model_type, "layers": num_layers(model), "width": model.config.hidden_size})
    if len(texts) > 1:
        run.note(shares=_shares(request, texts, spoken))
    return source, spoken


def rows(request: Request, run: Run, source: Source, spoken: Tongues, texts: Mapping[str, Corpus], options: Options) -> None:
    """Where the recipe has rows.method = "static": skip-gram vectors of the tokens instead of random rows (CLWE, Artetxe et al. 2020)."""
    if request.recipe.rows.method == STATIC:
        found, *_ = stages.rows(request, run, source, spoken, Texts(texts[request.to], None, None), options)
        graft(source.model, found, spoken.roles(), seed=request.seed)
