// The study page: shows the details of the cell under the pointer or with the focus, moves between cells with the arrow
// keys, and submits the form of axes and filters when it changes.

import "../site/views.js";
import { swap } from "../site/swap.js";
import { hideTip, showTip } from "../site/tip.js";

const beside = matchMedia("(min-width: 1001px)");
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };
let names = [];
let cells = {};
let axes = {};

function start() {
  const block = document.getElementById("study-data");
  ({ names, cells } = block ? JSON.parse(block.textContent) : { names: [], cells: {} });
  /** @type {NodeListOf<HTMLSelectElement>} */
  const selects = document.querySelectorAll("[data-table-form] select");
  axes = Object.fromEntries([...selects].map((select) => [select.name, select.value]));
  hideTip();
  // Tab reaches only one cell of the table; arrow keys reach the others.
  let first = true;
  for (const cell of document.querySelectorAll("[data-grid] [data-cell]")) { cell.tabIndex = first ? 0 : -1; first = false; }
}

// The details of a cell: its title (row heading · column heading), the rows that have a value, and its links.
function told(target) {
  const place = target.dataset.cell;
  const [values, links] = cells[place];
  const row = target.closest("tr").querySelector("th").textContent;
  const column = target.closest("table").tHead.rows[0].cells[target.closest("td").cellIndex].textContent;
  const rows = names.map((name, index) => [name, values[index]]).filter(([, value]) => value);
  return { title: `${row} · ${column}`, rows, links };
}

function tell(event) {
  const target = event.target.closest?.("td.cell")?.querySelector("[data-cell]");
  if (!target || !cells[target.dataset.cell]) { if (event.type === "pointerover") hideTip(); return; }
  const { title, rows, links } = told(target);
  if (!beside.matches) { if (event.type === "focusin" || event.pointerType === "mouse") showTip(target, title, rows.map(([name, value]) => `\n${name} ${value}`)); return; }
  document.querySelector("[data-details-title]").textContent = title;
  document.querySelector("[data-details-rows]").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  document.querySelector("[data-details-links]").replaceChildren(...links.flatMap(([label, href]) => [link(label, href), " "]));
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function link(label, href) {
  const made = element("a", label);
  made.href = href;
  return made;
}

function move(event) {
  const step = ARROWS[event.key];
  const from = step && !event.altKey && !event.ctrlKey && !event.metaKey && event.target.closest?.("[data-grid] [data-cell]");
  if (!from) return;
  const lines = [...document.querySelectorAll("[data-grid] tbody tr")].map((row) => [...row.querySelectorAll("td.cell")]).filter((row) => row.length);
  const line = lines.findIndex((row) => row.includes(from.closest("td")));
  const to = next(lines, line, lines[line].indexOf(from.closest("td")), step);
  event.preventDefault();
  if (!to) return;
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
  to.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// The nearest cell in a direction that belongs to the study; null if there is none.
function next(lines, line, column, [down, right]) {
  const at = (row) => row?.querySelector("[data-cell]");
  if (right === -Infinity) return lines[line].map(at).find(Boolean);
  if (right === Infinity) return lines[line].map(at).findLast(Boolean);
  for (let i = line + down, j = column + right; lines[i]?.[j]; i += down, j += right) if (at(lines[i][j])) return at(lines[i][j]);
  return null;
}

function send(form) {
  const query = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  swap(`${form.action}?${query}`, "replace");
}

document.addEventListener("pointerover", tell);
document.addEventListener("focusin", tell);
document.addEventListener("focusout", (event) => { if (event.target.matches?.("[data-cell]")) hideTip(); });
document.addEventListener("keydown", move);
document.addEventListener("swapped", start);

document.addEventListener("change", (event) => {
  const control = /** @type {HTMLSelectElement | HTMLInputElement} */ (event.target);
  const form = control.form;
  if (!form?.matches("[data-table-form]")) return;
  const { name, value } = control;
  if (control.matches("select")) {
    // A table needs two different axes: choosing the axis of the other menu swaps the two.
    const other = /** @type {HTMLSelectElement} */ (form.elements.namedItem(name === "rows" ? "columns" : "rows"));
    if (other.value === value) other.value = axes[name];
    send(form);
  } else {
    control.closest("[data-filter]").dataset.changed = "";
  }
});

// A filter is submitted when its menu closes, not at every checkbox.
document.addEventListener("toggle", (event) => {
  const menu = /** @type {HTMLDetailsElement} */ (event.target);
  if (menu.matches?.("[data-filter][data-changed]") && !menu.open) send(menu.closest("form"));
}, true);

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-table-form]")) return;
  event.preventDefault();
  send(event.target);
});

start();
