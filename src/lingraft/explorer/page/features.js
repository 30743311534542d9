// What WALS says of the languages' grammar beside what they give: languages by the value of a feature, or two languages feature by feature.
"use strict";

const Features = {
  title: "Grammar",
  help: "Does a shared structure go with help? Choose a feature of WALS to see languages by its value and the mean F between values, "
    + "or compare two languages.",

  mount(stage) { Features.box = d3.select(stage); },

  update() {
    const held = document.activeElement && document.activeElement.getAttribute("data-value");
    Features.box.node().replaceChildren();
    const said = !FEATURES.length ? Features.nothing() : State.now.part === "two" ? Features.two() : Features.byValue();
    if (held) Features.box.select(`[data-value="${CSS.escape(held)}"]`).each(function refocus() { this.focus(); });
    return said;
  },

  nothing() {
    Features.box.append("p").text("No features are known of this map's languages. Give them with: lingraft donors explore --features FILE");
    return "No features";
  },

  // Mean F from the languages of one value to those of another, over measured pairs: {mean, pairs, low, high}; low and high hold the middle 80 %.
  between(from, to) {
    const found = d3.sort(d3.cross(from, to).map(([source, target]) => pairOf(source, target)).filter(Boolean).map((pair) => pair.mean));
    return { mean: d3.mean(found), pairs: found.length, low: d3.quantileSorted(found, 0.1), high: d3.quantileSorted(found, 0.9) };
  },

  // {feature, groups: [[value, languages, whether shown]], values: those shown}
  grouped() {
    const feature = FEATURE.get(State.now.feature);
    const there = new Set(State.shown());
    const groups = feature.values.map((value) => {
      const on = !State.now.off.includes(value);
      return [value, feature.having.filter((each) => each.features[feature.id] === value && (there.has(each) || !on)), on];
    });
    return { feature, groups, kept: groups.filter(([, languages, on]) => on && languages.length) };
  },

  byValue() {
    const { feature, groups, kept } = Features.grouped();
    const there = kept.flatMap((group) => group[1]);
    const among = PAIRS.filter((pair) => there.includes(pair.source) && there.includes(pair.target));
    const alike = (pair) => pair.source.features[feature.id] === pair.target.features[feature.id];
    const [same, other] = [among.filter(alike), among.filter((pair) => !alike(pair))];
    const mean = (found) => (found.length ? `${percent(d3.mean(found, (pair) => pair.mean))} over ${found.length} pairs` : "no pair measured");
    Features.box.append("p").text(`Mean F where donor and recipient have the same value: ${mean(same)}; a different value: ${mean(other)}. `
      + "A difference may have other reasons: relatives share both grammar and words.");
    const boxes = Features.box.append("div").attr("class", "groups").selectAll("div").data(groups).join("div");
    boxes.attr("class", (group) => `group${group[2] ? "" : " off"}`);
    boxes.append("h3").text(([value, languages]) => `${value} (${languages.length})`);
    boxes.append("div").attr("class", "chips").selectAll("button").data((group) => d3.sort(group[1], (each) => -gives(each))).join("button")
      .attr("type", "button").attr("data-value", (each) => `chip ${each.code}`).attr("aria-pressed", (each) => String(each === State.focused()))
      .text((each) => each.name).style("border-left-color", (each) => colourOf(gives(each), MOST_GIVEN))
      .on("click", (_, each) => State.focus(each.code)).call(tipped);
    const label = boxes.append("label");
    label.append("input").attr("type", "checkbox").attr("data-value", ([value]) => `shown ${value}`).property("checked", (group) => group[2])
      .on("change", (event, [value]) => {
        const others = State.now.off.filter((each) => each !== value);
        State.set({ off: event.target.checked ? others : [...others, value] });
      });
    label.append("span").text(" show in all views").append("span").attr("class", "unseen").text(([value]) => `: ${value}`);
    Features.matrix(kept);
    return `${feature.id} ${feature.name}: ${kept.length} values`;
  },

  matrix(kept) {
    const table = Features.box.append("div").attr("class", "wide").append("table").attr("class", "matrix");
    table.append("caption").text("Mean F from donors with the row's value to recipients with the column's, number of pairs, range of the middle 80 %");
    const head = table.append("thead").append("tr");
    head.append("th").attr("scope", "col").text("donors ↓ recipients →");
    for (const [value] of kept) head.append("th").attr("scope", "col").text(value);
    for (const [value, donors] of kept) {
      const row = table.append("tbody").append("tr");
      row.append("th").attr("scope", "row").text(value);
      for (const [, recipients] of kept) {
        const told = Features.between(donors, recipients);
        const cell = row.append("td").text(told.pairs ? percent(told.mean) : "–");
        if (!told.pairs) continue;
        const colour = colourOf(told.mean);
        cell.style("background-color", colour).style("color", inkOn(colour));
        cell.append("div").text(`n ${told.pairs}`);
        cell.append("div").text(`${d3.format("+.0f")(100 * told.low)} to ${d3.format("+.0f")(100 * told.high)}`);
      }
    }
  },

  // The two languages compared: as chosen, else the one in focus or the best donor, and what it helps most.
  pair() {
    const best = d3.greatest(LANGUAGES, (each) => (each.D ? each.D.mean : -Infinity)) || LANGUAGES[0];
    const first = BY_CODE.get(State.now.first) || State.focused() || best;
    const helped = d3.greatest(PAIRS.filter((pair) => pair.source === first), (pair) => pair.mean);
    return [first, BY_CODE.get(State.now.second) || (helped ? helped.target : LANGUAGES.find((each) => each !== first))];
  },

  compared() {
    const [first, second] = Features.pair();
    const both = FEATURES.filter(({ id }) => id in first.features && id in second.features);
    const differ = both.filter(({ id }) => first.features[id] !== second.features[id]);
    return { first, second, both, differ, listed: State.now.different ? differ : both };
  },

  two() {
    const { first, second, both, differ, listed } = Features.compared();
    const shared = `${both.length - differ.length} of ${both.length} features that are known of both`;
    const summary = `${first.name} and ${second.name} have the same value in ${shared}.`;
    Features.box.append("p").text(summary);
    for (const [one, other] of [[first, second], [second, first]]) {
      Features.box.append("p").text(`${one.name} → ${other.name}: ${one === other ? "the same language" : ofPair(pairOf(one, other))}`);
    }
    const table = Features.box.append("div").attr("class", "wide").append("table");
    table.append("caption").text(`${listed.length} features`);
    const head = table.append("thead").append("tr");
    for (const title of ["Feature", first.name, second.name, "Same?"]) head.append("th").attr("scope", "col").text(title);
    for (const { id, name } of listed) {
      const row = table.append("tbody").append("tr");
      row.append("th").attr("scope", "row").text(`${id} ${name}`);
      const [one, other] = [first.features[id], second.features[id]];
      for (const told of [one, other, one === other ? "same" : "differs"]) row.append("td").text(told);
    }
    return summary;
  },

  rows() {
    if (!FEATURES.length) return [["feature"]];
    if (State.now.part === "two") {
      const { first, second, listed } = Features.compared();
      return [["feature", "name", first.code, second.code], ...listed.map(({ id, name }) => [id, name, first.features[id], second.features[id]])];
    }
    const { feature, kept } = Features.grouped();
    const body = d3.cross(kept, kept).map(([from, to]) => {
      const told = Features.between(from[1], to[1]);
      return [feature.id, from[0], to[0], told.mean, told.low, told.high, told.pairs];
    });
    return [["feature", "donors", "recipients", "mean_F", "tenth", "ninetieth", "pairs"], ...body];
  },
  scene() {
    const short = (cell) => (typeof cell === "number" && !Number.isInteger(cell) ? percent(cell) : cell);
    return tableScene(Features.rows().map((row) => row.map(short)));
  },
  legend: () => [],
};
