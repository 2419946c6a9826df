// Numbers that an edge cuts, and other text that is cut without saying so.
() => {
  // Text that an ancestor's edge covers in part. What lies beyond the edge as a whole can be scrolled to; what is not seen is not cut.
  const cut = [];
  const unseen = (element) => element.closest("svg, .unseen, [hidden], dialog:not([open])") || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const parent = node.parentElement;
    if (!/[0-9]/.test(node.data) || unseen(parent)) continue;
    for (let box = parent; box && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflowX === "visible") continue;
      const edge = box.getBoundingClientRect();
      range.selectNodeContents(node);
      for (const part of range.getClientRects()) {
        const outside = part.left >= edge.right - 1 || part.right <= edge.left + 1;
        if (!outside && (part.right > edge.right + 1 || part.left < edge.left - 1)) { cut.push(`${node.data.trim()} in ${box.tagName}.${box.className}`); break; }
      }
    }
  }
  for (const box of document.querySelectorAll("body *")) {
    const style = getComputedStyle(box);
    if (style.overflowX !== "hidden" || !box.textContent.trim() || unseen(box) || box.clientWidth === 0) continue;
    if (box.scrollWidth <= box.clientWidth) continue;
    const named = style.textOverflow === "ellipsis" && box.title === box.textContent.trim() && !/^[\d.,\s%\u2212+-]+$/.test(box.title);
    if (!named) cut.push(`${box.textContent.trim().slice(0, 40)} in ${box.tagName}.${box.className}`);
  }
  return [...new Set(cut)];
}
