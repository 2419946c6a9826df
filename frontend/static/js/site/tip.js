// The page's only tooltip: shown below the lines of its element, or above them if there is more room, never over them.

const GAP = 6;
let tip = null;

export function showTip(target, name, lines) {
  if (!tip) {
    tip = document.createElement("div");
    tip.className = "tip";
    tip.id = "tip";
    tip.setAttribute("role", "tooltip");
  }
  // Inside <main>, the landmark that contains its element. A swap replaces <main> and so removes the tooltip.
  if (!tip.isConnected) document.querySelector("main").append(tip);
  const title = document.createElement("b");
  title.textContent = name;
  tip.replaceChildren(title, lines.join("\n"));
  tip.hidden = false;
  const boxes = [...target.getClientRects()];
  const box = boxes[0] ?? target.getBoundingClientRect();
  const end = boxes.at(-1) ?? box;
  const width = document.documentElement.clientWidth;
  const left = Math.max(8, Math.min(box.left - 12, width - tip.offsetWidth - 8));
  const room = window.innerHeight - end.bottom - GAP - tip.offsetHeight;
  const below = room >= 0 || box.top - GAP - tip.offsetHeight < room;
  const top = below ? end.bottom + GAP : box.top - GAP - tip.offsetHeight;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${top + window.scrollY}px`;
}

export function hideTip() {
  if (tip) tip.hidden = true;
}
