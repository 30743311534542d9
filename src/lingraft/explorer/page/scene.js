// Drawings as lists of marks, painted on a canvas (fast) or made into SVG (to save, and for what a reader can point at).
// A mark: {kind: "rect" | "path" | "circle" | "text", …}. Text from the data becomes text nodes, never markup.
"use strict";

// A colour of the style sheet, so that pictures follow the reader's scheme.
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const COLOURS = {};
let diverging = null;

function readColours() {
  for (const name of ["paper", "ink", "soft", "rule", "panel", "help", "harm", "zero", "accent"]) COLOURS[name] = css(name);
  diverging = d3.scaleLinear([-1, 0, 1], [COLOURS.harm, COLOURS.zero, COLOURS.help]).interpolate(d3.interpolateLab).clamp(true);
}
const colourOf = (value, reach = REACH) => diverging(value / reach);
const inkOn = (colour) => (d3.lab(colour).l > 55 ? "#141414" : "#fff");
const FONT = 'system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';

const measure = (() => {
  const context = document.createElement("canvas").getContext("2d");
  return (words, size) => { context.font = `${size}px ${FONT}`; return context.measureText(words).width; };
})();
// Words, cut with … to a width in pixels.
function fitting(words, width, size) {
  let cut = words;
  while (cut.length > 1 && measure(cut, size) > width) cut = `${cut.slice(0, cut.endsWith("…") ? -2 : -1)}…`;
  return cut;
}

const ATTRIBUTES = {
  rect: ["x", "y", "width", "height", "fill"],
  path: ["d", "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity"],
  circle: ["cx", "cy", "r", "fill", "stroke", "stroke-width"],
  text: ["x", "y", "fill", "font-size", "font-weight", "text-anchor", "transform", "dominant-baseline"],
};

// Marks, made short. Words stand in the middle of their line unless `more` says otherwise.
const rect = (x, y, width, height, fill) => ({ kind: "rect", x, y, width, height, fill });
const line = (d, stroke, width = 1) => ({ kind: "path", d, fill: "none", stroke, "stroke-width": width });
const dot = (cx, cy, r, fill, stroke, width = 1) => ({ kind: "circle", cx, cy, r, fill, stroke, "stroke-width": width });
const words = (x, y, text, size, fill, more) => ({ kind: "text", x, y, text, "font-size": size, fill, ...more });
const CENTRAL = { "dominant-baseline": "central" };
const MIDDLE = { "text-anchor": "middle" };

function element(mark) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", mark.kind);
  for (const name of ATTRIBUTES[mark.kind].filter((each) => mark[each] !== undefined)) {
    made.setAttribute(name, typeof mark[name] === "number" ? +mark[name].toFixed(2) : mark[name]);
  }
  if (mark.kind === "text") made.textContent = mark.text;
  return made;
}

function toSvg({ width, height, marks }, background) {
  const svg = d3.create("svg:svg").attr("xmlns", "http://www.w3.org/2000/svg").attr("width", width).attr("height", height);
  svg.attr("viewBox", `0 0 ${width} ${height}`).attr("font-family", FONT);
  const ground = background ? [{ kind: "rect", x: 0, y: 0, width, height, fill: background }] : [];
  svg.node().append(...[...ground, ...marks].map(element));
  return svg.node();
}

// A canvas of a size in CSS pixels, as sharp as the screen, within what phones can hold.
function sharp(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(1.2e7 / (width * height)));
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

const ALIGN = { start: "left", middle: "center", end: "right" };
function paint(context, marks) {
  for (const mark of marks) {
    context.fillStyle = mark.fill;
    if (mark.kind === "rect") context.fillRect(mark.x, mark.y, mark.width, mark.height);
    else if (mark.kind === "path") {
      context.strokeStyle = mark.stroke;
      context.lineWidth = mark["stroke-width"];
      context.stroke(new Path2D(mark.d));
    } else {
      context.save();
      context.font = `${mark["font-weight"] || 400} ${mark["font-size"]}px ${FONT}`;
      context.textAlign = ALIGN[mark["text-anchor"] || "start"];
      context.textBaseline = mark["dominant-baseline"] === "central" ? "middle" : "alphabetic";
      if (mark.turned) { context.translate(mark.x, mark.y); context.rotate(-Math.PI / 2); context.fillText(mark.text, 0, 0); }
      else context.fillText(mark.text, mark.x, mark.y);
      context.restore();
    }
  }
}

// A small picture of an estimate: its interval as a line, its mean as a dot, zero as a tick. reach: of the scale, both ways.
function strip(told, reach, width = 130) {
  const x = d3.scaleLinear([-reach, reach], [4, width - 4]).clamp(true);
  const colour = told.mean > 0 ? COLOURS.help : COLOURS.harm;
  const marks = [line(`M${x(0)},1V15`, COLOURS.soft)];
  if (known(told)) marks.push(line(`M${x(told.low)},8H${x(told.high)}`, colour, 2));
  marks.push(dot(x(told.mean), 8, 3.5, sure(told) ? colour : COLOURS.paper, colour, 1.5));
  return { width, height: 16, marks };
}
