// The map, read once from the page, and the words for its numbers. Nothing here changes afterwards.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);

// An estimate as the page holds it, [mean, low, high], as an object; null where it is not known.
const estimate = (numbers) => numbers && { mean: numbers[0], low: numbers[1], high: numbers[2] };

const LANGUAGES = DATA.languages.map((told, index) => ({
  ...told, index, D: estimate(told.D), R: estimate(told.R), monolingual: estimate(told.monolingual),
}));
const COUNT = LANGUAGES.length;
const BY_CODE = new Map(LANGUAGES.map((language) => [language.code, language]));
const BY_NAME = d3.sort(LANGUAGES, (language) => language.name);

// Ordered pairs that were measured, weak ones first; CELLS has them by place, source * COUNT + target.
const measured = DATA.F.map(([source, target, mean, low, high, n]) => ({ source: LANGUAGES[source], target: LANGUAGES[target], mean, low, high, n }));
const PAIRS = d3.sort(measured, (pair) => Math.abs(pair.mean));
const CELLS = new Array(COUNT * COUNT);
for (const pair of PAIRS) CELLS[pair.source.index * COUNT + pair.target.index] = pair;
const pairOf = (source, target) => CELLS[source.index * COUNT + target.index];

// The end of the colour scale: almost every pair lies within it, so that a single outlier does not wash out the rest.
const REACH = d3.quantileSorted(PAIRS, 0.98, (pair) => Math.abs(pair.mean)) || 0.01;
const LARGEST = d3.max(PAIRS, (pair) => Math.abs(pair.mean)) || 0.01;

const FEATURES = Object.entries(DATA.features).map(([id, name]) => {
  const having = LANGUAGES.filter((language) => id in language.features);
  return { id, name, having, values: [...new Set(having.map((language) => language.features[id]))].sort(d3.ascending) };
});
const FEATURE = new Map(FEATURES.map((feature) => [feature.id, feature]));

const percent = (value) => `${d3.format("+.1f")(100 * value)} %`;
const known = (told) => told && told.low !== null && told.high !== null;
const sure = (told) => known(told) && (told.low > 0 || told.high < 0);

// "[+1.0, +3.0]" in percent.
function range(told, format = (value) => d3.format("+.1f")(100 * value)) {
  return known(told) ? `[${format(told.low)}, ${format(told.high)}]` : "[interval not known]";
}
const ofPair = (pair) => (pair ? `${percent(pair.mean)} ${range(pair)}${known(pair) && !sure(pair) ? ", unsure" : ""}` : "not measured");
const ofSum = (told) => (told ? `${percent(told.mean)} ${range(told)}` : "not known");
const ofType = (each) => (each.type && !each.typeSure ? `${each.type}?` : each.type);
const ofScore = (told) => (told ? `${told.mean.toFixed(3)} ${range(told, (value) => value.toFixed(3))}` : "not known");

// How far from zero an estimate and its interval reach; what a language gives in all; the largest of these.
const extent = (told) => (told ? Math.max(Math.abs(told.mean), Math.abs(told.low ?? 0), Math.abs(told.high ?? 0)) : 0);
const gives = (each) => (each.D ? each.D.mean : 0);
const MOST_GIVEN = d3.max(LANGUAGES, (each) => Math.abs(gives(each))) || 1;

// Lines that describe a language, for tips and readers.
const about = (language) => [
  `${language.name} (${language.code})`,
  [language.script, language.family, language.genus].filter(Boolean).join(" · "),
  `Donation D ${ofSum(language.D)}`,
  `Recipience R ${ofSum(language.R)}`,
  ...(language.type ? [`Blood type ${ofType(language)}`] : []),
];
