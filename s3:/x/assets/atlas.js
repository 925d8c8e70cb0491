"use strict";
(() => {
/* Small tools, and data: scripts call vitvis.put(name, content), since fetch is blocked on file://. Text only ever enters the
   page as text nodes. The parts in this folder are joined, in the order that pages.py gives, within one function. */
const $ = (selector, root = document) => root.querySelector(selector);
const h = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") node.style.cssText = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};
const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const show = (value, digits = 3) =>
  value === null || value === undefined ? "–" : typeof value === "number" ? String(+value.toPrecision(digits)).replace("-", "\u2212") : String(value);
const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);
const link = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");
let silence;
const say = (text) => {
  $("#said").textContent = text;
  $("#said").classList.add("on");
  clearTimeout(silence);
  silence = setTimeout(() => $("#said").classList.remove("on"), 1800);
};
const remember = (name, value) => { try { localStorage.setItem(`vitvis.${name}`, value); } catch { /* private mode */ } };
const recall = (name) => { try { return localStorage.getItem(`vitvis.${name}`); } catch { return null; } };

const loaded = new Map();
const waiting = new Map();
window.vitvis = { put(name, content) { loaded.set(name, content); if (name === "atlas") start(content); } };
const load = (name) => {
  if (!waiting.has(name)) {
    waiting.set(name, new Promise((resolve, reject) => {
      if (loaded.has(name)) return resolve(loaded.get(name));
      document.head.append(h("script", {
        src: `data/${name}.js`,
        onload: () => resolve(loaded.get(name)),
        onerror: () => { waiting.delete(name); reject(new Error(`data/${name}.js is missing from this atlas`)); },
      }));
    }));
  }
  return waiting.get(name);
};

let atlas;
const fullName = (backbone) => `${backbone.name}@${backbone.weights_id.slice(0, 6)}`;
const findBackbone = (id) => atlas.backbones.find((backbone) => backbone.id === id)  // a link from another atlas still leads here
  ?? atlas.backbones.find((backbone) => fullName(backbone) === id) ?? atlas.backbones.find((backbone) => backbone.name === id);
const findSite = (backbone, name) => findBackbone(backbone)?.sites.find((site) => site.name === name);
const picturesOf = (table) => {  // places of the pictures of each unit, tile first
  if (!table.byUnit) {
    table.byUnit = table.keys.map(() => []);
    table.unit.forEach((unit, place) => table.byUnit[unit].push(place));
  }
  return table.byUnit;
};

/* Sprites: pictures on sheets of 16 x 16. */
const spriteStyle = (site, table, place, side) => {
  const columns = atlas.columns, cell = place % (columns * columns), sheet = Math.floor(place / (columns * columns));
  const left = (cell % columns) * side, top = Math.floor(cell / columns) * side;
  const colour = table.colour[place];
  if (!colour) return `width:${side}px;height:${side}px`;
  return `width:${side}px;height:${side}px;background-color:#${colour};background-image:url(sprites/${site.id}-${sheet}.webp);` +
    `background-size:${columns * side}px auto;background-position:-${left}px -${top}px`;
};
const plainSprite = (site, place, side) => {  // where the table of the site isn't at hand
  const columns = atlas.columns, cell = place % (columns * columns), sheet = Math.floor(place / (columns * columns));
  return `width:${side}px;height:${side}px;background-image:url(sprites/${site.id}-${sheet}.webp);background-size:${columns * side}px auto;` +
    `background-position:-${(cell % columns) * side}px -${Math.floor(cell / columns) * side}px`;
};
const warmed = new Map();
const warm = (site, sheets) => {  // keep the decoded sheets of one site at hand, so that fast scrolling shows no blanks
  if (warmed.has(site.id)) return;
  warmed.clear();
  warmed.set(site.id, Array.from({ length: sheets }, (_, place) => {
    const image = new Image();
    image.src = `sprites/${site.id}-${place}.webp`;
    image.decode?.().catch(() => {});
    return image;
  }));
};

/* The page of a site: sort, filter, virtual grid. */
const SORTS = {
  index: ["index", (table) => (unit) => table.index[unit], false],
  activation: ["activation", (table, place) => (unit) => table.activation[place(unit)], true],
  selectivity: ["selectivity", (table, place) => (unit) => table.selectivity[place(unit)], true],
  judge: ["judge", (table, place) => (unit) => table.judge[place(unit)], true],
  choice: ["choice test", (table, place) => (unit) => table.choice[place(unit)], true],
  exemplar: ["strongest photo", (table) => (unit) => table.strongest[unit], true],
  fire: ["how often it is on", (table) => (unit) => table.fire[unit], true],
  concept: ["concept score", (table) => (unit) => table.concept[unit], true],
};
const SHOWN = { optimised: "with an image", photo: "photos only", silent: "never on" };
const orders = new Map();  // order of the units as the site page last showed them; a unit's page walks along it

const orderOf = (table, options) => {
  const places = picturesOf(table);
  const place = (unit) => (options.run === null ? undefined : places[unit].find((p) => table.run[p] === options.run)) ?? places[unit][0];
  const [, make, downwards] = SORTS[options.sort] ?? SORTS.index;
  const value = make(table, place);
  const sign = (downwards ? -1 : 1) * (options.reverse ? -1 : 1);
  let units = table.keys.map((_, unit) => unit);
  if (options.show !== "all") {
    units = units.filter((unit) => {
      if (options.show === "silent") return table.fire[unit] === 0;
      const status = table.status[place(unit)];
      if (options.show === "optimised") return status !== "photo";
      return options.show === "ok" ? status === "ok" || status === "photo" : status === options.show;
    });
  }
  if (options.word) units = units.filter((unit) => table.words[unit].some((word) => word.toLowerCase().includes(options.word)));
  units.sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === y) return a - b;
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return sign * (x - y);
  });
  return { units, place };
};

