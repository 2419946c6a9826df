// The buttons that copy the address of the present view or of a listed link, create a share link and copy that, or copy
// the text beside them.

import { problemText, toast } from "./toast.js";

const FEEDBACK_MS = 1800;

export async function copyButton(button) {
  const link = button.dataset.copy;
  await copy(link ? new URL(link, location.href).href : permalink(), button, "Link copied");
}

export async function copyTextButton(button) {
  const text = button.closest("details").querySelector("[data-text]").textContent;
  await copy(text, button, "Copied", "");
}

// The present address with the digest of the shown result, by which the page tells whether it was made again.
function permalink() {
  const { digest } = document.querySelector("main").dataset;
  const address = new URL(location.href);
  if (digest) address.searchParams.set("digest", digest);
  return address.href;
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

async function copy(text, button, done, told = `: ${text}`) {
  const copied = await toClipboard(text);
  toast(copied ? `${done}${told}` : `Copy it from here: ${text}`);
  if (!copied) return;
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  button.textContent = "Copied ✓";
  button.classList.add("done");
  setTimeout(() => { button.textContent = label; button.classList.remove("done"); }, FEEDBACK_MS);
}

// Copy a text; returns whether it worked. The clipboard API needs a secure context (https or localhost); elsewhere the
// deprecated execCommand is used.
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
