// From the fields of the job form to a spec: what is hidden or empty is left out.

export function specOf(form) {
  const spec = {};
  const values = {};
  for (const field of form.querySelectorAll("[data-field]")) {
    if (field.hidden) continue;
    const value = read(field);
    if (value !== undefined) values[field.dataset.field] = value;
  }
  for (const [path, value] of Object.entries(values)) place(spec, path, value, values);
  return spec;
}

function read(field) {
  const controls = [...field.querySelectorAll("input, select, textarea")];
  if (field.classList.contains("as-checks")) {
    const chosen = controls.filter((control) => control.checked).map((control) => control.value);
    return chosen.length ? chosen : undefined;
  }
  const text = controls[0].value.trim();
  if (!text) return undefined;
  switch (field.dataset.shape) {
    case "number": return Number.isNaN(Number(text)) ? text : Number(text);
    case "flag": return text === "true";
    case "list": return commas(text);
    case "texts": return text.split(/\n\s*\n/).map((one) => ({ text: one.trim() })).filter((one) => one.text);
    case "words": return text.split("\n").map(commas);
    default: return text;
  }
}

const commas = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

// "calibration.samples" goes into spec.calibration; a few fields stand for more than their own path.
function place(spec, path, value, values) {
  switch (path) {
    case "texts-from": return;
    case "pruned+": spec.pruned = [...(values.pruned ?? []), ...value]; return;
    case "pruned": spec.pruned = [...value, ...(values["pruned+"] ?? [])]; return;
    case "texts-words": spec.texts?.forEach((text, index) => { if (value[index]?.length) text.words = value[index]; }); return;
    case "methods": spec.methods = value.map((name) => ({ name })); return;
    case "patterns": spec.patterns = value; return;
    case "calibrations": spec.calibrations = value.map((dataset) => only({ dataset, samples: values["calibrations.samples"], seqlen: values["calibrations.seqlen"], bos: values["calibrations.bos"] })); return;
    case "calibrations.samples": case "calibrations.seqlen": case "calibrations.bos": return;
    case "attribution": spec.attributions = [{ texts: { dataset: value, count: 10 } }]; return;
  }
  const steps = path.split(".");
  const last = steps.pop();
  let inner = spec;
  for (const step of steps) inner = inner[step] ??= {};
  inner[last] = value;
}

const only = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
