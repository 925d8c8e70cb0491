/* vitvis atlas: routes, the grid of a site, the page of a unit, comparisons. No dependency, no request but for files beside it.
   Data comes as scripts that call vitvis.put(name, content), since fetch is blocked on file://. Text only ever enters the
   page as text nodes. */
"use strict";
(() => {
  // --- small tools -------------------------------------------------------------------------------------------------
  const $ = (selector, root = document) => root.querySelector(selector);
  const h = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") node.style.cssText = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };
  const svg = (tag, attributes = {}, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const show = (value, digits = 3) =>
    value === null || value === undefined ? "–" : typeof value === "number" ? String(+value.toPrecision(digits)) : String(value);
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

  // --- data --------------------------------------------------------------------------------------------------------
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
  const findBackbone = (id) => atlas.backbones.find((backbone) => backbone.id === id);
  const findSite = (backbone, name) => findBackbone(backbone)?.sites.find((site) => site.name === name);
  const picturesOf = (table) => {  // places of the pictures of each unit, tile first
    if (!table.byUnit) {
      table.byUnit = table.keys.map(() => []);
      table.unit.forEach((unit, place) => table.byUnit[unit].push(place));
    }
    return table.byUnit;
  };

  // --- sprites -----------------------------------------------------------------------------------------------------
  const spriteStyle = (site, table, place, side) => {
    const columns = atlas.columns, cell = place % (columns * columns), sheet = Math.floor(place / (columns * columns));
    const left = (cell % columns) * side, top = Math.floor(cell / columns) * side;
    const colour = table.colour[place];
    if (!colour) return `width:${side}px;height:${side}px`;
    return `width:${side}px;height:${side}px;background-color:#${colour};background-image:url(sprites/${site.id}-${sheet}.webp);` +
      `background-size:${columns * side}px auto;background-position:-${left}px -${top}px`;
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

  // --- site: sort, filter, virtual grid ----------------------------------------------------------------------------
  const SORTS = {
    index: ["index", (table) => (unit) => table.index[unit], false],
    activation: ["activation", (table, place) => (unit) => table.activation[place(unit)], true],
    selectivity: ["selectivity", (table, place) => (unit) => table.selectivity[place(unit)], true],
    exemplar: ["strongest photo", (table) => (unit) => table.strongest[unit], true],
    concept: ["concept score", (table) => (unit) => table.concept[unit], true],
  };
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
        const status = table.status[place(unit)];
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
      show: ["ok", "dead", "failed"].includes(query.get("show")) ? query.get("show") : "all",
      run: query.has("run") && site.runs.includes(+query.get("run")) ? +query.get("run") : null,
    };
    let side = Math.min(192, Math.max(40, +(recall("tile") ?? 0) || (innerWidth < 760 ? 76 : 96)));
    let order, columns = 1, first = -1, last = -1, focused = 0;
    const tiles = new Map();
    const grid = h("div", { class: "grid", role: "list", "aria-label": `Units of ${siteName}` });
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
      const value = options.sort === "concept" ? table.concept[unit] : options.sort === "selectivity" ? table.selectivity[place] : options.sort === "exemplar" ? table.strongest[unit] : table.activation[place] ?? table.strongest[unit];
      const note = status === "ok" || status === "photo" ? (value === null ? "" : show(value, 2)) : status;
      return h("a", {
        class: `tile ${status}`, href: link(backboneId, siteName, key), "data-position": position, tabindex: position === focused ? 0 : -1,
        title: table.addresses[unit], "aria-label": `${table.addresses[unit]}, ${status}${value === null ? "" : `, ${show(value)}`}`,
        style: `width:${side}px;height:${side + LABEL}px;left:${(position % columns) * (side + GAP)}px;top:${Math.floor(position / columns) * height}px`,
      }, h("i", { style: spriteStyle(site, table, place, side) }), h("span", {}, h("span", {}, key), side >= 64 ? h("span", {}, note) : null));
    };
    const lay = () => {
      columns = Math.max(1, Math.floor((grid.clientWidth + GAP) / (side + GAP)));
      grid.style.height = `${Math.ceil(order.units.length / columns) * (side + LABEL + GAP)}px`;
      draw(true);
    };
    const apply = (keep) => {
      order = orderOf(table, options);
      orders.set(site.id, order.units);
      focused = 0;
      count.textContent = order.units.length === table.keys.length ? `${table.keys.length} units` : `${order.units.length} of ${table.keys.length} units`;
      const wanted = new URLSearchParams();
      if (options.sort !== "index") wanted.set("sort", options.sort);
      if (options.reverse) wanted.set("order", "reverse");
      if (options.show !== "all") wanted.set("show", options.show);
      if (options.word) wanted.set("word", options.word);
      if (options.run !== null) wanted.set("run", options.run);
      if (keep) history.replaceState(null, "", link(backboneId, siteName) + (String(wanted) ? `?${wanted}` : ""));
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
    const states = ["dead", "failed"].filter((state) => table.status.includes(state));
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
          ["all", "ok", ...(states.length ? states : [])].map((name) => h("option", { value: name, selected: name === options.show }, name)))),
        shown && h("label", {}, "Run", h("select", { id: "run", onchange: (event) => { options.run = event.target.value === "" ? null : +event.target.value; apply(true); } },
          h("option", { value: "" }, "first"), site.runs.map((run) => h("option", { value: run, selected: run === options.run }, atlas.runs[run].name)))),
        h("label", {}, "Unit", h("input", { id: "jump", type: "search", placeholder: "index", onkeydown: (event) => { if (event.key === "Enter") jump(event.target.value); } })),
        table.words.some((words) => words.length) && h("label", {}, "Word", h("input", { id: "word", type: "search", placeholder: "music", value: options.word, onchange: (event) => { options.word = event.target.value.trim().toLowerCase(); apply(true); } })),
        h("label", {}, "Size", h("input", { id: "size", type: "range", min: 40, max: 192, step: 4, value: side, oninput: (event) => { side = +event.target.value; remember("tile", side); lay(); } })),
        h("a", { href: link("compare", backboneId, siteName) }, "Compare"), count),
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

  const siteSteps = (backboneId, site) => {  // same kind, one block shallower or deeper
    const same = findBackbone(backboneId).sites.filter((other) => other.kind === site.kind);
    const at = same.findIndex((other) => other.id === site.id);
    return h("span", { class: "quiet" }, [[at - 1, "← shallower"], [at + 1, "deeper →"]].map(([place, word]) =>
      same[place] ? h("a", { href: link(backboneId, same[place].name), title: same[place].name, style: "margin-right:14px" }, word) : null));
  };

  // --- unit --------------------------------------------------------------------------------------------------------
  const unitView = async (root, backboneId, siteName, key, query) => {
    const site = findSite(backboneId, siteName);
    if (!site) return missing(root, `There is no site ${siteName} of ${backboneId} in this atlas.`);
    const table = await load(site.id);
    const unit = table.keys.indexOf(key);
    if (unit < 0) return missing(root, `There is no unit ${key} of ${siteName} in this atlas.`, link(backboneId, siteName));
    const details = (await load(`${site.id}-${Math.floor(unit / atlas.part)}`))[unit % atlas.part];
    const places = picturesOf(table)[unit];
    const wanted = +query.get("picture");
    const place = places[wanted] ?? places[0];
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
    const command = details.commands[place];
    const run = atlas.runs[table.run[place]];
    root.replaceChildren(
      h("p", { class: "crumbs" }, h("a", { href: "#/" }, backboneId), " / ", h("a", { href: grid }, siteName)),
      h("div", { class: "title" }, h("h1", {}, table.addresses[unit]),
        h("span", { class: "quiet" }, h("i", { class: `swatch k-${site.kind}` }), ` ${site.kind} at depth ${site.depth}`)),
      h("div", { class: "unit" },
        h("div", {},
          bigPicture(site, table, place, unit),
          h("p", { class: "steps" },
            h("button", { id: "previous", type: "button", disabled: at <= 0, onclick: () => go(units[at - 1]) }, "← Previous"),
            h("button", { id: "next", type: "button", disabled: at >= units.length - 1, onclick: () => go(units[at + 1]) }, "Next →"),
            h("button", { id: "random", type: "button", onclick: random }, "Random"),
            h("button", { type: "button", onclick: () => { location.hash = link("compare", backboneId, siteName) + `?units=${encodeURIComponent(key)}`; } }, "Compare"))),
        h("div", {}, facts(table, place, unit, details), table.message[place] ? h("p", { class: "problem" }, table.message[place]) : null,
          seeds(site, table, places, place, backboneId, siteName, key),
          table.strip[place] ? [h("h2", {}, "Over the steps"), h("img", { class: "strip", loading: "lazy", src: table.strip[place], alt: "The image at evenly spaced steps, first to last" })] : null,
          details.near.length ? [h("h2", {}, "Nearest units, by strongest photos shared"), h("div", { class: "row" }, details.near.map(([other, shared]) =>
            h("a", { href: link(backboneId, siteName, table.keys[other]), title: `${table.addresses[other]}: ${shared} shared` },
              h("span", { class: "sprite", style: spriteStyle(site, table, other, 64) }), h("span", { class: "quiet mono" }, `${table.keys[other]}`))))] : null)),
      ...details.search.map((search) => exemplars(search, toggle, details.search.length > 1)),
      command ? h("h2", {}, "Rebuild this image") : "",
      command ? h("pre", { id: "command" }, command) : "",
      command ? h("button", { id: "copy", type: "button", onclick: () => copy(command) }, "Copy command") : "",
      table.status[place] === "photo" ? "" : settings(run));
    listen(document, "keydown", (event) => {
      if (typing(event)) return;
      if (event.key === "ArrowLeft") go(units[at - 1]);
      else if (event.key === "ArrowRight") go(units[at + 1]);
      else if (event.key === "r") random();
      else if (event.key === "o" && details.search.length) toggle();
      else if (event.key === "Escape" || event.key === "g") location.hash = grid;
    });
  };

  const bigPicture = (site, table, place, unit) => {
    const file = table.file[place];
    const alt = table.status[place] === "photo" ? `Strongest photo of ${table.addresses[unit]}` : `Image optimised for ${table.addresses[unit]}`;
    if (file) return h("a", { href: file, target: "_blank", rel: "noopener", "aria-label": "Open the full-size image" }, h("img", { class: "big", src: file, alt, style: `background-color:#${table.colour[place]}` }));
    const side = Math.min(460, innerWidth - 40);
    return h("div", { role: "img", "aria-label": alt, class: "sprite", style: spriteStyle(site, table, place, side) });
  };
  const facts = (table, place, unit, details) => {
    const search = details.search[0];
    const photo = table.status[place] === "photo";
    const rows = [
      !photo && ["status", table.status[place]],
      !photo && ["activation", `${show(table.activation[place])}${table.activation_start[place] === null ? "" : ` from ${show(table.activation_start[place])}`}`],
      !photo && ["at its peak", show(table.activation_peak[place])],
      !photo && table.rank[place] !== null && ["rank at the site", show(table.rank[place], 6)],
      !photo && ["selectivity", show(table.selectivity[place])],
      !photo && ["high frequencies", percent(table.hf_share[place])],
      table.words[unit].length > 0 && ["words", table.words[unit].join(", ")],
      table.concept[unit] !== null && ["concept score", show(table.concept[unit])],
      search && ["strongest photo", show(table.strongest[unit])],
      search && ["mean over photos", `${show(search.mean)} ± ${show(search.std)}`],
      search && ["positive", percent(search.positive_share)],
      search && search.inside !== null && ["inside the box", show(search.inside)],
      search && search.outside !== null && ["outside the box", show(search.outside)],
      !photo && ["seed", show(table.seed[place])],
      !photo && ["steps", show(table.steps[place], 6)],
    ];
    return h("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  };
  const seeds = (site, table, places, chosen, backboneId, siteName, key) => places.length < 2 ? null : [
    h("h2", {}, "Other seeds and runs"),
    h("div", { class: "row", id: "seeds" }, places.map((place, number) => h("a", {
      href: link(backboneId, siteName, key) + (number ? `?picture=${number}` : ""), "aria-current": place === chosen ? "true" : null,
      title: `${atlas.runs[table.run[place]].name}, seed ${table.seed[place]}`,
    }, h("span", { class: "sprite", style: spriteStyle(site, table, place, 96) + (place === chosen ? ";outline:2px solid var(--accent)" : "") }),
    h("span", { class: "under" }, `seed ${show(table.seed[place])}, ${show(table.activation[place], 2)}`),
    site.runs.length > 1 ? h("span", { class: "under" }, atlas.runs[table.run[place]].name) : null))),
  ];
  const exemplars = (search, toggle, several) => {
    const run = atlas.runs[search.run];
    const mapped = search.strong.some((photo) => photo.m);
    const photos = (list, id) => h("div", { class: "row", id }, list.map((photo) => h("figure", {},
      h("span", { class: `photo${photo.m ? " mapped" : ""}` },
        h("img", { loading: "lazy", src: `thumbs/r${search.run}/${photo.i}.jpg`, alt: photo.l ? `Photo ${photo.i}: ${photo.l}` : `Photo ${photo.i}` }),
        photo.m ? heat(photo.m, search.grid) : null),
      h("figcaption", {}, show(photo.a), photo.l ? h("br") : null, photo.l ?? null, photo.k ? h("br") : null, photo.k ?? null))));
    return h("div", { class: "search" },
      h("div", { class: "head2" }, h("h2", {}, `Strongest photos${several ? ` in ${run.name}` : ""}`),
        mapped ? h("button", { type: "button", class: "toggle", "aria-pressed": String(recall("overlay") === "1"), onclick: toggle }, "Patch map") : null),
      photos(search.strong, "strongest"),
      h("div", { class: "head2" }, h("h2", {}, "Weakest photos")), photos(search.weak, "weakest"),
      search.hist ? [h("h2", {}, `Activation over ${show(search.count, 9)} photos`), histogram(search)] : null);
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
  const histogram = (search) => {
    const [counts, low, high] = search.hist, top = Math.max(...counts, 1), width = 460, height = 110;
    const bars = counts.map((count, place) => {
      const tall = count ? Math.max(1, (Math.log1p(count) / Math.log1p(top)) * height) : 0;
      return svg("rect", { x: (place / counts.length) * width, width: Math.max(1, width / counts.length - 1), y: height - tall, height: tall });
    });
    const text = (x, anchor, value) => svg("text", { x, y: height + 16, "text-anchor": anchor }, value);
    return svg("svg", { class: "chart hist", viewBox: `0 0 ${width} ${height + 20}`, role: "img", "aria-label": `Histogram from ${show(low)} to ${show(high)}, counts on a logarithmic scale` },
      ...bars, text(0, "start", show(low)), text(width / 2, "middle", "counts on a logarithmic scale"), text(width, "end", show(high)));
  };
  const settings = (run) => h("details", {}, h("summary", {}, `All settings of ${run.name}`),
    h("dl", { class: "settings" }, [["recipe", run.recipe], ["vitvis", run.vitvis], ["made", run.created], ...Object.entries(run.settings)].map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", { class: "mono" }, value)))));
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = h("textarea", { style: "position:fixed;opacity:0" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say("Command copied");
  };

  // --- compare -----------------------------------------------------------------------------------------------------
  const MODES = { runs: "runs and recipes", kinds: "kinds at this depth", depth: "depths of this kind", backbones: "backbones" };
  const compareView = async (root, backboneId, siteName, query) => {
    const backbone = findBackbone(backboneId) ?? atlas.backbones[0];
    const site = findSite(backbone.id, siteName) ?? backbone.sites[0];
    const several = site.runs.length > 1;
    const mode = query.get("by") in MODES ? query.get("by") : several ? "runs" : backbone.sites.some((other) => other.depth === site.depth && other.kind !== site.kind) ? "kinds" : "depth";
    const table = await load(site.id);
    const typed = query.get("units");
    const keys = typed ? typed.split(",").map((key) => key.trim()).filter(Boolean).slice(0, 200) : table.keys.slice(0, 10);
    const rows = [];  // what is compared; units are the columns
    const row = (other, owner, run, label) => rows.push({ site: other, owner, run, label });
    if (mode === "runs") for (const run of [...site.runs].sort((a, b) => (atlas.runs[b].score ?? -1) - (atlas.runs[a].score ?? -1) || a - b)) row(site, backbone, run, runLabel(atlas.runs[run]));
    if (mode === "runs" && !rows.length) row(site, backbone, null, ["strongest photo"]);
    if (mode === "kinds") for (const other of backbone.sites.filter((item) => item.depth === site.depth)) row(other, backbone, null, [other.kind, other.name]);
    if (mode === "depth") for (const other of backbone.sites.filter((item) => item.kind === site.kind)) row(other, backbone, null, [`depth ${other.depth}`, other.name]);
    if (mode === "backbones") for (const owner of atlas.backbones) { const other = owner.sites.find((item) => item.name === site.name); if (other) row(other, owner, null, [owner.id, other.name]); }
    const tables = await Promise.all(rows.map(({ site: other }) => load(other.id)));
    const side = innerWidth < 760 ? 88 : 104;
    const to = (changes) => {
      const next = new URLSearchParams({ by: mode, ...(typed ? { units: typed } : {}), ...changes.query });
      location.hash = `${link("compare", changes.backbone ?? backbone.id, changes.site ?? site.name)}?${next}`;
    };
    const cell = (at, key) => {
      const { site: other, owner, run, label } = rows[at], data = tables[at], unit = data.keys.indexOf(key);
      const place = unit < 0 ? undefined : picturesOf(data)[unit].find((item) => run === null || data.run[item] === run);
      if (place === undefined) return h("td", { class: "gap", "aria-label": "not in this run" }, "·");
      const number = picturesOf(data)[unit].indexOf(place);
      return h("td", {}, h("a", { href: link(owner.id, other.name, key) + (number ? `?picture=${number}` : ""), "aria-label": `${data.addresses[unit]}, ${label.join(" ")}` },
        h("span", { class: "sprite", style: spriteStyle(other, data, place, side) }),
        h("span", { class: "sub" }, data.status[place] === "ok" ? show(data.activation[place]) : data.status[place])));
    };
    root.replaceChildren(
      h("h1", {}, "Compare"),
      h("p", { class: "lead" }, "The same units side by side. Numbers are activations of the clean image."),
      h("div", { class: "bar" },
        atlas.backbones.length > 1 ? h("label", {}, "Backbone", h("select", { id: "backbone", onchange: (event) => to({ backbone: event.target.value, site: "" }) }, atlas.backbones.map((item) => h("option", { selected: item === backbone }, item.id)))) : null,
        h("label", {}, "Site", h("select", { id: "site", onchange: (event) => to({ site: event.target.value }) }, backbone.sites.map((item) => h("option", { selected: item === site }, item.name)))),
        h("label", {}, "Across", h("select", { id: "by", onchange: (event) => to({ query: { by: event.target.value } }) }, Object.entries(MODES).map(([name, label]) => h("option", { value: name, selected: name === mode }, label)))),
        h("label", {}, "Units", h("input", { id: "units", type: "search", value: keys.join(","), style: "width:180px", onchange: (event) => to({ query: { units: event.target.value } }) }))),
      h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Comparison" }, h("table", { class: "compare" },
        h("thead", {}, h("tr", {}, h("th", {}, ""), keys.map((key) => h("th", { scope: "col" }, key)))),
        h("tbody", {}, rows.map(({ label }, at) => h("tr", {}, h("th", { scope: "row" }, label[0], label.slice(1).map((line) => h("span", { class: "sub" }, line))), keys.map((key) => cell(at, key))))))));
  };
  const runLabel = (run) => [run.name, ...Object.entries(run.differs).slice(0, 3).map(([name, value]) => `${name} ${value}`), ...(run.score === null ? [] : [`score ${show(run.score)}`])];

  // --- routes ------------------------------------------------------------------------------------------------------
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
    const isCompare = parts[0] === "compare" && !findBackbone("compare");
    const view = !parts.length ? "index" : isCompare ? "compare" : parts[0] === "evaluation" && !findBackbone("evaluation") ? "evaluation" : parts.length === 1 ? "index" : parts.length === 2 ? "site" : "unit";
    const mine = ++turn;
    bound.splice(0).forEach((undo) => undo());
    const old = $(`[data-view="${view}"]`);
    if (!old) { location.hash = "#/"; return; }
    const root = view === "index" || view === "evaluation" ? old : old.cloneNode(false);  // a late answer writes into a page that has gone
    if (root !== old) old.replaceWith(root);
    for (const section of document.querySelectorAll("[data-view]")) section.hidden = section !== root;
    for (const item of document.querySelectorAll("[data-nav]")) item.dataset.nav === view ? item.setAttribute("aria-current", "page") : item.removeAttribute("aria-current");
    document.title = [...parts.slice(isCompare ? 0 : 1).reverse(), atlas.title].join(" · ");
    current = hash;
    scrollTo(0, 0);
    try {
      if (view === "site") await siteView(root, parts[0], parts[1], query);
      if (view === "unit") await unitView(root, parts[0], parts[1], parts.slice(2).join("/"), query);
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
