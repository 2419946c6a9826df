// The tokens of a neuron page as they are seen: values, colours mixed with what lies under them, the mark.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const mixed = (under, over) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of [under, over]) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const { rows, others } = JSON.parse(document.getElementById("tokens").textContent);
  const told = (key, place) => {
    if (key in { dense: 0, pruned: 0, difference: 0 }) return rows[place][{ dense: 2, pruned: 3, difference: 4 }[key]];
    const kind = key.split("-")[0];
    return others[key.slice(kind.length + 1)][place][kind === "pruned" ? 0 : 1];
  };
  return [...document.querySelectorAll("[data-pane]")].flatMap((pane) => {
    const surface = getComputedStyle(pane.closest(".pane")).backgroundColor;
    return [...pane.querySelectorAll("[data-i]")].map((token) => {
      const style = getComputedStyle(token);
      return { place: Number(token.dataset.i), text: token.textContent, value: told(pane.dataset.pane, token.dataset.i),
        fill: mixed(surface, style.backgroundColor), ink: mixed(surface, style.color), chosen: token.classList.contains("c") };
    });
  });
}
