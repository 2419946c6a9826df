// Loaded on every page: the keys for the search field and the list of keys, closing of menus, and the buttons that copy, share or change
// data.

import "./times.js";
import "./scrolling.js";
import "./terms.js";
import { shortcutsOn } from "./shortcuts.js";
import { copyButton, copyTextButton, shareButton } from "./sharing.js";
import { act } from "./actions.js";
import { suggestFor } from "./suggest.js";

suggestFor(document.querySelector("[data-search]"));

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && shortcutsOn() && !typing(event)) {
    /** @type {HTMLInputElement} */
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
  if (event.key === "?" && shortcutsOn() && !typing(event)) keys();
  if (event.key === "Escape") {
    /** @type {HTMLDetailsElement} */
    const open = document.querySelector("details.menu[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
    else if (event.target.matches?.("[data-search]")) document.activeElement.blur();
  }
});

document.addEventListener("click", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  /** @type {NodeListOf<HTMLDetailsElement>} */
  const menus = document.querySelectorAll("details.menu[open]");
  for (const menu of menus) if (!menu.contains(target) || target.closest("a")) menu.open = false;
  const button = target.closest("button");
  if (!button) return;
  if (button.hasAttribute("data-help")) keys();
  if (button.hasAttribute("data-copy")) copyButton(button);
  if (button.hasAttribute("data-copy-text")) copyTextButton(button);
  if (button.hasAttribute("data-share")) shareButton(button);
  if (button.hasAttribute("data-method")) act(button);
});

// The list of keys. A page with a list of its own opens that itself.
function keys() {
  /** @type {HTMLDialogElement} */
  const list = document.querySelector("dialog#keys");
  if (list && !list.open) list.showModal();
}

export function typing(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, dialog[open]") !== null;
}
