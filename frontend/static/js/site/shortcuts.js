// The switch for single-key shortcuts (WCAG 2.1.4) at the bottom of every page. The choice is kept in local storage.

const KEY = "prunescope.single-key-shortcuts";
let on = read();

export const shortcutsOn = () => on;

function read() {
  try { return localStorage.getItem(KEY) !== "off"; }
  catch { return true; } // without storage, the choice applies only to this page
}

function show() {
  document.documentElement.dataset.keys = on ? "on" : "off";
  /** @type {NodeListOf<HTMLInputElement>} */
  const boxes = document.querySelectorAll("[data-keys-switch]");
  for (const box of boxes) box.checked = on;
}

document.addEventListener("change", (event) => {
  const box = /** @type {HTMLInputElement} */ (event.target);
  if (!box.matches?.("[data-keys-switch]")) return;
  on = box.checked;
  try { localStorage.setItem(KEY, on ? "on" : "off"); } catch { /* see read */ }
  show();
});
window.addEventListener("storage", (event) => { if (event.key === KEY) { on = read(); show(); } });
document.addEventListener("swapped", show);
show();
