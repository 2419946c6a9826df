// Shows what the server says about the work of the form's job: how many jobs are new, how long they take, and how much
// memory the weights need.

import { duration, size } from "../site/progress.js";

/** @type {HTMLElement} */
const box = document.querySelector("[data-estimate]");

export function showAsking() {
  box.dataset.estimate = "asking";
}

export function showWrong(problem) {
  tell("wrong", problem.title === "Not known" ? "Not known" : "Not yet", problem.detail ?? "");
}

export function showEstimate(kind, { estimate, memory, known }) {
  if (kind === "study") tell("known", work(estimate), time(estimate), estimate.basis, memory);
  else if (known) tell("known", `Known already (${known.state}).`, "Start opens that job.", known.title, memory, known.href);
  else tell("known", estimate.seconds === null ? "No time can be told." : time(estimate), "", estimate.basis, memory);
}

function tell(state, strong, text, note = "", memory = null, href = null) {
  box.dataset.estimate = state;
  box.querySelector("strong").textContent = strong;
  box.querySelector("[data-time]").textContent = text;
  const basis = box.querySelector("[data-basis]");
  const link = Object.assign(document.createElement("a"), { className: "link", href: href ?? "", textContent: note });
  basis.replaceChildren(href ? link : note);
  box.querySelector("[data-memory]").textContent = memory ? needs(memory) : "";
}

function needs({ model, weights, at_once, hidden }) {
  const part = at_once < weights ? `, of which about ${size(at_once)} are in memory at once` : " in memory, beside the activations";
  const states = hidden ? ` The hidden states of the calibration windows: ${size(hidden)} in memory.` : "";
  return `Weights of ${model}: ${size(weights)}${part}.${states}`;
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
