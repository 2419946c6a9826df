// Suggests models in fields with several references: for the one after the last comma, those that the field does not name
// yet. The browser compares suggestions with the whole value, so that each of them repeats what is before.

export function suggestInLists(form) {
  /** @type {NodeListOf<HTMLInputElement>} */
  const fields = form.querySelectorAll("[data-shape=list] input[list]");
  for (const field of fields) {
    const own = document.createElement("datalist");
    own.id = `${field.id}-models`;
    field.after(own);
    const every = [...field.list.options];
    field.setAttribute("list", own.id);
    const offer = () => {
      const before = field.value.slice(0, field.value.lastIndexOf(",") + 1);
      const named = before.split(",").map((name) => name.trim());
      own.replaceChildren(...every.filter(({ value }) => !named.includes(value)).map((option) => repeated(option, before && `${before.trim()} `)));
    };
    field.addEventListener("input", offer);
    offer();
  }
}

function repeated(option, before) {
  const copy = /** @type {HTMLOptionElement} */ (option.cloneNode(true));
  copy.value = before + option.value;
  return copy;
}
