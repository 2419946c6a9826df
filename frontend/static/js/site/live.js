// Pages that list jobs: one event stream for all jobs. Progress is written into a job's row; when the state of a job
// changes, the page is fetched again.

import { progressText } from "./progress.js";
import { refresh } from "./swap.js";

const TOGETHER_MS = 300;
let timer = 0;

const states = new Map();
const address = document.body.dataset.events;
if (address) {
  const events = new EventSource(address);
  events.addEventListener("snapshot", (event) => {
    const active = new Map(JSON.parse(event.data).items.map((job) => [job.id, job]));
    // A job that the page shows as active but the snapshot does not contain ended before the stream was opened.
    const ended = [...document.querySelectorAll("[data-state=running], [data-state=queued]")].some((row) => row.dataset.job && !active.has(row.dataset.job));
    if (ended) soon();
    for (const job of active.values()) show(job);
  });
  events.addEventListener("job", (event) => show(JSON.parse(event.data)));
}

function show(job) {
  const row = document.querySelector(`[data-job="${CSS.escape(job.id)}"]`);
  const known = row?.dataset.state ?? states.get(job.id);
  states.set(job.id, job.state);
  if (known !== job.state) { soon(); return; }
  const bar = row?.querySelector("progress");
  if (!bar || !job.progress) return;
  write(bar, job.progress);
  const message = row.querySelector("[data-message]");
  if (message && job.state === "running") message.textContent = progressText(job.progress);
}

function write(bar, progress) {
  if (progress.total > 0) { bar.max = progress.total; bar.value = progress.done; }
  else bar.removeAttribute("value");
}

// Fetch the page once for several jobs whose states change within TOGETHER_MS.
function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    // Not while the user has a menu open.
    if (document.querySelector("main details.menu[open]")) soon();
    else refresh().catch(() => soon());
  }, TOGETHER_MS);
}
