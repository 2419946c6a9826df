// Boxes that scroll can be focused with Tab. Columns of a table that would be visible only in part are hidden, because
// a truncated number looks like another number.

const BOXES = ".scroll, main pre, .log, .others, .menu > .list";
const TOLERANCE = 1;
const sizes = new ResizeObserver((entries) => { for (const { target } of entries) look(target.closest(BOXES)); });

function look(box) {
  if (!box) return;
  const scrolls = box.scrollWidth > box.clientWidth + TOLERANCE || box.scrollHeight > box.clientHeight + TOLERANCE;
  if (scrolls && !box.hasAttribute("tabindex")) {
    box.tabIndex = 0;
    box.dataset.reached = "";
    if (!box.hasAttribute("aria-label")) {
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", box.closest("section, dialog, details")?.querySelector("h2, h3, summary")?.textContent.trim() || "Table");
    }
  } else if (!scrolls && box.dataset.reached !== undefined) {
    box.removeAttribute("tabindex");
    delete box.dataset.reached;
  }
  for (const table of box.querySelectorAll("table")) hidePartial(box, table);
}

// Hide the columns that the box's edge or the pinned first column would cover in part; show the others.
function hidePartial(box, table) {
  const heads = table.tHead?.rows[table.tHead.rows.length - 1]?.cells;
  if (!heads?.length) return;
  const { left, right } = box.getBoundingClientRect();
  const pinned = getComputedStyle(heads[0]).position === "sticky";
  const first = pinned ? heads[0].getBoundingClientRect().width : 0;
  const rows = [...table.rows].filter((row) => row.cells.length === heads.length);
  [...heads].forEach((head, column) => {
    if (pinned && column === 0) return;
    const place = head.getBoundingClientRect();
    const inside = place.right > left + TOLERANCE && place.left < right - TOLERANCE;
    const whole = place.left >= left + first - TOLERANCE && place.right <= right + TOLERANCE;
    const inPart = inside && !whole;
    if (head.classList.contains("in-part") !== inPart) for (const row of rows) row.cells[column].classList.toggle("in-part", inPart);
  });
}

function start() {
  sizes.disconnect();
  for (const box of document.querySelectorAll(BOXES)) {
    sizes.observe(box);
    if (box.firstElementChild) sizes.observe(box.firstElementChild);
  }
}

document.addEventListener("scroll", (event) => { if (event.target.matches?.(".scroll")) look(event.target); }, true);
document.addEventListener("swapped", start);
start();
