// A browser notification when a job ends, if the user asks for it on the job's page. The choice is kept until the job
// ends, so that it also holds after the page was loaded again.

const KEY = "prunescope.notify.";
const ENDS = { succeeded: "has succeeded", failed: "has failed", cancelled: "was cancelled" };
const possible = "Notification" in window;

export function offerNotification(page) {
  /** @type {HTMLButtonElement} */
  const button = page?.querySelector("[data-notify]");
  if (!button || !possible || Notification.permission === "denied") return;
  button.hidden = false;
  if (asked(page)) mark(button);
  button.addEventListener("click", async () => {
    if ((await Notification.requestPermission()) !== "granted") { button.hidden = true; return; }
    sessionStorage.setItem(KEY + page.dataset.jobEvents, "on");
    mark(button);
  });
}

export function tellEnd(page, state) {
  if (!page || !possible || !asked(page)) return;
  sessionStorage.removeItem(KEY + page.dataset.jobEvents);
  const note = new Notification(`The job ${ENDS[state]}`, { body: page.dataset.title, tag: page.dataset.jobEvents });
  note.addEventListener("click", () => window.focus());
}

const asked = (page) => sessionStorage.getItem(KEY + page.dataset.jobEvents) === "on" && Notification.permission === "granted";

function mark(button) {
  button.textContent = "You will be notified";
  button.disabled = true;
}
