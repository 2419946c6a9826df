// Links to another view of the same page: read before they are asked for, and shown in place of this one.

import { prefetch, swap } from "./swap.js";

document.addEventListener("pointerover", (event) => { const link = event.target.closest?.("a[data-view]"); if (link) prefetch(link.href); });
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  swap(link.href, "replace");
});
