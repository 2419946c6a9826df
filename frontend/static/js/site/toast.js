// Shows a short message at the bottom of the page for a few seconds; screen readers announce it.

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

// The message of a response's problem document (RFC 9457) in one line; the status code if it has none.
export async function problemText(response) {
  try {
    const problem = await response.json();
    return problem.detail || problem.title || `the server answered ${response.status}`;
  } catch {
    return `the server answered ${response.status}`;
  }
}
