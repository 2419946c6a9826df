// What an audit of accessibility would find: contrast, boxes that scroll, headings of tables, sizes of targets.
() => {
  const faults = [];
  const seen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !element.closest(".unseen, svg, .skip");
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (channels) => channels.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => { const [low, high] = [light(a), light(b)].sort((x, y) => x - y); return (high + 0.05) / (low + 0.05); };
  const about = (element) => `${element.tagName}.${element.className} "${element.textContent.trim().slice(0, 30)}"`;
  for (const element of document.querySelectorAll("body *")) {
    const written = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!written || !seen(element) || element.closest(":disabled, [aria-disabled=true], script, noscript, .chart, option")) continue;
    const grounds = [];
    let opacity = 1;
    for (let box = element; box; box = box.parentElement) { const style = getComputedStyle(box); grounds.unshift(style.backgroundColor); opacity *= style.opacity; }
    const style = getComputedStyle(element);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = contrast(over([...grounds, style.color]), over(grounds));
    if (opacity < 1 || ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}, opacity ${opacity}: ${about(element)}`);
  }
  for (const box of document.querySelectorAll("body *")) {
    const style = getComputedStyle(box);
    const scrolls = (/auto|scroll/.test(style.overflowX) && box.scrollWidth > box.clientWidth + 1) || (/auto|scroll/.test(style.overflowY) && box.scrollHeight > box.clientHeight + 1);
    if (scrolls && seen(box) && box !== document.scrollingElement && !box.matches("textarea") && box.tabIndex < 0) faults.push(`keys do not reach ${about(box)}`);
    if (scrolls && box.tabIndex >= 0 && !box.matches("textarea") && !box.getAttribute("aria-label")) faults.push(`no name: ${about(box)}`);
  }
  for (const head of document.querySelectorAll("th")) if (!head.textContent.trim()) faults.push(`empty heading in ${about(head.closest("table"))}`);
  const targets = [...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea")].filter(seen)
    .filter((target) => !target.closest("p, li, .facts, .foot, .text, dd, label") && !target.disabled);
  const boxes = targets.map((target) => target.getBoundingClientRect());
  const near = (a, b) => Math.hypot((a.left + a.right - b.left - b.right) / 2, (a.top + a.bottom - b.top - b.bottom) / 2) < 24;
  targets.forEach((target, index) => {
    const box = boxes[index];
    // A smaller target is right where a circle of 24 px around it meets no other one's.
    if (box.width > 0 && (box.width < 23.9 || box.height < 23.9) && boxes.some((other, at) => at !== index && other.width > 0 && near(box, other))) faults.push(`${box.width.toFixed(0)} x ${box.height.toFixed(0)} px: ${about(target)}`);
  });
  return faults;
}
