// Pages that list jobs: one event stream for all of them. Progress is written into the row, a new state reads the page anew.

import { progressText } from "./progress.js";
import { refresh } from "./swap.js";

const TOGETHER_MS = 300;
let timer = 0;

const address = document.body.dataset.events;
if (address) {
  const events = new EventSource(address);
  events.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    const row = document.querySelector(`[data-job="${CSS.escape(job.id)}"]`);
    if (!row || row.dataset.state !== job.state) { soon(); return; }
    const bar = row.querySelector("progress");
    if (!bar) return;
    write(bar, job.progress);
    const message = row.querySelector("[data-message]");
    if (message) message.textContent = progressText(job.progress);
  });
}

function write(bar, progress) {
  if (progress.total > 0) { bar.max = progress.total; bar.value = progress.done; }
  else bar.removeAttribute("value");
}

// Several jobs change their state together: one reading for all of them.
function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => refresh().catch(() => soon()), TOGETHER_MS);
}
