"use strict";
// A field with its nuclei drawn over it: annotated, as a model says, where it errs, and those that it found itself.
(() => {
  const { told, find, viewer, still, ask, made, chip, showCard, keys, pointAt, repaint, paintWith, opacity, chosen } = window.cryostat;
  const RIGHT = "#2f6b4a", GHOST = "#6f6b76", INK = "#1d1b22";
  const GRID = 64;
  const classes = new Map(told.classes.map((one) => [one.id, one]));
  const hidden = new Set();
  const said = new Map(); // what each model said of this field
  const found = new Map(); // and found in it
  let nuclei = null;
  let model = told.model;
  let picked = null;
  let pointed = null;
  let walked = -1;

  const name = (id, none) => classes.get(id)?.name ?? (id > 0 ? `class ${id}` : none);
  const colour = (id) => classes.get(id)?.colour ?? (id > 0 ? GHOST : "#ffffff");
  const count = (value) => value.toLocaleString("en");
  const share = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
  const current = () => said.get(model);

  // Nuclei as paths in px of the field, with a grid to find them under a point.
  function shaped(told) {
    const grid = new Map();
    const shapes = told.rings.map((rings, place) => {
      const path = new Path2D();
      let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
      for (const ring of rings) {
        let x = 0, y = 0;
        for (let i = 0; i < ring.length; i += 2) {
          x += ring[i];
          y += ring[i + 1];
          if (i) path.lineTo(x / told.fine, y / told.fine);
          else path.moveTo(x / told.fine, y / told.fine);
          left = Math.min(left, x); right = Math.max(right, x);
          top = Math.min(top, y); bottom = Math.max(bottom, y);
        }
        path.closePath();
      }
      const box = [left, top, right, bottom].map((side) => side / told.fine);
      for (let i = Math.floor(box[0] / GRID); i <= box[2] / GRID; i += 1) {
        for (let j = Math.floor(box[1] / GRID); j <= box[3] / GRID; j += 1) {
          const key = `${i},${j}`;
          if (!grid.has(key)) grid.set(key, []);
          grid.get(key).push(place);
        }
      }
      return { path, box };
    });
    return { ids: told.ids, classes: told.classes, shapes, grid };
  }

  const drawn = () => (chosen() === "found" ? found.get(model) : nuclei);

  // Class of a nucleus as the layer shows it, -1 where the model said nothing.
  function shownClass(place) {
    const layer = chosen();
    if (layer === "truth" || layer === "found") return drawn().classes[place];
    return current().predicted[place];
  }

  // The class whose line of the table shows or hides a nucleus: of one taken for background, what it is.
  function ruling(place) {
    const shown = shownClass(place);
    return chosen() === "errors" && shown <= 0 ? current().truth[place] : shown;
  }

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Widths of lines, for a zoom: thinner where nuclei are small, so that they are not drowned.
  function pens(each) {
    const wide = (times, low, high) => clamp(each * times, low, high) / each;
    return {
      thin: wide(1.4, 0.6, 1.2),
      line: wide(1.8, 1, 2.4),
      bold: wide(2.2, 1.2, 4),
      casing: wide(1.2, 0.5, 2),
      dash: [4 / each, 3 / each],
    };
  }

  function paintClass(pen, shape, place, width, filled) {
    const id = shownClass(place);
    pen.strokeStyle = id > 0 ? colour(id) : GHOST;
    pen.lineWidth = width.line;
    pen.setLineDash(id > 0 ? [] : width.dash);
    if (filled && id > 0) {
      pen.fillStyle = colour(id);
      pen.globalAlpha = 0.34;
      pen.fill(shape.path, "evenodd");
      pen.globalAlpha = 1;
    }
    pen.stroke(shape.path);
  }

  function paintError(pen, shape, place, width, filled) {
    const state = current().states[place];
    const quiet = state === "r" || state === "u";
    pen.setLineDash(state === "u" || state === "m" ? width.dash : []);
    if (quiet) {
      pen.strokeStyle = state === "r" ? RIGHT : GHOST;
      pen.lineWidth = width.thin;
      pen.globalAlpha = 0.7;
      pen.stroke(shape.path);
      pen.globalAlpha = 1;
      return;
    }
    const missed = state === "m";
    const tone = missed ? "#ffffff" : colour(current().predicted[place]);
    pen.fillStyle = missed ? INK : tone;
    pen.globalAlpha = filled ? 0.72 : missed ? 0.4 : 0.3;
    pen.fill(shape.path, "evenodd");
    pen.globalAlpha = 1;
    if (!missed) {
      pen.strokeStyle = INK;
      pen.lineWidth = width.bold + width.casing;
      pen.globalAlpha = 0.8;
      pen.stroke(shape.path);
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = tone;
    pen.lineWidth = width.bold;
    pen.stroke(shape.path);
  }

  // A ring round a nucleus, that leaves what is painted of it as it is.
  function ring(pen, each, place, wide) {
    const { path } = drawn().shapes[place];
    const { bold, casing, line } = pens(each);
    const own = chosen() === "errors" ? bold + casing : line;
    const stroke = (tone, width) => { pen.strokeStyle = tone; pen.lineWidth = width; pen.stroke(path); };
    stroke(INK, own + (wide + 3) / each);
    stroke("#ffffff", own + wide / each);
    pen.globalCompositeOperation = "destination-out";
    stroke(INK, own);
    pen.fill(path, "evenodd");
    pen.globalCompositeOperation = "source-over";
  }

  // Too small to have an outline on the screen.
  const SMALL = 3;

  function speck(pen, shape, place, each) {
    const id = ruling(place);
    pen.fillStyle = id > 0 ? colour(id) : GHOST;
    pen.globalAlpha = chosen() === "errors" && "ru".includes(current().states[place]) ? 0.25 : 1;
    pen.fillRect(shape.box[0], shape.box[1], 2 / each, 2 / each);
    pen.globalAlpha = 1;
  }

  function paintNuclei(pen, each, box) {
    const over = find("#over");
    over.style.opacity = opacity();
    over.dataset.drawn = 0;
    const set = drawn();
    if (!set || !chosen()) return;
    const width = pens(each);
    const filled = find("input[name=fill]").checked;
    const errors = chosen() === "errors";
    const loud = [];
    let painted = 0;
    set.shapes.forEach((shape, place) => {
      const [left, top, right, bottom] = shape.box;
      if (right < box[0] || left > box[2] || bottom < box[1] || top > box[3] || hidden.has(ruling(place))) return;
      painted += 1;
      if (Math.max(right - left, bottom - top) * each < SMALL) speck(pen, shape, place, each);
      else if (!errors) paintClass(pen, shape, place, width, filled);
      else if ("wm".includes(current().states[place])) loud.push(place);
      else paintError(pen, shape, place, width, filled);
    });
    loud.forEach((place) => paintError(pen, set.shapes[place], place, width, filled));
    over.dataset.drawn = painted;
  }

  function paintMarks(pen, each) {
    if (!drawn() || !chosen()) return;
    if (pointed !== null && pointed !== picked) ring(pen, each, pointed, 3);
    if (picked !== null) ring(pen, each, picked, 7);
  }

  paintWith(paintNuclei, paintMarks);

  // The smallest nucleus under a point of the field.
  function under(at) {
    const set = drawn();
    if (!set || !at || !chosen()) return null;
    const near = set.grid.get(`${Math.floor(at.x / GRID)},${Math.floor(at.y / GRID)}`) ?? [];
    const pen = find("#over").getContext("2d");
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    const hits = near.filter((place) => !hidden.has(ruling(place)) && pen.isPointInPath(set.shapes[place].path, at.x, at.y, "evenodd"));
    pen.restore();
    const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
    return hits.sort((a, b) => area(set.shapes[a]) - area(set.shapes[b]))[0] ?? null;
  }

  const VERDICTS = { r: "right", w: "wrong", m: "taken for background", u: "not scored" };

  function classLine(words, id, none) {
    const line = made("p", "", "line");
    line.append(made("span", words), chip(name(id, none), colour(id)));
    return line;
  }

  function chances(place) {
    const { outputs, probabilities, predicted } = current();
    const list = made("ul", "", "chances");
    const values = outputs.map((id, i) => [id, probabilities[place][i] / 1000]).sort((a, b) => b[1] - a[1]);
    for (const [id, p] of values) {
      const row = made("li", "", id === predicted[place] ? "said" : "");
      const bar = made("i");
      bar.style.setProperty("--share", p);
      bar.style.setProperty("--colour", id ? colour(id) : GHOST);
      row.append(made("span", name(id, "background")), bar, made("b", p.toFixed(3)));
      list.append(row);
    }
    return list;
  }

  function card(place) {
    const set = drawn();
    const parts = [made("h2", `Nucleus ${count(set.ids[place])}`)];
    if (chosen() === "found") {
      parts.push(classLine("Class", set.classes[place], "no class"), made("p", "Found by the model itself; it has no true class of its own.", "small"));
      return parts;
    }
    const about = current();
    const tested = about?.tested;
    const truth = tested ? about.truth[place] : nuclei.classes[place];
    parts.push(classLine("True", truth, "no class"));
    if (!tested) return parts;
    const state = about.predicted[place] < 0 ? "u" : about.states[place];
    if (about.predicted[place] < 0) parts.push(made("p", "The model said nothing of this nucleus.", "small"));
    else parts.push(classLine("Predicted", about.predicted[place], "background"));
    parts[0].append(made("em", VERDICTS[state], `state ${state}`));
    if (about.probabilities[place]) parts.push(chances(place));
    else if (about.predicted[place] >= 0) parts.push(made("p", "No probabilities were stored.", "small"));
    return parts;
  }

  function pick(place) {
    picked = place;
    if (place === null) find(".card").hidden = true;
    else showCard(card(place), () => pick(null));
    repaint("marks");
  }

  function point(event) {
    const tip = find(".tip");
    const place = event.pointerType === "touch" ? null : under(pointAt(event.clientX, event.clientY));
    if (place !== pointed) {
      pointed = place;
      repaint("marks");
    }
    tip.hidden = place === null;
    if (place === null) return;
    const about = current();
    const of = drawn();
    if (chosen() !== "found" && about?.tested && about.predicted[place] >= 0) {
      const [truth, predicted] = [about.truth[place], about.predicted[place]];
      tip.replaceChildren(chip(name(truth, "no class"), colour(truth)));
      if (truth !== predicted) tip.append(made("span", "taken for", "taken"), chip(name(predicted, "background"), colour(predicted)));
    } else tip.replaceChildren(chip(name(of.classes[place], "no class"), colour(of.classes[place])));
    const stage = find(".stage").getBoundingClientRect();
    const [x, y] = [event.clientX - stage.left, event.clientY - stage.top];
    tip.style.left = `${clamp(x + 14, 4, stage.width - tip.offsetWidth - 4)}px`;
    tip.style.top = `${y + 22 + tip.offsetHeight > stage.height ? y - tip.offsetHeight - 12 : y + 18}px`;
  }

  function cell(text, tag = "td") {
    return made(tag, text);
  }

  function classRow(one) {
    const about = current()?.tested ? current().scores.classes[one.id] : null;
    const row = made("tr");
    const head = made("th");
    head.scope = "row";
    const label = made("label");
    const box = made("input");
    box.type = "checkbox";
    box.checked = !hidden.has(one.id);
    box.dataset.class = one.id;
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(one.id);
      else hidden.add(one.id);
      repaint();
    });
    label.append(box, chip(one.name, one.colour));
    head.append(label);
    row.append(head, cell(count(about ? about.true : one.true)));
    if (!find("[data-said]") || find("[data-said]").hidden) return row;
    const f1 = cell(share(about.f1), "td");
    if (about.f1 !== null) {
      const bar = made("i");
      bar.style.setProperty("--share", about.f1);
      f1.append(bar);
    }
    row.append(cell(count(about.predicted)), f1);
    return row;
  }

  function tally() {
    const about = current();
    document.querySelectorAll("[data-said]").forEach((one) => { one.hidden = !about?.tested; });
    const unnamed = nuclei.classes.some((id) => id === 0) ? [{ id: 0, name: "no class", colour: "#ffffff" }] : [];
    const counts = new Map();
    nuclei.classes.forEach((id) => counts.set(id, (counts.get(id) ?? 0) + 1));
    const rows = told.classes.map((one) => classRow({ ...one, true: counts.get(one.id) ?? 0 }));
    if (!about?.tested) rows.push(...unnamed.map((one) => classRow({ ...one, true: counts.get(0) })));
    find(".tally tbody").replaceChildren(...rows);
    const foot = made("tr");
    const head = cell(about?.tested ? "macro F1" : "all", "th");
    head.scope = "row";
    foot.append(head);
    if (about?.tested) foot.append(cell(""), cell(""), cell(share(about.scores.macro_f1)));
    else foot.append(cell(count(nuclei.ids.length)));
    find(".tally tfoot").replaceChildren(foot);
  }

  const radio = (value) => find(`input[name=layer][value=${value}]`);

  function note() {
    const place = find("[data-note]");
    const about = current();
    if (!place || !about) return;
    place.classList.toggle("absent", !about.tested);
    if (about.tested) {
      const rate = about.scored ? ` · ${((about.wrong / about.scored) * 100).toFixed(1)}\u00a0%` : "";
      place.replaceChildren(made("b", `${count(about.wrong)} of ${count(about.scored)} wrong${rate}`), made("small", about.run));
    } else place.textContent = about.why;
  }

  // Places of the wrong nuclei, the surest first.
  function errors() {
    const { states, probabilities, outputs, predicted } = current();
    const sure = (place) => probabilities[place]?.[outputs.indexOf(predicted[place])] ?? 0;
    const wrong = [...states].flatMap((state, place) => ("wm".includes(state) ? [place] : []));
    return wrong.sort((a, b) => sure(b) - sure(a) || a - b);
  }

  function walk(step) {
    if (!current()?.tested || !current().wrong) return;
    const places = errors().filter((place) => nuclei.shapes[place].box[0] < Infinity);
    walked = (walked + step + places.length + (walked < 0 && step < 0 ? 1 : 0)) % places.length;
    if (chosen() !== "errors" && chosen() !== "prediction") radio("errors").click();
    const [left, top, right, bottom] = nuclei.shapes[places[walked]].box;
    const item = viewer.world.getItemAt(0);
    const about = Math.max(180, 5 * Math.max(right - left, bottom - top));
    const window = item.imageToViewportRectangle((left + right - about) / 2, (top + bottom - about) / 2, about, about);
    viewer.viewport.fitBoundsWithConstraints(window, still);
    hidden.clear();
    tally();
    pick(places[walked]);
    find(".walk span").textContent = `Error ${count(walked + 1)} of ${count(places.length)}, surest first`;
  }

  function link(near) {
    const query = new URLSearchParams(location.search);
    if (model) query.set("run", model);
    if (chosen() === "truth") query.delete("layer");
    else query.set("layer", chosen() || "hidden");
    history.replaceState(null, "", `?${query}`);
    const list = new URLSearchParams(query);
    list.delete("layer");
    find("[data-list]").href = `../?${list}`;
    for (const one of document.querySelectorAll("[data-near]")) {
      if (near) {
        const id = near[one.dataset.near];
        one.hidden = id === null;
        one.title = id ?? "";
        one.dataset.id = id ?? "";
      }
      const id = one.dataset.id ?? one.title;
      if (!one.hidden) one.href = `../${encodeURIComponent(id)}/?${query}`;
    }
  }

  function tellFound() {
    const place = find("[data-found]");
    if (!place) return;
    const own = chosen() === "found" && found.get(model);
    place.hidden = !own;
    if (own) place.textContent = `${count(own.ids.length)} nuclei found by the model itself; the table counts the given ones.`;
  }

  function layered() {
    find("[data-errors]").hidden = chosen() !== "errors";
    tellFound();
    pick(null);
    pointed = null;
    find(".tip").hidden = true;
    link();
    if (chosen() === "found") lookFor();
    repaint();
  }

  async function lookFor() {
    if (found.has(model)) return;
    const of = model;
    const told = await ask(`runs/${of}-found.json`);
    if (told) found.set(of, shaped(told));
    if (of !== model) return;
    tellFound();
    repaint();
  }

  // The predictions of the chosen model, from the server the first time.
  async function choose() {
    const of = model;
    if (!said.has(of)) {
      const sort = new URLSearchParams(location.search).get("sort") ?? "";
      const answer = await ask(`runs/${of}.json?sort=${encodeURIComponent(sort)}`);
      if (answer) said.set(of, answer);
    }
    if (of !== model) return;
    const about = current();
    walked = -1;
    ["prediction", "errors"].forEach((value) => { radio(value).disabled = !about?.tested; });
    radio("found").disabled = !about?.found;
    radio("found").closest("label").hidden = !about?.found;
    if (find("input[name=layer]:checked").disabled) radio("truth").checked = true;
    find(".walk").hidden = !about?.wrong;
    find(".walk span").textContent = "Errors, surest first";
    find("[data-missed]").hidden = !about?.states?.includes("m");
    if (about) note();
    else find("[data-note]").textContent = "The predictions cannot be shown.";
    tally();
    const kept = picked;
    layered();
    link(about?.near);
    if (kept !== null && chosen() !== "found") pick(kept);
  }

  async function start() {
    const answer = ask("nuclei.json");
    const first = model ? ask(`runs/${model}.json${location.search}`) : null;
    const read = await answer;
    if (!read) return;
    nuclei = shaped(read);
    document.querySelectorAll("[data-near]").forEach((one) => { one.dataset.id = one.title; });
    tally();
    repaint();
    if (!model) return void link();
    const told_ = await first;
    if (told_) said.set(model, told_);
    const wish = told.layer === "hidden" ? "" : told.layer || "errors";
    const wanted = [...document.querySelectorAll("input[name=layer]")].find((one) => one.value === wish);
    if (wanted && (told_?.tested || wish === "") && (wish !== "found" || told_?.found)) wanted.checked = true;
    await choose();
  }

  document.querySelectorAll("input[name=layer]").forEach((one) => one.addEventListener("change", layered));
  find("input[name=opacity]").addEventListener("input", () => { find("#over").style.opacity = opacity(); });
  find("input[name=fill]").addEventListener("change", () => repaint());
  document.querySelectorAll("[data-walk]").forEach((one) => one.addEventListener("click", () => walk(Number(one.dataset.walk))));
  const select = find("select[name=run]");
  const turn = (step) => {
    if (!select) return;
    select.selectedIndex = clamp(select.selectedIndex + step, 0, select.options.length - 1);
    select.dispatchEvent(new Event("change"));
  };
  select?.addEventListener("change", () => { model = select.value; choose(); });
  keys.set("f", () => find("input[name=fill]").click());
  keys.set("n", (event) => walk(event.shiftKey ? -1 : 1));
  keys.set("[", () => turn(-1));
  keys.set("]", () => turn(1));
  keys.set("j", () => find("[data-near=next]:not([hidden])")?.click());
  keys.set("k", () => find("[data-near=previous]:not([hidden])")?.click());
  keys.set("escape", () => pick(null));
  viewer.addHandler("canvas-click", (event) => {
    if (event.quick) pick(under(pointAt(event.originalEvent.clientX, event.originalEvent.clientY)));
  });
  find("#picture").addEventListener("pointermove", point);
  find("#picture").addEventListener("pointerleave", () => { find(".tip").hidden = true; pointed = null; repaint("marks"); });
  start();
})();
