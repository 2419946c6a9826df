// Suggestions below the search field while the user types (a combobox with a list box, WAI-ARIA), grouped by kind.
// Without this script, the field's form opens the search page, as Enter does while no suggestion is chosen.

const WAIT_MS = 150;
const OF_A_KIND = 4; // the page of all hits has more
const HEADINGS = { neuron: "Neurons", word: "Influential words", token: "Tokens in texts", study: "Studies", attribution: "Attributions", explanation: "Explanations", evaluation: "Evaluations", model: "Models", corpus: "Corpora", job: "Jobs" };

/** @type {HTMLInputElement} */
let field = null;
let box = null;
let told = null;
let timer = 0;
let asked = null;

/** @param {HTMLInputElement | null} search */
export function suggestFor(search) {
  if (!search) return; // a shared page has no search field
  field = search;
  field.type = "text"; // a search field may not have the role of a combobox
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-expanded", "false");
  field.setAttribute("aria-controls", "suggestions");
  box = document.createElement("div");
  Object.assign(box, { id: "suggestions", className: "suggestions", hidden: true });
  box.setAttribute("role", "listbox");
  box.setAttribute("aria-label", "Suggestions");
  told = document.createElement("span");
  told.className = "unseen";
  told.setAttribute("role", "status");
  field.form.append(box);
  document.body.append(told);
  // Before the field loses the focus, which closes the list.
  box.addEventListener("mousedown", (event) => event.preventDefault());
  box.addEventListener("click", (event) => open(/** @type {HTMLElement} */ (event.target).closest("[role=option]")));
  field.addEventListener("input", soon);
  field.addEventListener("blur", close);
  field.addEventListener("keydown", act);
}

function soon() {
  clearTimeout(timer);
  asked?.abort();
  if (!field.value.trim()) { close(); return; }
  timer = setTimeout(ask, WAIT_MS);
}

async function ask() {
  asked = new AbortController();
  const { signal } = asked;
  const query = new URLSearchParams(/** @type {any} */ (new FormData(field.form)));
  try {
    const response = await fetch(`${field.form.dataset.suggest}?${query}`, { signal });
    if (response.ok) show((await response.json()).items);
  } catch { /* a later request has replaced it, or the server cannot be reached: Enter still works */ }
}

function show(items) {
  if (document.activeElement !== field) return;
  const groups = Object.entries(HEADINGS).map(([kind, heading]) => group(heading, items.filter((item) => item.kind === kind)));
  box.replaceChildren(...groups.filter(Boolean));
  options().forEach((option, index) => { option.id = `suggestion-${index}`; });
  choose(null);
  box.hidden = !items.length;
  field.setAttribute("aria-expanded", String(!box.hidden));
  told.textContent = items.length ? `${options().length} suggestions` : "Nothing was found";
}

function group(heading, items) {
  if (!items.length) return null;
  const element = document.createElement("div");
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", heading);
  const title = Object.assign(document.createElement("b"), { textContent: heading });
  title.setAttribute("aria-hidden", "true");
  element.append(title, ...items.slice(0, OF_A_KIND).map(option));
  return element;
}

function option({ label, note, href }) {
  const element = document.createElement("div");
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", "false");
  element.dataset.href = href;
  element.append(Object.assign(document.createElement("span"), { textContent: label }));
  if (note) element.append(" ", Object.assign(document.createElement("small"), { textContent: note }));
  return element;
}

const options = () => /** @type {HTMLElement[]} */ ([...box.querySelectorAll("[role=option]")]);
const chosen = () => /** @type {HTMLElement} */ (box.querySelector("[aria-selected=true]"));

function choose(option) {
  chosen()?.setAttribute("aria-selected", "false");
  option?.setAttribute("aria-selected", "true");
  option?.scrollIntoView({ block: "nearest" });
  if (option) field.setAttribute("aria-activedescendant", option.id);
  else field.removeAttribute("aria-activedescendant");
}

function act(event) {
  if (box.hidden) return;
  const all = options();
  const place = all.indexOf(chosen());
  // One place before the first and one after the last is the field itself.
  if (event.key === "ArrowDown") choose(all[place + 1] ?? null);
  else if (event.key === "ArrowUp") choose(all[place < 0 ? all.length - 1 : place - 1] ?? null);
  else if (event.key === "Enter" && chosen()) open(chosen());
  else if (event.key === "Escape") { close(); event.stopPropagation(); }
  else return;
  event.preventDefault();
}

function open(option) {
  if (option) location.assign(option.dataset.href);
}

function close() {
  clearTimeout(timer);
  asked?.abort();
  box.hidden = true;
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
}
