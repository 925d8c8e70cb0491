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
