// The definition of a term: on hover, focus and tap. Without scripts it is the button's title.

import { hideTip, showTip } from "./tip.js";

/** @type {(event: Event) => HTMLElement | null} */
const termOf = (event) => /** @type {HTMLElement} */ (event.target).closest?.("[data-term]");

function show(term) {
  if (term.title) { term.dataset.meaning = term.title; term.removeAttribute("title"); }
  showTip(term, term.dataset.term, [`\n${term.dataset.meaning}`]);
  term.setAttribute("aria-describedby", "tip");
}

for (const kind of ["pointerover", "focusin", "click"]) {
  document.addEventListener(kind, (event) => { const term = termOf(event); if (term) show(term); });
}
for (const kind of ["pointerout", "focusout"]) {
  document.addEventListener(kind, (event) => { if (termOf(event)) hideTip(); });
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && termOf(event)) hideTip(); });
