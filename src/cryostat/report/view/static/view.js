"use strict";
(() => {
  const told = JSON.parse(document.getElementById("told").textContent);
  const find = (selector) => document.querySelector(selector);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const viewer = OpenSeadragon({
    element: find("#picture"),
    tileSources: told.tiles,
    drawer: "canvas",
    showNavigationControl: false,
    showNavigator: true,
    navigatorPosition: "TOP_RIGHT",
    navigatorSizeRatio: 0.16,
    navigatorBackground: "#e9e6ec",
    navigatorBorderColor: "#5d5867",
    navigatorDisplayRegionColor: "#b0306a",
    navigatorOpacity: 1,
    maxZoomPixelRatio: told.layers.length ? 2 : 8, // layers are four times as fine as the picture
    visibilityRatio: 0.3,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, flickEnabled: true },
    animationTime: still ? 0 : 0.6,
    preserveImageSizeOnResize: true,
    timeout: 60000,
  });

  const layers = new Map();
  const chosen = () => find("input[name=layer]:checked")?.value ?? "";
  const opacity = () => Number(find("input[name=opacity]")?.value ?? 100) / 100;
  const showLayers = () => layers.forEach((image, name) => image.setOpacity(name === chosen() ? opacity() : 0));

  // A layer is fetched when it is first looked at.
  function want(name) {
    const about = told.layers.find((layer) => layer.name === name);
    if (!about || layers.has(name)) return;
    layers.set(name, { setOpacity() {} });
    viewer.addTiledImage({
      tileSource: about.tiles, x: 0, y: 0, width: 1, opacity: 0,
      success: ({ item }) => { layers.set(name, item); showLayers(); },
    });
  }

  const BARS = [1, 2, 5].flatMap((digit) => [-1, 0, 1, 2, 3, 4].map((power) => digit * 10 ** power)).sort((a, b) => a - b);
  const length = (um) => (um >= 1000 ? `${um / 1000} mm` : `${Number(um.toPrecision(2))} µm`);

  // Pixels of the screen for one of the picture.
  const scale = () => viewer.world.getItemAt(0).viewportToImageZoom(viewer.viewport.getZoom(true));

  function tell() {
    if (!viewer.world.getItemCount()) return;
    const each = scale();
    find("[data-zoom]").textContent = `${Number((each * 100).toPrecision(2))} %`;
    // An overview of what is seen whole would only hide a part of it.
    viewer.navigator.element.style.visibility = viewer.viewport.getZoom(true) > viewer.viewport.getHomeZoom() * 1.05 ? "" : "hidden";
    if (!told.mpp) return;
    const bar = find(".bar");
    const room = Math.min(150, find(".stage").clientWidth * 0.25);
    const um = BARS.filter((one) => (one / told.mpp) * each <= room).at(-1) ?? BARS[0];
    bar.hidden = false;
    bar.querySelector("i").style.width = `${(um / told.mpp) * each}px`;
    bar.querySelector("span").textContent = length(um);
  }

  const ENDED = "cryostat view has ended; start it again.";

  function say(text) {
    find(".trouble").hidden = !text;
    find(".trouble").textContent = text;
  }

  async function complain({ tile }) {
    if (!find(".trouble").hidden) return;
    say("A part of this picture cannot be read.");
    const answer = await fetch(tile.getUrl()).catch(() => null);
    if (!answer) say(ENDED);
    else if (!answer.ok) say(await answer.text());
  }

  // What is at an address; null, with the reason shown, where it cannot be had.
  async function ask(address) {
    const answer = await fetch(address).catch(() => null);
    if (answer?.ok) return answer.json();
    say(answer ? await answer.text() : ENDED);
    return null;
  }

  // Two canvases over the picture, in px of it, painted by the scripts of fields and slides: what lies over it, and the
  // marks of what is pointed at. They reach beyond the stage, so that moving the picture moves them as they are; they
  // are painted anew where one comes to their end, and when a zoom is done.
  const EDGE = 0.2;
  const over = find("#over");
  const marks = find("#marks");
  viewer.canvas.append(over, marks);
  const painters = { over: null, marks: null };
  const dirty = new Set();
  let painted = null;
  let wanted = 0;

  const place = () => {
    const corner = viewer.world.getItemAt(0).imageToViewerElementCoordinates(new OpenSeadragon.Point(0, 0));
    return { x: corner.x, y: corner.y, each: scale(), width: viewer.canvas.clientWidth, height: viewer.canvas.clientHeight };
  };

  function fitted(canvas, at, ratio) {
    const [width, height] = [at.width, at.height].map((side) => Math.round(side * (1 + 2 * EDGE) * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.style.transform = "";
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    const [x, y] = [at.x + at.width * EDGE, at.y + at.height * EDGE];
    pen.setTransform(at.each * ratio, 0, 0, at.each * ratio, x * ratio, y * ratio);
    pen.lineJoin = "round";
    pen.setLineDash([]);
    return pen;
  }

  // Paints what is out of date, where the picture is now.
  function paint() {
    wanted = 0;
    if (!painters.over || !viewer.world.getItemCount()) return;
    const at = place();
    const moved = !painted || Object.keys(at).some((key) => at[key] !== painted[key]);
    const ratio = window.devicePixelRatio || 1;
    const [dx, dy] = [at.width * EDGE, at.height * EDGE];
    const box = [-at.x - dx, -at.y - dy, at.width + dx - at.x, at.height + dy - at.y].map((side) => side / at.each);
    for (const canvas of [over, marks]) {
      if (moved || dirty.has(canvas.id)) painters[canvas.id](fitted(canvas, at, ratio), at.each, box);
    }
    dirty.clear();
    painted = at;
  }

  function repaint(...which) {
    (which.length ? which : ["over", "marks"]).forEach((one) => dirty.add(one));
    wanted ||= requestAnimationFrame(paint);
  }

  // Moves what is painted along with the picture.
  function follow() {
    if (!painted || !viewer.world.getItemCount()) return;
    const at = place();
    const by = at.each / painted.each;
    const [x, y] = [at.x - by * painted.x, at.y - by * painted.y];
    const [dx, dy] = [by * at.width * EDGE, by * at.height * EDGE];
    const covers = x <= dx && y <= dy && x + by * at.width + dx >= at.width && y + by * at.height + dy >= at.height;
    if (at.width !== painted.width || at.height !== painted.height || !covers || by > 2) paint();
    else for (const canvas of [over, marks]) canvas.style.transform = `translate(${x}px, ${y}px) scale(${by})`;
  }

  function settle() {
    if (painted && place().each !== painted.each) repaint();
  }

  // The point of the picture under a place of the window.
  function pointAt(x, y) {
    const stage = viewer.canvas.getBoundingClientRect();
    return viewer.world.getItemAt(0)?.viewerElementToImageCoordinates(new OpenSeadragon.Point(x - stage.left, y - stage.top));
  }

  function made(tag, text = "", classes = "") {
    const element = document.createElement(tag);
    element.textContent = text;
    element.className = classes;
    return element;
  }

  // A name with its colour before it.
  function chip(name, colour) {
    const one = made("span", "", "chip");
    const dot = made("i");
    dot.style.setProperty("--colour", colour);
    one.append(dot, name);
    return one;
  }

  function showCard(parts, closed) {
    const card = find(".card");
    const close = made("button", "×", "close");
    close.type = "button";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", closed);
    card.replaceChildren(close, ...parts);
    card.hidden = false;
  }

  const acts = {
    in: () => viewer.viewport.zoomBy(1.6).applyConstraints(),
    out: () => viewer.viewport.zoomBy(1 / 1.6).applyConstraints(),
    home: () => viewer.viewport.goHome(),
    full: () => (document.fullscreenElement ? document.exitFullscreen() : find(".stage").requestFullscreen()),
  };
  document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", acts[button.dataset.do]));
  if (!document.fullscreenEnabled) find("[data-do=full]").hidden = true;

  document.querySelectorAll("input[name=layer]").forEach((radio) => {
    radio.addEventListener("change", () => { want(chosen()); showLayers(); });
  });
  find("input[name=opacity]")?.addEventListener("input", showLayers);

  const writing = (element) => element.matches("select, textarea, input:not([type=radio], [type=checkbox], [type=range])");
  const keys = new Map();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return;
    const key = event.key.toLowerCase();
    const radio = [...document.querySelectorAll("input[name=layer]")].find((one) => one.dataset.key === key);
    if (radio && !radio.disabled) radio.click();
    keys.get(key)?.(event);
  });
  // The viewer's own keys for turning and mirroring would part the picture from what lies over it.
  viewer.addHandler("canvas-key", (event) => {
    if ("frhjkn".includes(event.originalEvent.key.toLowerCase())) event.preventDefaultAction = true;
  });

  viewer.addHandler("open", () => { want(chosen()); tell(); repaint(); });
  viewer.addHandler("animation", tell);
  viewer.addHandler("resize", () => { tell(); repaint(); });
  viewer.addHandler("update-viewport", () => { tell(); follow(); });
  viewer.addHandler("animation-finish", settle);
  viewer.addHandler("tile-load-failed", complain);
  window.cryostatViewer = viewer;
  window.cryostat = {
    told, find, viewer, still, ask, made, chip, showCard, keys, pointAt, repaint, opacity, chosen,
    paintWith: (over, marks) => { Object.assign(painters, { over, marks }); repaint(); },
  };
})();
