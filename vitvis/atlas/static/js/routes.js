/* From links to pages. */
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
  const isCompare = parts[0] === "compare" && !findBackbone("compare"), isFind = parts[0] === "find" && !findBackbone("find");
  const isMap = parts[0] === "map" && !findBackbone("map");
  const view = !parts.length ? (atlas.backbones.length ? "index" : "evaluation") : isCompare ? "compare" : isFind ? "find" : isMap ? "map" : parts[0] === "evaluation" && !findBackbone("evaluation") ? "evaluation" : parts.length === 1 ? "index" : parts.length === 2 ? "site" : "unit";
  const mine = ++turn;
  bound.splice(0).forEach((undo) => undo());
  const old = $(`[data-view="${view}"]`);
  if (!old) { location.hash = "#/"; return; }
  const root = view === "index" || view === "evaluation" ? old : old.cloneNode(false);  // a late answer writes into a page that has gone
  if (root !== old) old.replaceWith(root);
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section !== root;
  for (const item of document.querySelectorAll("[data-nav]")) item.dataset.nav === view ? item.setAttribute("aria-current", "page") : item.removeAttribute("aria-current");
  document.title = [...parts.slice(isCompare || isFind || isMap ? 0 : 1).reverse(), atlas.title].join(" · ");
  current = hash;
  scrollTo(0, 0);
  try {
    if (view === "site") await siteView(root, parts[0], parts[1], query);
    if (view === "unit") await unitView(root, parts[0], parts[1], parts.slice(2).join("/"), query);
    if (view === "find") await findView(root, parts[1], query);
    if (view === "map") await mapView(root, parts[1], query);
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
