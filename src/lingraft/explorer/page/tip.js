// Words beside the pointer or the focused mark, and the line that screen readers are told.
"use strict";

const Tip = {
  box: document.getElementById("tip"),

  // lines of text at a place in the window
  show(lines, x, y) {
    Tip.box.replaceChildren(...lines.map((line) => d3.create("div").text(line).node()));
    Tip.box.hidden = false;
    const { width, height } = Tip.box.getBoundingClientRect();
    const left = x + 14 + width > innerWidth ? x - 14 - width : x + 14;
    Tip.box.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`;
    Tip.box.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - height - 4))}px`;
  },

  // lines beside an element
  beside(lines, target) {
    const place = target.getBoundingClientRect();
    Tip.show(lines, place.right - 8, place.top + place.height / 2 - 14);
  },

  hide() { Tip.box.hidden = true; },
};

let saying = null;
// Tell screen readers, once things have settled.
function say(words) {
  clearTimeout(saying);
  saying = setTimeout(() => { document.getElementById("status").textContent = words; }, 150);
}

// Tips on the pointer and on the keyboard's focus, for whatever stands for a language.
function tipped(selection) {
  selection
    .on("pointerenter", (event, each) => Tip.show(about(each), event.clientX, event.clientY))
    .on("pointerleave blur", Tip.hide)
    .on("focus", (event, each) => { if (event.currentTarget.matches(":focus-visible")) Tip.beside(about(each), event.currentTarget); });
}

// Marks that stand for languages: one stop of the Tab key, arrows go between them, Enter and Space put one in focus, tips on focus and pointer.
// moved(language, x, y): what Shift with an arrow does, where it does anything.
function reachable(selection, moved) {
  const nodes = selection.nodes();
  const current = nodes.find((node) => node.getAttribute("tabindex") === "0") || nodes[0];
  const stop = (chosen) => nodes.forEach((node) => node.setAttribute("tabindex", node === chosen ? 0 : -1));
  stop(current);
  selection
    .attr("role", "button")
    .attr("aria-label", (each) => about(each).join(", "))
    .attr("aria-pressed", (each) => String(State.now.focus === each.code))
    .call(tipped)
    .on("click", (event, each) => { if (!event.defaultPrevented) State.focus(each.code); })
    .on("keydown", (event, each) => {
      const step = { ArrowRight: [1, 0], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowUp: [0, -1] }[event.key];
      if (event.key === "Enter" || event.key === " ") State.focus(each.code);
      else if (step && event.shiftKey && moved) moved(each, 12 * step[0], 12 * step[1]);
      else if (step) {
        const next = nodes[(nodes.indexOf(event.currentTarget) + step[0] + step[1] + nodes.length) % nodes.length];
        stop(next);
        next.focus();
      } else return;
      event.preventDefault();
    });
}
