// The neuron page: shows the numbers of the token under the pointer or with the focus; keys go to other neurons, layers
// and ranks. The server renders the page; the JSON block #tokens holds the formatted numbers and the exact shades.

import { typing } from "../site/page.js";
import { shortcutsOn } from "../site/shortcuts.js";
import { prefetch, swap } from "../site/swap.js";
import { hideTip, showTip } from "../site/tip.js";

const [NAME, ID, DENSE, PRUNED, DIFFERENCE, PERCENT, REMARK] = [0, 1, 2, 3, 4, 5, 6];
const FIRST_SHADE = 7; // the shades follow the texts, in the order of the panes
let rows = [];
let labels = []; // of the shown variants
let others = {}; // variant -> [pruned, difference, change] of each token, of all shown variants but the first
let order = []; // positions of the shown tokens, largest change first
let marks = []; // x of each token in the histogram, in the dense and the pruned model; null if it is not counted
let chosen = null;
let told = null;
let places = new Map(); // position of a token -> its elements in all panes

function start() {
  const block = document.getElementById("tokens");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  ({ rows, chosen, labels, others, order, marks } = data);
  places = new Map();
  told = Object.fromEntries([...document.querySelectorAll("[data-tell]")].map((part) => [part.dataset.tell, part.textContent]));
  for (const text of document.querySelectorAll("[data-pane]")) {
    const shade = FIRST_SHADE + data.panes.indexOf(text.dataset.pane);
    for (const token of text.querySelectorAll("[data-i]")) {
      const row = rows[token.dataset.i];
      token.style.setProperty("--a", row[shade]);
      const place = Number(token.dataset.i);
      places.has(place) ? places.get(place).push(token) : places.set(place, [token]);
      token.removeAttribute("title"); // the tip shows the same numbers
    }
    // Tab stops at each influential token (at the first token if there is none); the keys , and . reach the others.
    const stops = text.querySelectorAll(".i, .c");
    for (const token of stops.length ? stops : [...text.querySelectorAll("[data-i]")].slice(0, 1)) reachable(token);
  }
  dress();
  hideTip();
  if (chosen !== null) {
    const focused = document.activeElement?.dataset?.i !== undefined;
    if (!focused) tell(document.querySelector(`[data-pane="dense"] [data-i="${chosen}"]`));
  }
  const ahead = () => document.querySelectorAll("a[data-step]").forEach((link) => { prefetch(link.href); });
  "requestIdleCallback" in window ? requestIdleCallback(ahead, { timeout: 300 }) : setTimeout(ahead, 50);
}

// A token that can have the focus is a button with the name "charming, dense 2.22, pruned 0.85".
function reachable(token) {
  const row = rows[token.dataset.i];
  const pruned = [row[PRUNED], ...Object.values(others).map((columns) => columns[token.dataset.i][0])];
  token.tabIndex = 0;
  token.setAttribute("role", "button");
  token.setAttribute("aria-label", `${row[NAME].slice(1, -1).trim()}, dense ${row[DENSE]}, ${labels.map((label, number) => `${label} ${pruned[number]}`).join(", ")}`);
}

// Exported figures have the colours (light or dark) of the page.
const dark = matchMedia("(prefers-color-scheme: dark)");

function dress() {
  for (const link of document.querySelectorAll("a[download]")) {
    const address = new URL(link.href);
    if (!/\.(svg|png|html)$/.test(address.pathname)) continue;
    if (dark.matches) address.searchParams.set("theme", "dark");
    else address.searchParams.delete("theme");
    link.setAttribute("href", address.pathname + address.search);
  }
}

// ---------- showing a token's numbers ----------

function tell(token) {
  if (!token) return;
  const place = Number(token.dataset.i);
  const row = rows[place];
  mark(place);
  const change = changeOf(row[DIFFERENCE], row[PERCENT]);
  const values = { title: place === chosen ? "Chosen" : "Token", token: row[NAME], dense: row[DENSE], pruned: row[PRUNED], difference: change, place: `token ${place}, id ${row[ID]}` };
  const lines = [`  token ${place}, id ${row[ID]}`, `dense ${row[DENSE]} · ${labels[0]} ${row[PRUNED]}`, change];
  for (const [number, [variant, columns]] of Object.entries(others).entries()) {
    const [pruned, difference, percent] = columns[place];
    values[`pruned-${variant}`] = pruned;
    values[`difference-${variant}`] = changeOf(difference, percent);
    lines.push(`${labels[number + 1]} ${pruned}, ${values[`difference-${variant}`]}`);
  }
  write(values);
  if (row[REMARK]) lines.push(row[REMARK]);
  showTip(token, row[NAME], lines);
}

const changeOf = (difference, percent) => percent ? `${difference} (${percent})` : difference;

function untell() {
  hideTip();
  mark(chosen);
  write(told);
}

function mark(place) {
  for (const token of document.querySelectorAll(".t.c")) token.classList.remove("c");
  for (const token of places.get(place) ?? []) token.classList.add("c");
  draw(place);
}

