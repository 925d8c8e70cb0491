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
  return h("figure", { class: "hist" }, svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height + head + 22}`, role: "img",
    "aria-label": `Histogram of activations from ${show(low)} to ${show(end)}, mean ${show(search.mean)}${picture === null ? "" : `, of this picture ${show(picture)}`}, counts on a logarithmic scale` },
  ...bars, ...marks, text(0, head + height + 16, "start", show(low)), text(width / 2, head + height + 16, "middle", "activation; counts on a logarithmic scale"), text(width, head + height + 16, "end", show(high))));
};
