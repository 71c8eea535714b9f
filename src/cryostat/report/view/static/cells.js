"use strict";
// A slide with cells over it: a click asks for the cell under it.
(() => {
  const { told, find, viewer, ask, made, chip, showCard, keys, pointAt, repaint, paintWith, chosen } = window.cryostat;
  let picked = null;

  // Layers stand in pairs, outlines and filled, of each file.
  const file = () => Number(/^cells(\d+)/.exec(chosen())?.[1] ?? 0);

  function close() {
    picked = null;
    find(".card").hidden = true;
    repaint("marks");
  }

  function show(cell) {
    const head = made("h2", `Cell ${cell.number.toLocaleString("en")}`);
    const kind = made("p", "", "verdict");
    kind.append(chip(cell.class, cell.colour));
    const facts = made("dl");
    for (const [name, text] of cell.facts) {
      const row = made("div");
      row.append(made("dt", name), made("dd", text));
      facts.append(row);
    }
    showCard(cell.facts.length ? [head, kind, facts] : [head, kind], close);
  }

  viewer.addHandler("canvas-click", async (event) => {
    if (!event.quick || !file() || file() > told.cells) return;
    const at = pointAt(event.originalEvent.clientX, event.originalEvent.clientY);
    const cell = await ask(`cells/${file()}.json?x=${at.x.toFixed(2)}&y=${at.y.toFixed(2)}`);
    if (!cell) return close();
    const path = new Path2D();
    for (const ring of cell.rings) {
      ring.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
      path.closePath();
    }
    picked = path;
    show(cell);
    repaint("marks");
  });

  paintWith(() => {}, (pen, each) => {
    if (!picked || !chosen()) return;
    for (const [colour, width] of [["#1d1b22", 6], ["#ffffff", 3]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width / each;
      pen.stroke(picked);
    }
  });
  document.querySelectorAll("input[name=layer]").forEach((radio) => radio.addEventListener("change", close));
  keys.set("escape", close);
})();
