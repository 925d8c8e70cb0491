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
  const own = photo ? [] : [
    h("h2", {}, "The image"),
    imageFacts(site, table, place, search),
    verdict(table, place),
    seeds(site, table, places, place, backboneId, siteName, key),
    table.strip[place] ? [h("h2", {}, "Over the steps"), h("img", { class: "strip", loading: "lazy", src: table.strip[place], alt: "The image at evenly spaced steps, first to last" })] : null,
  ].flat();
  const told = [  // of photos: what a search and words say
    search || table.words[unit].length || table.concept[unit] !== null ? photoFacts(table, unit, search) : null,
    search?.hist ? histogram(search, photo || table.status[place] !== "ok" ? null : table.activation[place]) : null,
  ];
  const classes = search ? [classBars(search), effectBars(search)] : [];
  const sides = photo ? [told, [classes, near]] : [[own, near], [told, classes]];  // of about the same height
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
      alone ? [pictures, h("div", {}, own, told, classes, near)] : sides.map((side) => h("div", {}, side))),
    ...details.search.map((found) => exemplars(found, toggle, details.search.length > 1)),
    command ? h("h2", {}, photo ? "Make an image of this unit" : "Rebuild this image") : "",
    command && photo ? h("p", { class: "lead" }, "No image has been optimised for this unit yet; this command makes one.") : "",
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
    value !== null && ["activation", `${show(value)}${table.activation_start[place] === null ? "" : ` from ${show(table.activation_start[place], 2)}`}`],
    value > 0 && best > 0 && ["against the strongest photo", `${show(value / best, 2)} ×`],
    table.activation_peak[place] !== null && ["strongest tenth of tokens", show(table.activation_peak[place])],
    table.rank[place] !== null && ["rank at the site", `${show(table.rank[place], 6)} of ${site.width || "?"}`],
    table.selectivity[place] !== null && ["selectivity", show(table.selectivity[place])],
    table.hf_share[place] !== null && ["high frequencies", percent(table.hf_share[place])],
    table.judge[place] !== null && ["judge", `${show(table.judge[place], 2)}${table.judges[place] ? ` by ${table.judges[place]}` : ""}`],
    table.class_probability[place] !== null && ["class, to the judge", `${percent(table.class_probability[place])}${table.class_rank[place] === null ? "" : `, place ${show(table.class_rank[place], 3)}`}`],
    table.kept[place] !== null && ["activation kept", percent(table.kept[place])],
    table.agreement[place] !== null && ["seeds agree", percent(table.agreement[place])],
    table.seed[place] !== null && ["seed", show(table.seed[place])],
    table.steps[place] !== null && ["steps", show(table.steps[place], 6)],
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
