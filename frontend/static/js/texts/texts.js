// The forms for an own text and for influential words chosen by clicking: submits the form, follows the job that the
// server answers with, and opens its result.

import { problemText } from "../site/toast.js";

const DONE = "succeeded";
const RUNNING = "running";
let typed = "";

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!form.matches("[data-send]")) return;
  // With the source "manual", the browser submits the form, and the next page asks for the words.
  if (/** @type {HTMLInputElement} */ (form.elements.namedItem("source"))?.value === "manual" && !form.elements.namedItem("one")) return;
  event.preventDefault();
  send(form).catch(() => wrong(form, "The server cannot be reached. Try again in a moment."));
});

async function send(form) {
  busy(form, true);
  wrong(form, "");
  const response = await fetch(form.action, { method: "POST", headers: { accept: "application/json" }, body: new URLSearchParams(/** @type {any} */ (new FormData(form))) });
  if (!response.ok) { wrong(form, await problemText(response)); return; }
  const job = await response.json();
  if (job.state === DONE) go(form, job.then_href);
  else follow(form, job);
}

function follow(form, job) {
  const link = form.querySelector("[data-job-link]");
  link.href = job.href;
  link.hidden = false;
  say(form, "waiting for a worker", "");
  const events = new EventSource(job.events_href);
  const look = (now) => {
    if (now.state === DONE) { events.close(); go(form, job.then_href); }
    else if (now.finished_at) { events.close(); wrong(form, now.error?.detail ?? "The job was cancelled."); }
    else if (now.state === RUNNING) show(form, now.progress);
  };
  events.addEventListener("snapshot", (event) => look(JSON.parse(event.data)));
  events.addEventListener("job", (event) => look(JSON.parse(event.data)));
  events.addEventListener("progress", (event) => show(form, JSON.parse(event.data)));
}

function show(form, progress) {
  say(form, progress.stage, progress.total > 0 ? `${progress.done} of ${progress.total} ${progress.unit}`.trim() : progress.message);
  const bar = form.querySelector("progress");
  if (progress.total > 0) { bar.max = progress.total; bar.value = progress.done; }
  else bar.removeAttribute("value");
}

function say(form, stage, count) {
  form.querySelector("[data-stage]").textContent = stage;
  form.querySelector("[data-count]").textContent = count;
}

function go(form, href) {
  typed = "";
  say(form, "opening the result", "");
  location.assign(href);
}

function busy(form, is) {
  form.querySelector("[type=submit]").disabled = is;
  form.querySelector("[data-sending]").hidden = !is;
  if (is) { say(form, "sending", ""); form.querySelector("progress").removeAttribute("value"); }
}

function wrong(form, message) {
  const box = form.querySelector("[data-wrong]");
  box.querySelector("p").textContent = message;
  box.hidden = !message;
  if (message) busy(form, false);
}

// ---------- choosing words by clicking ----------

document.addEventListener("change", (event) => { if (event.target.closest(".words-of")) mark(event.target.closest(".words-of")); });

// Mark all occurrences of the chosen words, and show the number of chosen words.
function mark(text) {
  /** @type {NodeListOf<HTMLLabelElement>} */
  const labels = text.querySelectorAll(".words label");
  for (const label of labels) label.classList.toggle("marked", /** @type {HTMLInputElement} */ (label.control).checked);
  const count = text.querySelectorAll("[type=checkbox]:checked").length;
  text.querySelector("[data-marked]").textContent = `${count} ${count === 1 ? "word" : "words"}`;
}

function start() {
  for (const text of document.querySelectorAll(".words-of")) mark(text); // the browser may have restored checkboxes
  for (const form of document.querySelectorAll("[data-send]")) busy(form, false);
  /** @type {HTMLTextAreaElement} */
  const area = document.querySelector("[data-typed]");
  if (area && typed && !area.value) area.value = typed; // keeps the typed text when another neuron is shown
}

document.addEventListener("input", (event) => {
  const area = /** @type {HTMLTextAreaElement} */ (event.target);
  if (area.matches("[data-typed]")) typed = area.value;
});
window.addEventListener("pageshow", start);
document.addEventListener("swapped", start);
