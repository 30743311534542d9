"""The page in a real browser: what each view shows of planted scores, how it is steered, what it saves, and that nothing gets in or out."""

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lingraft.explorer.build import explore
from lingraft.files import write_json

sync = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install playwright")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
OPTIONS = [f"--{name}" for name in ("no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run", "disable-sync")]
QUIET = ["--disable-background-networking", "--disable-component-update"]

EVIL = "<img src=x onerror=\"document.title='owned'\"></script>"
NAMES = {"de": "German", "fi": "Finnish", "ja": "Japanese", "sv": "Swedish", "zz": EVIL}
F = {
    "de": {"fi": 0.10, "ja": -0.02, "sv": 0.40, "zz": 0.01},
    "fi": {"de": -0.30, "ja": 0.05, "sv": -0.20, "zz": 0.02},
    "ja": {"de": 0.15, "fi": 0.25, "sv": 0.12},
    "sv": {"de": 0.50, "fi": 0.08, "ja": 0.03, "zz": -0.04},
    "zz": {"de": 0.06},
}


def told(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 3}


D = {source: sum(row.values()) for source, row in F.items()}
R = {target: sum(row.get(target, 0) for row in F.values()) for target in F}
SCORES = {
    "mode": "joint",
    "seeds": 3,
    "languages": {
        code: {"name": name, "script": "Jpan" if code == "ja" else "Latn", "monolingual": told(0.3)} for code, name in NAMES.items()
    },
    "F": {source: {target: told(mean) for target, mean in row.items()} for source, row in F.items()},
    "D": {code: told(mean) for code, mean in D.items()},
    "R": {code: told(mean) for code, mean in R.items()},
    "types": {"de": "O", "fi": "AB+"},
    "sure": {"de": True, "fi": False},
    "notes": [f"Made up for {EVIL}."],
    "missing": ["ja+zz.0"],
    "findings": {"harm": {"value": 4, "says": f"Four pairs are harmed, says {EVIL}."}},
}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS + QUIET)
        yield made
        made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    write_json(folder / "scores" / "scores.json", SCORES)
    return explore(folder, folder / "site")


@pytest.fixture
def visit(browser: Any, site: Path) -> Iterator[Open]:
    """Open the page at an address; at the end nothing may have been asked of a network, and nothing may have gone wrong."""
    contexts, wrong = [], []

    def start(state: str = "", **options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith((site.as_uri(), "blob:")) else None)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{site.as_uri()}#{state}")
        return page

    yield start
    for context in contexts:
        context.close()
    assert wrong == []


def saved(page: Any, kind: str) -> str:
    """What the button to save the view hands out."""
    with page.expect_download() as download:
        page.click(f"#{kind}")
    return Path(download.value.path()).read_text(encoding="utf-8")


def rows(page: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(saved(page, "csv").splitlines()))


def pairs(page: Any) -> dict[tuple[str, str], float]:
    """The F of the pairs in the view's CSV."""
    return {(row["source"], row["target"]): float(row["F"]) for row in rows(page)}


