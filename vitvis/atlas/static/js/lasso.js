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
