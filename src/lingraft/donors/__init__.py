"""The donor map: which languages help which, after Malkin et al. 2022.

What lies where, each file complete or not there:

    CORPUS/corpus.json            languages, unit and amount, tokenizer, counts and checks (donors.corpus)
    CORPUS/text/CODE.txt          training sentences, one a line, a blank line between documents; the same amount for every language
    CORPUS/held-out/CODE.txt      sentences to score, one a line, none of them in text/
    CORPUS/tokenizer/             one tokenizer over all languages, a transformers folder
    GRID/grid.json                languages, mode, seeds, settings, fingerprint of the corpus (donors.grid)
    GRID/epochs.json              the number of epochs, where it is chosen, and the losses that it was chosen by
    GRID/failures.jsonl           every try of a cell that failed, with the end of its traceback
    GRID/tokens/, GRID/work/      the corpus as ids; locks, and checkpoints of cells that are being trained
    GRID/cells/NAME/record.json   what one model scored (donors.records)
    GRID/cells/NAME/ranks.safetensors   reciprocal ranks by sentence, for intervals
    GRID/cells/NAME/model/        the model, where models are kept
    GRID/zero-shot/TASK/NAME.json what a kept model, fine-tuned in one language, scored in others (donors.zero_shot)
    GRID/scores/                  F, D, R and all that follows from them: scores.json, tidy CSV, plots (donors.scores)
"""
