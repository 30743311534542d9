// F of every pair as a square: donors are rows, recipients columns, D and R in the margins. Squares on a canvas; cursor and bands lie above it.
"use strict";

const ORDERS = {
  D: (each) => -gives(each),
  R: (each) => -(each.R ? each.R.mean : 0),
  name: (each) => each.name,
  family: (each) => `${each.family} ${each.genus} ${each.name}`,
  script: (each) => `${each.script} ${each.name}`,
  clusters: (each) => DATA.clusters.indexOf(each.index),
};

const Heatmap = {
  title: "Heat map",
  help: "A row is a donor, a column a recipient: blue where the donor makes the recipient better, orange where worse. "
    + "Small squares: the interval holds 0. At the right D, what a language gives in all; below R, what it gets.",

  mount(stage, width) {
    Heatmap.room = width;
    const box = d3.select(stage).append("div").attr("class", "graph");
    Heatmap.canvas = box.append("canvas").attr("tabindex", 0).attr("role", "application").attr("aria-roledescription", "heat map").node();
    const keys = "Arrow keys go from cell to cell; Enter puts the row's language in focus. The table view has the same numbers.";
    Heatmap.canvas.setAttribute("aria-label", `Heat map of F. ${keys}`);
    Heatmap.marksAbove = ["band", "band", "cursor"].map((name) => box.append("div").attr("class", name).attr("hidden", "").node());
    d3.select(Heatmap.canvas)
      .on("pointermove", (event) => Heatmap.at(...Heatmap.cellAt(event), event))
      .on("pointerleave blur", Heatmap.leave)
      .on("focus", () => { if (Heatmap.canvas.matches(":focus-visible")) Heatmap.at(...(Heatmap.cell || [0, 1])); })
      .on("click", (event) => { const [row] = Heatmap.cellAt(event); if (Heatmap.order[row]) State.focus(Heatmap.order[row].code); })
      .on("keydown", Heatmap.key);
  },

  update() {
    Heatmap.order = d3.sort(State.shown(), ORDERS[State.now.order]);
    const count = Heatmap.order.length;
    Heatmap.names = Heatmap.room >= 600;
    const label = (each) => (Heatmap.names ? each.name : each.code);
    Heatmap.left = Math.min(150, 10 + (d3.max(Heatmap.order, (each) => measure(label(each), 11)) || 0));
    Heatmap.margin = Heatmap.names ? 90 : 46;
    Heatmap.size = Math.max(10, Math.min(34, Math.floor((Heatmap.room - Heatmap.left - Heatmap.margin - 8) / Math.max(1, count))));
    Heatmap.top = Heatmap.left;
    Heatmap.width = Heatmap.left + count * Heatmap.size + Heatmap.margin + 8;
    Heatmap.height = Heatmap.top + count * Heatmap.size + Heatmap.margin + 8;
    Heatmap.picture = { width: Heatmap.width, height: Heatmap.height, marks: [...Heatmap.squares(), ...Heatmap.labels(label), ...Heatmap.margins()] };
    paint(sharp(Heatmap.canvas, Heatmap.width, Heatmap.height), Heatmap.picture.marks);
    Heatmap.leave();
    return `Heat map of ${count} languages in order of ${State.now.order}`;
  },

  squares() {
    const { order, size, left, top } = Heatmap;
    const marks = [];
    const square = (x, y, pair) => {
      const inset = sure(pair) || !known(pair) ? 0.5 : Math.max(1.5, size * 0.2);
      const colour = colourOf(pair.mean);
      marks.push(rect(x + inset, y + inset, size - 2 * inset, size - 2 * inset, colour));
      if (size < 24) return;
      marks.push(words(x + size / 2, y + size / 2, d3.format("+.0f")(100 * pair.mean), 10, inkOn(colour), { ...MIDDLE, ...CENTRAL }));
    };
    order.forEach((source, row) => order.forEach((target, column) => {
      const [x, y, pair] = [left + column * size, top + row * size, pairOf(source, target)];
      if (pair) square(x, y, pair);
      else if (source !== target) marks.push(rect(x + size / 2 - 1, y + size / 2 - 1, 2, 2, COLOURS.soft));
    }));
    return marks;
  },

  labels(label) {
    const { order, size, left, top } = Heatmap;
    const font = Math.min(11, size);
    return order.flatMap((each, index) => {
      const [middle, text, focused] = [(index + 0.5) * size, fitting(label(each), left - 8, font), each === State.focused()];
      const [fill, weight] = focused ? [COLOURS.accent, { ...CENTRAL, "font-weight": 700 }] : [COLOURS.ink, CENTRAL];
      const turned = { turned: true, transform: `rotate(-90 ${left + middle} ${top - 5})` };
      return [
        words(left - 5, top + middle, text, font, fill, { ...weight, "text-anchor": "end" }),
        words(left + middle, top - 5, text, font, fill, { ...weight, ...turned }),
      ];
    });
  },

  // Bars of D at the right and of R below, each from its zero line, with its interval as a line.
  margins() {
    const { order, size, left, top, margin } = Heatmap;
    const far = d3.max(order, (each) => Math.max(extent(each.D), extent(each.R))) || 1;
    const [right, below, across] = [left + order.length * size, top + order.length * size, Math.max(3, size * 0.55)];
    const x = d3.scaleLinear([-far, far], [right + 6, right + margin]);
    const y = d3.scaleLinear([far, -far], [below + 6, below + margin]);
    const bold = { "font-weight": 650 };
    const marks = [
      line(`M${x(0)},${top}V${below}M${left},${y(0)}H${right}`, COLOURS.soft),
      words(x(0), top - 6, "D", 11, COLOURS.ink, { ...bold, ...MIDDLE }),
      words(left - 5, y(0), "R", 11, COLOURS.ink, { ...bold, ...CENTRAL, "text-anchor": "end" }),
    ];
    const fill = (told) => (told.mean > 0 ? COLOURS.help : COLOURS.harm);
    order.forEach(({ D, R }, index) => {
      const [start, middle] = [index * size + (size - across) / 2, (index + 0.5) * size];
      if (D) marks.push(rect(Math.min(x(0), x(D.mean)), top + start, Math.abs(x(D.mean) - x(0)), across, fill(D)));
      if (R) marks.push(rect(left + start, Math.min(y(0), y(R.mean)), across, Math.abs(y(R.mean) - y(0)), fill(R)));
      if (known(D)) marks.push(line(`M${x(D.low)},${top + middle}H${x(D.high)}`, COLOURS.ink));
      if (known(R)) marks.push(line(`M${left + middle},${y(R.low)}V${y(R.high)}`, COLOURS.ink));
    });
    return marks;
  },

  // [row, column] under the pointer; the one after the last row is R, the one after the last column D.
  cellAt(event) {
    const [x, y] = d3.pointer(event, Heatmap.canvas);
    const step = (value) => Math.min(Math.floor(value / Heatmap.size), Heatmap.order.length);
    return [step(y - Heatmap.top), step(x - Heatmap.left)];
  },

  lines(row, column) {
    const [source, target] = [Heatmap.order[row], Heatmap.order[column]];
    if (source && source === target) return about(source);
    if (source && target) {
      const pair = pairOf(source, target);
      return [`${source.name} → ${target.name}`, ofPair(pair), ...(pair && pair.n ? [`measured ${pair.n} ×`] : [])];
    }
    if (source) return [`${source.name} gives`, `D ${ofSum(source.D)}`];
    return target ? [`${target.name} gets`, `R ${ofSum(target.R)}`] : null;
  },

  // Put the cursor on a cell and tell its numbers: beside the pointer, or beside the cell and to screen readers.
  at(row, column, pointer) {
    const lines = row < 0 || column < 0 ? null : Heatmap.lines(row, column);
    if (!lines) { Heatmap.leave(); return; }
    const { size, left, top, order, margin } = Heatmap;
    const [x, y] = [left + column * size, top + row * size];
    const box = (mark, ...sizes) => {
      mark.hidden = false;
      ["left", "top", "width", "height"].forEach((name, place) => { mark.style[name] = `${sizes[place]}px`; });
    };
    const [across, down, cursor] = Heatmap.marksAbove;
    box(across, 0, row < order.length ? y : y + 6, left + order.length * size + margin, row < order.length ? size : margin);
    box(down, column < order.length ? x : x + 6, 0, column < order.length ? size : margin, top + order.length * size + margin);
    box(cursor, x, y, column < order.length ? size : margin, row < order.length ? size : margin);
    if (pointer) { Tip.show(lines, pointer.clientX, pointer.clientY); return; }
    Heatmap.cell = [row, column];
    cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
    Tip.beside(lines, cursor);
    say(lines.join(", "));
  },

  leave() {
    for (const mark of Heatmap.marksAbove) mark.hidden = true;
    Tip.hide();
  },

  key(event) {
    let [row, column] = Heatmap.cell || [0, 1];
    const last = Heatmap.order.length;
    const step = { ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowUp: [-1, 0] }[event.key];
    if (event.key === "Enter" && Heatmap.order[row]) State.focus(Heatmap.order[row].code);
    else if (step) [row, column] = [Math.max(0, Math.min(last, row + step[0])), Math.max(0, Math.min(last, column + step[1]))];
    else if (event.key === "Home") column = 0;
    else if (event.key === "End") column = last;
    else return;
    event.preventDefault();
    Heatmap.at(row, column);
  },

  scene: () => Heatmap.picture,
  rows: () => pairRows(d3.cross(Heatmap.order, Heatmap.order).map(([source, target]) => pairOf(source, target)).filter(Boolean)),
  legend: () => ["scale"],
};
