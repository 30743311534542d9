// What the reader has chosen: one object, kept in the address after #, so that a link restores the view. Every change draws the page again.
"use strict";

const oneOf = (...allowed) => ({ first: allowed[0], read: (text) => (allowed.includes(text) ? text : allowed[0]) });
const listOf = (allowed) => ({ first: [], read: (text) => text.split("|").filter((item) => allowed(item)) });
const flag = { first: false, read: (text) => text === "1" };
const text = { first: "", read: (given) => given };
const language = oneOf("", ...BY_CODE.keys());

// Each choice: what it is at first, and how it is read from an address that anyone may have written.
const CHOICES = {
  view: oneOf("graph", "heatmap", "scatter", "features", "table"),
  focus: language,
  min: { first: null, read: (given) => (given !== "" && Number.isFinite(+given) ? Math.max(+given, 0) : null) }, // null: what is readable
  direction: oneOf("both", "in", "out"),
  sign: oneOf("all", "help", "harm"),
  sure: flag,
  order: oneOf("clusters", "D", "R", "name", "family", "script"),
  script: oneOf("", ...LANGUAGES.map((each) => each.script)),
  family: oneOf("", ...LANGUAGES.map((each) => each.family)),
  hide: listOf((code) => BY_CODE.has(code)),
  feature: oneOf(...(FEATURE.has("81A") ? ["81A"] : []), ...FEATURE.keys(), ""),
  off: listOf((value) => value !== ""),
  part: oneOf("values", "two"),
  first: language,
  second: language,
  different: flag,
  rows: oneOf("languages", "pairs"),
  find: text,
  sort: text,
  page: { first: 0, read: (given) => Math.max(0, Math.floor(+given) || 0) },
};

const State = {
  now: {},
  listeners: [],

  // The state that an address tells; whatever it does not tell, or tells wrongly, is as at first.
  read() {
    const told = new URLSearchParams(location.hash.slice(1));
    for (const [name, choice] of Object.entries(CHOICES)) State.now[name] = told.has(name) ? choice.read(told.get(name)) : choice.first;
  },

  // The part of the address after #: only what differs from the start.
  hash() {
    const told = new URLSearchParams();
    for (const [name, choice] of Object.entries(CHOICES)) {
      const value = State.now[name];
      if (String(value) !== String(choice.first)) told.set(name, Array.isArray(value) ? value.join("|") : value === true ? "1" : value);
    }
    return `#${told}`;
  },

  set(changes) {
    Object.assign(State.now, changes);
    history.replaceState(null, "", State.hash());
    for (const listener of State.listeners) listener();
  },

  focused: () => BY_CODE.get(State.now.focus),
  focus: (code) => State.set({ focus: State.now.focus === code ? "" : code }),

  // Languages that no filter hides, in the order of codes.
  shown() {
    const { script, family, hide, feature, off } = State.now;
    const kind = (each) => (!script || each.script === script) && (!family || each.family === family);
    return LANGUAGES.filter((each) => kind(each) && !hide.includes(each.code) && !off.includes(each.features[feature]));
  },

  // Measured pairs of languages that are shown, of the sign and certainty asked for.
  pairs() {
    const { sign, sure: certain } = State.now;
    const there = new Set(State.shown());
    const asked = (pair) => (!certain || sure(pair)) && (sign === "all" || pair.mean > 0 === (sign === "help"));
    return PAIRS.filter((pair) => there.has(pair.source) && there.has(pair.target) && asked(pair));
  },
};
