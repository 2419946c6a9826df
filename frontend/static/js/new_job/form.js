// The job form: converts its fields to a spec, lets the server check it while the user types, and submits the job. The
// errors of the server's problem document are shown at the fields that they name.

import { checkSoon } from "./check.js";
import { showAsking, showEstimate, showWrong } from "./estimate.js";
import { continued, specOf } from "./spec.js";
import { suggestInLists } from "./suggestions.js";

/** @type {HTMLFormElement} */
const form = document.querySelector("[data-job-form]");
/** @type {HTMLButtonElement} */
const button = form?.querySelector("[type=submit]");
const preview = document.querySelector("[data-preview]");
const box = document.querySelector("[data-problem]");
// The spec of the job that the form was filled from (null if none), and the form's spec before any change.
const began = form?.dataset.began ? JSON.parse(form.dataset.began) : null;
let first = null;
// The paths of the fields that the user has changed; only these show errors before the job is submitted.
const changed = new Set();

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
  checkSoon(form.dataset.check, body, { asking: showAsking, valid: showValid, wrong: showInvalid });
}

function showValid(answer) {
  for (const field of form.querySelectorAll("[data-field]")) say(field, "");
  showEstimate(form.dataset.kind, answer);
  for (const fold of folds()) {
    const command = answer.commands.find((each) => each.form === fold.dataset.form);
    fold.hidden = !command;
    if (command) write(fold, command.text, command.note);
  }
}

function showInvalid(problem) {
  showWrong(problem);
  const errors = new Map(located(problem).map(([field, error]) => [field, error.message]));
  for (const field of form.querySelectorAll("[data-field]")) {
    if (!errors.has(field)) say(field, "");
    else if (changed.has(field.dataset.field)) say(field, errors.get(field));
  }
  for (const fold of folds()) write(fold, "", "Correct the form first.");
}

const folds = () => /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-form]:not([data-form=json])"));

function write(fold, text, note) {
  fold.querySelector("[data-text]").textContent = text;
  fold.querySelector("[data-note]").textContent = note;
  fold.querySelector("[data-copy-text]").disabled = !text;
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
    if (group && !field.querySelector(":checked") && field.dataset.field === "methods") message = "choose at least one";
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

// [field, error] for each error of a problem document that belongs to a field: to that whose path is the longest prefix
// of the error's path.
function located(problem) {
  return (problem.errors ?? []).flatMap((error) => {
    const path = error.field.replace(/^spec\./, "");
    const fields = shown().filter((field) => belongs(path, field.dataset.field.replace(/\+$/, "")));
    // Two fields may have the same path in the spec: prefer the one that contains the given value.
    const field = fields.sort((a, b) => holds(b, error.given) - holds(a, error.given) || b.dataset.field.length - a.dataset.field.length)[0];
    return field ? [[field, error]] : [];
  });
}

function show(problem) {
  const found = located(problem);
  for (const [field, error] of found) say(field, error.message);
  const placed = found.map(([, error]) => error);
  const left = (problem.errors ?? []).filter((error) => !placed.includes(error)).map((error) => `${error.field}: ${error.message}`);
  if (left.length || !found.length) {
    box.querySelector("strong").textContent = problem.title || "It was not started";
    box.querySelector("p").textContent = left.join("; ") || problem.detail || "";
    box.hidden = false;
  }
  (found[0]?.[0].querySelector("input, select, textarea") ?? box).focus?.();
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
  suggestInLists(form);
  form.addEventListener("input", (event) => {
    const field = /** @type {HTMLElement} */ (event.target).closest("[data-field]");
    if (field) changed.add(field.dataset.field);
    update();
  });
  form.addEventListener("submit", submit);
  update();
  form.dataset.ready = "";
  button.disabled = false;
}
