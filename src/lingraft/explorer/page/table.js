// Every number with its interval: languages or pairs, sorted by any column, searched by any word. What graph and heat map show, for every reader.
"use strict";

const PAGE = 50;
const LANGUAGE_COLUMNS = [
  { id: "name", title: "Language", words: (each) => each.name }, { id: "code", title: "Code", words: (each) => each.code },
  { id: "script", title: "Script", words: (each) => each.script }, { id: "family", title: "Family", words: (each) => each.family },
  { id: "type", title: "Type", words: ofType },
  { id: "D", title: "D, gives", number: (each) => each.D, words: (each) => ofSum(each.D), strip: true },
  { id: "R", title: "R, takes", number: (each) => each.R, words: (each) => ofSum(each.R), strip: true },
  { id: "alone", title: "Score alone", number: (each) => each.monolingual, words: (each) => ofScore(each.monolingual) },
];
const back = (pair) => pairOf(pair.target, pair.source);
const PAIR_COLUMNS = [
  { id: "source", title: "Donor", words: (pair) => pair.source.name }, { id: "target", title: "Recipient", words: (pair) => pair.target.name },
  { id: "F", title: "F, help", number: (pair) => pair, words: (pair) => `${percent(pair.mean)} ${range(pair)}`, strip: true },
  { id: "sure", title: "Sign", words: (pair) => (!known(pair) ? "" : sure(pair) ? (pair.mean > 0 ? "helps" : "harms") : "unsure") },
  { id: "back", title: "The other way", number: (pair) => back(pair), words: (pair) => ofPair(back(pair)) },
  { id: "n", title: "n", number: (pair) => ({ mean: pair.n }), words: (pair) => (pair.n === null ? "" : String(pair.n)) },
];

const Table = {
  title: "Table",
  help: "All numbers with their intervals. Click a column's title to sort by it, again to turn the order.",

  mount(stage) {
    Table.box = d3.select(stage).append("div").attr("class", "wide");
    Table.pager = d3.select(stage).append("div").attr("class", "bar");
  },

  columns: () => (State.now.rows === "pairs" ? PAIR_COLUMNS : LANGUAGE_COLUMNS),

  // [column, whether downwards]: as chosen, else the first column with numbers, downwards.
  sorting() {
    const columns = Table.columns();
    const chosen = columns.find((column) => column.id === State.now.sort.replace("-", ""));
    return chosen ? [chosen, State.now.sort.startsWith("-")] : [columns.find((column) => column.number), true];
  },

  // Rows that the filters, the focus (of pairs) and the search leave, in order.
  found() {
    const { rows, find } = State.now;
    const focus = State.focused();
    const all = rows === "pairs" ? State.pairs().filter((pair) => !focus || pair.source === focus || pair.target === focus) : State.shown();
    const wanted = find.toLowerCase().split(/\s+/).filter(Boolean);
    const said = (row) => (rows === "pairs" ? [row.source, row.target] : [row])
      .flatMap((each) => [each.name, each.code, each.script, each.family, each.genus]).join(" ").toLowerCase();
    const [column, down] = Table.sorting();
    const value = (row) => (column.number ? (column.number(row) || { mean: -Infinity }).mean : column.words(row));
    const kept = wanted.length ? all.filter((row) => { const words = said(row); return wanted.every((word) => words.includes(word)); }) : all;
    return d3.sort(kept, (a, b) => (down ? d3.descending : d3.ascending)(value(a), value(b)));
  },

  update() {
    const held = document.activeElement && document.activeElement.getAttribute("data-column");
    const [columns, rows, [sorted, down]] = [Table.columns(), Table.found(), Table.sorting()];
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    const page = Math.min(State.now.page, pages - 1);
    Table.box.node().replaceChildren();
    const table = Table.box.append("table");
    const focus = State.now.rows === "pairs" && State.focused() ? ` with ${State.focused().name}` : "";
    table.append("caption").text(`${rows.length} ${State.now.rows}${focus}; the range in brackets is the interval`);
    const heads = table.append("thead").append("tr").selectAll("th").data(columns).join("th").attr("scope", "col");
    heads.attr("aria-sort", (column) => (column === sorted ? (down ? "descending" : "ascending") : "none"));
    heads.append("button").attr("type", "button").attr("data-column", (column) => column.id)
      .text((column) => column.title + (column === sorted ? (down ? " ↓" : " ↑") : ""))
      .on("click", (_, column) => State.set({ sort: (column === sorted ? !down : Boolean(column.number)) ? `-${column.id}` : column.id, page: 0 }));
    Table.body(table.append("tbody"), columns, rows.slice(page * PAGE, (page + 1) * PAGE));
    Table.turn(page, pages);
    if (held) Table.box.select(`[data-column="${CSS.escape(held)}"]`).each(function refocus() { this.focus(); });
    return `${rows.length} rows, sorted by ${sorted.title}`;
  },

  body(body, columns, rows) {
    const all = State.now.rows === "pairs" ? PAIRS : LANGUAGES;
    const scaled = columns.filter((column) => column.strip);
    const reaches = new Map(scaled.map((column) => [column, d3.max(all, (row) => extent(column.number(row))) || 1]));
    for (const row of rows) {
      const line = body.append("tr");
      columns.forEach((column, place) => {
        const cell = line.append(place ? "td" : "th").attr("class", column.number ? "n" : null).text(column.words(row));
        if (!place) cell.attr("scope", "row");
        if (!column.strip || !column.number(row)) return;
        cell.append(() => toSvg(strip(column.number(row), reaches.get(column)))).attr("aria-hidden", "true").style("margin-left", "auto");
      });
    }
  },

  turn(page, pages) {
    Table.pager.node().replaceChildren();
    if (pages === 1) return;
    const button = (title, to) => Table.pager.append("button").attr("type", "button").text(title)
      .property("disabled", to < 0 || to >= pages).on("click", () => State.set({ page: to }));
    button("Earlier rows", page - 1);
    Table.pager.append("span").text(`page ${page + 1} of ${pages}`);
    button("Later rows", page + 1);
  },

  scene() {
    const columns = Table.columns();
    const page = Math.min(State.now.page, Math.max(0, Math.ceil(Table.found().length / PAGE) - 1));
    const body = Table.found().slice(page * PAGE, (page + 1) * PAGE).map((row) => columns.map((column) => column.words(row)));
    return tableScene([columns.map((column) => column.title), ...body]);
  },
  rows: () => (State.now.rows === "pairs" ? pairRows : languageRows)(Table.found()),
  legend: () => ["● interval excludes 0", "○ it does not"],
};

// Rows of words as a picture.
function tableScene(rows) {
  const wide = rows[0].map((_, column) => 18 + d3.max(rows, (row) => measure(String(row[column] ?? ""), 12)));
  const starts = [12, ...d3.cumsum(wide).map((width) => 12 + width)];
  const mark = (cell, row, column) => words(starts[column], 22 + 20 * row, String(cell ?? ""), 12, COLOURS.ink, { "font-weight": row ? 400 : 650 });
  const marks = rows.flatMap((cells, row) => cells.map((cell, column) => mark(cell, row, column)));
  return { width: Math.ceil(starts[rows[0].length]) + 12, height: 20 * rows.length + 16, marks };
}
