/* The map: all units of a backbone on one canvas. Its first picture is one file; blocks of tiles follow where one comes closer. */
const TINTS = { picture: "pictures alone", depth: "depth", kind: "kind", selectivity: "selectivity", judge: "judge's score", frequency: "share of photos it fires on",
  hf_share: "high frequencies", concept: "concept score" };
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];  // viridis
const CLOSE = 22;  // px a cell from which blocks are shown
const ramp = (share) => {
  const x = Math.min(1, Math.max(0, share)) * (RAMP.length - 1), i = Math.min(RAMP.length - 2, Math.floor(x)), t = x - i;
  return RAMP[i].map((low, channel) => Math.round(low * (1 - t) + RAMP[i + 1][channel] * t));
};
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

const readMap = (data) => {  // units in order of the file, and which of them stands in a cell
  const units = [], unitAt = new Int32Array(data.rows * data.columns).fill(-1);
  data.sites.forEach(([id, count], place) => {
    const site = atlas.backbones.flatMap((backbone) => backbone.sites).find((item) => item.id === id);
    for (let unit = 0; unit < count; unit++) {
      const key = data.keys[place][unit], odd = data.addresses[place][unit];
      units.push({ site, unit, key, odd, address: odd ?? `${site.name}:${key}` });
    }
  });
  data.cells.forEach((cell, unit) => { unitAt[cell] = unit; });
  return { units, unitAt };
};