// The lines in the histogram; without a token, those of the token above the text.
function draw(place) {
  const at = marks[place ?? Number(told?.place?.match(/\d+/)?.[0])];
  document.querySelectorAll(".bars .mark").forEach((line, side) => {
    line.toggleAttribute("hidden", !at);
    if (!at) return;
    line.setAttribute("x1", `${at[side]}%`);
    line.setAttribute("x2", `${at[side]}%`);
  });
}

function write(values) {
  for (const part of document.querySelectorAll("[data-tell]")) part.textContent = values[part.dataset.tell];
}

const tokenOf = (event) => event.target.closest?.("[data-pane] [data-i]");

document.addEventListener("pointerover", (event) => {
  const token = tokenOf(event);
  if (token) tell(token);
  else if (event.target.closest?.(".panes") || tipShown()) leave();
});
document.addEventListener("focusin", (event) => { const token = tokenOf(event); if (token) tell(token); });
document.addEventListener("focusout", (event) => { if (tokenOf(event)) untell(); });

const tipShown = () => document.querySelector(".tip:not([hidden])") !== null;

// When the pointer leaves a token, show the numbers of the token with the focus, else of the chosen token.
function leave() {
  const focused = document.activeElement?.closest?.("[data-pane] [data-i]");
  if (focused) tell(focused);
  else if (chosen !== null) tell(document.querySelector(`[data-pane="dense"] [data-i="${chosen}"]`));
  else untell();
}

// ---------- choosing a token, going to other neurons ----------

document.addEventListener("click", (event) => {
  const token = tokenOf(event);
  if (token) { (event.shiftKey ? select : choose)(Number(token.dataset.i)); return; }
  const link = event.target.closest?.("a[data-step], a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  swap(link.href, link.dataset.step ? "push" : "replace");
});

function choose(place) {
  if (document.body.hasAttribute("data-shared")) return; // a share link shows one fixed view
  const address = new URL(location.href);
  if (place === null || place === chosen) address.searchParams.delete("token");
  else address.searchParams.set("token", place);
  swap(address.href, "replace");
}

// Select the tokens from the chosen one, or the end of the present selection, to this one.
function select(place) {
  if (document.body.hasAttribute("data-shared")) return;
  const address = new URL(location.href);
  const from = chosen ?? Number(address.searchParams.get("span")?.split("-")[0] ?? place);
  address.searchParams.set("span", `${Math.min(from, place)}-${Math.max(from, place)}`);
  getSelection().removeAllRanges();
  swap(address.href, "replace");
}

function unselect() {
  const address = new URL(location.href);
  address.searchParams.delete("span");
  swap(address.href, "replace");
}

const selected = () => new URL(location.href).searchParams.has("span") && !document.body.hasAttribute("data-shared");

document.addEventListener("pointerover", (event) => {
  const link = event.target.closest?.("a[data-view]");
  if (link) prefetch(link.href);
});

document.addEventListener("keydown", (event) => {
  if (typing(event) || document.querySelector("details.menu[open]")) return;
  const focused = event.target.closest?.("[data-pane] [data-i]");
  switch (event.key) {
    case "Escape": if (selected()) unselect(); else if (chosen !== null) choose(null); else { focused?.blur(); hideTip(); } return;
    case "Enter": case " ": if (focused) { event.preventDefault(); (event.shiftKey ? select : choose)(Number(focused.dataset.i)); } return;
  }
  if (!shortcutsOn()) return;
  switch (event.key) {
    case "?": help(); return;
    case "c": document.querySelector("[data-copy]")?.click(); return;
    case "j": case "k": event.preventDefault(); jump(focused, event.key === "j" ? 1 : -1); return;
    case ",": case ".": { event.preventDefault(); walk(focused, event.key === "." ? 1 : -1); return; }
  }
  const step = document.querySelector(`a[data-step="${CSS.escape(event.key)}"]`);
  if (step && !event.shiftKey) { event.preventDefault(); swap(step.href, "push"); }
});

// The dialog is looked up each time, because a swap replaces <main>, which contains it.
const help = () => document.querySelector("dialog").showModal();

function walk(focused, by) {
  const from = focused ?? document.querySelector('[data-pane="dense"] .c') ?? document.querySelector('[data-pane="dense"] [data-i]');
  const tokens = [...from.closest("[data-pane]").querySelectorAll("[data-i]")];
  const to = focused ? tokens[tokens.indexOf(from) + by] : from;
  if (!to) return;
  reachable(to);
  to.focus();
}

// To the token with the next smaller change (1) or the next larger one (-1), in the pane with the focus.
function jump(focused, by) {
  const pane = focused?.closest("[data-pane]").dataset.pane ?? "difference";
  const now = focused ? order.indexOf(Number(focused.dataset.i)) : by < 0 ? 1 : -1;
  const to = document.querySelector(`[data-pane="${pane}"] [data-i="${order[now + by]}"]`);
  if (!to) return;
  reachable(to);
  to.focus();
}

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-help]")) help();
});
dark.addEventListener("change", dress);
window.addEventListener("popstate", () => swap(location.href, "keep"));
document.addEventListener("swapped", start);
start();
