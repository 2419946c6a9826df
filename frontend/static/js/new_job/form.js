// The job form: converts its fields to a spec, checks them, and submits the job. The server validates the spec again;
// the errors of its problem document are shown at the fields that they name.

import { estimateSoon } from "./estimate.js";
import { continued, specOf } from "./spec.js";

/** @type {HTMLFormElement} */
const form = document.querySelector("[data-job-form]");
/** @type {HTMLButtonElement} */
const button = form?.querySelector("[type=submit]");
const preview = document.querySelector("[data-preview]");
const box = document.querySelector("[data-problem]");
// The spec of the job that the form was filled from (null if none), and the form's spec before any change.
const began = form?.dataset.began ? JSON.parse(form.dataset.began) : null;
let first = null;

function update() {
  for (const field of form.querySelectorAll("[data-when]")) {
    const [path, values] = field.dataset.when.split("=");
    const control = /** @type {HTMLInputElement} */ (form.elements.namedItem(path));
    // A field that depends on a hidden field is hidden too.
    field.hidden = control?.closest?.("[data-field]")?.hidden || !values.split("|").includes(control?.value ?? "");
  }
  for (const select of form.querySelectorAll("select")) select.closest("[data-field]").querySelector("[data-chosen-note]").textContent = select.selectedOptions[0]?.dataset.note ?? "";
  const body = request();
  preview.textContent = JSON.stringify(body, null, 2);
  estimateSoon(body);
}

function request() {
  const spec = specOf(form);
  first ??= spec;
  const body = { kind: form.dataset.kind, spec: began ? continued(began, first, spec) : spec };
  const { checked } = /** @type {HTMLInputElement} */ (form.elements.namedItem("force"));
  return checked ? { ...body, force: true } : body;
}

const shown = () => [...form.querySelectorAll("[data-field]")].filter((field) => !field.hidden);

function say(field, message) {
  const error = field.querySelector(".error");
  error.textContent = message;
  error.hidden = !message;
  for (const control of field.querySelectorAll("input, select, textarea")) {
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
}

function clear() {
  for (const field of form.querySelectorAll("[data-field]")) say(field, "");
  box.hidden = true;
}

// Checks that need no request to the server.
function check() {
  let first = null;
  for (const field of shown()) {
    /** @type {HTMLInputElement} */
    const control = field.querySelector("input, select, textarea");
    const group = field.classList.contains("as-checks");
    let message = "";
    if (group && !field.querySelector(":checked") && ["tasks", "methods"].includes(field.dataset.field)) message = "choose at least one";
    else if (!group && control?.validity.patternMismatch) message = "write 0.5, or n:m such as 2:4";
    else if (!group && control && !control.validity.valid) message = control.validationMessage;
    say(field, message);
    if (message) first ??= control;
  }
  first?.focus();
  return first === null;
}

const belongs = (path, field) => path === field || path.startsWith(`${field}.`) || field.startsWith(`${path}.`);
const holds = (field, given) => Number(typeof given === "string" && [...field.querySelectorAll("[name]:not([type=checkbox]), :checked")].some((control) => control.value.includes(given)));

// Show each error of a problem document at the field whose path is the longest prefix of the error's path.
function show(problem) {
  const left = [];
  let first = null;
  for (const error of problem.errors ?? []) {
    const path = error.field.replace(/^spec\./, "");
    const fields = shown().filter((field) => belongs(path, field.dataset.field.replace(/\+$/, "")));
    // Two fields may have the same path in the spec: prefer the one that contains the given value.
    const field = fields.sort((a, b) => holds(b, error.given) - holds(a, error.given) || b.dataset.field.length - a.dataset.field.length)[0];
    if (!field) { left.push(`${error.field}: ${error.message}`); continue; }
    say(field, error.message);
    first ??= field.querySelector("input, select, textarea");
  }
  if (left.length || !first) {
    box.querySelector("strong").textContent = problem.title || "It was not started";
    box.querySelector("p").textContent = left.join("; ") || problem.detail || "";
    box.hidden = false;
  }
  (first ?? box).focus?.();
}

async function submit(event) {
  event.preventDefault();
  clear();
  if (!check()) return;
  button.disabled = true;
  try {
    const response = await fetch(form.dataset.href, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(request()) });
    const answer = await response.json();
    if (response.ok) location.assign(answer.href ?? `${form.dataset.then}/${answer.id}`);
    else show(answer);
  } catch {
    show({ title: "The server cannot be reached", detail: "Nothing was started. Try again in a moment." });
  } finally {
    button.disabled = false;
  }
}

if (form) {
  form.addEventListener("input", update);
  form.addEventListener("submit", submit);
  update();
  form.dataset.ready = "";
  button.disabled = false;
}
