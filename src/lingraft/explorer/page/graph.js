// Who helps whom as arrows: from donor to recipient, as wide as F is large. Arrows on a canvas, languages as SVG above it.
"use strict";

// How many arrows are drawn in one frame; no more than these have heads and dashes.
const ATONCE = 500;

const Graph = {
  title: "Graph",
  help: "Arrows run from donor to recipient; blue helps, orange dashes harm; wider is more. Click a language to see only its arrows, "
    + "drag it to move it, raise the threshold for fewer arrows.",
  places: new Map(),
  placed: "",

  mount(stage, width) {
    Graph.width = width;
    Graph.height = Math.round(width < 600 ? Math.max(420, width * 1.3) : Math.min(700, Math.max(520, width * 0.72)));
    const box = d3.select(stage).append("div").attr("class", "graph");
    const canvas = () => sharp(box.append("canvas").attr("aria-hidden", "true").node(), width, Graph.height);
    [Graph.behind, Graph.front] = [canvas(), canvas()];
    Graph.svg = box.append("svg").attr("width", width).attr("height", Graph.height).attr("font-family", FONT);
    Graph.svg.attr("role", "group").attr("aria-label", "Languages; the table view has the numbers of every arrow");
    Graph.over = Graph.svg.append("path").attr("fill", "none").attr("stroke", COLOURS.ink);
    Graph.svg.on("pointermove", Graph.point).on("pointerleave", () => { Graph.over.attr("d", null); Tip.hide(); });
  },

  update() {
    const languages = State.shown();
    Graph.radius = languages.length > 40 ? (Graph.width < 600 ? 8.5 : 11) : 13;
    Graph.layout(languages);
    Graph.edges = Graph.chosen();
    const touched = new Set(Graph.edges.flatMap((pair) => [pair.source, pair.target]));
    const named = languages.length <= 40 && Graph.width >= 600;
    const nodes = Graph.svg.selectAll("g.node").data(languages, (each) => each.code).join((enter) => {
      const made = enter.append("g").attr("class", "node").attr("data-code", (each) => each.code);
      made.append("circle").attr("class", "face");
      made.append("text").attr("class", "code").attr("text-anchor", "middle").attr("dy", "0.35em");
      made.append("text").attr("class", "name").attr("text-anchor", "middle");
      return made;
    });
    const face = (each) => colourOf(gives(each), MOST_GIVEN);
    const focus = State.focused();
    nodes.classed("faint", (each) => focus && each !== focus && !touched.has(each)).classed("focus", (each) => each === focus);
    nodes.select(".face").attr("r", Graph.radius).attr("fill", face).attr("stroke", COLOURS.soft);
    nodes.select(".code").text((each) => each.code.slice(0, 4)).attr("font-size", Graph.radius * 0.82).style("fill", (each) => inkOn(face(each)));
    nodes.select(".name").text((each) => (named ? fitting(each.name, 110, 11) : "")).attr("font-size", 11).attr("dy", Graph.radius + 12);
    reachable(nodes, Graph.move);
    nodes.call(d3.drag().clickDistance(3).on("drag", (event, each) => { Tip.hide(); Graph.move(each, event.dx, event.dy); }));
    Graph.nodes = nodes;
    Graph.draw();
    by("min").value = Graph.least;
    by("least").textContent = `${d3.format(".1f")(Graph.least)} %`;
    return `${Graph.edges.length} of ${languages.length * (languages.length - 1)} arrows shown`;
  },

  // Pairs above the threshold; with a language in focus its own alone.
  // Where no threshold is chosen it is where a graph is still readable: two and a half arrows per language, 45 around a focus.
  chosen() {
    const { min, direction } = State.now;
    const focus = State.focused();
    const asked = (pair) => !focus || (direction !== "out" && pair.target === focus) || (direction !== "in" && pair.source === focus);
    const sorted = State.pairs().filter(asked);
    const last = sorted.length - (focus ? 45 : Math.ceil(2.5 * State.shown().length));
    Graph.least = min ?? (last > 0 ? Math.floor(200 * Math.abs(sorted[last].mean)) / 2 : 0);
    return sorted.filter((pair) => 100 * Math.abs(pair.mean) >= Graph.least);
  },

  // Forces draw languages together that help each other; from the same start, so that a map always looks the same.
  layout(languages) {
    const key = [Graph.width, ...languages.map((each) => each.code)].join(" ");
    if (Graph.placed === key) return;
    Graph.placed = key;
    const order = DATA.clusters.filter((index) => languages.includes(LANGUAGES[index]));
    const nodes = order.map((index, place) => {
      const angle = (2 * Math.PI * place) / order.length;
      return { index, language: LANGUAGES[index], x: 100 * Math.cos(angle), y: 100 * Math.sin(angle) };
    });
    const at = new Map(nodes.map((node) => [node.language, node]));
    const mutual = d3.cross(nodes, nodes).filter(([a, b]) => a.index < b.index).map(([a, b]) => {
      const [there, back] = [pairOf(a.language, b.language), pairOf(b.language, a.language)];
      return { source: a, target: b, help: ((there ? there.mean : 0) + (back ? back.mean : 0)) / 2 };
    });
    const links = d3.sort(mutual.filter((link) => link.help > 0), (link) => -link.help).slice(0, 3 * nodes.length);
    const most = d3.max(links, (link) => link.help) || 1;
    d3.forceSimulation(nodes).stop()
      .force("link", d3.forceLink(links).distance((link) => 30 + 60 * (1 - link.help / most)).strength((link) => 0.35 * (link.help / most)))
      .force("charge", d3.forceManyBody().strength(-120)).force("x", d3.forceX().strength(0.06)).force("y", d3.forceY().strength(0.06))
      .tick(250);
    Graph.spread(nodes);
    Graph.places = new Map(nodes.map((node) => [node.language, node]));
  },

  // Fill the picture, and keep languages apart.
  spread(nodes) {
    const named = Graph.width >= 600 && nodes.length <= 40;
    for (const [axis, size, edge] of [["x", Graph.width, Graph.radius + (named ? 42 : 8)], ["y", Graph.height, Graph.radius + 16]]) {
      const scale = d3.scaleLinear(d3.extent(nodes, (node) => node[axis]), [edge, size - edge]);
      const even = d3.scaleLinear([0, nodes.length - 1], [edge, size - edge]);
      d3.sort(nodes, (node) => node[axis]).forEach((node, rank) => { node[axis] = (scale(node[axis]) + even(rank)) / 2; });
    }
    const apart = d3.forceSimulation(nodes).stop().force("collide", d3.forceCollide(Graph.radius * (nodes.length > 40 ? 1.3 : 2.1)));
    for (let turn = 0; turn < 60; turn += 1) {
      apart.tick();
      for (const node of nodes) Graph.inside(node);
    }
  },

  inside(node) {
    node.x = Math.max(Graph.radius + 3, Math.min(Graph.width - Graph.radius - 3, node.x));
    node.y = Math.max(Graph.radius + 3, Math.min(Graph.height - Graph.radius - 14, node.y));
  },

  move(each, x, y) {
    const node = Graph.places.get(each);
    node.x += x;
    node.y += y;
    Graph.inside(node);
    if (!Graph.waiting) Graph.waiting = requestAnimationFrame(Graph.draw);
  },

  // The curve of a pair: start, bend, end, and the direction in which it arrives. It bends to one side, so that there and back are apart.
  curve(pair) {
    const [from, to] = [Graph.places.get(pair.source), Graph.places.get(pair.target)];
    const bend = { x: (from.x + to.x) / 2 - 0.13 * (to.y - from.y), y: (from.y + to.y) / 2 + 0.13 * (to.x - from.x) };
    const towards = (a, b) => { const length = Math.hypot(b.x - a.x, b.y - a.y) || 1; return [(b.x - a.x) / length, (b.y - a.y) / length]; };
    const [out, arriving] = [towards(from, bend), towards(bend, to)];
    const r = Graph.radius + 1;
    return [from.x + r * out[0], from.y + r * out[1], bend.x, bend.y, to.x - r * arriving[0], to.y - r * arriving[1], arriving[0], arriving[1]];
  },

  strength: (pair) => 0.7 + 0.4 * Graph.radius * Math.min(1, Math.abs(pair.mean) / LARGEST),
  alpha: () => Math.max(0.12, Math.min(0.85, 14 / Math.sqrt(Graph.edges.length + 1))),

  // The strongest arrows at once; the others behind them in the next frames, weak ones first, so that no frame is long.
  draw() {
    cancelAnimationFrame(Graph.drawing);
    Graph.waiting = 0;
    for (const context of [Graph.behind, Graph.front]) context.clearRect(0, 0, Graph.width, Graph.height);
    Graph.nodes.attr("transform", (each) => `translate(${Graph.places.get(each).x},${Graph.places.get(each).y})`);
    Graph.arrows(Graph.front, Graph.edges.slice(-ATONCE));
    Graph.more(0);
  },

  more(from) {
    const to = Math.min(from + ATONCE, Graph.edges.length - ATONCE);
    if (from >= to) return;
    Graph.drawing = requestAnimationFrame(() => {
      Graph.arrows(Graph.behind, Graph.edges.slice(from, to));
      Graph.more(to);
    });
  },

  // Arrows of one sign and about one width are one path: a few strokes, however many arrows.
  arrows(context, edges) {
    const few = Graph.edges.length <= ATONCE;
    const groups = d3.group(edges, (pair) => Math.round(Graph.strength(pair)), (pair) => pair.mean > 0);
    for (const [width, signs] of d3.sort(groups, ([each]) => each)) {
      for (const [helps, pairs] of signs) {
        const curves = pairs.map(Graph.curve);
        context.strokeStyle = context.fillStyle = helps ? COLOURS.help : COLOURS.harm;
        context.globalAlpha = Math.min(0.95, Graph.alpha() * (0.7 + width / 8));
        context.lineWidth = Math.max(0.7, width);
        context.setLineDash(few && !helps ? [2 + 1.5 * width, 2 + width] : []);
        context.beginPath();
        for (const at of curves) {
          context.moveTo(at[0], at[1]);
          context.quadraticCurveTo(at[2], at[3], at[4], at[5]);
        }
        context.stroke();
        context.beginPath();
        if (few) for (const at of curves) Graph.head(at, width, (x, y, first) => (first ? context.moveTo(x, y) : context.lineTo(x, y)));
        context.fill();
      }
    }
  },

  // An arrow's head as three points.
  head(at, width, point) {
    const [long, wide] = [5 + 1.6 * width, 2 + 0.9 * width];
    const [x, y] = [at[4] - long * at[6], at[5] - long * at[7]];
    point(at[4], at[5], true);
    point(x - wide * at[7], y + wide * at[6]);
    point(x + wide * at[7], y - wide * at[6]);
  },

  // The arrow under the pointer, and its numbers.
  point(event) {
    if (event.target !== Graph.svg.node()) { Graph.over.attr("d", null); return; }
    const [x, y] = d3.pointer(event, Graph.svg.node());
    let [best, near] = [null, 7];
    for (const pair of Graph.edges) {
      const at = Graph.curve(pair);
      for (let step = 1; step < 20; step += 1) {
        const t = step / 20, u = 1 - t;
        const away = Math.hypot(u * u * at[0] + 2 * u * t * at[2] + t * t * at[4] - x, u * u * at[1] + 2 * u * t * at[3] + t * t * at[5] - y);
        if (away < near) [best, near] = [at, away, (Graph.under = pair)];
      }
    }
    Graph.over.attr("d", best ? Graph.line(best) : null).attr("stroke-width", best ? Graph.strength(Graph.under) : 0);
    if (best) Tip.show([`${Graph.under.source.name} → ${Graph.under.target.name}`, ofPair(Graph.under)], event.clientX, event.clientY);
    else Tip.hide();
  },

  line: (at) => `M${at.slice(0, 2).map((v) => v.toFixed(1))}Q${at.slice(2, 6).map((v) => v.toFixed(1))}`,

  scene() {
    const marks = Graph.edges.flatMap((pair) => {
      const [at, width, colour, ends] = [Graph.curve(pair), Graph.strength(pair), pair.mean > 0 ? COLOURS.help : COLOURS.harm, []];
      Graph.head(at, width, (x, y) => ends.push(`${x.toFixed(1)},${y.toFixed(1)}`));
      const dash = pair.mean > 0 ? undefined : `${(2 + 1.5 * width).toFixed(1)} ${(2 + width).toFixed(1)}`;
      const opacity = Graph.alpha();
      return [
        { ...line(Graph.line(at), colour, width), "stroke-dasharray": dash, opacity },
        { kind: "path", d: `M${ends.join("L")}Z`, fill: colour, opacity },
      ];
    });
    Graph.nodes.each((each) => {
      const { x, y } = Graph.places.get(each);
      const fill = colourOf(gives(each), MOST_GIVEN);
      marks.push(dot(x, y, Graph.radius, fill, COLOURS.soft), words(x, y + 0.3 * Graph.radius, each.code, 0.82 * Graph.radius, inkOn(fill), MIDDLE));
    });
    return { width: Graph.width, height: Graph.height, marks };
  },

  rows: () => pairRows(Graph.edges),
  legend: () => ["circles: blue gives to others on the whole, orange does not (D)", `widest arrow ${percent(LARGEST).replace("+", "±")}`],
};

// Pairs as rows of a file.
function pairRows(pairs) {
  const body = pairs.map((pair) => [pair.source.code, pair.source.name, pair.target.code, pair.target.name, pair.mean, pair.low, pair.high, pair.n]);
  return [["source", "source_name", "target", "target_name", "F", "low", "high", "n"], ...body];
}
