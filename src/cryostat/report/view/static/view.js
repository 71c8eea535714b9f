"use strict";
(() => {
  const told = JSON.parse(document.getElementById("told").textContent);
  const find = (selector) => document.querySelector(selector);
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
    maxZoomPixelRatio: 8,
    visibilityRatio: 0.3,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.6,
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
    if (!told.mpp) return;
    const bar = find(".bar");
    const um = BARS.filter((one) => (one / told.mpp) * each <= 150).at(-1) ?? BARS[0];
    bar.hidden = false;
    bar.querySelector("i").style.width = `${(um / told.mpp) * each}px`;
    bar.querySelector("span").textContent = length(um);
  }

  async function complain({ tile }) {
    const place = find(".trouble");
    if (!place.hidden) return;
    place.hidden = false;
    place.textContent = "A part of this picture cannot be read.";
    const answer = await fetch(tile.getUrl()).catch(() => null);
    place.textContent = !answer ? "cryostat view has ended; start it again." : answer.ok ? place.textContent : await answer.text();
  }

  const acts = {
    in: () => viewer.viewport.zoomBy(1.6).applyConstraints(),
    out: () => viewer.viewport.zoomBy(1 / 1.6).applyConstraints(),
    home: () => viewer.viewport.goHome(),
    full: () => (document.fullscreenElement ? document.exitFullscreen() : find(".stage").requestFullscreen()),
  };
  document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", acts[button.dataset.do]));
  if (!document.fullscreenEnabled) find("[data-do=full]").hidden = true;

  const radios = [...document.querySelectorAll("input[name=layer]")];
  radios.forEach((radio) => radio.addEventListener("change", () => { want(chosen()); showLayers(); }));
  find("input[name=opacity]")?.addEventListener("input", showLayers);
  document.addEventListener("keydown", (event) => {
    const radio = radios[Number(event.key) - 1];
    if (radio && !event.ctrlKey && !event.metaKey && !event.altKey) radio.click();
  });

  viewer.addHandler("open", () => { want(chosen()); tell(); });
  viewer.addHandler("animation", tell);
  viewer.addHandler("resize", tell);
  viewer.addHandler("update-viewport", tell);
  viewer.addHandler("tile-load-failed", complain);
  window.cryostatViewer = viewer;
})();
