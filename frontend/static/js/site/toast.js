// A short message at the foot of the page, read out by screen readers, gone after a while.

const STAYS_MS = 5000;
let box = null;
let timer = 0;

export function toast(message) {
  if (!box) {
    box = document.createElement("div");
    box.className = "toast";
    box.setAttribute("role", "status");
    document.body.append(box);
  }
  box.textContent = message;
  box.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { box.hidden = true; }, STAYS_MS);
}

// What a problem document (RFC 9457) says, in one line; also for answers that carry none.
export async function problemText(response) {
  try {
    const problem = await response.json();
    return problem.detail || problem.title || `the server answered ${response.status}`;
  } catch {
    return `the server answered ${response.status}`;
  }
}
