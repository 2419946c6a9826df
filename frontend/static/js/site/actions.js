// Buttons that send a REST request: data-method, data-href, and data-body for a JSON body. Afterwards the browser goes
// to data-then if the button has it; after a request with a body, to the answer's result_href or href; otherwise the
// present page is fetched again.

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
