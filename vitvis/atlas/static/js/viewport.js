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
