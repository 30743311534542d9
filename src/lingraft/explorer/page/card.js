// The short answer beside every view: who helps the language in focus, and whom it helps; without focus, the map's ends.
"use strict";

const Card = {
  update() {
    if (Card.shown === State.now.focus) return;
    Card.shown = State.now.focus;
    const card = d3.select("#card");
    const held = document.activeElement && document.activeElement.getAttribute("data-entry");
    card.node().replaceChildren();
    const focus = State.focused();
    if (focus) Card.language(card, focus);
    else Card.map(card);
    if (held && !document.body.contains(document.activeElement)) card.select("button").each(function refocus() { this.focus(); });
  },

  language(card, focus) {
    const [head, ...lines] = about(focus);
    card.append("h2").text(head);
    for (const line of [...lines, ...(focus.monolingual ? [`Score alone ${ofScore(focus.monolingual)}`] : [])]) card.append("p").text(line);
    const [into, from] = [PAIRS.filter((pair) => pair.target === focus), PAIRS.filter((pair) => pair.source === focus)];
    const down = (pairs) => d3.sort(pairs, (pair) => -pair.mean);
    const helped = down(into.filter((pair) => pair.mean > 0)), harmed = down(into.filter((pair) => pair.mean < 0)).reverse();
    Card.pairs(card, `Helped most by (${helped.length} help)`, helped.slice(0, 6), "source");
    Card.pairs(card, `Harmed most by (${harmed.length} harm)`, harmed.slice(0, 3), "source");
    Card.pairs(card, "Helps most", down(from.filter((pair) => pair.mean > 0)).slice(0, 5), "target");
  },

  map(card) {
    card.append("h2").text("The map in short");
    card.append("p").attr("class", "note").text("Choose a language to see who helps it, and whom it helps.");
    for (const [title, of, far] of [["Give most (D)", "D", 1], ["Give least (D)", "D", -1], ["Take most (R)", "R", 1]]) {
      const ends = d3.sort(LANGUAGES.filter((each) => each[of]), (each) => -far * each[of].mean).slice(0, far > 0 ? 5 : 3);
      Card.list(card, title, ends, (each) => [each, percent(each[of].mean), range(each[of]), known(each[of]) && !sure(each[of])]);
    }
    const ordered = d3.sort(PAIRS, (pair) => -pair.mean);
    Card.pairs(card, "Strongest help and harm", ordered.length ? [ordered[0], ordered[ordered.length - 1]] : [], "source", "target");
  },

  pairs(card, title, pairs, side, other) {
    const entry = (pair) => [pair[side], percent(pair.mean), range(pair), known(pair) && !sure(pair), other ? ` → ${pair[other].name}` : ""];
    if (pairs.length) Card.list(card, title, pairs, entry);
  },

  // A titled list; entry(item) -> [language, value, range, whether unsure, what follows the name].
  list(card, title, items, entry) {
    card.append("h3").text(title);
    const lines = card.append("ul").attr("class", "list").selectAll("li").data(items.map(entry)).join("li");
    const name = lines.append("span");
    name.append("button").attr("type", "button").attr("data-entry", (told) => told[0].code).text((told) => told[0].name)
      .attr("aria-label", (told) => `Put ${told[0].name} in focus`).on("click", (_, told) => State.set({ focus: told[0].code }));
    name.append("span").text((told) => told[4] || "");
    const value = lines.append("span").attr("class", "value");
    value.append("span").attr("class", (told) => (told[1].startsWith("+") ? "help-text" : "harm-text")).text((told) => told[1]);
    value.append("span").attr("class", "range").text((told) => ` ${told[2]}`);
    value.filter((told) => told[3]).append("span").attr("class", "unsure").text(" unsure");
  },
};
