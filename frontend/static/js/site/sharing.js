// Copy the address of this view, or make a share link for it.

import { problemText, toast } from "./toast.js";

const FEEDBACK_MS = 1800;

export async function copyButton(button) {
  await copy(location.href, button, "Link copied");
}

export async function shareButton(button) {
  const response = await fetch(button.dataset.share, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ path: location.pathname + location.search }),
  });
  if (!response.ok) { toast(`No share link: ${await problemText(response)}`); return; }
  const share = await response.json();
  await copy(new URL(share.url, location.href).href, button, "Share link copied");
}

async function copy(text, button, done) {
  const copied = await toClipboard(text);
  toast(copied ? `${done}: ${text}` : `Copy it from here: ${text}`);
  if (!copied) return;
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  button.textContent = "Copied ✓";
  button.classList.add("done");
  setTimeout(() => { button.textContent = label; button.classList.remove("done"); }, FEEDBACK_MS);
}

// The clipboard needs a secure context; over plain http on a network the old way still works.
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}
