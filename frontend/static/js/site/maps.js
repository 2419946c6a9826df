// Tables of shaded cells: the name of a cell (its values) as a tooltip on hover, focus and tap, and one stop for Tab in
// each table, in which arrow keys move. The link in a cell opens what it shows; a first tap shows its values only.

import { hideTip, showTip } from "./tip.js";

const CELLS = "[data-map] td[aria-label], [data-map] td > a";
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
let shown = null;

/** @type {(event: Event) => HTMLElement | null} */
const targetOf = (event) => /** @type {HTMLElement} */ (event.target).closest?.(CELLS);

const touches = (event) => event.pointerType === "touch";

function show(target) {
  const [name, ...values] = target.getAttribute("aria-label").split(", ");
  showTip(target, name, [`\n${values.join("\n")}`]);
  shown = target;
}

function hide() {
  hideTip();
  shown = null;
}

function start() {
  for (const table of document.querySelectorAll("[data-map]")) {
    [...table.querySelectorAll(CELLS)].forEach((target, index) => { /** @type {HTMLElement} */ (target).tabIndex = index ? -1 : 0; });
  }
}

function move(from, [down, right]) {
  const cell = from.closest("td");
  const { rows } = cell.closest("tbody");
  for (let row = cell.parentElement.sectionRowIndex + down, column = cell.cellIndex + right; rows[row]?.cells[column]; row += down, column += right) {
    const next = rows[row].cells[column];
    const target = next.matches(CELLS) ? next : next.querySelector("a");
    if (!target || target.closest("th")) continue;
    from.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
    return;
  }
}

for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => { const target = targetOf(event); if (target && !touches(event)) show(target); });
}
for (const kind of ["pointerout", "focusout"]) {
  document.addEventListener(kind, (event) => { if (targetOf(event) && !touches(event)) hide(); });
}
document.addEventListener("pointerdown", (event) => {
  if (!touches(event)) return;
  const target = targetOf(event);
  if (shown && shown !== target) hide();
  if (target && shown !== target) target.addEventListener("click", (click) => { click.preventDefault(); show(target); }, { once: true });
}, true);
document.addEventListener("keydown", (event) => {
  const target = targetOf(event);
  if (!target || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") hide();
  if (STEPS[event.key]) { event.preventDefault(); event.stopPropagation(); move(target, STEPS[event.key]); }
});
document.addEventListener("swapped", () => { shown = null; start(); });
start();