const siteView = async (root, backboneId, siteName, query) => {
  const site = findSite(backboneId, siteName);
  if (!site) return missing(root, `There is no site ${siteName} of ${backboneId} in this atlas.`);
  const table = await load(site.id);
  const options = {
    sort: query.get("sort") in SORTS ? query.get("sort") : "index",
    reverse: query.get("order") === "reverse",
    word: (query.get("word") ?? "").trim().toLowerCase(),
    show: ["ok", "optimised", "photo", "dead", "failed", "silent"].includes(query.get("show")) ? query.get("show") : "all",
    run: query.has("run") && site.runs.includes(+query.get("run")) ? +query.get("run") : null,
  };
  let wanted = Math.min(192, Math.max(40, +(recall("tile") ?? 0) || (innerWidth < 760 ? 76 : table.keys.length <= 48 ? 148 : 96)));
  let order, side = wanted, columns = 1, first = -1, last = -1, focused = 0;
  const tiles = new Map();
  const grid = h("div", { class: "grid", role: "group", "aria-label": `Units of ${siteName}` });
  const count = h("span", { class: "count", role: "status" });
  const LABEL = 20, GAP = 6;

  const draw = (force) => {
    const height = side + LABEL + GAP;
    const top = grid.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor((-top - 600) / height)), to = Math.ceil((innerHeight - top + 600) / height);
    const start = from * columns, end = Math.min(order.units.length, to * columns);
    if (!force && start === first && end === last) return;
    first = start; last = end;
    for (const [position, tile] of tiles) if (force || position < start || position >= end) { tile.remove(); tiles.delete(position); }
    const fresh = document.createDocumentFragment();
    for (let position = start; position < end; position++) {
      if (tiles.has(position)) continue;
      const tile = makeTile(position, height);
      tiles.set(position, tile);
      fresh.append(tile);
    }
    grid.append(fresh);
  };
  const makeTile = (position, height) => {
    const unit = order.units[position], place = order.place(unit), status = table.status[place];
    const key = table.keys[unit];
    const plain = options.sort === "index" || options.sort === "activation";
    const value = plain ? table.activation[place] ?? table.strongest[unit] : SORTS[options.sort][1](table, order.place)(unit) ?? null;
    const note = status === "ok" || status === "photo" ? (value === null ? "" : show(value, 2)) : status;
    return h("a", {
      class: `tile is-${status}`, href: link(backboneId, siteName, key), "data-position": position, tabindex: position === focused ? 0 : -1,
      title: table.addresses[unit], "aria-label": `${table.addresses[unit]}, ${status}${value === null ? "" : `, ${show(value)}`}`,
      style: `width:${side}px;height:${side + LABEL}px;left:${(position % columns) * (side + GAP)}px;top:${Math.floor(position / columns) * height}px`,
    }, h("i", { style: spriteStyle(site, table, place, side) }), h("span", {}, h("span", {}, key), side >= 64 ? h("span", {}, note) : null));
  };
  const lay = () => {
    columns = Math.max(1, Math.floor((grid.clientWidth + GAP) / (wanted + GAP)));
    side = Math.max(wanted, Math.floor((grid.clientWidth + GAP) / columns) - GAP);  // fill the line
    grid.style.height = `${Math.ceil(order.units.length / columns) * (side + LABEL + GAP)}px`;
    draw(true);
  };
  const apply = (keep) => {
    order = orderOf(table, options);
    orders.set(site.id, order.units);
    focused = 0;
    count.textContent = order.units.length === table.keys.length ? `${table.keys.length} units` : `${order.units.length} of ${table.keys.length} units`;
    const asked = new URLSearchParams();
    if (options.sort !== "index") asked.set("sort", options.sort);
    if (options.reverse) asked.set("order", "reverse");
    if (options.show !== "all") asked.set("show", options.show);
    if (options.word) asked.set("word", options.word);
    if (options.run !== null) asked.set("run", options.run);
    if (keep) history.replaceState(null, "", link(backboneId, siteName) + (String(asked) ? `?${asked}` : ""));
    lay();
  };
  const focus = (position) => {
    position = Math.min(order.units.length - 1, Math.max(0, position));
    if (position < 0) return;
    const height = side + LABEL + GAP, top = grid.getBoundingClientRect().top + Math.floor(position / columns) * height;
    focused = position;
    if (top < 130) scrollBy(0, top - 130);
    else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + 8);
    draw(false);
    for (const [at, tile] of tiles) tile.tabIndex = at === position ? 0 : -1;
    tiles.get(position)?.focus({ preventScroll: true });
  };
  const jump = (text) => {
    const key = text.trim().replace(/^.*:/, ""), unit = table.keys.indexOf(key);
    if (unit < 0) return say(`No unit ${key} here`);
    location.hash = link(backboneId, siteName, key);
  };

  const scored = Object.keys(SORTS).filter((name) =>
    name === "index" || (name === "exemplar" ? table.searched : table[name].some((value) => value !== null)));
  const held = (state) => table.status.slice(0, table.keys.length).filter((status) => status === state).length;
  const photos = held("photo"), mixed = photos && photos < table.keys.length;
  const states = [...(mixed ? ["optimised", "photo"] : []), ...["dead", "failed"].filter((state) => table.status.includes(state)), ...(table.fire.includes(0) ? ["silent"] : [])];
  const shown = site.runs.length > 1;
  root.replaceChildren(
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, backboneId), " / ", h("span", {}, `depth ${site.depth}`)),
    h("div", { class: "title" }, h("h1", {}, siteName), h("span", { class: "quiet" }, h("i", { class: `swatch k-${site.kind}` }), ` ${site.kind}, ${site.width || "?"} wide `), siteSteps(backboneId, site)),
    h("div", { class: "bar" },
      h("label", {}, "Sort", h("select", { id: "sort", onchange: (event) => { options.sort = event.target.value; apply(true); } },
        scored.map((name) => h("option", { value: name, selected: name === options.sort }, SORTS[name][0])))),
      h("button", { id: "reverse", type: "button", "aria-pressed": String(options.reverse), title: "Reverse the order", onclick: (event) => {
        options.reverse = !options.reverse; event.currentTarget.setAttribute("aria-pressed", String(options.reverse)); apply(true); } }, "Reverse"),
      h("label", {}, "Show", h("select", { id: "show", onchange: (event) => { options.show = event.target.value; apply(true); } },
        ["all", "ok", ...states].map((name) => h("option", { value: name, selected: name === options.show }, SHOWN[name] ?? name)))),
      shown && h("label", {}, "Run", h("select", { id: "run", onchange: (event) => { options.run = event.target.value === "" ? null : +event.target.value; apply(true); } },
        h("option", { value: "" }, "first"), site.runs.map((run) => h("option", { value: run, selected: run === options.run }, atlas.runs[run].name)))),
      h("label", {}, "Unit", h("input", { id: "jump", type: "search", placeholder: "index", onkeydown: (event) => { if (event.key === "Enter") jump(event.target.value); } })),
      table.words.some((words) => words.length) && h("label", {}, "Word", h("input", { id: "word", type: "search", placeholder: "music", value: options.word, onchange: (event) => { options.word = event.target.value.trim().toLowerCase(); apply(true); } })),
      h("label", {}, "Size", h("input", { id: "size", type: "range", min: 40, max: 192, step: 4, value: wanted, oninput: (event) => { wanted = +event.target.value; remember("tile", wanted); lay(); } })),
      h("a", { class: "button", href: link("compare", backboneId, siteName) }, "Compare"), count),
    photos ? h("p", { class: "quiet" }, mixed ? `${table.keys.length - photos} units have an image; the other ${photos}, numbers in italics, are shown by the photo that excites them most.`
      : "No image has been optimised at this site: each unit is shown by the photo that excites it most.") : "",
    density(table.fire),
    grid);
  apply(false);
  warm(site, table.sheets);
  grid.addEventListener("focusin", (event) => { const at = event.target.closest?.(".tile"); if (at) focused = +at.dataset.position; });
  listen(window, "scroll", () => draw(false), { passive: true });
  listen(window, "resize", lay);
  listen(document, "keydown", (event) => {
    if (typing(event)) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "/") { event.preventDefault(); $("#jump").focus(); }
    if (step === undefined) return;
    event.preventDefault();
    focus(grid.contains(document.activeElement) ? focused + step : focused);
  });
  const back = query.get("at");
  if (back !== null) focus(order.units.indexOf(table.keys.indexOf(back)));
};

