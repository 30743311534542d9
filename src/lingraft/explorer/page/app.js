// Ties it together: tabs, controls bound to the state by name, filters, export, and one draw after each change.
"use strict";

const VIEWS = { graph: Graph, heatmap: Heatmap, scatter: Scatter, features: Features, table: Table };
const by = (id) => document.getElementById(id);
let mounted = "";

function options(id, entries) {
  d3.select(by(id)).selectAll("option").data(entries).join("option").attr("value", ([value]) => value).text(([, words]) => words);
}

// What does not change: words about the map, tabs, the entries of menus.
function prepare() {
  const pairs = `${PAIRS.length} of ${COUNT * (COUNT - 1)} ordered pairs`;
  const how = DATA.mode === "joint" ? "each pair trained together" : "the donor first, then the recipient";
  by("summary").textContent = `${COUNT} languages, ${pairs}, ${how}, ${DATA.seeds} ${DATA.seeds === 1 ? "seed" : "seeds"}.`;
  const { missing, failed } = DATA;
  const gaps = `Not measured: ${missing.length} cells not run, ${failed.length} failed${failed.length ? ` (${failed.join(", ")})` : ""}.`;
  by("cells").textContent = missing.length + failed.length ? gaps : "Every cell of the map was measured.";
  d3.select("#findings ul").selectAll("li").data(DATA.findings).join("li").text((words) => words);
  d3.select("#notes").selectAll("p").data(DATA.notes).join("p").text((words) => words);
  by("findings").hidden = !DATA.findings.length && !DATA.notes.length;
  d3.select("#tabs").selectAll("button").data(Object.entries(VIEWS)).join("button")
    .attr("type", "button").attr("role", "tab").attr("id", ([id]) => `tab-${id}`).attr("aria-controls", "panel").text(([, view]) => view.title)
    .on("click", (_, [id]) => State.set({ view: id }))
    .on("keydown", (event) => {
      const ids = Object.keys(VIEWS), place = ids.indexOf(State.now.view);
      const to = { ArrowRight: (place + 1) % ids.length, ArrowLeft: (place + ids.length - 1) % ids.length, Home: 0, End: ids.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      State.set({ view: ids[to] });
      by(`tab-${ids[to]}`).focus();
    });
  const names = BY_NAME.map((each) => [each.code, each.name]);
  options("focus", [["", "none"], ...names]);
  options("first", [["", "as the map suggests"], ...names]);
  options("second", [["", "as the map suggests"], ...names]);
  const counted = (of) => d3.sort(d3.rollups(LANGUAGES, (all) => all.length, (each) => each[of]), ([name]) => name);
  const kinds = (of) => [["", "all"], ...counted(of).map(([name, count]) => [name, `${name} (${count})`])];
  options("scripts", kinds("script"));
  options("families", kinds("family"));
  const telling = FEATURES.filter((feature) => feature.values.length > 1 || feature.id === "81A");
  options("feature", telling.map((feature) => [feature.id, `${feature.id} ${feature.name} (${feature.having.length})`]));
  by("min").max = Math.ceil(100 * LARGEST);
  const boxes = d3.select("#languages").selectAll("label").data(BY_NAME).join("label");
  boxes.append("input").attr("type", "checkbox").attr("value", (each) => each.code).on("change", (event, each) => {
    const { hide } = State.now;
    State.set({ hide: event.target.checked ? hide.filter((code) => code !== each.code) : [...hide, each.code] });
  });
  boxes.append("span").text((each) => each.name);
}

// What else a change takes back to its start.
const ALSO = { find: { page: 0 }, sign: { page: 0 }, sure: { page: 0 }, rows: { page: 0, sort: "" }, feature: { off: [] } };

// Every control with data-state="NAME" shows and sets the choice of that name.
function bind() {
  for (const control of document.querySelectorAll("[data-state]")) {
    control.addEventListener("input", () => {
      const name = control.dataset.state;
      const value = control.type === "checkbox" ? control.checked : control.type === "range" ? +control.value : control.value;
      State.set({ [name]: value, ...ALSO[name] });
    });
  }
  by("unfocus").addEventListener("click", () => State.set({ focus: "" }));
  by("readable").addEventListener("click", () => State.set({ min: null }));
  by("everything").addEventListener("click", () => State.set({ script: "", family: "", hide: [], off: [] }));
  by("skip").addEventListener("click", () => by("main").focus());
  const view = () => VIEWS[State.now.view];
  const svg = () => new XMLSerializer().serializeToString(toSvg(view().scene(), COLOURS.paper));
  const csv = () => view().rows().map((row) => `${row.map(field).join(",")}\r\n`).join("");
  by("svg").addEventListener("click", () => save("svg", "image/svg+xml", svg()));
  by("csv").addEventListener("click", () => save("csv", "text/csv", csv()));
  by("link").addEventListener("click", async () => {
    const words = await navigator.clipboard.writeText(location.href).then(() => "Link copied", () => "Copy it from the address bar");
    by("link").textContent = words;
    say(words);
    setTimeout(() => { by("link").textContent = "Copy link"; }, 3000);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (by("filters").open) { by("filters").open = false; by("filtered").focus(); }
    else if (!Tip.box.hidden) Tip.hide();
    else if (State.now.focus) State.set({ focus: "" });
  });
  document.addEventListener("pointerdown", (event) => { if (!by("filters").contains(event.target)) by("filters").open = false; });
}

// A field of a CSV file. Words that a spreadsheet would run as a formula get an apostrophe in front.
function field(value) {
  if (value === null || value === undefined || typeof value === "number") return value ?? "";
  const words = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

function save(ending, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
  d3.create("a").attr("href", address).attr("download", `donor-map-${State.now.view}.${ending}`).node().click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say(`Saved donor-map-${State.now.view}.${ending}`);
}

// Controls as the state has them; those of other views are hidden.
function showControls() {
  const { view, part, rows } = State.now;
  const here = [view, `features-${part}`, `table-${rows}`].filter((name) => name.startsWith(view));
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").some((name) => here.includes(name));
  for (const control of document.querySelectorAll("[data-state]")) {
    const value = State.now[control.dataset.state];
    if (control.type === "checkbox") control.checked = value;
    else if (value !== null && control.value !== String(value)) control.value = value;
  }
  by("readable").disabled = State.now.min === null;
  by("unfocus").hidden = !State.now.focus;
  for (const box of by("languages").querySelectorAll("input")) box.checked = !State.now.hide.includes(box.value);
  by("filtered").textContent = `Filter: ${State.shown().length} of ${COUNT} languages shown`;
  d3.selectAll("#tabs button").attr("aria-selected", ([id]) => String(id === view)).attr("tabindex", ([id]) => (id === view ? 0 : -1));
  by("panel").setAttribute("aria-labelledby", `tab-${view}`);
}

function legend(view) {
  const box = d3.select("#legend");
  box.node().replaceChildren();
  if (view === Heatmap || view === Features) {
    const marks = d3.range(-1, 1.01, 0.125).map((value, place) => rect(place * 12, 0, 12, 12, colourOf(value, 1)));
    const reach = d3.format(".0f")(100 * REACH);
    box.append("span").text(`−${reach} % and below`);
    box.append(() => toSvg({ width: 204, height: 12, marks })).attr("role", "img").attr("aria-label", "From orange, harm, to blue, help");
    box.append("span").text(`+${reach} % and above`);
  }
  if (view === Heatmap) { box.append("span").text("small square: unsure"); box.append("span").text("dot: not measured"); return; }
  for (const words of view.legend()) box.append("span").text(words);
}

let waiting = 0;
function draw(again) {
  waiting = 0;
  const view = VIEWS[State.now.view];
  const width = Math.floor(by("panel").getBoundingClientRect().width);
  showControls();
  if (again || mounted !== State.now.view || view.room !== width) {
    readColours();
    Tip.hide();
    by("stage").replaceChildren();
    view.mount(by("stage"), width);
    view.room = width;
    mounted = State.now.view;
  }
  by("help").textContent = view.help;
  const said = view.update();
  legend(view);
  Card.update();
  say(said);
}
// At most one drawing a frame, however fast a slider moves.
const schedule = () => { waiting = waiting || requestAnimationFrame(() => draw(false)); };

State.read();
prepare();
bind();
State.listeners.push(schedule);
addEventListener("hashchange", () => { State.read(); schedule(); });
addEventListener("resize", schedule);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
draw(true);