def slide(page: Any, value: float) -> None:
    page.locator("#min").evaluate("(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value)


def planted(keep: Callable[[str, str, float], bool]) -> dict[tuple[str, str], float]:
    return {(source, target): mean for source, row in F.items() for target, mean in row.items() if keep(source, target, mean)}


def test_the_graph_shows_the_arrows_that_were_asked_for(visit: Open) -> None:
    page = visit()
    sync.expect(page.locator("g.node")).to_have_count(5)
    slide(page, 15)
    sync.expect(page.locator("#least")).to_have_text("15.0 %")
    assert pairs(page) == planted(lambda _, __, mean: abs(mean) >= 0.15)
    page.locator("g.node[data-code=fi]").click()
    sync.expect(page.locator("#card h2")).to_have_text("Finnish (fi)")
    assert pairs(page) == planted(lambda source, target, mean: "fi" in (source, target) and abs(mean) >= 0.15)
    page.select_option("[data-state=direction]", "in")
    assert pairs(page) == {("ja", "fi"): 0.25}
    slide(page, 0)
    page.select_option("[data-state=direction]", "both")
    page.select_option("[data-state=sign]", "harm")
    assert pairs(page) == {("fi", "de"): -0.3, ("fi", "sv"): -0.2}
    page.get_by_label("only where the interval excludes 0").check()
    page.select_option("[data-state=sign]", "all")
    assert pairs(page) == planted(lambda source, target, mean: "fi" in (source, target) and abs(mean) > 0.05 + 1e-9)


def test_languages_can_be_moved_by_pointer_and_by_keys(visit: Open) -> None:
    page = visit()
    node = page.locator("g.node[data-code=ja]")
    before = node.bounding_box()
    node.hover()
    page.mouse.down()
    page.mouse.move(before["x"] + 40, before["y"] + 30, steps=3)
    page.mouse.up()
    after = node.bounding_box()
    assert abs(after["x"] - before["x"]) + abs(after["y"] - before["y"]) > 10
    assert "focus" not in page.url
    node.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    sync.expect(page.locator("#card h2")).to_have_text("Japanese (ja)")
    assert node.bounding_box()["x"] < after["x"]


def test_the_heat_map_tells_each_cell_to_the_keyboard_and_the_pointer(visit: Open) -> None:
    page = visit("view=heatmap&order=name")
    order = page.evaluate("Heatmap.order.map((each) => each.code)")
    assert order == sorted(NAMES, key=NAMES.__getitem__)
    page.locator("canvas").focus()
    for _ in range(order.index("de")):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    for _ in range(order.index("sv")):
        page.keyboard.press("ArrowRight")
    sync.expect(page.locator("#status")).to_have_text("German → Swedish, +40.0 % [+35.0, +45.0], measured 3 ×")
    sync.expect(page.locator("#tip")).to_contain_text("+40.0 % [+35.0, +45.0]")
    page.keyboard.press("End")
    sync.expect(page.locator("#status")).to_contain_text(f"D +{100 * D['de']:.1f} %")
    where = page.evaluate("(at) => [Heatmap.left + (at[1] + .5) * Heatmap.size, Heatmap.top + (at[0] + .5) * Heatmap.size]", [1, 1])
    page.locator("canvas").hover(position={"x": where[0] + 0.0, "y": where[1] + 0.0})
    sync.expect(page.locator("#tip")).to_contain_text(NAMES[order[1]])
    assert pairs(page) == planted(lambda *_: True)
    page.select_option("[data-state=order]", "D")
    sync.expect(page.locator("#status")).to_contain_text("in order of D")
    assert page.evaluate("Heatmap.order.map((each) => each.code)") == sorted(D, key=D.__getitem__, reverse=True)


def test_the_scatter_puts_languages_where_they_belong(visit: Open) -> None:
    page = visit("view=scatter")
    places = {code: page.locator(f"g.node[data-code={code}] .face").bounding_box() for code in NAMES}
    assert sorted(NAMES, key=lambda code: places[code]["x"]) == sorted(NAMES, key=D.__getitem__)
    assert sorted(NAMES, key=lambda code: -places[code]["y"]) == sorted(NAMES, key=R.__getitem__)
    label = page.locator("g.node[data-code=fi]").get_attribute("aria-label")
    assert f"D −{-100 * D['fi']:.1f} % [−{5 - 100 * D['fi']:.1f}, −{-100 * D['fi'] - 5:.1f}]" in label
    assert "Blood type AB+?" in label
    assert {row["code"]: float(row["D"]) for row in rows(page)} == pytest.approx(D)


def test_grammar_groups_languages_and_filters_every_view(visit: Open) -> None:
    page = visit("view=features&feature=81A")
    sync.expect(page.locator(".group h3")).to_have_text(["No dominant order (1)", "SOV (1)", "SVO (2)"])
    means = {(row["donors"], row["recipients"]): row["mean_F"] for row in rows(page)}
    assert float(means["SVO", "SVO"]) == pytest.approx((F["sv"]["fi"] + F["fi"]["sv"]) / 2)
    assert float(means["SOV", "SVO"]) == pytest.approx((F["ja"]["sv"] + F["ja"]["fi"]) / 2)
    assert means["SOV", "SOV"] == ""
    page.locator(".group", has_text="SOV").get_by_role("checkbox").uncheck()
    page.get_by_role("tab", name="Heat map").click()
    sync.expect(page.locator("#filtered")).to_have_text("Filter: 4 of 5 languages shown")
    assert pairs(page) == planted(lambda source, target, _: "ja" not in (source, target))
    page = visit("view=features&part=two&first=fi&second=sv&different=1")
    sync.expect(page.locator("#stage")).to_contain_text("Swedish → Finnish: +8.0 % [+3.0, +13.0]")
    compared = {row["feature"]: (row["fi"], row["sv"]) for row in rows(page)}
    assert compared
    assert all(one != other for one, other in compared.values())
    assert "49A" not in compared or compared["49A"][0] == "10 or more cases"


def test_the_table_sorts_and_searches(visit: Open) -> None:
    page = visit("view=table&rows=pairs")
    sync.expect(page.locator("tbody tr").first).to_contain_text("SwedishGerman+50.0 % [+45.0, +55.0]helps+40.0 %")
    page.get_by_role("button", name="F, help").click()
    sync.expect(page.locator("tbody tr").first).to_contain_text("FinnishGerman−30.0 %")
    sync.expect(page.locator("th[aria-sort=ascending]")).to_contain_text("F, help")
    page.get_by_label("Search").fill("jpan uralic")
    sync.expect(page.locator("tbody tr")).to_have_count(2)
    assert pairs(page) == {("fi", "ja"): 0.05, ("ja", "fi"): 0.25}


def test_a_link_restores_the_view(visit: Open) -> None:
    page = visit()
    slide(page, 12)
    page.select_option("#focus", "sv")
    page.locator("#filters summary").click()
    page.locator("#languages").get_by_label("Japanese").uncheck()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Heat map").click()
    page.select_option("[data-state=order]", "R")
    page.get_by_role("tab", name="Graph").click()
    sync.expect(page.locator("g.node")).to_have_count(4)
    again = visit(page.url.partition("#")[2])
    sync.expect(again.locator("#least")).to_have_text("12.0 %")
    assert again.evaluate("State.now") == page.evaluate("State.now")
    assert saved(again, "svg") == saved(page, "svg")
    sync.expect(again.locator("#focus")).to_have_value("sv")
    again.get_by_role("tab", name="Heat map").click()
    sync.expect(again.locator("[data-state=order]")).to_have_value("R")
    strange = visit("view=%3Cb%3E&focus=nobody&min=NaN&hide=zz|q&page=-4&feature=constructor&sort=__proto__&unknown=1")
    sync.expect(strange.locator("g.node")).to_have_count(4)


def test_every_view_is_saved_as_svg_and_names_stay_text(visit: Open) -> None:
    page = visit("min=0&sort=name&focus=zz")
    expected = {"Graph": "zz", "Heat map": "+50", "Scatter": "A: gives and takes", "Grammar": "No dominant order", "Table": EVIL}
    for view, words in expected.items():
        page.get_by_role("tab", name=view).click()
        sync.expect(page.get_by_role("tab", name=view)).to_have_attribute("aria-selected", "true")
        svg = ElementTree.fromstring(saved(page, "svg"))
        kinds = [mark.tag.rpartition("}")[2] for mark in svg.iter()]
        assert set(kinds) <= {"svg", "rect", "path", "circle", "text"}
        assert words in "".join(svg.itertext())
        if view == "Graph":
            assert kinds.count("path") == 2 * len(planted(lambda source, target, _: "zz" in (source, target)))
        assert page.locator("img").count() == 0
    assert page.title() == "Donor map"
    for place in ("#card h2", "#findings ul", "#notes", "#stage"):
        assert EVIL in page.locator(place).inner_text()


def test_no_script_gets_in_by_another_way(browser: Any, site: Path) -> None:
    page = browser.new_page()
    page.goto(site.as_uri())
    tried = """() => {
      const script = document.createElement("script");
      try { script.textContent = "document.title = 'owned'"; document.body.append(script); } catch {}
      try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=\\"document.title='owned'\\">"); } catch {}
      return fetch("https://example.org").then(() => "reached", () => "refused");
    }"""
    assert page.evaluate(tried) == "refused"
    assert page.title() == "Donor map"
    assert page.locator("img").count() == 0
    page.close()


NAMELESS = """() => [...document.querySelectorAll("button, select, input, summary, canvas[tabindex], [role=button]")]
  .filter((each) => each.checkVisibility())
  .filter((each) => {
    const labels = [...(each.labels || [])].map((label) => label.innerText).join("");
    const own = each.matches("button, summary") ? each.textContent : "";
    return !(each.getAttribute("aria-label") || labels || own).trim();
  })
  .map((each) => each.outerHTML)"""
STOPS = """() => [...document.querySelectorAll("button, select, input, summary, [tabindex='0']")]
  .filter((each) => each.checkVisibility() && !each.disabled && each.tabIndex >= 0).length"""
WATCH = "() => { window.seen = new Set(); document.addEventListener('focusin', (event) => window.seen.add(event.target)); }"
BROKEN = """() => [
  ...[...document.querySelectorAll("[id]")].map((each) => each.id).filter((id, place, all) => all.indexOf(id) !== place),
  ...[...document.querySelectorAll("[aria-controls], [aria-labelledby]")]
    .flatMap((each) => ["aria-controls", "aria-labelledby"].map((name) => each.getAttribute(name)).filter(Boolean))
    .filter((id) => !document.getElementById(id)),
]"""


def test_every_control_has_a_name_and_the_keyboard_reaches_it(visit: Open) -> None:
    page = visit(viewport={"width": 390, "height": 800}, color_scheme="dark")
    for view in ("Graph", "Heat map", "Scatter", "Grammar", "Table"):
        page.get_by_role("tab", name=view).click()
        sync.expect(page.get_by_role("tab", name=view)).to_have_attribute("aria-selected", "true")
        page.locator("#filters summary").click()
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(BROKEN) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        wanted = page.evaluate(STOPS)
        page.evaluate(WATCH)
        page.locator("#skip").focus()
        for _ in range(wanted + 2):
            page.keyboard.press("Tab")
        assert page.evaluate("window.seen.size") >= wanted
    for landmark in ("header", "main", "aside", "footer", "h1", "[role=tablist]", "[role=status]"):
        assert page.locator(landmark).count() == 1
