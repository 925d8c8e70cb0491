/* Small tools, and data: scripts call vitvis.put(name, content), since fetch is blocked on file://. Text only ever enters the
   page as text nodes. The parts in this folder are joined, in the order that pages.py gives, within one function. */
const $ = (selector, root = document) => root.querySelector(selector);
const h = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") node.style.cssText = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};
const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const show = (value, digits = 3) =>
  value === null || value === undefined ? "–" : typeof value === "number" ? String(+value.toPrecision(digits)).replace("-", "\u2212") : String(value);
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
const fullName = (backbone) => `${backbone.name}@${backbone.weights_id.slice(0, 6)}`;
const findBackbone = (id) => atlas.backbones.find((backbone) => backbone.id === id)  // a link from another atlas still leads here
  ?? atlas.backbones.find((backbone) => fullName(backbone) === id) ?? atlas.backbones.find((backbone) => backbone.name === id);
const findSite = (backbone, name) => findBackbone(backbone)?.sites.find((site) => site.name === name);
const picturesOf = (table) => {  // places of the pictures of each unit, tile first
  if (!table.byUnit) {
    table.byUnit = table.keys.map(() => []);
    table.unit.forEach((unit, place) => table.byUnit[unit].push(place));
  }
  return table.byUnit;
};
