// Shows another state of the same page without a full page load: fetches its HTML (usually prefetched) and replaces
// <main>. All rendering is done by the server.

const KEPT = 40;
const pages = new Map();
let latest = 0;

// A promise of the HTML at an address. It is fetched once and then cached.
export function prefetch(href) {
  const key = new URL(href, location.href).href;
  if (!pages.has(key)) {
    const page = fetchPage(key);
    page.catch(() => pages.delete(key));
    pages.set(key, page);
    if (pages.size > KEPT) pages.delete(pages.keys().next().value);
  }
  return pages.get(key);
}

// Show the page at href. `entry`: "push" a new entry to the history, "replace" the present one, or "keep" it.
export async function swap(href, entry) {
  const turn = ++latest;
  let page;
  try {
    page = await prefetch(href);
  } catch {
    location.assign(href);
    return;
  }
  if (turn !== latest) return;
  if (entry === "push") history.pushState(null, "", href);
  if (entry === "replace") history.replaceState(null, "", href);
  show(page);
}

// Fetch the present page again and show it.
export async function refresh() {
  pages.clear();
  const turn = ++latest;
  const page = await fetchPage(location.href);
  if (turn === latest) show(page);
}

async function fetchPage(href) {
  const response = await fetch(href, { headers: { accept: "text/html" } });
  if (!response.ok) throw new Error(`${href} answered ${response.status}`);
  return response.text();
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const focus = focusedPlace();
  const open = folded().map((details) => details.open);
  document.title = fresh.title;
  document.querySelector("main").replaceWith(document.adoptNode(fresh.querySelector("main")));
  const details = folded();
  if (details.length === open.length) details.forEach((one, index) => { one.open = open[index]; });
  restore(focus);
  document.dispatchEvent(new CustomEvent("swapped"));
}

const folded = () => [...document.querySelector("main").querySelectorAll("details")].filter((details) => !details.matches(".menu"));

// A selector that finds the element with the focus in the new page, by its function, not by its position.
function focusedPlace() {
  const element = document.activeElement;
  const main = element?.closest("main");
  if (!main || main === element) return null;
  if (element.dataset.step) return `[data-step="${element.dataset.step}"]`;
  if (element.dataset.i) return `[data-pane="${element.closest("[data-pane]").dataset.pane}"] [data-i="${element.dataset.i}"]`;
  const group = element.closest("[aria-label]");
  if (element.hasAttribute("data-view") && group) return `[aria-label="${CSS.escape(group.getAttribute("aria-label"))}"] [aria-current]`;
  return element.id ? `#${CSS.escape(element.id)}` : null;
}

function restore(place) {
  if (!place) return;
  const element = document.querySelector(`main ${place}`);
  if (!element) return;
  if (element.dataset.i) element.tabIndex = 0;
  element.focus({ preventScroll: true });
}
