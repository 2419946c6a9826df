// Shows times in the reader's time zone. Without scripts, pages show them in UTC and say so.

/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
/** @type {Intl.DateTimeFormatOptions} */
const WHOLE = { dateStyle: "medium", timeStyle: "long" };

// The time of day, for lines of a log.
export function clock(moment) {
  return new Intl.DateTimeFormat(undefined, CLOCK).format(moment);
}

// Date, time and time zone, for the tooltip of a time.
export function whole(moment) {
  return new Intl.DateTimeFormat(undefined, WHOLE).format(moment);
}

function zone() {
  const name = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(new Date()).find((part) => part.type === "timeZoneName");
  const place = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return [...new Set([place, name?.value])].filter(Boolean).join(", "); // for UTC, both names are the same
}

function start() {
  /** @type {NodeListOf<HTMLTimeElement>} */
  const times = document.querySelectorAll("time[datetime]");
  for (const time of times) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    if (time.hasAttribute("data-clock")) time.textContent = clock(moment);
    time.title = whole(moment);
  }
  for (const note of document.querySelectorAll("[data-zone]")) note.textContent = `times in ${zone()}`;
}

document.addEventListener("swapped", start);
start();
