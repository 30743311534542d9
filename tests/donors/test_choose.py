"""Advice from synthetic maps in which the right answers are planted."""

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_grids import additive_map, made_grid

from lingraft.cli import main
from lingraft.donors import choose as advice
from lingraft.donors import predict, sampling
from lingraft.donors.additive import fit, noise_of
from lingraft.donors.choose import choose
from lingraft.donors.gains import Gains
from lingraft.donors.records import cell
from lingraft.donors.typology import known, read_own, shared
from lingraft.errors import LanguageError, RunError
from lingraft.files import write_json

CODES = ["cs", "da", "de", "en", "es", "fi", "fr", "hu", "it", "ja"]


def as_gains(F: np.ndarray, codes: list[str], noise: float = 0.001, draws: int = 40) -> Gains:
    n = len(F)
    drawn = F + noise * np.random.default_rng(0).normal(size=(draws, n, n))
    return Gains(codes, "joint", 1, F, np.full(n, 0.3), drawn, np.full((draws, n), 0.3), np.isfinite(F).astype(int), [])


def write_map(grid: Path, F: np.ndarray, codes: list[str], leave: tuple[str, ...] = ()) -> Path:
    """A joint map with one seed whose gains are F, without the cells of the names in `leave`."""
    pairs = itertools.permutations(range(len(codes)), 2)
    planted = {(codes[i], codes[j]): float(F[i, j]) for i, j in pairs if cell(codes[i], codes[j]).name not in leave}
    return made_grid(grid, planted, codes)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    F = additive_map(6, seed=1)
    return write_map(tmp_path_factory.mktemp("map") / "grid", F, CODES[:6], leave=("da+de.0", "en+fi.0"))


# the additive model


def test_variances_of_a_large_map_are_found() -> None:
    F = additive_map(30, seed=0, pair=0.5)
    donors, recipients, pair = np.sqrt(fit(F).variances)
    assert donors == pytest.approx(0.1, rel=0.4)
    assert recipients == pytest.approx(0.1, rel=0.4)
    assert pair == pytest.approx(0.05, rel=0.1)


def test_a_noisy_pair_is_believed_less_than_a_clear_one() -> None:
    F, noise = additive_map(8, seed=2), np.full((8, 8), 1e-8)
    noise[0, 1] = 1.0
    model = fit(F, noise)
    assert model.weight[0, 1] < 0.01
    assert model.mean[0, 1] == pytest.approx(model.additive[0, 1], abs=0.01)
    assert model.mean[2, 3] == pytest.approx(F[2, 3], abs=1e-4)
    assert model.unsure()[0, 1] > 100 * model.unsure()[2, 3]


def test_intervals_cover_pairs_that_were_not_run_and_those_measured_with_noise() -> None:
    inside, noisy_inside = [], []
    for seed in range(12):
        F, generator = additive_map(9, seed), np.random.default_rng(100 + seed)
        measured = F + 0.03 * generator.normal(size=F.shape)
        hidden = generator.random(F.shape) < 0.3
        model = fit(np.where(hidden, np.nan, measured), np.full(F.shape, 0.03**2))
        within = np.abs(model.mean - F) < 1.96 * np.sqrt(model.unsure())
        off = ~np.eye(9, dtype=bool)
        inside += list(within[hidden & off])
        noisy_inside += list(within[~hidden & off])
    assert 0.9 < np.mean(inside) < 0.99
    assert 0.9 < np.mean(noisy_inside) < 0.99


def test_left_out_is_what_a_fit_without_the_pair_says() -> None:
    F = additive_map(7, seed=3)
    model = fit(F)
    without = F.copy()
    without[2, 5] = np.nan
    assert model.left_out(F)[2, 5] == pytest.approx(fit(without, variances=model.variances).mean[2, 5], rel=1e-6)


