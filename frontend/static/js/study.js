// The study table: the cell under the pointer or with the focus tells its details in the side card.

import "./views.js";

let cells = {};

function start() {
  const block = document.getElementById("study-data");
  cells = block ? JSON.parse(block.textContent).cells : {};
}

function tell(event) {
  const found = event.target.closest?.("td.cell")?.querySelector("[data-cell]");
  const details = found && cells[found.dataset.cell];
  if (!details) return;
  document.querySelector("[data-details-title]").textContent = details.title;
  const rows = document.querySelector("[data-details-rows]");
  rows.replaceChildren(...details.rows.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  lead("[data-details-link]", details.href, details.link);
  lead("[data-details-model]", details.model, "Its model");
}

function lead(place, href, text) {
  const link = document.querySelector(place);
  link.hidden = !href;
  if (href) { link.href = href; link.textContent = text; }
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

document.addEventListener("pointerover", tell);
document.addEventListener("focusin", tell);
document.addEventListener("swapped", start);
start();
