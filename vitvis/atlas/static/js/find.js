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