const density = (shares) => {  // of latents: how many are on how often, in steps of a quarter of a power of ten
  const known = shares.filter((share) => share !== null), on = known.filter((share) => share > 0);
  if (!known.length) return "";
  const bin = (share) => Math.floor(4 * Math.log10(share)), low = Math.min(...on.map(bin), -1), counts = Array(-low + 1).fill(0);
  for (const share of on) counts[bin(share) - low] += 1;
  const most = Math.max(...counts, 1), wide = 10, high = 56;
  const bars = counts.map((number, place) => `<rect x="${place * wide}" y="${high - high * number / most}" width="${wide - 1}" height="${high * number / most}"><title>${number} latents on at 1 token in ${show(10 ** (-(place + low) / 4), 2)} or fewer</title></rect>`);
  const figure = h("figure", { class: "density" });
  figure.innerHTML = `<svg viewBox="0 0 ${counts.length * wide} ${high}" width="${counts.length * wide}" height="${high}" fill="currentColor" role="img" aria-label="Density of latents">${bars.join("")}</svg>`;
  figure.append(h("figcaption", { class: "quiet" }, `How often latents are on: from 1 token in ${show(10 ** (-low / 4), 2)} (left) to every token (right). ${known.length - on.length} of ${known.length} are never on.`));
  return figure;
};

const siteSteps = (backboneId, site) => {  // same kind, one block shallower or deeper
  const same = findBackbone(backboneId).sites.filter((other) => other.kind === site.kind);
  const at = same.findIndex((other) => other.id === site.id);
  return h("span", { class: "quiet" }, [[at - 1, "← shallower"], [at + 1, "deeper →"]].map(([place, word]) =>
    same[place] ? h("a", { href: link(backboneId, same[place].name), title: same[place].name, style: "margin-right:14px" }, word) : null));
};

/* The page of a unit: its image, the photo that excites it most and where in it, then all the rest. */
const unitView = async (root, backboneId, siteName, key, query) => {
  const site = findSite(backboneId, siteName);
  if (!site) return missing(root, `There is no site ${siteName} of ${backboneId} in this atlas.`);
  const table = await load(site.id);
  const unit = table.keys.indexOf(key);
  if (unit < 0) return missing(root, `There is no unit ${key} of ${siteName} in this atlas.`, link(backboneId, siteName));
  const details = (await load(`${site.id}-${Math.floor(unit / atlas.part)}`))[unit % atlas.part];
  const [near] = await Promise.all([neighbours(backboneId, details), loadPhotos()]);
  const places = picturesOf(table)[unit];
  const place = places[+query.get("picture")] ?? places[0];
  const units = orders.get(site.id)?.includes(unit) ? orders.get(site.id) : table.keys.map((_, other) => other);
  const at = units.indexOf(unit);
  const go = (other) => { if (other !== undefined) location.hash = link(backboneId, siteName, table.keys[other]); };
  const random = () => go(units[Math.floor(Math.random() * units.length)]);
  const grid = `${link(backboneId, siteName)}?at=${encodeURIComponent(key)}`;
  const toggle = () => {
    const on = root.classList.toggle("overlay");
    remember("overlay", on ? "1" : "");
    root.querySelectorAll(".toggle").forEach((button) => button.setAttribute("aria-pressed", String(on)));
  };
  root.classList.toggle("overlay", recall("overlay") === "1");
  const photo = table.status[place] === "photo", command = details.commands[place];
  const run = atlas.runs[table.run[place]], search = details.search[0];
  const pictures = hero(site, table, place, unit, search), alone = pictures.children.length === 1;
  const own = [
    h("h2", {}, "The image"),
    photo ? h("p", { class: "lead" }, command ? "No image has been optimised for this unit yet; the command below makes one." : "No image has been optimised for this unit.")
      : imageFacts(site, table, place, search),
    verdict(table, place),
    seeds(site, table, places, place, backboneId, siteName, key),
    table.strip[place] ? [h("h2", {}, "Over the steps"), h("img", { class: "strip", loading: "lazy", src: table.strip[place], alt: "The image at evenly spaced steps, first to last" })] : null,
  ].flat();
  const button = (id, text, act, disabled = false) => h("button", { id, type: "button", disabled, onclick: act }, text);
  root.replaceChildren(
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, backboneId), " / ", h("a", { href: grid }, siteName)),
    h("div", { class: "title" }, h("h1", {}, table.addresses[unit]),
      h("span", { class: "quiet" }, h("i", { class: `swatch k-${site.kind}` }), ` ${site.kind} at depth ${site.depth}`),
      h("span", { class: "steps" },
        button("previous", "← Previous", () => go(units[at - 1]), at <= 0),
        button("next", "Next →", () => go(units[at + 1]), at >= units.length - 1),
        button("random", "Random", random),
        button("permalink", "Copy link", () => copy(location.href.split("#")[0] + link(fullName(findBackbone(backboneId)), siteName, key), "Link copied")),
        findBackbone(backboneId).map ? h("a", { class: "button", id: "on-map", href: `${link("map", backboneId)}?unit=${encodeURIComponent(table.addresses[unit])}` }, "On the map") : null,
        h("a", { class: "button", href: `${link("compare", backboneId, siteName)}?units=${encodeURIComponent(key)}` }, "Compare"))),
    alone ? "" : pictures,
    table.message[place] ? h("p", { class: "problem" }, table.message[place]) : "",
    h("div", { class: `unit${alone ? " alone" : ""}` },
      alone ? pictures : h("div", {}, own),
      h("div", {},
        alone ? own : null,
        search || table.words[unit].length || table.concept[unit] !== null ? photoFacts(table, unit, search) : null,
        search?.hist ? histogram(search, photo || table.status[place] !== "ok" ? null : table.activation[place]) : null,
        search ? classBars(search) : null,
        search ? effectBars(search) : null,
        near)),
    ...details.search.map((found) => exemplars(found, toggle, details.search.length > 1)),
    command ? h("h2", {}, photo ? "Make an image of this unit" : "Rebuild this image") : "",
    command ? h("pre", { id: "command" }, command) : "",
    command ? h("button", { id: "copy", type: "button", onclick: () => copy(command) }, "Copy command") : "",
    photo ? "" : settings(run));
  listen(document, "keydown", (event) => {
    if (typing(event)) return;
    if (event.key === "ArrowLeft") go(units[at - 1]);
    else if (event.key === "ArrowRight") go(units[at + 1]);
    else if (event.key === "r") random();
    else if (event.key === "o" && details.search.length) toggle();
    else if (event.key === "Escape" || event.key === "g") location.hash = grid;
  });
};

