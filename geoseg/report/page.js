"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const stage = find("stage");
  const classes = find("classes");
  const scene = find("scene");
  const swipe = find("swipe");
  const THUMB_PX = 40;
  const PADDING_PX = 24;
  const off = new Set();
  let corners = data.corners;
  let palette = classes.src ? bytesOf(classes.src) : null;
  let maps = null;
  let revision = 0;

  // ---- pictures -------------------------------------------------------------------------------

  function bytesOf(uri) {
    const text = atob(uri.slice(uri.indexOf(",") + 1));
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  }

  const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });

  function crcOf(bytes) {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
    return ~crc >>> 0;
  }

  /** A palette PNG with the classes that are switched off made transparent in its tRNS chunk. */
  function withoutThoseOff(png) {
    const bytes = png.slice();
    const view = new DataView(bytes.buffer);
    for (let at = 8; at < bytes.length; at += 12 + view.getUint32(at)) {
      const length = view.getUint32(at);
      if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === "tRNS") {
        for (const id of off) if (id < length) bytes[at + 8 + id] = 0;
        view.setUint32(at + 8 + length, crcOf(bytes.subarray(at + 4, at + 8 + length)));
        break;
      }
    }
    return bytes;
  }

  /** A tile from the server, or null where nothing is mapped. */
  async function tile(place) {
    const answer = await fetch(`tiles/${place}.png`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return bytes.length ? withoutThoseOff(bytes).buffer : null;
  }

  const pictureUrl = () => `geoseg://classes/${revision}`;
  const tilesUrl = () => `geoseg://tiles/${revision}/{z}/{x}/{y}`;

  let shown = null;
  function showClasses() {
    if (!palette) return;
    const bytes = withoutThoseOff(palette);
    if (shown) URL.revokeObjectURL(shown);
    shown = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    classes.src = shown;
    classes.hidden = false;
    if (!maps || !corners) return;
    revision += 1;
    const source = maps.above.getSource("classes");
    if (!source) addClasses();
    else if (data.tiles) source.setTiles([tilesUrl()]);
    else source.updateImage({ url: pictureUrl(), coordinates: corners });
  }

  // ---- the map --------------------------------------------------------------------------------

  function canDraw() {
    if (typeof maplibregl === "undefined" || !corners) return false;
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }

  function boundsOf() {
    const lons = corners.map((each) => each[0]);
    const lats = corners.map((each) => each[1]);
    return [[Math.min(...lons), Math.min(...lats)], [Math.max(...lons), Math.max(...lats)]];
  }

  function makeMaps() {
    maplibregl.addProtocol("geoseg", async (request) => {
      const place = /\/tiles\/\d+\/(.+)$/.exec(request.url);
      if (place) return { data: await tile(place[1]) };
      const bytes = request.url.includes("/scene") ? bytesOf(scene.src) : withoutThoseOff(palette);
      return { data: bytes.buffer };
    });
    const view = { bounds: boundsOf(), fitBoundsOptions: { padding: PADDING_PX } };
    const shared = {
      ...view, attributionControl: false, pitchWithRotate: false, dragRotate: false,
      touchPitch: false, maxPitch: 0, maxZoom: 24, fadeDuration: 0,
      locale: { "Map.Title": "Map: arrow keys move, plus and minus zoom" },
    };
    const style = () => ({ version: 8, sources: {}, layers: [] });
    const below = new maplibregl.Map({
      ...shared, container: "below", style: style(), interactive: false,
    });
    const above = new maplibregl.Map({ ...shared, container: "above", style: style() });
    above.touchZoomRotate.disableRotation();
    above.keyboard.disableRotation();
    above.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-left");
    above.addControl(new maplibregl.ScaleControl(), "bottom-left");
    const follow = () => below.jumpTo({ center: above.getCenter(), zoom: above.getZoom() });
    above.on("move", follow);
    above.on("resize", follow);
    return { above, below };
  }

  function addScene() {
    if (!scene) return;
    maps.below.addSource("scene", { type: "image", url: "geoseg://scene", coordinates: corners });
    maps.below.addLayer({
      id: "scene", type: "raster", source: "scene", paint: { "raster-fade-duration": 0 },
    });
  }

  function addClasses() {
    const paint = { "raster-resampling": "nearest", "raster-fade-duration": 0 };
    maps.above.addSource("classes", data.tiles ? {
      type: "raster", tiles: [tilesUrl()], tileSize: 512,
      minzoom: data.tiles[0], maxzoom: data.tiles[1],
    } : { type: "image", url: pictureUrl(), coordinates: corners });
    const first = maps.above.getLayer("polygons") ? "polygons" : undefined;
    maps.above.addLayer({ id: "classes", type: "raster", source: "classes", paint }, first);
  }

  function addPolygons() {
    const held = find("polygons");
    if (!held) return;
    const hover = ["boolean", ["feature-state", "hover"], false];
    const near = maps.above.getZoom() + 2;
    maps.above.addSource("polygons", {
      type: "geojson", data: JSON.parse(held.textContent), tolerance: 0,
    });
    maps.above.addLayer({
      id: "polygons", type: "fill", source: "polygons",
      paint: { "fill-color": "#ffffff", "fill-opacity": ["case", hover, 0.28, 0], "fill-antialias": false },
    });
    maps.above.addLayer({
      id: "outlines", type: "line", source: "polygons", layout: { "line-join": "round" },
      paint: {
        "line-color": ["case", hover, "#ffffff", "#10171d"],
        "line-width": ["case", hover, 2.5, 0.8],
        "line-opacity": [
          "interpolate", ["linear"], ["zoom"],
          near - 2, ["case", hover, 1, 0.35], near, ["case", hover, 1, 0.8],
        ],
      },
    });
  }

  function filterPolygons() {
    if (!maps || !maps.above.getLayer("polygons")) return;
    const filter = ["!", ["in", ["get", "c"], ["literal", [...off]]]];
    for (const id of ["polygons", "outlines"]) maps.above.setFilter(id, filter);
  }

  // ---- the polygon under the pointer, or under the cross ----------------------------------------

  let hovered = null;
  function name(feature) {
    const found = find("found");
    if (maps.above.getLayer("polygons") && hovered !== null) {
      maps.above.setFeatureState({ source: "polygons", id: hovered }, { hover: false });
    }
    hovered = feature ? feature.id : null;
    found.replaceChildren();
    if (!feature) return;
    maps.above.setFeatureState({ source: "polygons", id: hovered }, { hover: true });
    const { c, a, p } = feature.properties;
    const title = document.createElement("b");
    title.textContent = data.classes[c] ? data.classes[c].name : `class ${c}`;
    const facts = [];
    if (a !== undefined) facts.push(areaText(a));
    if (p !== undefined) facts.push(`confidence ${p.toFixed(0)} %`);
    found.append(title, facts.join(" · "));
  }

  function areaText(squareMetres) {
    const [value, unit] = squareMetres < 1e4 ? [squareMetres, "m²"]
      : squareMetres < 1e8 ? [squareMetres / 1e4, "ha"] : [squareMetres / 1e6, "km²"];
    const digits = unit === "m²" || value >= 1000 ? 0 : 2;
    return `${value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits })} ${unit}`;
  }

  function nameAt(point) {
    if (!maps.above.getLayer("polygons") || point.x < seam()) return name(null);
    return name(maps.above.queryRenderedFeatures(point, { layers: ["polygons"] })[0]);
  }

  function watchPointer() {
    const { above } = maps;
    const canvas = above.getCanvas();
    const middle = () => ({ x: stage.clientWidth / 2, y: stage.clientHeight / 2 });
    const aim = () => {
      const aiming = canvas.matches(":focus-visible");
      stage.classList.toggle("aiming", aiming);
      if (aiming) nameAt(middle());
    };
    above.on("mousemove", (event) => nameAt(event.point));
    above.on("click", (event) => nameAt(event.point));
    above.on("mouseout", () => name(null));
    above.on("moveend", aim);
    above.on("movestart", (event) => { if (event.originalEvent) moved = true; });
    canvas.addEventListener("focus", aim);
    canvas.addEventListener("blur", () => { aim(); name(null); });
  }

  // ---- controls -------------------------------------------------------------------------------

  function seam() {
    const width = stage.clientWidth;
    const on = find("compare") && find("compare").checked;
    return on ? THUMB_PX / 2 + (swipe.value / 100) * (width - THUMB_PX) : 0;
  }

  function cut() {
    const x = seam();
    const on = x > 0;
    swipe.hidden = find("divider").hidden = !on;
    find("divider").style.left = `${x}px`;
    swipe.setAttribute("aria-valuetext", `scene alone on ${swipe.value} percent of the width`);
    if (maps) maps.above.getCanvas().style.clipPath = on ? `inset(0 0 0 ${x}px)` : "";
    classes.style.clipPath = on ? `inset(0 0 0 ${Math.max(0, x - PADDING_PX)}px)` : "";
  }

  function fade() {
    const value = find("opacity").value;
    find("opacity-value").textContent = `${value} %`;
    classes.style.opacity = value / 100;
    if (maps && maps.above.getLayer("classes")) {
      maps.above.setPaintProperty("classes", "raster-opacity", value / 100);
    }
  }

  function legend() {
    off.clear();
    for (const box of document.querySelectorAll("#legend input")) {
      if (!box.checked) off.add(Number(box.value));
    }
    showClasses();
    filterPolygons();
    if (maps) name(null);
  }

  function tickAll(checked) {
    for (const box of document.querySelectorAll("#legend input")) box.checked = checked;
    legend();
  }

  function listen() {
    find("legend").addEventListener("change", legend);
    find("every").addEventListener("click", () => tickAll(true));
    find("none").addEventListener("click", () => tickAll(false));
    find("opacity").addEventListener("input", fade);
    swipe.addEventListener("input", cut);
    addEventListener("resize", cut);
    find("home").addEventListener("click", () => {
      if (maps) maps.above.fitBounds(boundsOf(), { padding: PADDING_PX });
    });
    const compare = find("compare");
    if (compare) compare.addEventListener("change", cut);
    const outlines = find("outlines");
    if (outlines) outlines.addEventListener("change", () => {
      if (!maps) return;
      maps.above.setLayoutProperty("outlines", "visibility", outlines.checked ? "visible" : "none");
    });
  }

  // ---- a run that is still going ----------------------------------------------------------------

  const POLL_MS = 2000;
  let landed = -1;
  let moved = false; // by the user, whose view is then kept
  async function ask() {
    try {
      const state = await (await fetch(data.live, { cache: "no-store" })).json();
      find("progress").textContent = state.text;
      if (state.finished) return location.reload();
      if (state.parts !== landed && state.corners) {
        const answer = await fetch(`${state.picture}?parts=${state.parts}`, { cache: "no-store" });
        palette = new Uint8Array(await answer.arrayBuffer());
        landed = state.parts;
        const before = JSON.stringify(corners);
        corners = state.corners;
        if (maps) showClasses();
        else start();
        if (maps && !moved && before !== JSON.stringify(corners)) {
          maps.above.fitBounds(boundsOf(), { padding: PADDING_PX, animate: false });
        }
      }
    } catch (error) {
      find("progress").textContent = `The server does not respond (${error.message}).`;
    }
    return setTimeout(ask, POLL_MS);
  }

  // ---- start ------------------------------------------------------------------------------------

  function ready() {
    document.documentElement.dataset.ready = maps ? "map" : "picture";
  }

  function start() {
    if (!canDraw()) {
      showClasses();
      cut();
      return ready();
    }
    stage.classList.add("mapped");
    maps = makeMaps();
    window.maps = maps;
    let waiting = 2;
    const drawn = () => {
      if (--waiting > 0) return;
      stage.classList.add("drawn"); // until now the picture was visible in its place
      addPolygons();
      filterPolygons();
      maps.above.once("idle", ready);
      maps.above.triggerRepaint(); // without polygons, nothing else would cause an idle event
    };
    maps.below.on("load", () => { addScene(); maps.below.once("idle", drawn); });
    maps.above.on("load", () => {
      showClasses();
      fade();
      watchPointer();
      cut();
      maps.above.once("idle", drawn);
    });
  }

  listen();
  fade();
  start();
  cut();
  if (data.live) ask();
})();
