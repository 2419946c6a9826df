// The neuron page: shows the numbers of the token under the pointer or with the focus; keys go to other neurons, layers
// and ranks. The server renders the page; the JSON block #tokens holds the formatted numbers and the exact shades.

import { typing } from "../site/page.js";
import { shortcutsOn } from "../site/shortcuts.js";
import { prefetch, swap } from "../site/swap.js";
import { hideTip, showTip } from "../site/tip.js";

const [NAME, ID, DENSE, PRUNED, DIFFERENCE, PERCENT, REMARK] = [0, 1, 2, 3, 4, 5, 6];
const FIRST_SHADE = 7; // the shades follow the texts, in the order of the panes
let rows = [];
let chosen = null;
let told = null;

function start() {
  const block = document.getElementById("tokens");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  ({ rows, chosen } = data);
  told = Object.fromEntries([...document.querySelectorAll("[data-tell]")].map((part) => [part.dataset.tell, part.textContent]));
  for (const text of document.querySelectorAll("[data-pane]")) {
    const shade = FIRST_SHADE + data.panes.indexOf(text.dataset.pane);
    for (const token of text.querySelectorAll("[data-i]")) {
      token.style.setProperty("--a", rows[token.dataset.i][shade]);
      token.removeAttribute("title"); // the tip shows the same numbers
    }
    // Tab stops at each influential token (at the first token if there is none); the keys , and . reach the others.
    const stops = text.querySelectorAll(".i, .c");
    for (const token of stops.length ? stops : [...text.querySelectorAll("[data-i]")].slice(0, 1)) token.tabIndex = 0;
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
  const change = row[PERCENT] ? `${row[DIFFERENCE]} (${row[PERCENT]})` : row[DIFFERENCE];
  write({ title: place === chosen ? "Chosen" : "Token", token: row[NAME], dense: row[DENSE], pruned: row[PRUNED], difference: change, place: `token ${place}, id ${row[ID]}` });
  const lines = [`  token ${place}, id ${row[ID]}`, `dense ${row[DENSE]} · pruned ${row[PRUNED]}`, change];
  if (row[REMARK]) lines.push(row[REMARK]);
  showTip(token, row[NAME], lines);
}

function untell() {
  hideTip();
  mark(chosen);
  write(told);
}

function mark(place) {
  for (const token of document.querySelectorAll(".t.c")) token.classList.remove("c");
  if (place === null) return;
  for (const token of document.querySelectorAll(`[data-pane] [data-i="${place}"]`)) token.classList.add("c");
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
  if (token) { choose(Number(token.dataset.i)); return; }
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

document.addEventListener("pointerover", (event) => {
  const link = event.target.closest?.("a[data-view]");
  if (link) prefetch(link.href);
});

document.addEventListener("keydown", (event) => {
  if (typing(event) || document.querySelector("details.menu[open]")) return;
  const focused = event.target.closest?.("[data-pane] [data-i]");
  switch (event.key) {
    case "Escape": if (chosen !== null) choose(null); else { focused?.blur(); hideTip(); } return;
    case "Enter": case " ": if (focused) { event.preventDefault(); choose(Number(focused.dataset.i)); } return;
  }
  if (!shortcutsOn()) return;
  switch (event.key) {
    case "?": help(); return;
    case "c": document.querySelector("[data-copy]").click(); return;
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
  to.tabIndex = 0;
  to.focus();
}

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-help]")) help();
});
dark.addEventListener("change", dress);
window.addEventListener("popstate", () => swap(location.href, "keep"));
document.addEventListener("swapped", start);
start();