def test_noise_is_parted_into_a_pairs_own_and_what_a_recipient_shares() -> None:
    F, generator = additive_map(8, seed=0), np.random.default_rng(0)
    found = as_gains(F, CODES[:8])
    draws = F + 0.02 * generator.normal(size=(4000, 8, 8)) + 0.05 * generator.normal(size=(4000, 1, 8))
    noise, common = noise_of(Gains(found.languages, "joint", 1, F, found.monolingual, draws, found.monolingual_draws, found.count, []))
    off = ~np.eye(8, dtype=bool)
    assert np.allclose(noise[off], 0.02**2, rtol=0.2)
    assert np.allclose(common, 0.05**2, rtol=0.2)


# a language in the map


def test_the_best_donors_of_a_map_are_found(grid: Path) -> None:
    F, codes = additive_map(6, seed=1), CODES[:6]
    told = choose(grid, "es", 2)
    to = F[:, codes.index("es")]
    assert told["known"] is True
    assert {donor["code"] for donor in told["donors"]} == {codes[i] for i in np.argsort(-np.nan_to_num(to, nan=-9))[:2]}
    for donor in told["donors"]:
        assert donor["measured"] and donor["F"] == pytest.approx(to[codes.index(donor["code"])], abs=1e-4)
        assert donor["low"] <= donor["gain"] <= donor["high"]
    best, worst = told["sets"]["most"], told["sets"]["least"]
    assert best["languages"] == [donor["code"] for donor in told["donors"]]
    assert best["gain"] == pytest.approx(np.mean([donor["gain"] for donor in told["donors"]]))
    assert best["gain"] > worst["gain"] and not set(best["languages"]) & set(worst["languages"])
    assert told["error"]["model"]["mae"] < told["error"]["naive"]["mean"]["mae"]
    taken = {code: np.nansum(F[:, i]) for i, code in enumerate(codes) if code != "es"}
    assert told["sets"]["control"]["languages"] == [max(taken, key=taken.__getitem__), min(taken, key=taken.__getitem__)]


def test_a_pair_that_was_not_run_is_expected_from_the_others_with_a_wider_interval(grid: Path) -> None:
    F, codes = additive_map(6, seed=1), CODES[:6]
    donors = {donor["code"]: donor for donor in choose(grid, "de", 5)["donors"]}
    assert not donors["da"]["measured"] and donors["da"]["F"] is None
    assert donors["da"]["low"] < F[codes.index("da"), codes.index("de")] < donors["da"]["high"]
    widths = {code: donor["high"] - donor["low"] for code, donor in donors.items()}
    assert widths["da"] > 3 * max(width for code, width in widths.items() if code != "da")


def test_sets_are_of_the_map_and_the_random_one_follows_its_seed() -> None:
    ranked, takes = list("abcdefgh"), {code: i for i, code in enumerate("hgfedcba")}
    first = advice.sets(ranked, takes, 3, seed=0)
    assert first == advice.sets(ranked, takes, 3, seed=0)
    assert first["most"] == ["a", "b", "c"] and first["least"] == ["h", "g", "f"]
    assert first["control"] == ["a", "b", "h"]
    assert len({tuple(advice.sets(ranked, takes, 3, seed)["random"]) for seed in range(8)}) > 1
    assert sorted(advice.sets(ranked, takes, 8, 0)["control"]) == ranked


# a language that was never run


def typology_map(seed: int, strength: float) -> np.ndarray:
    """F by the share of equal WALS features, and noise."""
    generator, n = np.random.default_rng(seed), len(CODES)
    alike = np.array([[np.divide(*shared(known()[a], known()[b])) for b in CODES] for a in CODES])
    F = strength * alike + 0.03 * generator.normal(size=(n, n))
    np.fill_diagonal(F, np.nan)
    return F


