// Buttons that change something over REST: data-method, data-href, and data-body where JSON is sent. Afterwards data-then is where to go, or
// the page of what was made (its answer's result_href or href); else this page is read anew.

import { problemText, toast } from "./toast.js";
import { refresh } from "./swap.js";

export async function act(button) {
  const question = button.dataset.confirm;
  if (question && !window.confirm(question)) return;
  button.disabled = true;
  try {
    const { method, href, body, then } = button.dataset;
    const response = await fetch(href, body ? { method, headers: { "content-type": "application/json" }, body } : { method });
    if (!response.ok) toast(await problemText(response));
    else if (then) location.assign(then);
    else if (body) {
      const made = await response.json();
      location.assign(made.result_href ?? made.href);
    }
    else await refresh();
  } catch {
    toast("The server cannot be reached.");
  } finally {
    button.disabled = false;
  }
}
