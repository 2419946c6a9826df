// Requests and shows an estimate of the work of the study in the form, whenever the form changes. No job is queued.

import { duration } from "../site/progress.js";
import { problemText } from "../site/toast.js";

const WAIT_MS = 350;
const box = document.querySelector("[data-estimate]");
let timer = 0;
let asked = null;
let last = "";

/**
 * Request the estimate WAIT_MS after the last change.
 * @param {{ spec: object, force?: boolean }} request
 */
export function estimateSoon({ spec, force }) {
  if (!box) return;
  const body = JSON.stringify(force ? { spec, force } : { spec });
  if (body === last) return;
  last = body;
  clearTimeout(timer);
  asked?.abort();
  box.dataset.estimate = "asking";
  timer = setTimeout(() => ask(body), WAIT_MS);
}

async function ask(body) {
  asked = new AbortController();
  const { signal } = asked;
  try {
    const response = await fetch(box.dataset.href, { method: "POST", headers: { "content-type": "application/json" }, body, signal });
    if (!response.ok) { tell("wrong", "Not yet", await problemText(response)); return; }
    const answer = await response.json();
    if (!signal.aborted) tell("known", work(answer), time(answer), answer.basis);
  } catch {
    if (signal.aborted) return;
    last = "";
    tell("wrong", "Not known", "The server cannot be reached.");
  }
}

function tell(state, strong, text, note = "") {
  box.dataset.estimate = state;
  box.querySelector("strong").textContent = strong;
  box.querySelector("[data-time]").textContent = text;
  box.querySelector("[data-basis]").textContent = note;
}

function work({ cells, known, new: jobs }) {
  const total = Object.values(jobs).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries({ prune: ["model", "models", "to prune"], evaluate: ["model", "models", "to measure"], attribute: ["attribution", "attributions", "to run"] })
    .filter(([kind]) => jobs[kind])
    .map(([kind, [one, many, what]]) => `${plural(jobs[kind], one, many)} ${what}`);
  const fresh = total ? `${plural(total, "new job", "new jobs")} (${kinds.join(", ")})` : "nothing new";
  return `${plural(cells, "cell", "cells")}: ${count(known)} known already, ${fresh}.`;
}

function time({ seconds, new: jobs }) {
  if (!Object.values(jobs).some(Boolean)) return "It is there at once.";
  return seconds === null ? "How long it takes cannot be told." : `About ${duration(seconds)}.`;
}

const count = (value) => value.toLocaleString("en");
const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;