const tintOf = (data, name) => {  // a picture of one px a cell, and the colour of each unit as CSS
  const tint = data.colours[name];
  if (!tint) return null;
  const bytes = bytesOf(tint.bytes), style = getComputedStyle(document.documentElement);
  const context = h("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const named = (kind) => {
    context.fillStyle = style.getPropertyValue(`--${kind}`).trim() || "#999";
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const classes = tint.classes?.map((item, place) => (name === "kind" ? named(item) : ramp(place / Math.max(1, tint.classes.length - 1))));
  const colourOf = (byte) => (classes ? classes[byte] : byte === 255 ? null : ramp(byte / 254));
  const canvas = h("canvas", { width: data.columns, height: data.rows }), own = canvas.getContext("2d"), image = own.createImageData(data.columns, data.rows);
  data.cells.forEach((cell, unit) => {
    const colour = colourOf(bytes[unit]);
    if (colour) image.data.set([...colour, 255], 4 * cell);
  });
  own.putImageData(image, 0, 0);
  const legend = classes
    ? h("span", { class: "legend" }, (classes.length > 12 ? [0, classes.length - 1] : classes.map((_, place) => place)).map((place) =>
      h("span", {}, h("i", { class: "swatch", style: `background:rgb(${classes[place]})` }), String(tint.classes[place]))))
    : h("span", { class: "legend" }, show(tint.low), h("i", { class: "ramp", style: `background:linear-gradient(90deg,${RAMP.map((c) => `rgb(${c})`)})` }), show(tint.high));
  return { canvas, legend, css: (unit) => { const colour = colourOf(bytes[unit]); return colour ? `rgb(${colour})` : null; },
    value: (unit) => (classes ? tint.classes[bytes[unit]] : bytes[unit] === 255 ? null : tint.low + (bytes[unit] / 254) * (tint.high - tint.low)) };
};

const mapView = async (root, backboneId, query) => {
  const backbone = findBackbone(backboneId) ?? atlas.backbones.find((item) => item.map);
  if (!backbone?.map) return missing(root, "This atlas has no map.");
  const { id, rows, columns } = backbone.map;
  const overview = new Image();
  overview.src = `map/${id}.webp`;
  const canvas = h("canvas", { class: "plane", tabindex: 0, role: "application",
    "aria-label": `Map of ${backbone.id}: arrows move from unit to unit, plus and minus zoom, Enter opens, 0 shows all` });
  const card = h("div", { class: "card", hidden: true }), legend = h("span", {}), chosen = h("div", { id: "chosen", role: "region", "aria-label": "Chosen units" });
  const frame = h("div", { class: "plane-frame" }, canvas, card);
  let data, units, unitAt, tint = null, tool = "pan", path = null, cursor = -1, over = -1, selected = null, mask = null, queued = false;
  const context = canvas.getContext("2d"), blocks = new Map();
  const block = (row, column) => {
    const key = `${row}-${column}`;
    if (!blocks.has(key)) {
      const image = new Image();
      image.decoding = "async";
      image.onload = () => redraw();
      image.src = `map/${id}-${key}.webp`;
      blocks.set(key, image);
      if (blocks.size > 160) blocks.delete(blocks.keys().next().value);
    }
    return blocks.get(key);
  };
  const paper = () => getComputedStyle(root).getPropertyValue("--sunk");
  const draw = () => {
    queued = false;
    const { x, y, k, width, height } = port.view, ratio = canvas.width / width;
    const left = (column) => Math.round((column - x) * k * ratio) / ratio, top = (row) => Math.round((row - y) * k * ratio) / ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    const all = [left(0), top(0), left(columns) - left(0), top(rows) - top(0)];
    if (overview.complete && overview.naturalWidth) {
      context.drawImage(overview, ...all);
      if (!canvas.dataset.painted) canvas.dataset.painted = String(Math.round(performance.now()));
    }
    const close = k >= CLOSE, from = [Math.max(0, Math.floor(x)), Math.max(0, Math.floor(y))], to = [Math.min(columns, Math.ceil(x + width / k)), Math.min(rows, Math.ceil(y + height / k))];
    if (close && data?.block) {
      const b = data.block;
      for (let row = Math.floor(from[1] / b); row * b < to[1]; row++) for (let column = Math.floor(from[0] / b); column * b < to[0]; column++) {
        if (!data.there.has(`${row}-${column}`)) continue;
        const image = block(row, column), right = Math.min(columns, (column + 1) * b), bottom = Math.min(rows, (row + 1) * b);
        if (image.complete && image.naturalWidth) context.drawImage(image, left(column * b), top(row * b), left(right) - left(column * b), top(bottom) - top(row * b));
      }
    }
    context.imageSmoothingEnabled = false;
    if (tint && !close) { context.globalAlpha = 0.82; context.drawImage(tint.canvas, ...all); context.globalAlpha = 1; }
    if (close) {
      context.fillStyle = paper();
      for (let column = from[0]; column <= to[0]; column++) context.fillRect(left(column) - 1, 0, 2, height);
      for (let row = from[1]; row <= to[1]; row++) context.fillRect(0, top(row) - 1, width, 2);
      if (tint) for (let row = from[1]; row < to[1]; row++) for (let column = from[0]; column < to[0]; column++) {
        const unit = unitAt[row * columns + column], colour = unit < 0 ? null : tint.css(unit);
        if (colour) { context.fillStyle = colour; context.fillRect(left(column) + 1, top(row + 1) - 6, left(column + 1) - left(column) - 2, 5); }
      }
    }
    if (mask) { context.globalAlpha = 0.75; context.drawImage(mask, ...all); context.globalAlpha = 1; }
    for (const [cell, colour] of [[over, "--ink"], [cursor, "--accent"]]) {
      if (cell < 0) continue;
      const column = cell % columns, row = Math.floor(cell / columns);
      context.lineWidth = 2; context.strokeStyle = getComputedStyle(root).getPropertyValue(colour);
      context.strokeRect(left(column) - 1, top(row) - 1, Math.max(6, k) + 2, Math.max(6, k) + 2);
    }
    if (path) {
      const [first, last] = [path[0], path[path.length - 1]];
      context.lineWidth = 2; context.strokeStyle = getComputedStyle(root).getPropertyValue("--accent");
      context.beginPath();
      if (path.box) context.rect(first[0], first[1], last[0] - first[0], last[1] - first[1]);
      else path.forEach(([px, py], place) => (place ? context.lineTo(px, py) : context.moveTo(px, py)));
      context.stroke();
    }
  };
  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };
  let kept;
  const keepLink = () => {  // the link leads back to what is seen now
    clearTimeout(kept);
    kept = setTimeout(() => {
      if (!data || !root.isConnected || root.hidden || !location.hash.startsWith(link("map", backbone.id))) return;
      const { x, y, k } = port.view, own = new URLSearchParams({ ...(colour.value === "picture" ? {} : { colour: colour.value }), at: [x, y, k].map((value) => +value.toFixed(2)).join(",") });
      history.replaceState(null, "", `${link("map", backbone.id)}?${own}`);
    }, 250);
  };
  const open = (cell) => { const unit = units?.[unitAt[cell]]; if (unit) location.hash = link(backbone.id, unit.site.name, unit.key); };
  const showCard = async (cell, [px, py], touch) => {
    const unit = cell < 0 ? undefined : units?.[unitAt[cell]];
    card.hidden = !unit;
    if (!unit) return;
    const place = unitAt[cell], photo = data.photos[place], value = tint?.value(place);
    await loadPhotos();
    if (over !== cell && cursor !== cell) return;
    const thumbed = photo && isHere({ run: photo[0] }, { i: photo[1] });
    card.replaceChildren(...[
      h("div", { class: "pair" }, h("span", { class: "sprite", style: plainSprite(unit.site, unit.unit, 112) }),
        thumbed ? h("img", { src: thumb({ run: photo[0] }, { i: photo[1] }), width: 112, height: 112, alt: "Its strongest photo" }) : null),
      h("b", {}, unit.address), value !== undefined && value !== null ? h("span", { class: "quiet" }, `${TINTS[colour.value]} ${show(value)}`) : null,
      touch ? h("a", { class: "link", href: link(backbone.id, unit.site.name, unit.key) }, "Open this unit") : null,
    ].filter(Boolean));
    const wide = card.offsetWidth, high = card.offsetHeight, { width, height } = port.view;
    card.style.left = `${Math.max(4, Math.min(width - wide - 4, px + 18 + wide > width ? px - wide - 18 : px + 18))}px`;
    card.style.top = `${Math.max(4, Math.min(height - high - 4, py + 18))}px`;
  };
  const choose = (cells) => {
    selected = cells?.map((cell) => unitAt[cell]).filter((unit) => unit >= 0) ?? null;
    if (selected && !selected.length) selected = null;
    mask = null;
    if (selected) {
      mask = h("canvas", { width: columns, height: rows });
      const own = mask.getContext("2d");
      own.fillStyle = paper();
      own.fillRect(0, 0, columns, rows);
      for (const unit of selected) own.clearRect(data.cells[unit] % columns, Math.floor(data.cells[unit] / columns), 1, 1);
    }
    chosen.replaceChildren(...(selected ? [chosenList(backbone.id, selected.map((unit) => units[unit]), () => choose(null))] : []));
    redraw();
  };
  const port = makeViewport(canvas, columns, rows, {
    changed: () => { redraw(); keepLink(); },
    tool: (event) => (event.shiftKey ? "box" : event.altKey ? "lasso" : tool),
    hover: (cell, here, type) => { if (type === "touch") return; over = cell; canvas.style.cursor = tool !== "pan" ? "crosshair" : cell >= 0 ? "pointer" : "grab"; showCard(cell, here, false); redraw(); },
    click: (cell, here, type) => { if (type !== "touch") return open(cell); cursor = over = cell; showCard(cell, here, true); redraw(); },
    drawing: (line) => { path = line; if (path) path.box = boxed; redraw(); },
    drawn: (line) => choose(units ? cellsWithin(line, boxed, port.view, columns, rows) : null),
  });
  let boxed = true;
  canvas.addEventListener("pointerdown", (event) => { boxed = event.shiftKey || (!event.altKey && tool === "box"); }, true);
  const setTint = (name) => { tint = data ? tintOf(data, name) : null; legend.replaceChildren(tint?.legend ?? ""); redraw(); };
  const colour = h("select", { id: "colour", onchange: () => { setTint(colour.value); keepLink(); } });
  const toolButton = (name, text, title) => h("button", { type: "button", "data-tool": name, title, "aria-pressed": String(tool === name), onclick: () => {
    tool = name;
    root.querySelectorAll("[data-tool]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.tool === name)));
  } }, text);
  const jump = (text) => {
    const wanted = text.trim(), place = units?.findIndex((unit) => unit.address === wanted);
    if (!(place >= 0)) return say(`No unit ${wanted} on this map`);
    cursor = data.cells[place];
    port.reveal(cursor, true);
    canvas.focus();
  };
  const note = h("p", { class: "quiet" });
  root.replaceChildren(
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, backbone.id)),
    h("div", { class: "title" }, h("h1", {}, "Map"), h("span", { class: "quiet" }, "units that look for the same stand together")),
    h("div", { class: "bar" },
      atlas.backbones.filter((item) => item.map).length > 1 ? h("label", {}, "Backbone", h("select", { onchange: (event) => { location.hash = link("map", event.target.value); } },
        atlas.backbones.filter((item) => item.map).map((item) => h("option", { selected: item === backbone }, item.id)))) : null,
      h("label", {}, "Colour", colour), legend,
      h("span", { class: "tools", role: "group", "aria-label": "What dragging does" }, toolButton("pan", "Move", "Drag to move"), toolButton("box", "Box", "Drag a box around units (shift)"), toolButton("lasso", "Lasso", "Draw around units (alt)")),
      h("span", { class: "tools", role: "group", "aria-label": "Zoom" }, h("button", { type: "button", "aria-label": "Closer", onclick: () => port.zoom(1.6) }, "+"), h("button", { type: "button", "aria-label": "Further away", onclick: () => port.zoom(1 / 1.6) }, "−"), h("button", { type: "button", onclick: () => port.fit() }, "All")),
      h("label", {}, "Unit", h("input", { id: "find-unit", type: "search", placeholder: `${backbone.sites[0].name}:0`, onkeydown: (event) => { if (event.key === "Enter") jump(event.target.value); } }))),
    frame, note, chosen);
  const size = () => {
    const box = frame.getBoundingClientRect(), ratio = Math.min(2, devicePixelRatio || 1), fresh = port.view.width === 1;
    port.view.width = Math.max(1, box.width); port.view.height = Math.max(1, box.height);
    canvas.width = Math.round(box.width * ratio); canvas.height = Math.round(box.height * ratio);
    const at = (query.get("at") ?? "").split(",").map(Number);
    if (!fresh) return port.changed();
    if (at.length === 3 && at.every(Number.isFinite) && at[2] > 0) { [port.view.x, port.view.y, port.view.k] = at; port.changed(); } else port.fit();
  };
  root.hidden = false;
  size();
  overview.onload = redraw;
  listen(window, "resize", size);
  listen($("#theme"), "click", () => { if (data) setTint(colour.value); if (selected) choose(selected.map((unit) => data.cells[unit])); });
  data = await load(`map-${id}`);
  data.there = new Set(data.blocks.map((place) => place.join("-")));
  ({ units, unitAt } = readMap(data));
  colour.replaceChildren(...["picture", ...Object.keys(TINTS).filter((name) => data.colours[name])].map((name) => h("option", { value: name, selected: name === query.get("colour") }, TINTS[name])));
  note.textContent = `${units.length.toLocaleString("en")} units, placed by what ${data.eye} sees in their pictures and best photos${data.neighbourhoods ? " (PaCMAP, then one cell a unit)" : ", by two principal components"}. `
    + "Drag to move, wheel or pinch to zoom, click to open; shift or alt and drag to choose.";
  setTint(colour.value);
  if (query.get("unit")) jump(query.get("unit"));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (step) {
      const { x, y, k, width, height } = port.view;
      let column = cursor < 0 ? Math.floor(x + width / k / 2) : (cursor % columns) + step[0], row = cursor < 0 ? Math.floor(y + height / k / 2) : Math.floor(cursor / columns) + step[1];
      column = Math.min(columns - 1, Math.max(0, column)); row = Math.min(rows - 1, Math.max(0, row));
      if (unitAt[row * columns + column] < 0 && cursor >= 0) column = cursor % columns, row = Math.floor(cursor / columns);
      cursor = row * columns + column;
      port.reveal(cursor);
      const unit = units[unitAt[cursor]];
      if (unit) { canvas.setAttribute("aria-description", unit.address); say(unit.address); showCard(cursor, [(column + 1 - port.view.x) * k, (row - port.view.y) * k], false); }
    } else if (event.key === "Enter" && cursor >= 0) open(cursor);
    else if (event.key === "+" || event.key === "=") port.zoom(1.6);
    else if (event.key === "-") port.zoom(1 / 1.6);
    else if (event.key === "0") port.fit();
    else if (event.key === "Escape") { cursor = -1; card.hidden = true; choose(null); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
};
