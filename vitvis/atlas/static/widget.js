/* The widget of vitvis.widget: what is chosen goes to Python, pictures and photos come back as HTML. */
const STYLE = `
.vitvis { font: 13px/1.5 system-ui, sans-serif; color: inherit; }
.vitvis form { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: end; margin: 0 0 10px; }
.vitvis label { display: grid; gap: 2px; }
.vitvis select, .vitvis input, .vitvis button { font: inherit; min-height: 28px; }
.vitvis input[type=number] { width: 6em; }
.vitvis input[type=range] { width: 160px; }
.vitvis [role=status] { min-height: 1.5em; }`;

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

export default {
  render({ model, el }) {
    const site = element("select"), unit = element("input", { type: "number", min: 0, step: 1 });
    for (const [name] of model.get("sites")) site.append(element("option", { value: name }, name));
    const steps = element("input", { type: "range", min: 10, max: 300, step: 10 });
    const decay = element("input", { type: "range", min: 0, max: 2.5, step: 0.05 });
    const said = { steps: element("span"), decay: element("span") };
    const button = element("button", { type: "submit" }, "Fit"), status = element("div", { role: "status" });
    const pictures = element("div", { class: "pictures" }), photos = element("div", { class: "photos" });
    const form = element("form", {},
      element("label", {}, "Site", site), element("label", {}, "Unit", unit),
      element("label", {}, said.steps, steps), element("label", {}, said.decay, decay), button);
    // without this, on each control itself, JupyterLab takes the arrow keys of sliders for its own
    for (const control of form.elements) control.setAttribute("data-lm-suppress-shortcuts", "true");
    el.append(element("style", {}, STYLE), element("div", { class: "vitvis" }, form, status, pictures, photos));

    const write = (name, value) => { model.set(name, value); model.save_changes(); };
    const width = () => (model.get("sites").find(([name]) => name === model.get("site")) ?? [null, 1])[1];
    let asked = model.get("done"), waiting = false;  // what is dragged while a fit runs is fitted after it, once
    const show = () => {
      site.value = model.get("site"); unit.max = width() - 1; unit.value = model.get("unit");
      steps.value = model.get("steps"); decay.value = model.get("decay");
      said.steps.textContent = `Steps ${steps.value}`; said.decay.textContent = `Decay ${decay.value}`;
      const state = model.get("state"), busy = asked > model.get("done");
      button.disabled = busy;
      status.textContent = busy ? `Fitting ${site.value}:${unit.value} …` : state === "ready" ? "" : state;
      pictures.innerHTML = model.get("pictures"); photos.innerHTML = model.get("photos");
      if (waiting && !busy) fit();
    };
    const fit = () => {  // values go with the message: changes of the model may come later than it
      waiting = asked > model.get("done");
      if (waiting) return;
      asked = model.get("done") + 1;
      model.send({ fit: asked, ...Object.fromEntries(["site", "unit", "steps", "decay"].map((name) => [name, model.get(name)])) });
      show();
    };
    site.onchange = () => { if (model.get("unit") >= (model.get("sites").find(([name]) => name === site.value) ?? [null, 1])[1]) model.set("unit", 0); write("site", site.value); };
    unit.onchange = () => write("unit", Math.min(width() - 1, Math.max(0, Math.round(Number(unit.value) || 0))));
    steps.oninput = () => { said.steps.textContent = `Steps ${steps.value}`; };
    decay.oninput = () => { said.decay.textContent = `Decay ${decay.value}`; };
    steps.onchange = () => { write("steps", Number(steps.value)); fit(); };
    decay.onchange = () => { write("decay", Number(decay.value)); fit(); };
    form.onsubmit = (event) => { event.preventDefault(); fit(); };
    model.on("change", show);
    show();
    return () => model.off("change", show);
  },
};
