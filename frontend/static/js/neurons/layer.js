// The layer page: shows neuron, token and both values of the cell under the pointer; keys go to other layers and to
// other parts of the ranking.

import { typing } from "../site/page.js";
import { shortcutsOn } from "../site/shortcuts.js";
import { prefetch, swap } from "../site/swap.js";
import { hideTip, showTip } from "../site/tip.js";

let data = null;

function start() {
  const block = document.getElementById("grid-data");
  data = block ? JSON.parse(block.textContent) : null;
  hideTip();
  setTimeout(() => document.querySelectorAll("a[data-step]").forEach((link) => { prefetch(link.href); }), 50);
}

document.addEventListener("pointerover", (event) => {
  /** @type {HTMLTableCellElement} */
  const cell = event.target.closest?.("[data-grid] td");
  if (!cell) { hideTip(); return; }
  const place = cell.cellIndex - 1;
  const row = cell.closest("tr").sectionRowIndex - 1; // after the name of the grid
  const [name, id] = data.tokens[place];
  const dense = data.dense[row][place];
  const pruned = data.pruned[row][place];
  const percent = dense ? ` (${sign(Math.round((100 * (pruned - dense)) / Math.abs(dense)), 0)}\u00a0%)` : "";
  showTip(cell, name, [`  token ${place}, id ${id}`, `${data.names[row]}: dense ${number(dense)} · pruned ${number(pruned)}`, `${sign(pruned - dense, 4)}${percent}`]);
});

document.addEventListener("click", (event) => {
  /** @type {HTMLTableCellElement} */
  const cell = event.target.closest?.("[data-grid] td");
  if (cell) { const address = new URL(cell.closest("tr").querySelector("a").href); address.searchParams.set("token", String(cell.cellIndex - 1)); location.assign(address.href); return; }
  const link = event.target.closest?.("a[data-step], a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  swap(link.href, link.dataset.step ? "push" : "replace");
});

document.addEventListener("keydown", (event) => {
  if (!shortcutsOn() || typing(event) || event.target.closest?.(".scroll, details[open]")) return;
  const step = document.querySelector(`a[data-step="${CSS.escape(event.key)}"]`);
  if (step && !event.shiftKey) { event.preventDefault(); swap(step.href, "push"); }
});

const number = (value) => (value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(4);
const sign = (value, places) => (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(places);

window.addEventListener("popstate", () => swap(location.href, "keep"));
document.addEventListener("swapped", start);
start();
