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
