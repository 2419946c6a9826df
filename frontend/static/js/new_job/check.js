// Lets the server check the form's job whenever it changes; no job is queued. The answer has the estimate and the same
// job in other forms, or the errors of an invalid spec.

import { problemOf } from "../site/toast.js";

const WAIT_MS = 350;
let timer = 0;
let asked = null;
let last = "";

/**
 * Request a check of `body` (kind, spec, force) WAIT_MS after the last change. Exactly one of the callbacks is called,
 * and none if the form changes in the meantime.
 * @param {string} href
 * @param {object} body
 * @param {{ asking: () => void, valid: (answer: any) => void, wrong: (problem: any) => void }} told
 */
export function checkSoon(href, body, told) {
  const text = JSON.stringify(body);
  if (text === last) return;
  last = text;
  clearTimeout(timer);
  asked?.abort();
  told.asking();
  timer = setTimeout(() => ask(href, text, told), WAIT_MS);
}

async function ask(href, body, told) {
  asked = new AbortController();
  const { signal } = asked;
  try {
    const response = await fetch(href, { method: "POST", headers: { "content-type": "application/json" }, body, signal });
    const answer = response.ok ? await response.json() : await problemOf(response);
    if (signal.aborted) return;
    if (response.ok) told.valid(answer);
    else told.wrong(answer);
  } catch {
    if (signal.aborted) return;
    last = "";
    told.wrong({ title: "Not known", detail: "The server cannot be reached." });
  }
}
