/* The same units across runs, kinds, depths, backbones. */
const MODES = { runs: "runs and recipes", kinds: "kinds", depth: "depths", backbones: "backbones" };
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
