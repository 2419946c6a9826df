// The job page: shows stage, progress, remaining time and log of one job as they change. They come over one event
// stream, which reconnects by itself and continues after the last event that it received.

import { duration } from "../site/progress.js";
import { refresh } from "../site/swap.js";
import { clock, whole } from "../site/times.js";
import { offerNotification, tellEnd } from "./notify.js";

let events = null;
let tick = 0;

function start() {
  const page = document.querySelector("[data-job-events]");
  scrollLog();
  offerNotification(page);
  clearInterval(tick);
  if (page?.dataset.started) {
    const began = Date.parse(page.dataset.started);
    const clock = document.querySelector("[data-elapsed]");
    const show = () => { if (clock) clock.textContent = duration((Date.now() - began) / 1000); };
    if (page.dataset.running !== undefined) { show(); tick = setInterval(show, 1000); }
  }
  if (!page || page.dataset.ended !== undefined) {
    // The page may be fetched before the last event of the stream arrives.
    tellEnd(page, page?.dataset.state);
    events?.close();
    events = null;
    return;
  }
  if (events) return;
  events = new EventSource(page.dataset.jobEvents);
  events.addEventListener("open", () => lost(false));
  events.addEventListener("error", () => lost(true));
  events.addEventListener("snapshot", (event) => {
    const job = JSON.parse(event.data);
    showState(job);
    if (!job.finished_at) showProgress(job.progress);
    job.log.forEach(addLine);
  });
  events.addEventListener("job", (event) => showState(JSON.parse(event.data)));
  events.addEventListener("end", (event) => {
    events?.close();
    events = null;
    tellEnd(document.querySelector("[data-job-events]"), JSON.parse(event.data).state);
  });
  events.addEventListener("progress", (event) => showProgress(JSON.parse(event.data)));
  events.addEventListener("log", (event) => addLine(JSON.parse(event.data)));
}

// When the state has changed, the page is fetched again, because its buttons and texts depend on the state.
function showState(job) {
  const { state, cancelling } = document.querySelector("[data-job-events]")?.dataset ?? {};
  if (job.state !== state || Boolean(job.cancelling) !== (cancelling === "true")) refresh().catch(() => lost(true));
}

function showProgress(progress) {
  set("[data-stage]", progress.stage);
  set("[data-count]", progress.total > 0 ? `${progress.done} of ${progress.total} ${progress.unit}`.trim() : "");
  set("[data-message]", progress.message);
  set("[data-eta]", progress.eta_seconds === null || progress.eta_seconds === undefined ? "" : `about ${duration(progress.eta_seconds)} left`);
  const { title } = document.querySelector("[data-job-events]").dataset;
  document.title = `${progress.total > 0 ? `${Math.floor((100 * progress.done) / progress.total)} % · ` : ""}${progress.stage} · ${title}`;
  /** @type {HTMLProgressElement} */
  const bar = document.querySelector("[data-bar]");
  if (!bar) return;
  if (progress.total > 0) { bar.max = progress.total; bar.value = progress.done; }
  else bar.removeAttribute("value");
}

// After a reconnect, the stream repeats lines that the page shows already. Lines with the same time and text are equal.
function addLine(entry) {
  const log = document.querySelector("[data-log]");
  if (!log) return;
  const known = [...log.querySelectorAll("[data-at]")].slice(-400);
  if (known.some((line) => Date.parse(line.dataset.at) === Date.parse(entry.at) && line.dataset.line === entry.line)) return;
  const line = document.createElement("div");
  line.dataset.at = entry.at;
  line.dataset.line = entry.line;
  line.dataset.of = entry.line.split(": ")[0];
  line.classList.toggle("begins", known.at(-1)?.dataset.of !== line.dataset.of);
  const at = document.createElement("time");
  at.className = "at";
  at.dateTime = entry.at;
  at.dataset.clock = "";
  at.textContent = clock(new Date(entry.at));
  at.title = whole(new Date(entry.at));
  line.append(at, entry.line);
  log.querySelector("[data-empty]")?.remove();
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 30;
  log.append(line);
  if (follows) scrollLog();
}

function scrollLog() {
  const log = document.querySelector("[data-log]");
  if (log) log.scrollTop = log.scrollHeight;
}

function lost(is) {
  const note = document.querySelector("[data-lost]");
  if (note) note.hidden = !is;
}

function set(place, text) {
  const element = document.querySelector(place);
  if (element && element.textContent !== text) element.textContent = text;
}

document.addEventListener("swapped", start);
start();