def test_where_typology_decides_the_model_is_better_and_proposes_the_nearest() -> None:
    found = predict.outlook(as_gains(typology_map(0, 1.0), CODES), "sv", Path("none"), None, None)
    assert found.error["better"] and found.error["used"] == "model"
    assert found.error["model"]["mae"] < min(naive["mae"] for naive in found.error["naive"].values())
    assert found.error["model"]["rank"] > 0.5
    assert set(sorted(found.gain, key=lambda code: -found.gain[code])[:3]) & {"da", "de", "en"}
    truth = {code: np.divide(*shared(known()[code], known()["sv"])) for code in CODES}
    assert np.mean([abs(truth[code] - found.gain[code]) < found.reach([code]) for code in CODES]) >= 0.9
    assert found.reach(CODES[:4]) < found.reach(CODES[:1])


def test_where_nothing_decides_it_says_so_and_goes_by_the_naive_guess() -> None:
    better = 0
    for seed in range(3):
        found = predict.outlook(as_gains(typology_map(seed, 0.0), CODES), "sv", Path("none"), None, None)
        better += found.error["better"]
        if not found.error["better"]:
            assert found.error["used"] == found.error["best_naive"]
            assert "not surely better" in found.error["says"]
    assert better <= 1


def test_a_language_left_out_does_not_reach_its_own_guesses() -> None:
    F = typology_map(0, 1.0)
    features = np.array([[predict.pair_features(a, b, {}) for b in CODES] for a in CODES])
    before = predict.leave_one_out(F, features)
    changed = F.copy()
    changed[3], changed[:, 3] = changed[3] + 5, changed[:, 3] - 7
    after = predict.leave_one_out(changed, features)
    for name in before:
        np.testing.assert_array_equal(before[name][:, 3], after[name][:, 3])
        assert not np.array_equal(before[name][:, 4], after[name][:, 4], equal_nan=True)


def test_text_alone_is_enough_for_a_language_without_typology(tmp_path: Path) -> None:
    from lingraft.donors.corpus import build, read

    (tmp_path / "text").mkdir()
    codes, generator = ["da", "de", "en", "fi"], np.random.default_rng(0)
    for place, code in enumerate(codes):
        words = [f"{letter}{i}x" for letter in "abcd"[: place + 1] for i in range(30)]
        lines = [" ".join(generator.choice(words, 8)) + "." for _ in range(150)]
        (tmp_path / "text" / f"{code}.txt").write_text("\n".join(lines) + "\n")
    corpus = build(codes, str(tmp_path / "text"), out=tmp_path / "corpus", characters=3000, vocabulary=150)
    own = tmp_path / "own.txt"
    own.write_text((tmp_path / "text" / "fi.txt").read_text())
    texts = predict.read_tokens(tmp_path, codes, "gsw", own, corpus.path)
    assert len(texts["gsw"].types & texts["fi"].types) > 0.9 * len(texts["gsw"].types)
    assert predict.pair_features("fi", "gsw", texts)[5] > predict.pair_features("da", "gsw", texts)[5]
    assert texts["da"].ratio < texts["fi"].ratio
    grid = write_map(tmp_path / "grid", additive_map(4, 0), codes)
    told = choose(grid, "gsw", 2, text=own, corpus=corpus.path)
    assert told["known"] is False and len(told["donors"]) == 2
    assert "genus" not in told["error"]["naive"]  # nothing is known of it
    with pytest.raises(RunError, match="--corpus CORPUS"):
        choose(grid, "gsw", 2, text=own)
    write_json(grid / "grid.json", {"languages": codes, "mode": "joint", "seeds": 1, "corpus": "another"})
    assert read(corpus.path).fingerprint != "another"
    with pytest.raises(RunError, match="another corpus"):
        choose(grid, "gsw", 2, text=own, corpus=corpus.path)