const hero = (site, table, place, unit, search) => {  // the work's three pictures: image, strongest photo, its map
  const photo = table.status[place] === "photo", best = search?.strong[0];
  const caption = (title, text) => h("figcaption", {}, h("b", {}, title), h("span", { class: "quiet" }, text));
  const figures = [];
  if (!photo) figures.push(h("figure", {}, bigPicture(site, table, place, unit), table.alpha[place] ? alphaSwitch() : null, caption("Optimised image",
    table.status[place] === "ok" ? `activation ${show(table.activation[place])}` : table.status[place])));
  if (best && isHere(search, best)) {
    const picture = (alt, more) => h("span", { class: "photo" }, h("img", { src: thumb(search, best), alt }), more);
    figures.push(h("figure", {}, picture(`Strongest photo of ${table.addresses[unit]}${best.l ? `: ${best.l}` : ""}`), caption(`Strongest of ${thousands(search.count)} photos`,
      `activation ${show(best.a)}${best.l ? ` · ${best.l}` : ""}`)));
    if (best.m) figures.push(h("figure", { class: "map" }, picture("Where in that photo the unit fires: its map over the patches", heat(best.m, search.grid)), caption("Where in it",
      `${search.grid[0]} × ${search.grid[1]} patches, dark ${show(search.scale[0], 2)} to bright ${show(search.scale[1], 2)}`)));
  }
  if (!figures.length) figures.push(h("figure", {}, bigPicture(site, table, place, unit), caption("Strongest photo", "no thumbnail of it was kept")));
  return h("div", { class: `hero n${figures.length}` }, figures);
};
const bigPicture = (site, table, place, unit) => {
  const file = table.file[place], alt = `Image optimised for ${table.addresses[unit]}`;
  if (file) return h("a", { href: file, target: "_blank", rel: "noopener", "aria-label": "Open the full-size image" }, h("img", { class: `big${table.alpha[place] ? " alpha" : ""}`, src: file, alt, style: `background-color:#${table.colour[place]}` }));
  const side = Math.min(420, innerWidth - 48);
  return h("div", { role: "img", "aria-label": alt, class: "sprite", style: spriteStyle(site, table, place, side) });
};

const facts = (rows) => h("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value, wide]) =>
  h("div", { class: wide ? "wide" : null }, h("dt", {}, name), h("dd", {}, value))));
