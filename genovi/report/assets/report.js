"use strict";
(() => {
  // ---------------------------------------------------------------------------------------------------------- data
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const floats = (text) => new Float32Array(bytes(text));
  const codes = (text) => new Uint16Array(bytes(text));
  const optional = (text, decode) => (text === null ? null : decode(text));

  const names = data.samples;
  const n = names.length;
  const mean = data.mean.map(floats);
  const std = data.std === null ? null : data.std.map(floats);
  const missing = optional(data.missing, floats);
  const misfit = optional(data.misfit, floats);
  const cluster = optional(data.cluster, codes);
  const clusterProb = optional(data.clusterProb, floats);
  const population = codes(data.population);
  const similar = optional(data.similar, codes);
  const numbers = data.numbers.map(({ name, values }) => ({ name, values: floats(values) }));
  const styles = [data.unlabelled, ...data.populations];
  const labelled = data.column !== null;
  const number = (value, digits = 3) => Number(value.toPrecision(digits)).toString().replace("-", "\u2212");
  const count = (value) => value.toLocaleString("en");
  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text; // never as HTML: names come from outside
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  // ---------------------------------------------------------------------------------------------------------- plot
  const MARKERS = {
    o: ["circle", 0], s: ["square", 0], "^": ["triangle", 0], D: ["diamond", 0], v: ["inverted_triangle", 0],
    P: ["plus", 0], X: ["plus", Math.PI / 4], "<": ["triangle", Math.PI / 2], p: ["square_pin", 0],
    ">": ["triangle", -Math.PI / 2], h: ["hex", 0], "*": ["star", 0],
  };
  const base = n > 20000 ? 4 : n > 6000 ? 5.5 : 7.5;
  const sizes = styles.map((s) => base * Math.sqrt(s.area));
  const shown = styles.map((s) => s.count > 0);

  // one sample after another in a fixed shuffled order, so that no population lies on top of all others
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let state = 12345;
  for (let i = n - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = state % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const pick = (values) => Array.from(order, (i) => values[i]);
  const flat = mean.length === 1; // one axis: populations are rows
  const rows = flat ? Float32Array.from(population, (p, i) => -p + ((i * 0.618034) % 1) * 0.6 - 0.3) : null;
  let across = 0;
  let up = 1;
  const xOf = () => mean[across];
  const yOf = () => (flat ? rows : mean[up]);
  const axisName = (k) => `Z${k + 1}`;

  const style = (f) => pick(Array.from(population, (p) => f(styles[p], p)));
  let colored = null; // the numbers that give the colours; null for populations
  const span = (values) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (value < low) low = value; // false for NaN, as it should be
      if (value > high) high = value;
    }
    return [low, high];
  };
  const scaled = () => {
    const [low, high] = span(colored.values);
    const last = data.scale.length - 1;
    return pick(Array.from(colored.values, (value) =>
      (Number.isNaN(value) ? data.unlabelled.color : data.scale[high > low ? Math.round((last * (value - low)) / (high - low)) : last >> 1])));
  };
  const source = new Bokeh.ColumnDataSource({
    data: {
      x: pick(xOf()), y: pick(yOf()), size: style((s, p) => sizes[p]), color: style((s) => s.color),
      edge: style((s) => s.edge), line: style((s, p) => s.line * sizes[p]),
      marker: style((s) => (MARKERS[s.marker] ?? MARKERS.o)[0]), angle: style((s) => (MARKERS[s.marker] ?? MARKERS.o)[1]),
    },
  });
  const here = new Bokeh.ColumnDataSource({ data: { x: [], y: [], w: [], h: [], w2: [], h2: [] } });
  // canvas, not webgl: without a graphics card, as on servers, webgl takes many times as long; while many points are
  // moved, one in ten is drawn
  const figure = Bokeh.Plotting.figure({
    output_backend: "canvas", sizing_mode: "stretch_both", toolbar_location: null, tools: [],
    x_range: new Bokeh.Range1d({ start: 0, end: 1 }), y_range: new Bokeh.Range1d({ start: 0, end: 1 }),
    min_border: 12, lod_threshold: n > 10000 ? 10000 : null, outline_line_color: null,
  });
  const drags = { pan: new Bokeh.PanTool(), lasso: new Bokeh.LassoSelectTool({ continuous: false }), box: new Bokeh.BoxSelectTool() };
  const wheel = new Bokeh.WheelZoomTool();
  figure.add_tools(...Object.values(drags), wheel);
  const field = (name) => ({ field: name });
  const ellipses = [["w2", "h2", 0.14], ["w", "h", 0.26]].map(([w, h, alpha]) =>
    figure.ellipse(field("x"), field("y"), field(w), field(h), { source: here, fill_alpha: alpha, line_width: 1.5 }));
  const points = figure.scatter(field("x"), field("y"), {
    source, size: field("size"), fill_color: field("color"), line_color: field("edge"), line_width: field("line"),
    marker: field("marker"), angle: field("angle"), fill_alpha: 0.9, nonselection_fill_alpha: 0.12, nonselection_line_alpha: 0.12,
  });
  const ring = figure.scatter(field("x"), field("y"), { source: here, size: 15, fill_color: null, line_width: 2.2, marker: "circle" });
  drags.lasso.renderers = [points];
  drags.box.renderers = [points];

  const ranges = [figure.x_range, figure.y_range];
  const frame = () => [Math.max(figure.inner_width, 50), Math.max(figure.inner_height, 50)];
  let fitted = ""; // the ranges that fit() set last, as long as nobody moved the map
  const setRanges = (centre, unitsPerPixel) => {
    const size = frame();
    ranges.forEach((range, k) => {
      const scale = Array.isArray(unitsPerPixel) ? unitsPerPixel[k] : unitsPerPixel;
      const half = (scale * size[k]) / 2;
      range.setv({ start: centre[k] - half, end: centre[k] + half });
    });
  };
  const centre = () => ranges.map((r) => (r.start + r.end) / 2);
  const scales = () => ranges.map((r, k) => (r.end - r.start) / frame()[k]);
  const visible = (i) => shown[population[i]];
  const fit = () => {
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    [xOf(), yOf()].forEach((values, k) => {
      for (const value of values) {
        if (value < low[k]) low[k] = value;
        if (value > high[k]) high[k] = value;
      }
    });
    const size = frame();
    const needed = low.map((l, k) => ((high[k] - l) * 1.08 || 1) / size[k]);
    setRanges(low.map((l, k) => (l + high[k]) / 2), flat ? needed : Math.max(...needed));
    fitted = ranges.map((r) => r.start).join();
  };
  const zoom = (factor) => setRanges(centre(), scales().map((s) => s * factor));
  const move = (dx, dy) => {
    const [c, s, size] = [centre(), scales(), frame()];
    setRanges([c[0] + dx * s[0] * size[0], c[1] + dy * s[1] * size[1]], s);
  };

  // -------------------------------------------------------------------------------------------------------- legend
  const SHAPES = {
    s: "M-5-5H5V5H-5Z", "^": "M0-6 6 5H-6Z", D: "M0-6.5 4.6 0 0 6.5-4.6 0Z", v: "M0 6 6-5H-6Z",
    P: "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z", "<": "M-6 0 5-6V6Z", ">": "M6 0-5-6V6Z",
    p: "M-6-6Q0-3 6-6Q3 0 6 6Q0 3-6 6Q-3 0-6-6Z", h: "M-6 0-3-5.2H3L6 0 3 5.2H-3Z",
    "*": "M0-6.5 1.7-2.2 6.4-2 2.7.9 4 5.4 0 2.9-4 5.4-2.7.9-6.4-2-1.7-2.2Z",
  };
  const swatches = []; // [shape, style]: the theme paints them
  const swatch = (s) => {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    for (const [name, value] of [["viewBox", "-8 -8 16 16"], ["width", "15"], ["height", "15"], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
    const key = s.marker === "X" ? "P" : s.marker;
    const shape = document.createElementNS(space, SHAPES[key] ? "path" : "circle");
    if (SHAPES[key]) shape.setAttribute("d", SHAPES[key]);
    else shape.setAttribute("r", "5.5");
    if (s.marker === "X") shape.setAttribute("transform", "rotate(45)");
    shape.setAttribute("stroke-width", s.outlined ? "2" : "0.7");
    swatches.push([shape, s]);
    svg.append(shape);
    return svg;
  };
  const boxes = new Map(); // population code -> checkbox
  const heads = []; // [checkbox of a group, codes of its members]
  const checkbox = (label, total, mark, change) => {
    const row = make("label");
    const box = make("input", undefined, { type: "checkbox" });
    box.checked = true;
    box.addEventListener("change", () => change(box.checked));
    row.append(box, ...(mark ? [mark] : []), make("span", label, { title: label }), make("small", count(total)));
    return [row, box];
  };
  const refresh = () => {
    for (const [code, box] of boxes) box.checked = shown[code];
    for (const [box, members] of heads) {
      const on = members.filter((code) => shown[code]).length;
      box.checked = on === members.length;
      box.indeterminate = on > 0 && on < members.length;
    }
    const kept = [];
    order.forEach((i, k) => { if (visible(i)) kept.push(k); });
    points.view.filter = kept.length === n ? new Bokeh.AllIndices() : new Bokeh.IndexFilter({ indices: kept });
    const chosen = source.selected.indices.filter((k) => visible(order[k]));
    if (chosen.length !== source.selected.indices.length) source.selected.indices = chosen;
    if (current !== null && !visible(current)) show(null);
  };
  const turn = (members, on) => {
    members.forEach((code) => { shown[code] = on; });
    refresh();
  };
  const buildLegend = () => {
    const every = [...styles.keys()].filter((code) => styles[code].count > 0).sort((a, b) => (a === 0) - (b === 0) || a - b);
    const all = make("p", undefined, { class: "all set" });
    for (const [text, on] of [["All", true], ["None", false]]) {
      const button = make("button", text, { type: "button", "aria-label": `${text} shown` });
      button.addEventListener("click", () => turn(every, on));
      all.append(button);
    }
    const list = make("ul");
    const groups = new Map();
    every.forEach((code) => {
      const group = styles[code].group;
      groups.set(group, [...(groups.get(group) ?? []), code]);
    });
    for (const [group, members] of groups) {
      const inner = make("ul");
      members.forEach((code) => {
        const s = styles[code];
        const [row, box] = checkbox(code === 0 ? "no label" : s.name, s.count, swatch(s), (on) => turn([code], on));
        boxes.set(code, box);
        const item = make("li");
        item.append(row);
        inner.append(item);
      });
      const item = make("li");
      if (group) {
        const [row, box] = checkbox(group, members.reduce((sum, code) => sum + styles[code].count, 0), null, (on) => turn(members, on));
        row.className = "group";
        heads.push([box, members]);
        item.append(row);
      }
      item.append(inner);
      list.append(item);
    }
    byId("legend").append(all, list);
  };

  // ------------------------------------------------------------------------------------------- one sample: hover, click
  const OWN = new Set(["MISSING", "MISFIT", "CLUSTER_PROB"]); // said in words of their own
  let current = null;
  const populationOf = (i) => (population[i] ? styles[population[i]].name : "no label");
  const facts = (i) => {
    const pairs = [];
    if (labelled) pairs.push([data.column, populationOf(i) + (styles[population[i]].group ? ` (${styles[population[i]].group})` : "")]);
    if (similar !== null && similar[i]) pairs.push(["most similar reference population", styles[similar[i]].name]);
    const value = (k) => number(mean[k][i]) + (std === null ? "" : ` \u00b1 ${number(std[k][i], 2)}`);
    mean.forEach((_, k) => pairs.push([axisName(k), value(k)]));
    for (const { name, values } of numbers) {
      if (!OWN.has(name)) pairs.push([name, Number.isNaN(values[i]) ? "none" : number(values[i], 4)]);
    }
    if (missing !== null) pairs.push(["missing", `${number(100 * missing[i], 2)} %`]);
    if (misfit !== null) pairs.push(["misfit", number(misfit[i])]);
    if (cluster !== null) pairs.push(["cluster", `${cluster[i]}${clusterProb === null ? "" : ` (probability ${number(clusterProb[i], 2)})`}`]);
    return pairs;
  };
  const nearest = (x, y) => {
    const [sx, sy] = scales();
    const [xs, ys] = [xOf(), yOf()];
    let [best, found] = [144, null]; // within 12 pixels
    for (let i = 0; i < n; i++) {
      const dx = (xs[i] - x) / sx;
      const dy = (ys[i] - y) / sy;
      const d = dx * dx + dy * dy;
      if (d < best && visible(i)) [best, found] = [d, i];
    }
    return found;
  };
  const tip = byId("tip");
  const hover = (event) => {
    const i = nearest(event.x, event.y);
    tip.hidden = i === null;
    if (i === null) return;
    tip.replaceChildren(make("b", names[i]), ...facts(i).filter(([name]) => name !== "cluster" || !labelled).map(([name, value]) => make("span", `${name}: ${value}`)));
    const stage = tip.parentElement;
    const top = byId("plot").offsetTop;
    const left = event.sx + 16 + tip.offsetWidth > stage.clientWidth ? event.sx - 16 - tip.offsetWidth : event.sx + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(top + event.sy + 12, stage.clientHeight - tip.offsetHeight - 4))}px`;
  };
  const hint = byId("sample").firstElementChild;
  function show(i) {
    current = i;
    const panel = byId("sample");
    if (i === null) {
      here.data = { x: [], y: [], w: [], h: [], w2: [], h2: [] };
      panel.replaceChildren(hint);
      return;
    }
    const sd = (k) => (std === null || k === null ? 0 : std[k][i]);
    const [w, h] = [2 * sd(across), 2 * sd(flat ? null : up)];
    here.data = { x: [xOf()[i]], y: [yOf()[i]], w: [w], h: [h || w / 50], w2: [2 * w], h2: [2 * h || w / 50] };
    const list = make("dl");
    [["sample", names[i]], ...facts(i)].forEach(([name, value]) => list.append(make("dt", name), make("dd", value)));
    const place = Array.prototype.indexOf.call(order, i);
    const button = make("button", "Add to the chosen", { type: "button" });
    button.addEventListener("click", () => { source.selected.indices = [...new Set([...source.selected.indices, place])]; });
    panel.replaceChildren(list, button);
  }
  const goTo = (i) => {
    if (!visible(i)) turn([population[i]], true);
    const at = [xOf()[i], yOf()[i]];
    if (ranges.some((range, k) => at[k] < range.start || at[k] > range.end)) setRanges(at, scales());
    show(i);
  };

  // --------------------------------------------------------------------------------------------------------- search
  const find = byId("find");
  const found = byId("found");
  const lower = names.map((name) => name.toLowerCase());
  let [hits, active] = [[], -1];
  const close = () => {
    found.hidden = true;
    find.setAttribute("aria-expanded", "false");
    find.removeAttribute("aria-activedescendant");
  };
  const mark = (k) => {
    active = k;
    [...found.children].forEach((item, j) => item.setAttribute("aria-selected", String(j === k)));
    if (k >= 0) find.setAttribute("aria-activedescendant", `found-${k}`);
  };
  const choose = (i) => {
    find.value = names[i];
    close();
    goTo(i);
  };
  const search = () => {
    const text = find.value.trim().toLowerCase();
    const starts = [];
    const within = [];
    for (let i = 0; text && i < n && starts.length < 8; i++) {
      const at = lower[i].indexOf(text);
      if (at === 0) starts.push(i);
      else if (at > 0 && within.length < 8) within.push(i);
    }
    const exact = text ? lower.indexOf(text) : -1;
    hits = [...new Set([...(exact >= 0 ? [exact] : []), ...starts, ...within])].slice(0, 8);
    found.replaceChildren(...hits.map((i, k) => {
      const item = make("li", names[i], { role: "option", id: `found-${k}`, "aria-selected": "false" });
      if (labelled) item.append(make("small", populationOf(i)));
      item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(i); });
      return item;
    }));
    if (text && !hits.length) found.append(make("li", "no such sample", { "aria-disabled": "true" }));
    found.hidden = !text;
    find.setAttribute("aria-expanded", String(!found.hidden));
    mark(hits.length ? 0 : -1);
  };
  find.addEventListener("input", search);
  find.addEventListener("blur", close);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && hits.length && active >= 0) choose(hits[active]);
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && hits.length) {
      mark((active + (event.key === "ArrowDown" ? 1 : hits.length - 1)) % hits.length);
      event.preventDefault();
    }
  });

  // --------------------------------------------------------------------------------------------- choosing and exporting
  const chosenRows = () => source.selected.indices.map((k) => order[k]).filter(visible).sort((a, b) => a - b);
  const tell = () => {
    const rowsChosen = chosenRows();
    const totals = new Map();
    rowsChosen.forEach((i) => totals.set(population[i], (totals.get(population[i]) ?? 0) + 1));
    const parts = [...totals].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([code, total]) => `${styles[code].name || "no label"} ${count(total)}`);
    const more = totals.size > 8 ? ` and ${totals.size - 8} more` : "";
    const kind = rowsChosen.length === 1 ? "sample" : "samples";
    byId("chosen").textContent = rowsChosen.length ? `${count(rowsChosen.length)} ${kind}: ${parts.join(", ")}${more}` : "None. Drag with the lasso or the box.";
    byId("export").disabled = byId("clear").disabled = !rowsChosen.length;
  };
  const table = () => {
    const six = (value) => Number(value.toPrecision(6)).toString();
    const columns = [["IID", (i) => names[i]]];
    if (labelled) columns.push([data.column, (i) => (population[i] ? styles[population[i]].name : "")]);
    if (labelled && styles.some((s) => s.group)) columns.push(["GROUP", (i) => styles[population[i]].group]);
    for (const { name, values } of numbers) {
      if (!OWN.has(name)) columns.push([name, (i) => (Number.isNaN(values[i]) ? "" : six(values[i]))]);
    }
    if (similar !== null) columns.push(["MOST_SIMILAR", (i) => (similar[i] ? styles[similar[i]].name : "")]);
    mean.forEach((values, k) => columns.push([axisName(k), (i) => six(values[i])]));
    (std ?? []).forEach((values, k) => columns.push([`SD${k + 1}`, (i) => six(values[i])]));
    if (cluster !== null) columns.push(["CLUSTER", (i) => String(cluster[i])]);
    if (missing !== null) columns.push(["MISSING", (i) => six(missing[i])]);
    if (misfit !== null) columns.push(["MISFIT", (i) => six(misfit[i])]);
    const lines = [columns.map(([name]) => name), ...chosenRows().map((i) => columns.map(([, value]) => value(i)))];
    return lines.map((cells) => `${cells.join("\t")}\n`).join("");
  };
  const save = () => {
    const link = make("a", undefined, { download: `${data.run}.chosen.tsv` });
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/tab-separated-values" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // ---------------------------------------------------------------------------------------------------------- theme
  const root = document.documentElement;
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const css = getComputedStyle(root);
    const color = (name) => css.getPropertyValue(`--${name}`).trim();
    figure.background_fill_color = figure.border_fill_color = color("plot");
    for (const axis of [...figure.xaxes, ...figure.yaxes]) {
      axis.setv({ axis_label_text_color: color("soft"), major_label_text_color: color("soft"), axis_line_color: color("soft"), major_tick_line_color: color("soft"), minor_tick_line_color: null, axis_label_text_font_style: "normal" });
    }
    for (const grid of [...figure.xgrids, ...figure.ygrids]) grid.grid_line_color = color("grid");
    // fills are those of genovi plot ancestry; on dark ground light outlines keep dark and open ones visible
    const dark = root.dataset.theme === "dark";
    const look = (s) => (dark ? s.dark : s);
    const hair = styles.map((s, p) => (dark ? Math.min(0.7, 0.09 * sizes[p]) : 0.06 * sizes[p]));
    const line = styles.map((s, p) => (s.outlined && colored === null ? s.line * sizes[p] : hair[p]));
    const rim = dark ? "#7d8794" : "#33383f"; // around points that are coloured by numbers
    source.data = {
      ...source.data,
      color: colored === null ? style((s) => look(s).color) : scaled(),
      edge: style((s) => (colored === null ? look(s).edge : rim)), line: style((s, p) => line[p]),
    };
    for (const [shape, s] of swatches) {
      shape.setAttribute("fill", colored === null ? look(s).color : "none");
      shape.setAttribute("stroke", colored === null ? look(s).edge : color("soft"));
      shape.setAttribute("stroke-width", s.outlined || colored !== null ? "2" : "0.7");
    }
    ring.glyph.line_color = color("ring");
    ellipses.forEach((e) => e.glyph.setv({ fill_color: color("ring"), line_color: color("ring"), line_alpha: 0.8 }));
  };
  const setTheme = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    byId("theme").setAttribute("aria-pressed", String(dark));
    paint();
  };

  // ---------------------------------------------------------------------------------------------------------- wiring
  const setDrag = (name) => {
    figure.toolbar.active_drag = drags[name];
    document.querySelectorAll("[data-drag]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.drag === name)));
  };
  const pressKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0), ArrowUp: () => move(0, 0.1), ArrowDown: () => move(0, -0.1),
      "+": () => zoom(0.8), "=": () => zoom(0.8), "-": () => zoom(1.25), 0: fit,
      Escape: () => { source.selected.indices = []; show(null); },
    }[event.key];
    if (!act) return;
    act();
    event.preventDefault();
  };
  const wire = () => {
    document.querySelectorAll("[data-drag]").forEach((b) => b.addEventListener("click", () => setDrag(b.dataset.drag)));
    byId("plot").firstElementChild.tabIndex = -1; // one stop for keys is enough
    byId("zoom-in").addEventListener("click", () => zoom(0.8));
    byId("zoom-out").addEventListener("click", () => zoom(1.25));
    byId("reset").addEventListener("click", fit);
    byId("theme").addEventListener("click", () => setTheme(root.dataset.theme !== "dark"));
    preferred.addEventListener("change", (event) => setTheme(event.matches));
    byId("plot").addEventListener("keydown", pressKey);
    byId("plot").addEventListener("mouseleave", () => { tip.hidden = true; });
    // the wheel scrolls the page until the map is clicked or focused
    byId("plot").addEventListener("focusin", () => { figure.toolbar.active_scroll = wheel; });
    byId("plot").addEventListener("focusout", () => { figure.toolbar.active_scroll = null; });
    figure.on_event("mousemove", hover);
    figure.on_event("tap", (event) => { byId("plot").focus({ preventScroll: true }); show(nearest(event.x, event.y)); });
    source.selected.change.connect(tell);
    byId("choose-shown").addEventListener("click", () => {
      const kept = [];
      order.forEach((i, k) => { if (visible(i)) kept.push(k); });
      source.selected.indices = kept;
    });
    byId("clear").addEventListener("click", () => { source.selected.indices = []; });
    byId("export").addEventListener("click", save);
    document.querySelectorAll("[data-copy]").forEach((b) => b.addEventListener("click", async () => {
      const target = byId(b.dataset.copy);
      try {
        await navigator.clipboard.writeText(target.textContent);
        b.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(target);
      }
    }));
    let before = scales();
    for (const range of ranges) range.change.connect(() => { before = scales(); });
    const resized = () => { // what one pixel is stays, so that axes stay equal; an untouched map fills the new frame
      if (fitted === ranges.map((r) => r.start).join()) fit();
      else setRanges(centre(), before);
    };
    figure.properties.inner_width.change.connect(resized);
    figure.properties.inner_height.change.connect(resized);
  };
  const wireColors = () => {
    const select = byId("color-by");
    select.append(make("option", labelled ? data.column : "clusters", { value: "-1" }));
    numbers.forEach(({ name }, k) => select.append(make("option", name, { value: k })));
    const change = () => {
      colored = numbers[select.value] ?? null;
      byId("scale").hidden = colored === null;
      if (colored !== null) {
        const absent = colored.values.reduce((sum, value) => sum + Number.isNaN(value), 0);
        const [low, high] = span(colored.values);
        byId("scale-low").textContent = `${colored.name}: ${number(low, 4)}`;
        byId("scale-high").textContent = number(high, 4);
        byId("scale-none").textContent = absent ? `(${count(absent)} without, in grey)` : "";
        byId("scale-bar").style.background = `linear-gradient(to right, ${data.scale.join()})`;
      }
    };
    select.value = String(numbers.findIndex(({ name }) => name === data.shown));
    select.addEventListener("change", () => { change(); paint(); });
    change();
  };
  const wireAxes = () => {
    if (mean.length < 3) return;
    byId("axes").hidden = false;
    for (const [id, value, set] of [["axis-x", 0, (k) => { across = k; }], ["axis-y", 1, (k) => { up = k; }]]) {
      const select = byId(id);
      mean.forEach((_, k) => select.append(make("option", axisName(k), { value: k })));
      select.value = value;
      select.addEventListener("change", () => {
        set(Number(select.value));
        source.data = { ...source.data, x: pick(xOf()), y: pick(yOf()) };
        figure.xaxes[0].axis_label = axisName(across);
        figure.yaxes[0].axis_label = axisName(up);
        show(current);
        fit();
      });
    }
  };

  buildLegend();
  wireColors();
  setTheme(preferred.matches); // paints
  figure.xaxes[0].axis_label = axisName(0);
  figure.yaxes[0].axis_label = flat ? "" : axisName(1);
  if (flat) figure.yaxes[0].visible = false;
  setDrag("pan");
  figure.toolbar.active_scroll = null;
  points.visible = false; // until the size of the frame is known: painting many points twice takes twice as long
  Bokeh.Plotting.show(figure, byId("plot")).then(() => {
    requestAnimationFrame(() => {
      fit();
      points.visible = true;
      wire();
      wireAxes();
      tell();
      window.genoviReport = { figure, source, here, table, names, visible, ready: null };
      requestAnimationFrame(() => requestAnimationFrame(() => {
        window.genoviReport.ready = performance.now();
        root.dataset.ready = "true";
      }));
    });
  });
})();
