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

// A response's problem document (RFC 9457); a document with a detail only, if it has none.
export async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { detail: `the server answered ${response.status}` };
  }
}

// The message of a response's problem document in one line.
export async function problemText(response) {
  const problem = await problemOf(response);
  return problem.detail || problem.title || `the server answered ${response.status}`;
}
