// Buttons that change something over REST: data-method, data-href; data-then is where to go, without it the page is read anew.

import { problemText, toast } from "./toast.js";
import { refresh } from "./swap.js";

export async function act(button) {
  const question = button.dataset.confirm;
  if (question && !window.confirm(question)) return;
  button.disabled = true;
  try {
    const response = await fetch(button.dataset.href, { method: button.dataset.method });
    if (!response.ok) toast(await problemText(response));
    else if (button.dataset.then) location.assign(button.dataset.then);
    else await refresh();
  } catch {
    toast("The server cannot be reached.");
  } finally {
    button.disabled = false;
  }
}
