// Formats a job's progress, durations and sizes as text.

export function progressText(progress) {
  const parts = [progress.stage];
  if (progress.total > 0) parts.push(`${progress.done} of ${progress.total} ${progress.unit}`.trim());
  if (progress.message) parts.push(progress.message);
  if (progress.eta_seconds !== null && progress.eta_seconds !== undefined) parts.push(`${duration(progress.eta_seconds)} left`);
  return parts.filter(Boolean).join(" · ");
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}
