"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /* Tables: a click on a heading sorts; what is unknown stays last. */
  const valueOf = (row, column, kind) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return kind === "num" ? Number.parseFloat(text) : text.toLowerCase();
  };
  const sortBy = (table, column, kind, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, at) => ({ row, at, value: valueOf(row, column, kind) }));
    rows.sort((a, b) => {
      if (kind === "num" && (Number.isNaN(a.value) || Number.isNaN(b.value))) {
        return Number.isNaN(a.value) - Number.isNaN(b.value) || a.at - b.at;
      }
      const order = kind === "num" ? a.value - b.value : a.value.localeCompare(b.value, "en", { numeric: true });
      return direction * order || a.at - b.at;
    });
    rows.forEach(({ row }) => { row.classList.remove("group"); body.append(row); });
  };
  const worseIsMore = /^(rank|p vs best|log-loss|ece|time)/i;
  all("table[data-sortable]").forEach((table) => {
    all("th button[data-sort]", table).forEach((button) => {
      const head = button.closest("th");
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const first = button.dataset.sort === "num" && !worseIsMore.test(button.textContent) ? "descending" : "ascending";
        const now = before === null ? first : before === "ascending" ? "descending" : "ascending";
        all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", now);
        sortBy(table, head.cellIndex, button.dataset.sort, now === "ascending" ? 1 : -1);
      });
    });
  });

  /* On narrow screens rows are laid out as cards, which would take their roles away. */
  all(".board").forEach((table) => {
    table.setAttribute("role", "table");
    all("thead, tbody", table).forEach((part) => part.setAttribute("role", "rowgroup"));
    all("tr", table).forEach((row) => row.setAttribute("role", "row"));
    all("td", table).forEach((cell) => cell.setAttribute("role", "cell"));
    all("th", table).forEach((cell) => cell.setAttribute("role", cell.scope === "col" ? "columnheader" : "rowheader"));
  });
  document.querySelector(".top [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  all(".scroll").forEach((box, at) => {
    const table = box.querySelector("table");
    new ResizeObserver(() => {
      if (box.scrollWidth > box.clientWidth + 4) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", `Table ${at + 1}, which scrolls`);
      } else box.removeAttribute("tabindex");
    }).observe(table);
  });

  /* Filters of all tables of a page. */
  const bar = document.querySelector("[data-filters]");
  if (bar) {
    const fields = all("[data-filter]", bar);
    const passes = (row, field) => {
      const name = field.dataset.filter;
      if (name === "published") return field.checked || row.dataset.published !== "1";
      const wanted = field.value.trim().toLowerCase();
      if (!wanted) return true;
      if (name === "text") return wanted.split(/\s+/).every((word) => row.dataset.text.toLowerCase().includes(word));
      return row.dataset[name] === undefined || row.dataset[name].toLowerCase() === wanted;
    };
    const apply = () => {
      const rows = all("tr[data-row]");
      rows.forEach((row) => { row.hidden = !fields.every((field) => passes(row, field)); });
      const published = bar.querySelector("[data-filter=published]");
      all("[data-published-notes]").forEach((notes) => { notes.hidden = Boolean(published) && !published.checked; });
      const shown = rows.filter((row) => !row.hidden).length;
      bar.querySelector("[data-count]").textContent = `${shown} of ${rows.length} rows`;
    };
    fields.forEach((field) => field.addEventListener("input", apply));
    bar.querySelector("[data-reset]")?.addEventListener("click", () => {
      fields.forEach((field) => { if (field.type === "checkbox") field.checked = field.defaultChecked; else field.value = field.tagName === "SELECT" ? [...field.options].find((o) => o.defaultSelected)?.value ?? "" : ""; });
      apply();
    });
    bar.hidden = false;
    apply();
  }

  /* One of several panels at a time. */
  all("[data-panels]").forEach((box) => {
    const choice = box.querySelector("[data-panel-choice]");
    const show = () => all("[data-panel]", box).forEach((panel) => { panel.hidden = panel.dataset.panel !== choice.value; });
    choice.addEventListener("input", show);
    show();
  });

  /* Curves that are switched on and off, in all charts of a section. */
  all("[data-ladder]").forEach((section) => {
    const boxes = all("[data-toggle]", section);
    const show = () => boxes.forEach((box) => all(`svg [data-series="${box.dataset.toggle}"]`, section).forEach((curve) => curve.toggleAttribute("hidden", !box.checked)));
    boxes.forEach((box) => box.addEventListener("input", show));
    show();
  });

  /* Fields of view: layers, zoom, pan. */
  const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
  const KEYS = { 1: "image", 2: "truth", 3: "prediction", 4: "errors" };
  const viewer = (figure) => {
    const stage = figure.querySelector(".stage");
    const world = figure.querySelector(".world");
    const radios = all("input[type=radio]", figure);
    const model = figure.querySelector("[data-model-choice]");
    const layers = all(".layer", figure);
    const pixels = Number(figure.querySelector(".base").getAttribute("width"));
    const view = { x: 0, y: 0, zoom: 1 };

    const draw = (smooth) => {
      const { clientWidth: w, clientHeight: h } = stage;
      view.zoom = Math.min(12, Math.max(1, view.zoom));
      view.x = Math.min(0, Math.max(w * (1 - view.zoom), view.x));
      view.y = Math.min(0, Math.max(h * (1 - view.zoom), view.y));
      world.classList.toggle("smooth", Boolean(smooth));
      world.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
      stage.classList.toggle("zoomed", view.zoom > 1);
      const image = figure.querySelector(".base");
      const fit = Math.min(w / pixels, h / Number(image.getAttribute("height")));
      const perPixel = Number(figure.dataset.mpp) / (fit * view.zoom);
      const length = LENGTHS.filter((um) => um / perPixel <= w / 4).pop() ?? LENGTHS[0];
      const line = stage.querySelector(".scalebar span");
      line.textContent = `${length} µm`;
      line.style.width = `${length / perPixel}px`;
    };
    const zoomAt = (factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2, smooth = true) => {
      const before = view.zoom;
      view.zoom = Math.min(12, Math.max(1, before * factor));
      const ratio = view.zoom / before;
      view.x = x - (x - view.x) * ratio;
      view.y = y - (y - view.y) * ratio;
      draw(smooth);
    };
    const show = () => {
      const kind = radios.find((radio) => radio.checked).value;
      const chosen = model ? model.value : layers.find((layer) => layer.dataset.model)?.dataset.model;
      let about = figure.querySelector(".base").alt;
      layers.forEach((layer) => {
        const on = layer.dataset.layer === kind && (layer.dataset.model === "" || layer.dataset.model === chosen);
        layer.hidden = !on;
        if (on) about = layer.alt;
      });
      figure.querySelector("[data-about]").textContent = about;
    };
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (KEYS[event.key]) {
        radios.find((radio) => radio.value === KEYS[event.key]).checked = true;
        show();
      } else if (event.key === "+" || event.key === "=") zoomAt(1.4);
      else if (event.key === "-") zoomAt(1 / 1.4);
      else if (event.key === "0") { view.zoom = 1; draw(true); }
      else if (moves[event.key] && view.zoom > 1) {
        view.x += moves[event.key][0];
        view.y += moves[event.key][1];
        draw(true);
      } else return;
      event.preventDefault();
    });
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      zoomAt(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top, false);
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => {
      const box = stage.getBoundingClientRect();
      zoomAt(2, event.clientX - box.left, event.clientY - box.top);
    });

    const fingers = new Map();
    const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
    stage.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (view.zoom > 1) stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const before = fingers.size === 2 ? spread() : 0;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      const box = stage.getBoundingClientRect();
      if (fingers.size === 2) {
        zoomAt(spread() / before, event.clientX - box.left, event.clientY - box.top, false);
      } else if (view.zoom > 1) {
        view.x += event.clientX - last.x;
        view.y += event.clientY - last.y;
        draw(false);
      }
    });
    ["pointerup", "pointercancel", "pointerleave"].forEach((name) => stage.addEventListener(name, (event) => fingers.delete(event.pointerId)));

    const buttons = { in: () => zoomAt(1.6), out: () => zoomAt(1 / 1.6), reset: () => { view.zoom = 1; draw(true); } };
    all("[data-zoom]", figure).forEach((button) => button.addEventListener("click", buttons[button.dataset.zoom]));
    radios.forEach((radio) => radio.addEventListener("change", show));
    model?.addEventListener("input", show);
    figure.querySelector("[data-strength]").addEventListener("input", (event) => world.style.setProperty("--strength", event.target.value / 100));
    new ResizeObserver(() => draw(false)).observe(stage);
    show();
  };
  all("[data-viewer]").forEach(viewer);
})();
