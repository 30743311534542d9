// Donation against recipience, each language with both intervals; the four quarters are the blood types.
"use strict";

const QUARTERS = [
  { x: 1, y: -1, title: "O: gives, does not take" }, { x: -1, y: 1, title: "AB+: takes, does not give" },
  { x: 1, y: 1, title: "A: gives and takes" }, { x: -1, y: -1, title: "B: does neither" },
];

const Scatter = {
  title: "Scatter",
  help: "To the right languages that give much (D), upwards languages that take much (R), each with its interval. "
    + "Filled: neither interval holds 0, so that the blood type is sure. Click a language to put it in focus.",

  mount(stage, width) {
    Scatter.width = width;
    Scatter.height = Math.round(width < 600 ? width * 1.15 : Math.min(660, width * 0.7));
    Scatter.stage = stage;
  },

  update() {
    const languages = State.shown().filter((each) => each.D && each.R);
    const held = document.activeElement && document.activeElement.getAttribute("data-code");
    Scatter.languages = languages;
    Scatter.picture = { width: Scatter.width, height: Scatter.height, marks: Scatter.frame(languages) };
    const svg = d3.select(toSvg(Scatter.picture)).attr("role", "group");
    svg.attr("aria-label", "Languages by donation and recipience; the table view has the same numbers");
    const nodes = svg.selectAll("g").data(d3.sort(languages, (each) => -each.D.mean), (each) => each.code).join("g");
    nodes.attr("class", (each) => `node${each === State.focused() ? " focus" : ""}`).attr("data-code", (each) => each.code);
    nodes.append("circle").attr("r", 14).attr("fill", "transparent");
    nodes.append((each) => element({ ...Scatter.dot(each), cx: 0, cy: 0 })).attr("class", "face");
    nodes.attr("transform", (each) => `translate(${Scatter.x(each.D.mean)},${Scatter.y(each.R.mean)})`);
    Scatter.stage.replaceChildren(svg.node());
    reachable(nodes);
    if (held) nodes.filter((each) => each.code === held).each(function refocus() { this.focus(); });
    return `${languages.length} languages by donation and recipience`;
  },

  dot(each) {
    const colour = each.D.mean > 0 ? COLOURS.help : COLOURS.harm;
    return dot(Scatter.x(each.D.mean), Scatter.y(each.R.mean), 5, sure(each.D) && sure(each.R) ? colour : COLOURS.paper, colour, 2);
  },

  // Axes through zero, quarters, intervals, names where there is room.
  frame(languages) {
    const { width, height } = Scatter;
    const ends = (of) => {
      const [low, high] = d3.extent(languages.flatMap((each) => [each[of].mean, ...(known(each[of]) ? [each[of].low, each[of].high] : []), 0]));
      const room = 0.07 * (high - low || 1);
      return [low - room, high + room];
    };
    Scatter.x = d3.scaleLinear(ends("D"), [38, width - 20]).nice();
    Scatter.y = d3.scaleLinear(ends("R"), [height - 36, 26]).nice();
    const { x, y } = Scatter;
    const [ticked, end] = [(tick) => d3.format("+.4~r")(100 * tick), { "text-anchor": "end" }];
    const marks = [
      line(`M${x(0)},26V${height - 36}M38,${y(0)}H${width - 20}`, COLOURS.soft),
      ...x.ticks(width / 110).map((tick) => words(x(tick), height - 20, ticked(tick), 11, COLOURS.soft, MIDDLE)),
      ...y.ticks(height / 70).map((tick) => words(33, y(tick) + 4, ticked(tick), 11, COLOURS.soft, end)),
      words(width - 12, height - 4, "gives: donation D, % →", 11, COLOURS.ink, end),
      words(4, 11, "↑ takes: recipience R, %", 11, COLOURS.ink),
    ];
    for (const quarter of QUARTERS) {
      const [px, py] = [quarter.x > 0 ? width - 14 : 42, quarter.y > 0 ? 38 : height - 42];
      const more = { "text-anchor": quarter.x > 0 ? "end" : "start", "font-weight": 600 };
      marks.push(words(px, py, quarter.title, width < 600 ? 10 : 12, COLOURS.soft, more));
    }
    for (const each of languages) {
      const [px, py] = [x(each.D.mean), y(each.R.mean)];
      if (known(each.D)) marks.push(line(`M${x(each.D.low)},${py}H${x(each.D.high)}`, COLOURS.soft));
      if (known(each.R)) marks.push(line(`M${px},${y(each.R.low)}V${y(each.R.high)}`, COLOURS.soft));
    }
    return [...marks, ...Scatter.names(languages)];
  },

  // Names that lie on no dot and on no other name, those farthest from the middle first.
  names(languages) {
    const at = (each) => [Scatter.x(each.D.mean), Scatter.y(each.R.mean)];
    const taken = languages.map(at).map(([px, py]) => [px - 5, py - 5, px + 5, py + 5]);
    const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
    const free = (box) => box[0] > 36 && box[2] < Scatter.width && !taken.some((other) => meet(box, other));
    const marks = [];
    for (const each of d3.sort(languages, (told) => (told === State.focused() ? -1e9 : -Math.hypot(told.D.mean, told.R.mean)))) {
      const name = fitting(each.name, 110, 11.5);
      const [px, py, long] = [...at(each), measure(name, 11.5)];
      const places = [[px + 8, py - 6], [px - 8 - long, py - 6], [px + 8, py + 14], [px - 8 - long, py + 14]];
      const place = places.find(([left, base]) => free([left, base - 10, left + long, base + 3]));
      if (!place) continue;
      taken.push([place[0], place[1] - 10, place[0] + long, place[1] + 3]);
      marks.push(words(...place, name, 11.5, COLOURS.ink, { "font-weight": each === State.focused() ? 700 : 400 }));
    }
    return marks;
  },

  scene: () => ({ ...Scatter.picture, marks: [...Scatter.picture.marks, ...Scatter.languages.map(Scatter.dot)] }),
  rows: () => languageRows(Scatter.languages),
  legend: () => ["● type sure", "○ an interval holds 0", "lines: intervals of D and R"],
};

// Languages as rows of a file.
function languageRows(languages) {
  const three = (told) => (told ? [told.mean, told.low, told.high] : ["", "", ""]);
  const [plainly, estimated] = [["code", "name", "script", "family", "genus", "type"], ["D", "R", "monolingual"]];
  const head = [...plainly, ...estimated.flatMap((name) => [name, `${name}_low`, `${name}_high`])];
  return [head, ...languages.map((each) => [...plainly.map((name) => each[name]), ...estimated.flatMap((name) => three(each[name]))])];
}