const imageFacts = (site, table, place, search) => {
  const value = table.activation[place], best = search?.strong[0]?.a;
  return facts([
    table.status[place] !== "ok" && ["status", table.status[place]],
    ["activation", `${show(value)}${table.activation_start[place] === null ? "" : ` from ${show(table.activation_start[place], 2)}`}`],
    value > 0 && best > 0 && ["against the strongest photo", `${show(value / best, 2)} ×`],
    ["strongest tenth of tokens", show(table.activation_peak[place])],
    table.rank[place] !== null && ["rank at the site", `${show(table.rank[place], 6)} of ${site.width || "?"}`],
    ["selectivity", show(table.selectivity[place])],
    ["high frequencies", percent(table.hf_share[place])],
    table.judge[place] !== null && ["judge", `${show(table.judge[place], 2)}${table.judges[place] ? ` by ${table.judges[place]}` : ""}`],
    table.class_probability[place] !== null && ["class, to the judge", `${percent(table.class_probability[place])}${table.class_rank[place] === null ? "" : `, place ${show(table.class_rank[place], 3)}`}`],
    table.kept[place] !== null && ["activation kept", percent(table.kept[place])],
    table.agreement[place] !== null && ["seeds agree", percent(table.agreement[place])],
    ["seed", show(table.seed[place])],
    ["steps", show(table.steps[place], 6)],
  ]);
};
const photoFacts = (table, unit, search) => [
  h("h2", {}, search ? `Over ${thousands(search.count)} photos` : "Meaning"),
  facts([
    search && ["strongest", show(table.strongest[unit])],
    search && ["mean ± deviation", `${show(search.mean, 2)} ± ${show(search.std, 2)}`],
    search && ["positive", percent(search.positive_share)],
    search && search.fire_share !== null && ["on, of the tokens", search.fire_share ? `1 in ${thousands(Math.round(1 / search.fire_share))}` : "never"],
    search && search.inside !== null && ["inside, outside the box", `${show(search.inside, 2)}, ${show(search.outside, 2)}`],
    table.concept[unit] !== null && ["concept score", show(table.concept[unit])],
    table.words[unit].length > 0 && ["words", table.words[unit].join(", "), true],
  ]),
];
const seeds = (site, table, places, chosen, backboneId, siteName, key) => places.length < 2 ? null : [
  h("h2", {}, "Other seeds and runs"),
  h("div", { class: "row", id: "seeds" }, places.map((place, number) => h("a", {
    href: link(backboneId, siteName, key) + (number ? `?picture=${number}` : ""), "aria-current": place === chosen ? "true" : null,
    title: `${atlas.runs[table.run[place]].name}, seed ${table.seed[place]}`,
  }, h("span", { class: "sprite", style: spriteStyle(site, table, place, 96) }),
  h("span", { class: "under" }, `seed ${show(table.seed[place])}, ${show(table.activation[place], 2)}`),
  site.runs.length > 1 ? h("span", { class: "under" }, atlas.runs[table.run[place]].name) : null))),
];
const settings = (run) => h("details", {}, h("summary", {}, `All settings of ${run.name}`),
  h("dl", { class: "settings" }, [["recipe", run.recipe], ["vitvis", run.vitvis], ["made", run.created], ...Object.entries(run.settings)].map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", { class: "mono" }, value)))));
const copy = async (text, done = "Command copied") => {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = h("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(done);
};

/* Parts of a unit's page that say what the unit does: the choice test, classes of its photos, classes that need it, neighbours. */
const barList = (rows, top, text) => h("ul", { class: "bars" }, rows.map(([name, value]) => h("li", {},
  h("span", { class: "name", title: name }, name), h("span", { class: "track" }, h("i", { style: `width:${Math.max(1, (100 * value) / top).toFixed(1)}%` })), h("b", {}, text(value)))));
const classBars = (search) => {
  if (!search.labels) return null;
  const [total, rows] = search.labels, shown = rows.reduce((sum, [, count]) => sum + count, 0);
  return [h("h2", {}, `Classes of its ${total} strongest photos`), h("div", { id: "classes" }, barList(rows, Math.max(...rows.map((row) => row[1])), String),
    total > shown ? h("p", { class: "quiet" }, `${total - shown} of other classes`) : null)];
};
const effectBars = (search) => {
  if (!search.effect) return null;
  const [photos, rows] = search.effect;
  return [h("h2", {}, "Classes that lose most without it"), h("div", { id: "effect" }, barList(rows, rows[0][1], (value) => `−${show(value)}`),
    h("p", { class: "quiet" }, `Fall of a class's logit when the unit is set to its mean, over its ${photos} strongest photos.`))];
};
const verdict = (table, place) => {  // how often another model, shown this picture, picks the photo that excites the unit
  const share = table.choice[place];
  if (share === null || share === undefined) return null;
  const judge = table.judges[place] || "another model";
  return h("figure", { class: "verdict", id: "verdict" },
    h("p", {}, "Shown this picture, ", h("b", {}, judge), " picks the photo that excites the unit more in ", h("b", {}, percent(share)), " of pairs."),
    h("div", { class: "gauge", role: "img", "aria-label": `${percent(share)}; by chance 50 %` }, h("i", { style: `width:${(100 * share).toFixed(1)}%` }), h("s", {})),
    h("p", { class: "quiet" }, "line: by chance"));
};
const alphaSwitch = () => h("button", { type: "button", class: "toggle-alpha", "aria-pressed": "true", title: "Show only what mattered while the image was made", onclick: (event) => {
  const on = event.currentTarget.parentNode.classList.toggle("opaque");
  event.currentTarget.setAttribute("aria-pressed", String(!on));
} }, "Alpha");
const neighbours = async (backboneId, details) => {
  if (!details.near.length) return null;
  const sites = findBackbone(backboneId).sites, byId = new Map(sites.map((site) => [site.id, site]));
  const tables = new Map(await Promise.all([...new Set(details.near.map(([id]) => id))].map(async (id) => [id, await load(id)])));
  const onMap = details.by === "map";
  return [h("h2", {}, onMap ? "Nearest units, by pictures and photos" : "Nearest units, by strongest photos shared"), h("div", { class: "row near", id: "near" }, details.near.map(([id, other, value]) => {
    const site = byId.get(id), table = tables.get(id);
    return h("a", { href: link(backboneId, site.name, table.keys[other]), title: `${table.addresses[other]}: ${onMap ? `similarity ${show(value)}` : `${value} shared`}` },
      h("span", { class: "sprite", role: "img", "aria-label": table.addresses[other], style: spriteStyle(site, table, other, 64) }),
      h("span", { class: "under" }, onMap ? table.addresses[other].replace(/^blocks\./, "") : table.keys[other]));
  }))];
};

/* What a search knows about a unit: photos with patch maps, and the histogram. */
let kept;  // which photos the atlas holds
const loadPhotos = async () => {
  if (kept) return;
  const { suffix, absent } = await load("photos");
  kept = { suffix, absent: new Map(Object.entries(absent).map(([run, indices]) => [+run, new Set(indices)])) };
};
const isHere = (search, photo) => !kept.absent.get(search.run)?.has(photo.i);
const thumb = (search, photo) => `thumbs/r${search.run}/${photo.i}.${kept.suffix}`;
const thousands = (number) => (number === null || number === undefined ? "the" : number.toLocaleString("en"));
const exemplars = (search, toggle, several) => {
  const run = atlas.runs[search.run];
  const mapped = search.strong.some((photo) => photo.m && isHere(search, photo));
  const photos = (list, id) => h("div", { class: "photos", id }, list.map((photo) => h("figure", {},
    h("span", { class: `photo${photo.m && isHere(search, photo) ? " mapped" : ""}` },
      !isHere(search, photo) ? h("span", { class: "nothing" }, "no thumbnail")
        : h("img", { loading: "lazy", src: thumb(search, photo), alt: photo.l ? `Photo ${photo.i}: ${photo.l}` : `Photo ${photo.i}` }),
      photo.m && isHere(search, photo) ? heat(photo.m, search.grid) : null),
    h("figcaption", {}, h("b", {}, show(photo.a)), photo.l ? h("span", { title: photo.l }, photo.l) : null, photo.k ? h("span", {}, photo.k) : null))));
  return h("div", { class: "search" },
    h("div", { class: "head2" }, h("h2", {}, `Strongest photos${several ? ` in ${run.name}` : ""}`),
      mapped ? h("button", { type: "button", class: "toggle", "aria-pressed": String(recall("overlay") === "1"), onclick: toggle }, "Patch maps") : null),
    photos(search.strong, "strongest"),
    search.weak.length ? [h("div", { class: "head2" }, h("h2", {}, "Weakest photos")), photos(search.weak, "weakest")] : null);
};

const MAGMA = [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191]];
const heat = (text, [rows, columns]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const canvas = h("canvas", { width: columns, height: rows, "aria-hidden": "true" });
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  bytes.forEach((byte, place) => {
    const x = (byte / 255) * (MAGMA.length - 1), i = Math.min(MAGMA.length - 2, Math.floor(x)), t = x - i;
    for (let c = 0; c < 3; c++) image.data[4 * place + c] = MAGMA[i][c] * (1 - t) + MAGMA[i + 1][c] * t;
    image.data[4 * place + 3] = 255;
  });
  context.putImageData(image, 0, 0);
  return canvas;
};

const histogram = (search, picture) => {  // of all photos; marked: their mean, and the picture's own value
  const [counts, low, end] = search.hist, top = Math.max(...counts, 1), width = 460, height = 96, head = 30;
  const far = picture !== null && picture > end + 1.5 * (end - low), high = picture !== null && !far ? Math.max(end, picture) : end;
  const x = (value) => ((value - low) / (high - low)) * width, slot = ((end - low) / counts.length / (high - low)) * width;
  const bars = counts.map((count, place) => {
    const tall = count >= 0.05 ? Math.max(1, (Math.log1p(count) / Math.log1p(top)) * height) : 0;
    return svg("rect", { x: place * slot, width: Math.max(1, slot - 1), y: head + height - tall, height: tall });
  });
  const text = (at, y, anchor, value) => svg("text", { x: at, y, "text-anchor": anchor }, value);
  const mark = (value, label, y, kind) => {
    if (value === null || value === undefined || !(x(value) >= 0)) return [];
    const at = Math.min(width, x(value)), anchor = at > width - 70 ? "end" : at < 40 ? "start" : "middle";
    return [svg("line", { class: kind, x1: at, x2: at, y1: y + 3, y2: head + height }), text(at, y, anchor, label)];
  };
  const marks = [...mark(search.mean, `mean ${show(search.mean, 2)}`, 24, "mark"), ...mark(picture, `this picture ${show(picture)}${far ? " →" : ""}`, 10, "mark picture")];
  return h("figure", { class: "hist" }, svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height + head + 18}`, role: "img",
    "aria-label": `Histogram of activations from ${show(low)} to ${show(end)}, mean ${show(search.mean)}${picture === null ? "" : `, of this picture ${show(picture)}`}, counts on a logarithmic scale` },
  ...bars, ...marks, text(0, head + height + 14, "start", show(low)), text(width / 2, head + height + 14, "middle", "activation; counts on a logarithmic scale"), text(width, head + height + 14, "end", show(high))));
};

/* The same units across runs, kinds, depths, backbones. */
const MODES = { runs: "runs and recipes", kinds: "kinds at this depth", depth: "depths of this kind", backbones: "backbones" };
const COLUMNS_SHOWN = 10;
const compareView = async (root, backboneId, siteName, query) => {
  const backbone = findBackbone(backboneId) ?? atlas.backbones[0];
  const site = findSite(backbone.id, siteName) ?? mostCompared(backbone);
  const others = (test) => backbone.sites.filter(test);
  const mode = query.get("by") in MODES ? query.get("by") : site.runs.length > 1 ? "runs"
    : others((other) => other.depth === site.depth).length > 1 ? "kinds" : "depth";
  const table = await load(site.id);
  const typed = query.get("units");
  const keys = typed ? typed.split(",").map((key) => key.trim()).filter(Boolean).slice(0, 200)
    : mostRuns(table, COLUMNS_SHOWN).map((unit) => table.keys[unit]);
  const rows = [];  // what is compared; units are the columns
  const row = (other, owner, run, label) => rows.push({ site: other, owner, run, label });
  if (mode === "runs") {
    const runs = [...site.runs].sort((a, b) => (atlas.runs[b].score ?? -1) - (atlas.runs[a].score ?? -1) || a - b);
    const varied = variedSettings(runs.map((run) => atlas.runs[run]));
    for (const run of runs) row(site, backbone, run, runLabel(atlas.runs[run], varied));
    if (!rows.length) row(site, backbone, null, ["strongest photo"]);
  }
  if (mode === "kinds") for (const other of others((item) => item.depth === site.depth).sort(byKind)) row(other, backbone, null, [other.kind, other.name]);
  if (mode === "depth") for (const other of others((item) => item.kind === site.kind)) row(other, backbone, null, [`depth ${other.depth}`, other.name]);
  if (mode === "backbones") for (const owner of atlas.backbones) { const other = owner.sites.find((item) => item.name === site.name); if (other) row(other, owner, null, [owner.id, other.name]); }
  const tables = await Promise.all(rows.map(({ site: other }) => load(other.id)));
  const own = mode !== "runs" && !typed;  // unit 17 of one site has nothing to do with unit 17 of another: each row shows its own
  const side = innerWidth < 760 ? 84 : 108;
  const to = (changes) => {
    const next = new URLSearchParams({ by: mode, ...(typed ? { units: typed } : {}), ...changes.query });
    if (!next.get("units")) next.delete("units");
    location.hash = `${link("compare", changes.backbone ?? backbone.id, changes.site ?? site.name)}?${next}`;
  };
  const cell = (at, key) => {
    const { site: other, owner, run, label } = rows[at], data = tables[at], unit = data.keys.indexOf(key);
    const place = unit < 0 ? undefined : picturesOf(data)[unit].find((item) => run === null || data.run[item] === run);
    if (place === undefined) return h("td", { class: "gap", style: `width:${side}px;min-width:${side}px` }, h("span", { class: "nothing", style: `height:${side}px` }, "not here"));
    const number = picturesOf(data)[unit].indexOf(place), status = data.status[place];
    const value = status === "ok" ? show(data.activation[place]) : status;
    return h("td", {}, h("a", { href: link(owner.id, other.name, key) + (number ? `?picture=${number}` : ""), "aria-label": `${data.addresses[unit]}, ${label.join(", ")}` },
      h("span", { class: "sprite", style: spriteStyle(other, data, place, side) }),
      h("span", { class: "sub pair" }, h("span", {}, own ? key : ""), h("span", { class: status === "ok" || status === "photo" ? null : "problem" }, value))));
  };
  const cells = (at) => (own ? mostRuns(tables[at], COLUMNS_SHOWN).map((unit) => tables[at].keys[unit]) : keys).map((key) => cell(at, key));
  root.replaceChildren(
    h("h1", {}, "Compare"),
    h("p", { class: "lead" }, own ? "Each row shows units of its own site, by their index. Numbers are activations of the clean image."
      : "The same units side by side. Numbers are activations of the clean image."),
    h("div", { class: "bar" },
      atlas.backbones.length > 1 ? h("label", {}, "Backbone", h("select", { id: "backbone", onchange: (event) => to({ backbone: event.target.value, site: "" }) }, atlas.backbones.map((item) => h("option", { selected: item === backbone }, item.id)))) : null,
      h("label", {}, "Site", h("select", { id: "site", onchange: (event) => to({ site: event.target.value, query: { units: "" } }) }, backbone.sites.map((item) => h("option", { selected: item === site }, item.name)))),
      h("label", {}, "Across", h("select", { id: "by", onchange: (event) => to({ query: { by: event.target.value } }) }, Object.entries(MODES).map(([name, label]) => h("option", { value: name, selected: name === mode }, label)))),
      h("label", {}, "Units", h("input", { id: "units", type: "search", value: own ? "" : keys.join(","), placeholder: own ? "of each site" : "0,1,2", style: "width:200px", onchange: (event) => to({ query: { units: event.target.value.trim() } }) }))),
    h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Comparison" }, h("table", { class: "compare" },
      own ? null : h("thead", {}, h("tr", {}, h("th", {}, ""), keys.map((key) => h("th", { scope: "col" }, key)))),
      h("tbody", {}, rows.map(({ label, site: other, owner }, at) => h("tr", {},
        h("th", { scope: "row" }, h("a", { href: link(owner.id, other.name) }, label[0]), label.slice(1).map((line) => h("span", { class: "sub" }, line))), cells(at)))))));
};
const KINDS = ["mlp", "mlp_pre", "block", "attn", "v", "k", "q", "module", "head"];  // what shows features first, as on the index
const byKind = (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind);
const mostCompared = (backbone) => backbone.sites.reduce((best, site) => (site.runs.length > best.runs.length ? site : best));
const mostRuns = (table, number) => {  // units with images of most runs, in order of index
  const runs = (unit) => new Set(picturesOf(table)[unit].filter((place) => table.status[place] !== "photo").map((place) => table.run[place])).size;
  const units = table.keys.map((_, unit) => [unit, runs(unit)]);
  return units.sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, number).map(([unit]) => unit).sort((a, b) => a - b);
};
const variedSettings = (runs) => {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))];
  return names.filter((name) => new Set(runs.map((run) => run.settings[name])).size > 1);
};
const runLabel = (run, varied) => [run.name,
  ...varied.slice(0, 3).map((name) => `${name} ${run.settings[name] ?? "–"}`),
  ...(varied.length > 3 ? [`and ${varied.length - 3} more`] : []),
  ...(run.score === null ? [] : [`score ${show(run.score)}`])];

/* Units of all sites of a backbone by word, where `vitvis.concepts` has found words. */
const FOUND_SHOWN = 240;
const findView = async (root, backboneId, query) => {
  const backbone = findBackbone(backboneId) ?? atlas.backbones.find((item) => item.sites.some((site) => site.words)) ?? atlas.backbones[0];
  const word = (query.get("word") ?? "").trim().toLowerCase();
  const sites = backbone.sites.filter((site) => site.words);
  const tables = word ? await Promise.all(sites.map((site) => load(site.id))) : [];
  const found = tables.flatMap((table, at) => table.keys.flatMap((key, unit) => {
    const rank = table.words[unit].findIndex((item) => item.toLowerCase().includes(word));  // words come best first
    return rank < 0 ? [] : [{ site: sites[at], table, key, unit, rank }];
  })).sort((a, b) => a.rank - b.rank || (b.table.concept[b.unit] ?? -Infinity) - (a.table.concept[a.unit] ?? -Infinity));
  const ask = (text) => { location.hash = `${link("find", backbone.id)}?${new URLSearchParams({ word: text.trim() })}`; };
  root.replaceChildren(
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, backbone.id)),
    h("h1", {}, "Units by word"),
    h("div", { class: "bar" }, h("label", {}, "Word", h("input", { id: "find", type: "search", value: word, placeholder: "music", onchange: (event) => ask(event.target.value) })),
      word ? h("span", { class: "count", role: "status" }, found.length > FOUND_SHOWN ? `${FOUND_SHOWN} of ${found.length} units` : `${found.length} unit${found.length === 1 ? "" : "s"}`) : null),
    !sites.length ? h("p", { class: "lead" }, "No words have been found for these units yet: python -m vitvis.concepts run=RUN")
      : word && !found.length ? h("p", { class: "lead" }, `No unit has a word with “${word}” among its best.`) : "",
    h("div", { class: "found" }, found.slice(0, FOUND_SHOWN).map(({ site, table, key, unit, rank }) =>
      h("a", { href: link(backbone.id, site.name, key), title: table.words[unit].join(", ") },
        h("span", { class: "sprite", role: "img", "aria-label": table.addresses[unit], style: spriteStyle(site, table, unit, innerWidth < 760 ? 104 : 112) }),
        h("span", { class: "under" }, table.addresses[unit]), h("b", { class: "under" }, table.words[unit][rank])))));
};

/* A plane under a canvas that is dragged, pinched, turned towards and away: x, y at its upper left corner, k px a cell. */
const makeViewport = (canvas, columns, rows, acts) => {
  const view = { x: 0, y: 0, k: 1, width: 1, height: 1 };
  const pointers = new Map();
  let moved = false, pinch = null, path = null;
  const least = () => 0.8 * Math.min(view.width / columns, view.height / rows), MOST = 128;
  const clamp = () => {  // at least a third of the window shows some of the plane
    view.k = Math.min(MOST, Math.max(least(), view.k));
    const inside = (at, size, cells) => Math.min(cells - size / 3 / view.k, Math.max(-(size * 2) / 3 / view.k, at));
    view.x = inside(view.x, view.width, columns);
    view.y = inside(view.y, view.height, rows);
  };
  const changed = () => { clamp(); acts.changed(); };
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const zoom = (factor, px = view.width / 2, py = view.height / 2) => {
    const before = view.k;
    view.k = Math.min(MOST, Math.max(least(), view.k * factor));
    view.x += px / before - px / view.k;
    view.y += py / before - py / view.k;
    changed();
  };
  const fit = () => {
    view.k = Math.min(view.width / columns, view.height / rows);
    view.x = (columns - view.width / view.k) / 2;
    view.y = (rows - view.height / view.k) / 2;
    changed();
  };
  const cellAt = ([px, py]) => {
    const column = Math.floor(view.x + px / view.k), row = Math.floor(view.y + py / view.k);
    return column < 0 || row < 0 || column >= columns || row >= rows ? -1 : row * columns + column;
  };
  const reveal = (cell, closer = false) => {  // brings a cell into the window
    if (closer && view.k < 40) view.k = 40;
    const column = cell % columns, row = Math.floor(cell / columns), wide = view.width / view.k, high = view.height / view.k;
    if (closer || column < view.x || column + 1 > view.x + wide) view.x = column + 0.5 - wide / 2;
    if (closer || row < view.y || row + 1 > view.y + high) view.y = row + 0.5 - high / 2;
    changed();
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : event.ctrlKey ? 0.01 : 0.0018)), ...at(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    moved = pointers.size > 1;
    if (pointers.size === 1) path = acts.tool(event) === "pan" ? null : [at(event)];
    else path = null;
    pinch = null;
  });
  canvas.addEventListener("pointermove", (event) => {
    const here = at(event), last = pointers.get(event.pointerId);
    if (!last) return acts.hover(cellAt(here), here, event.pointerType);
    if (pointers.size === 2) {
      pointers.set(event.pointerId, here);
      const [a, b] = [...pointers.values()], middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (pinch) {
        view.x -= (middle[0] - pinch.middle[0]) / view.k;
        view.y -= (middle[1] - pinch.middle[1]) / view.k;
        zoom(apart / pinch.apart, ...middle);
      }
      pinch = { middle, apart };
      return;
    }
    if (!moved && Math.hypot(here[0] - last[0], here[1] - last[1]) < 4) return;
    moved = true;
    acts.hover(-1, here, event.pointerType);
    if (path) { path.push(here); return acts.drawing(path); }
    view.x -= (here[0] - last[0]) / view.k;
    view.y -= (here[1] - last[1]) / view.k;
    pointers.set(event.pointerId, here);
    changed();
  });
  const up = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    pinch = null;
    if (event.type === "pointerup" && path && moved) acts.drawn(path);
    else if (event.type === "pointerup" && !moved && !pointers.size) acts.click(cellAt(at(event)), at(event), event.pointerType);
    if (path) { path = null; acts.drawing(null); }
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", (event) => { if (!pointers.size) acts.hover(-1, at(event), event.pointerType); });
  return { view, zoom, fit, reveal, changed };
};

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
    card.replaceChildren(
      h("div", { class: "pair" }, h("span", { class: "sprite", style: plainSprite(unit.site, unit.unit, 112) }),
        thumbed ? h("img", { src: thumb({ run: photo[0] }, { i: photo[1] }), width: 112, height: 112, alt: "Its strongest photo" }) : null),
      h("b", {}, unit.address), value !== undefined && value !== null ? h("span", { class: "quiet" }, `${TINTS[colour.value]} ${show(value)}`) : null,
      touch ? h("a", { class: "link", href: link(backbone.id, unit.site.name, unit.key) }, "Open this unit") : null);
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

/* Units that a box or a lasso took in: as a list to look at, and as addresses to take along. */
const cellsWithin = (path, box, view, columns, rows) => {  // cells whose middle lies within a box from corner to corner, or a closed line
  const points = path.map(([px, py]) => [view.x + px / view.k, view.y + py / view.k]);
  const first = points[0], last = points[points.length - 1];
  const line = box ? [first, [last[0], first[1]], last, [first[0], last[1]]] : points;
  const [xs, ys] = [line.map((point) => point[0]), line.map((point) => point[1])];
  const found = [], end = (values, most) => [Math.max(0, Math.floor(Math.min(...values))), Math.min(most - 1, Math.floor(Math.max(...values)))];
  const [left, right] = end(xs, columns), [top, bottom] = end(ys, rows);
  for (let row = top; row <= bottom; row++) {
    const y = row + 0.5, crossings = [];
    line.forEach(([ax, ay], place) => {
      const [bx, by] = line[(place + 1) % line.length];
      if ((ay <= y) !== (by <= y)) crossings.push(ax + ((y - ay) / (by - ay)) * (bx - ax));
    });
    crossings.sort((a, b) => a - b);
    for (let column = left; column <= right; column++) {
      const x = column + 0.5;
      if (crossings.filter((crossing) => crossing < x).length % 2) found.push(row * columns + column);
    }
  }
  return found;
};
const addressList = (units) => {  // `SITE:3,17` a site where units are channels, else each by itself; what `units=` takes
  const bySite = new Map(), alone = [];
  for (const unit of units) {
    if (unit.odd || !/^\d+$/.test(unit.key)) alone.push(unit.address);
    else bySite.set(unit.site.name, [...(bySite.get(unit.site.name) ?? []), +unit.key]);
  }
  return [...[...bySite].map(([site, keys]) => `${site}:${keys.sort((a, b) => a - b).join(",")}`), ...alone].join(" ");
};
const CHOSEN_SHOWN = 48;
const chosenList = (backboneId, units, clear) => h("div", { class: "chosen" },
  h("div", { class: "head2" }, h("h2", { id: "chosen-count" }, `${units.length.toLocaleString("en")} unit${units.length === 1 ? "" : "s"} chosen`),
    h("button", { type: "button", id: "copy-addresses", onclick: () => copy(addressList(units), "Addresses copied") }, "Copy addresses"),
    h("button", { type: "button", onclick: clear }, "Clear")),
  h("div", { class: "row near" }, units.slice(0, CHOSEN_SHOWN).map((unit) => h("a", { href: link(backboneId, unit.site.name, unit.key), title: unit.address },
    h("span", { class: "sprite", style: plainSprite(unit.site, unit.unit, 64) }), h("span", { class: "under" }, unit.address)))),
  units.length > CHOSEN_SHOWN ? h("p", { class: "quiet" }, `and ${(units.length - CHOSEN_SHOWN).toLocaleString("en")} more`) : null);

/* From links to pages. */
let bound = [];
const listen = (target, type, handler, options) => { target.addEventListener(type, handler, options); bound.push(() => target.removeEventListener(type, handler, options)); };
const typing = (event) => event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName ?? "");
const missing = (root, text, up = "#/") => root.replaceChildren(h("h1", {}, "Not here"), h("p", { class: "lead problem" }, text), h("a", { href: up }, "Go back"));
const scrolls = new Map();
let current = "", turn = 0;

const route = async () => {
  const hash = location.hash;
  if (hash === "#main") return;
  scrolls.set(current, scrollY);
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?");
  const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
  const parts = path.split("/").filter(Boolean).map(decode), query = new URLSearchParams(search);
  const isCompare = parts[0] === "compare" && !findBackbone("compare"), isFind = parts[0] === "find" && !findBackbone("find");
  const isMap = parts[0] === "map" && !findBackbone("map");
  const view = !parts.length ? (atlas.backbones.length ? "index" : "evaluation") : isCompare ? "compare" : isFind ? "find" : isMap ? "map" : parts[0] === "evaluation" && !findBackbone("evaluation") ? "evaluation" : parts.length === 1 ? "index" : parts.length === 2 ? "site" : "unit";
  const mine = ++turn;
  bound.splice(0).forEach((undo) => undo());
  const old = $(`[data-view="${view}"]`);
  if (!old) { location.hash = "#/"; return; }
  const root = view === "index" || view === "evaluation" ? old : old.cloneNode(false);  // a late answer writes into a page that has gone
  if (root !== old) old.replaceWith(root);
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section !== root;
  for (const item of document.querySelectorAll("[data-nav]")) item.dataset.nav === view ? item.setAttribute("aria-current", "page") : item.removeAttribute("aria-current");
  document.title = [...parts.slice(isCompare || isFind || isMap ? 0 : 1).reverse(), atlas.title].join(" · ");
  current = hash;
  scrollTo(0, 0);
  try {
    if (view === "site") await siteView(root, parts[0], parts[1], query);
    if (view === "unit") await unitView(root, parts[0], parts[1], parts.slice(2).join("/"), query);
    if (view === "find") await findView(root, parts[1], query);
    if (view === "map") await mapView(root, parts[1], query);
    if (view === "compare") await compareView(root, parts[1], parts[2], query);
  } catch (error) {
    missing(root, error.message);
  }
  if (mine === turn) {
    root.dataset.ready = hash;
    if (scrolls.get(hash) && view !== "unit" && !query.has("at")) scrollTo(0, scrolls.get(hash));
  }
};

const start = (content) => {
  atlas = content;
  document.documentElement.dataset.js = "1";
  if (recall("theme")) document.documentElement.dataset.theme = recall("theme");
  $("#theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    remember("theme", document.documentElement.dataset.theme);
  });
  addEventListener("hashchange", route);
  route();
};
})();
