// Converts the fields of the job form to a spec. Hidden and empty fields are omitted.

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
    case "numbers": return commas(text).map((part) => (Number.isNaN(Number(part)) ? part : Number(part)));
    case "texts": return text.split(/\n\s*\n/).map((one) => ({ text: one.trim() })).filter((one) => one.text);
    case "words": return text.split("\n").map(commas);
    default: return text;
  }
}

const commas = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

// Write a field's value into the spec: "calibration.samples" into spec.calibration. Some fields do not correspond to
// the path that is their name.
function place(spec, path, value, values) {
  // Settings of perplexity without a text.
  if (path.startsWith("perplexity.") && !values["perplexity.datasets"] && !values["perplexity.dataset"]) return;
  switch (path) {
    case "texts-from": case "explained-from": return;
    case "pruned+": spec.pruned = [...(values.pruned ?? []), ...value]; return;
    // An explanation has one pruned model, an attribution a list of them.
    case "pruned": spec.pruned = Array.isArray(value) ? [...value, ...(values["pruned+"] ?? [])] : value; return;
    case "texts-words": spec.texts?.forEach((text, index) => { if (value[index]?.length) text.words = value[index]; }); return;
    case "methods": spec.methods = value.map((name) => ({ name })); return;
    case "allocations": spec.allocations = value.map((name) => ({ name })); return;
    case "patterns": spec.patterns = value; return;
    // A file replaces the data set; only a file of examples has a mode.
    case "calibration.dataset": case "calibration.mode":
      if (values["calibration.file"] && (path.endsWith("dataset") || !values["calibration.file"].endsWith(".jsonl"))) return;
      break;
    case "calibrations": spec.calibrations = value.map((dataset) => only({ dataset, samples: values["calibrations.samples"], seqlen: values.seqlens ? undefined : values["calibrations.seqlen"], bos: values["calibrations.bos"] })); return;
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

// The spec of an earlier job (`began`) with the changes that were made in the form: `before` is the form's spec before
// the changes, `now` after them. Parts of the earlier spec for which the form has no field do not change.
export function continued(began, before, now) {
  const spec = changed(began, before, now);
  // A data set replaces the earlier file; words that were chosen for the earlier texts do not apply to other texts.
  if (spec.calibration?.dataset && spec.calibration.file) delete spec.calibration.file;
  if (spec.texts?.words && !same(spec.texts, began.texts)) delete spec.texts.words;
  // The prompt of the earlier task is replaced by that of the new task, unless another prompt was chosen.
  if (spec.texts?.dataset !== began.texts?.dataset && spec.prompt === began.texts?.dataset) delete spec.prompt;
  if (spec.texts?.indices && !now.texts?.indices) spec.texts = now.texts;
  return spec;
}

function changed(began, before, now) {
  if (same(before, now)) return began;
  if (isObject(began) && isObject(before) && isObject(now)) {
    const result = {};
    for (const key of new Set([...Object.keys(began), ...Object.keys(now)])) {
      const value = changed(began[key], before[key], now[key]);
      if (value !== undefined) result[key] = value;
    }
    return result;
  }
  if (Array.isArray(began) && Array.isArray(before) && Array.isArray(now)) {
    return now.flatMap((item) => {
      const own = began.filter((each) => nameOf(each) !== undefined && nameOf(each) === nameOf(item));
      const was = before.find((each) => nameOf(each) === nameOf(item));
      return own.length && was ? own.map((each) => changed(each, was, item)) : [item];
    });
  }
  return now;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const nameOf = (item) => (isObject(item) ? item.name ?? item.dataset ?? item.text : undefined);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
