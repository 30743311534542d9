"""Word alignment by an encoder's states, on pico models in which the right links are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import World, sentences
from transformers import AutoModel, AutoTokenizer

from lingraft.model.parts import longest_input
from lingraft.vectors.contextual import contextual_links

Pico = Callable[[str], Path]


def load(folder: Path) -> tuple[Any, Any]:
    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "modernbert"])
def test_a_sentence_and_itself_are_linked_word_by_word(family: str, pico: Pico) -> None:
    lines = [" ".join(dict.fromkeys(line.split()[:8])) for line in sentences(10, seed=3)]
    found = [*contextual_links(*load(pico(family)), ((line, line) for line in lines))]
    assert found == [[(place, place) for place in range(len(line.split()))] for line in lines]


def test_words_are_found_in_another_order_where_states_know_no_place(pico: Pico) -> None:
    model, tokenizer = load(pico("bert"))
    torch.nn.init.zeros_(model.embeddings.position_embeddings.weight)
    words = list(dict.fromkeys(" ".join(sentences(5, seed=4)).split()))[:12]
    order = [7, 2, 9, 0, 4, 1, 3, 5, 6, 8, 11, 10]
    pair = " ".join(words), " ".join(words[place] for place in order)
    assert [*contextual_links(model, tokenizer, [pair], layer=0)] == [sorted((place, other) for other, place in enumerate(order))]
    assert [*contextual_links(model, tokenizer, [pair] * 40, layer=0)][39] == sorted((place, other) for other, place in enumerate(order))


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_a_long_text_is_read_up_to_the_last_position(family: str, pico: Pico) -> None:
    """Where the tokenizer does not say how many there are."""
    model, tokenizer = load(pico(family))
    tokenizer.model_max_length = 10**6
    limit = longest_input(model)
    text = " ".join(dict.fromkeys(" ".join(sentences(100, seed=3)).split()))
    assert limit and len(tokenizer(text)["input_ids"]) > limit + 2
    read = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)["offset_mapping"]
    [links] = contextual_links(model, tokenizer, [(text, text)], longest=limit)
    assert links == [(place, place) for place in range(len(text[: max(end for _, end in read)].split()))]


def test_what_has_no_words_or_no_pieces_has_no_links(pico: Pico, world: World) -> None:
    model, tokenizer = load(pico("bert"))
    word = world.plain.read_text().split()[0]
    long = " ".join([word] * 200)
    found = [*contextual_links(model, tokenizer, [("", word), (word, " "), ("", ""), (word, word), (long, word)])]
    assert found[:4] == [[], [], [], [(0, 0)]]
    assert all(source < 64 and target == 0 for source, target in found[4])
    assert [*contextual_links(model, tokenizer, [])] == []
