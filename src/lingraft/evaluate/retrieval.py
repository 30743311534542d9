"""Sentence retrieval over parallel text (Tatoeba in XTREME, Hu et al. 2020): is a sentence's translation its nearest neighbour?"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lingraft.errors import ModelError, TextError
from lingraft.evaluate.task import collate
from lingraft.model.parts import longest_input
from lingraft.model.trelm import told_language
from lingraft.text.parallel import Pair, resolve_parallel
from lingraft.text.read import open_bytes
from lingraft.vectors.neighbours import csls as by_csls
from lingraft.vectors.neighbours import nearest, unit

Array = npt.NDArray[Any]
BATCH = 32


def read_pairs(path: Path) -> list[Pair]:
    """(source, target) sentences of a TSV file, or of two files in Tatoeba's layout, of which either is named.

    Tatoeba's layout: NAME.SOURCE-TARGET.SOURCE and NAME.SOURCE-TARGET.TARGET (tatoeba.deu-eng.deu and tatoeba.deu-eng.eng), line by line;
    compressed where both are (.gz, .xz, .zst). Raises TextError where a file is missing, of another format, or of another length.
    """
    ending = path.suffix if path.suffix in (".gz", ".xz", ".zst") else ""
    name, _, code = path.name.removesuffix(ending).rpartition(".")
    source, _, target = name.rpartition(".")[2].partition("-")
    if not target or code not in (source, target):
        return list(resolve_parallel([str(path)]).pairs())
    sides = [_lines(path.with_name(f"{name}.{side}{ending}")) for side in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise TextError(
            f"{name}.{source} has {len(sides[0]):,} lines, {name}.{target} has {len(sides[1]):,}. "
            "Line n of one must translate line n of the other."
        )
    pairs = [(one, other) for one, other in zip(*sides, strict=True) if one and other]
    if not pairs:
        raise TextError(f"There is no pair in {path.with_name(name)}.*: no line has text on both sides.")
    return pairs


def _lines(path: Path) -> list[str]:
    with open_bytes(str(path)) as stream:
        try:
            text = stream.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise TextError(f"{path}: byte {error.start:,} is not valid UTF-8. Convert the file, for example with iconv.") from None
    return [unicodedata.normalize("NFC", line).strip() for line in text.removesuffix("\n").split("\n")]


@torch.no_grad()
def sentence_vectors(model: Any, tokenizer: Any, texts: Sequence[str], layer: int | None = None, is_source: bool = False) -> torch.Tensor:
    """(n, dim) float32: the mean of a layer's states over the pieces of each text, specials left out; zeros for a text without any.

    layer: 0 for the embeddings, by default the one at two thirds of the depth, the 8th of 12. model: in evaluation mode; texts longer
    than its input are cut. is_source: the texts are in the source's language, which a model with language embeddings is told. Raises
    ModelError where there is no such layer.
    """
    depth = model.config.num_hidden_layers
    layer = round(depth * 2 / 3) if layer is None else layer
    if not 0 <= layer <= depth:
        raise ModelError(f"There is no layer {layer}: the model has {depth}. Give 0 (the embeddings) to {depth}.")
    longest = min(tokenizer.model_max_length, longest_input(model) or 512)
    encoded = tokenizer(list(texts), truncation=True, max_length=longest, return_special_tokens_mask=True)
    columns = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
    items = [{"input_ids": np.array(ids), "text": 1 - np.array(special)} for ids, special in columns]
    order = sorted((i for i, item in enumerate(items) if item["text"].any()), key=lambda i: len(items[i]["input_ids"]))
    found = torch.zeros(len(texts), model.config.hidden_size)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        batch = collate([items[i] for i in part], tokenizer.pad_token_id or 0, next(model.parameters()).device)
        weights = batch.pop("text").unsqueeze(2).float()
        batch |= told_language(model, batch["input_ids"], is_source)
        states = model.base_model(**batch, output_hidden_states=True).hidden_states[layer].float()
        found[part] = ((states * weights).sum(dim=1) / weights.sum(dim=1)).cpu()
    return found


def hits(sources: torch.Tensor, targets: torch.Tensor, csls: bool = False) -> Array:
    """(n, 2) whether the nearest target of source i is target i, and the nearest source of target i is source i.

    sources, targets: (n, dim). Nearest by cosine, or by CSLS, which holds vectors that are near to everything back.
    """
    sources, targets = unit(sources), unit(targets)
    if csls:
        found = by_csls(sources, targets, 1)
        there, back = found.forward_ids, found.backward_ids
    else:
        there, back = nearest(sources, targets, 1)[1], nearest(targets, sources, 1)[1]
    right = torch.arange(len(sources))
    return torch.stack([there[:, 0] == right, back[:, 0] == right], dim=1).double().numpy()


def accuracies(rows: Array) -> dict[str, float]:
    """Scores of what `hits` gives: shares of the sources and of the targets whose translation is found, and the mean of both."""
    forward, backward = rows.mean(axis=0)
    return {"accuracy": float(forward + backward) / 2, "accuracy_forward": float(forward), "accuracy_backward": float(backward)}


def retrieval_scores(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[Pair],
    source: tuple[Any, Any] | None = None,
    layer: int | None = None,
    csls: bool = False,
) -> dict[str, float]:
    """accuracy, accuracy_forward (source to target), accuracy_backward of a multilingual model, or of two whose spaces are one.

    source: model and tokenizer of the source side, where they are others. Raises ModelError where the widths of the two differ.
    """
    source_model, source_tokenizer = source or (model, tokenizer)
    if source_model.config.hidden_size != model.config.hidden_size:
        widths = f"{source_model.config.hidden_size} and {model.config.hidden_size}"
        raise ModelError(f"States of {widths} numbers cannot be compared. Give a source model of the same width, such as the one grafted.")
    sources = sentence_vectors(source_model, source_tokenizer, [one for one, _ in pairs], layer, is_source=True)
    targets = sentence_vectors(model, tokenizer, [other for _, other in pairs], layer)
    return accuracies(hits(sources, targets, csls))


def baseline(pairs: Sequence[Pair]) -> dict[str, float]:
    """What drawing a sentence finds: one in n."""
    return dict.fromkeys(("accuracy", "accuracy_forward", "accuracy_backward"), 1 / len(pairs))