def test_features_of_ones_own_are_enough_and_it_says_on_how_many_it_stands(grid: Path, tmp_path: Path) -> None:
    rows = ["language\tname\t81A\t49A\tgenus", "gsw\tZurich German\tSVO\t\tGermanic", "de\t\tSVO\t\t"]
    (tmp_path / "own.tsv").write_text("\n".join(rows))
    told = choose(grid, "gsw", 2, features=tmp_path / "own.tsv")
    assert (told["known"], told["name"]) == (False, "Zurich German")
    assert (told["compared"]["known"], told["compared"]["of"]) == (1, 179)
    assert told["compared"]["donors"] == {code: 1 if "81A" in known()[code].features else 0 for code in told["compared"]["donors"]}
    assert any(note.startswith("Of gsw 1 of 179 typological features are known") for note in told["notes"])
    table = known() | read_own(tmp_path / "own.tsv")
    assert predict.pair_features("de", "gsw", {}, table)[:3] == [pytest.approx(6 / 11), 1, pytest.approx(np.nan, nan_ok=True)]
    assert np.isnan(predict.pair_features("de", "gsw", {})[:4]).all()
    assert choose(grid, "de", 2, features=tmp_path / "own.tsv")["compared"] is None
    with pytest.raises(LanguageError, match="--features FILE"):
        choose(grid, "bar", 2, features=tmp_path / "own.tsv")


def test_a_share_of_few_features_says_less_than_one_of_many(tmp_path: Path) -> None:
    few, many = {"1A": "x"}, {f"{i}A": "x" for i in range(90)}
    alike = [replace(known()["de"], features=some) for some in (few, many)]
    shares = [predict.pair_features("de", "sv", {}, {"de": one, "sv": one})[0] for one in alike]
    assert 0.5 < shares[0] < shares[1] == pytest.approx(0.95)
    assert np.isnan(predict.pair_features("de", "sv", {}, {"de": alike[0], "sv": replace(alike[0], features={})})[0])


# the command


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *options: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["lingraft", "donors", "choose", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command(grid: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status, out, _ = run(capsys, monkeypatch, grid, "--next", 5)
    assert status == 0 and set(out.strip().split(",")) == {"da+de.0", "en+fi.0"}
    status, out, _ = run(capsys, monkeypatch, grid, "--for", "de", "--size", 2, "--json")
    told = json.loads(out)
    assert told == json.loads(json.dumps(choose(grid, "de", 2)))
    status, out, _ = run(capsys, monkeypatch, grid, "--for", "sv", "--size", 3)
    assert status == 0 and "naive: donor" in out and "Danish" in out
    whole = write_map(tmp_path / "whole", additive_map(4, 0), CODES[:4])
    monkeypatch.setattr(sampling, "ORDERS", 1)
    status, out, _ = run(capsys, monkeypatch, whole, "--simulate", "--json")
    assert status == 0 and json.loads(out)["table"][-1]["active_D"] == pytest.approx(1)
    assert (whole / "scores" / "sampling.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_wrong_is_said(grid: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for options, message in (
        ((grid, "--for", "gsw"), "--text FILE"),
        ((grid, "--for", "qqq1"), "no language 'qqq1'"),
        ((grid, "--for", "de", "--size", 6), "Ask for 1 to 5"),
        ((tmp_path, "--for", "de"), "is no grid"),
        ((tmp_path / "none", "--next", 3), "is no grid"),
        ((tmp_path, "--simulate"), "is no grid"),
        ((grid, "--simulate"), "every pair was run"),
        ((grid,), "exactly one of --for, --next and --simulate"),
        ((grid, "--for", "de", "--next", 3), "exactly one of --for, --next and --simulate"),
    ):
        status, out, said = run(capsys, monkeypatch, *options)
        assert (status, out) == (2, "") and message in " ".join(said.replace("│", " ").split())
    three = write_map(tmp_path / "three", additive_map(3, 0), CODES[:3])
    with pytest.raises(RunError, match="4 languages or more"):
        choose(three, "sv", 2)
    with pytest.raises(LanguageError, match="typology has nothing"):
        choose(three, "gsw", 2)
