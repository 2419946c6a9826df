// Links to another view of the same page: prefetched when the pointer is on them, and shown without a full page load.

import { prefetch, swap } from "./swap.js";

document.addEventListener("pointerover", (event) => { const link = event.target.closest?.("a[data-view]"); if (link) prefetch(link.href); });
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  swap(link.href, "replace");
});
