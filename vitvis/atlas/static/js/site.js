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
  const bars = counts.map((number, place) => `<rect x="${place * wide}" y="${high - high * number / most}" width="${wide - 1}" height="${high * number / most}"><title>${number} latents on at 1 token in ${thousands(Math.round(10 ** (-(place + low) / 4)))} or fewer</title></rect>`);
  const figure = h("figure", { class: "density" });
  figure.innerHTML = `<svg viewBox="0 0 ${counts.length * wide} ${high}" width="${counts.length * wide}" height="${high}" fill="currentColor" role="img" aria-label="Density of latents">${bars.join("")}</svg>`;
  figure.append(h("figcaption", { class: "quiet" }, `How often latents are on: from 1 token in ${thousands(Math.round(10 ** (-low / 4)))} (left) to every token (right). ${thousands(known.length - on.length)} of ${thousands(known.length)} are never on.`));
  return figure;
};

const siteSteps = (backboneId, site) => {  // same kind, one block shallower or deeper
  const same = findBackbone(backboneId).sites.filter((other) => other.kind === site.kind);
  const at = same.findIndex((other) => other.id === site.id);
  return h("span", { class: "quiet" }, [[at - 1, "← shallower"], [at + 1, "deeper →"]].map(([place, word]) =>
    same[place] ? h("a", { href: link(backboneId, same[place].name), title: same[place].name, style: "margin-right:14px" }, word) : null));
};
