"use strict";
/* Reads the JSON blocks that report/html.py wrote; everything is drawn when it is looked at. */
(() => {
  const block = (id) => {
    const element = document.getElementById(id);
    return element && JSON.parse(element.textContent);
  };
  const report = block("report");
  const texts = report.texts;
  const QUIET = new Set(["identical", "within"]);
  const ORDER = ["incomparable", "structure", "nonfinite", "vacuous", "unstable", "drift", "systematic",
    "accumulated", "failed", "error", "recorded", "skipped", "xfailed", "within", "identical", "passed"];
  const COLOURS = {identical: "identical", within: "within", passed: "within", accumulated: "accumulated",
    systematic: "systematic", drift: "drift", recorded: "recorded", skipped: "skipped", xfailed: "skipped"};
  const colour = (verdict) => `var(--${COLOURS[verdict] || "severe"})`;
  const rank = (verdict) => (ORDER.indexOf(verdict) + 1 || 1);
  const byVerdict = (counts) => Object.entries(counts).sort((a, b) => rank(a[0]) - rank(b[0]));

  /** An element; children may be text, elements, or nothing. Text is never read as HTML. */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "line", "rect", "circle", "text", "title", "g"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (key === "v") element.style.setProperty("--v", colour(value));
      else if (key === "style") element.style.cssText += value;
      else element.setAttribute(key, value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }
  /** Text in which `backquoted` parts are code. */
  const worded = (text) => text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
  const number = (value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value === "string") return value;
    if (value === 0) return "0";
    const size = Math.abs(value);
    return size >= 0.01 && size < 1e4 ? String(+value.toPrecision(3)) : value.toExponential(1);
  };
  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  const finite = (value) => (typeof value === "number" ? value : value === "inf" ? 1e9 : 0);

  // -- the first screen ---------------------------------------------------------------------

  const chosen = new Set();
  function drawTop() {
    const counts = byVerdict(report.verdicts);
    const bar = document.getElementById("bar");
    bar.setAttribute("aria-label", counts.map(([verdict, n]) => `${n} ${verdict}`).join(", "));
    bar.append(...counts.map(([verdict, n]) => make("span", {v: verdict, style: `flex-grow:${n}`, title: `${n} ${verdict}`})));
    document.getElementById("verdicts").append(...counts.map(([verdict, n]) => make("li", {},
      make("button", {v: verdict, type: "button", "aria-pressed": "false", onclick: (event) => toggle(event.currentTarget, verdict)},
        make("b", {}, n.toLocaleString("en")), ` ${verdict}`))));
    const tensors = byVerdict(report.tensors).map(([verdict, n]) => `${n.toLocaleString("en")} ${verdict}`).join(", ");
    document.getElementById("facts").append(
      make("span", {}, report.stack.length ? "Stack: " : "Same stack on both sides", ...report.stack.flatMap((line, i) => [i ? ", " : "", make("code", {}, line)])),
      make("span", {}, tensors ? `Tensors: ${tensors}` : ""),
      ...report.errors.map((error) => make("span", {class: "error"}, `Collection error: ${error}`)));
  }
  function toggle(button, verdict) {
    const on = !chosen.has(verdict);
    chosen[on ? "add" : "delete"](verdict);
    button.setAttribute("aria-pressed", String(on));
    filter();
  }

  // -- the list -----------------------------------------------------------------------------

  const search = document.getElementById("search");
  const list = document.getElementById("tests");
  const links = report.tests.map((test, place) => {
    const [file, ...rest] = test.id.split("::");
    const local = Object.entries(test.local || {}).slice(0, 2).map(([name, n]) => (n > 1 ? `${name} ×${n}` : name)).join(", ");
    const strain = finite(test.strain);
    const what = [local ? `local: ${local}` : test.first, strain > 1 ? `up to ${number(strain)}× tolerance` : "", test.tokens && /change/.test(test.tokens) && !/^no/.test(test.tokens) ? "tokens change" : ""];
    return make("a", {href: link(place), v: test.verdict, "data-place": place},
      make("span", {class: "id"}, rest.length ? [make("i", {}, `${file}::`), make("wbr")] : "", ...breakable(rest.length ? rest.join("::") : file)),
      make("span", {class: "what"}, make("span", {class: "verdict"}, test.verdict), what.filter(Boolean).join(" · ")));
  });
  /** A name that may wrap before its parameters, rather than inside them. */
  function breakable(name) {
    const at = name.indexOf("[");
    return at < 0 ? [name] : [name.slice(0, at), make("wbr"), name.slice(at)];
  }
  const haystacks = report.tests.map((test) => [test.id, test.verdict, test.first, ...Object.keys(test.local || {}), test.tokens].join(" ").toLowerCase());
  /** A structural name that may wrap between its layers. */
  const parted = (name) => name.split(/(?<=[/:])/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));
  let shown = [];
  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = report.tests.map((_, place) => place).filter((place) =>
      (!chosen.size || chosen.has(report.tests[place].verdict)) && words.every((word) => haystacks[place].includes(word)));
    list.replaceChildren(...shown.map((place) => make("li", {}, links[place])));
    document.getElementById("found").textContent = shown.length === links.length
      ? plural(links.length, "test") : `${shown.length.toLocaleString("en")} of ${plural(links.length, "test")}`;
  }
  function link(place) { return `#test=${encodeURIComponent(report.tests[place].id)}`; }

  // -- one test -----------------------------------------------------------------------------

  const main = document.getElementById("test");
  let open = -1;
  function show(place, focus) {
    if (place < 0 || place >= links.length) return;
    if (links[open]) links[open].removeAttribute("aria-current");
    open = place;
    links[place].setAttribute("aria-current", "true");
    links[place].scrollIntoView({block: "nearest"});
    const test = report.tests[place], detail = block(`test-${place}`);
    const rows = (detail.rows || []).map(readRow);
    rows.forEach((row, i) => { row.place = detail.places ? detail.places[i] : [i, 1]; });
    const layers = (detail.layers || []).map(readLayer);
    main.replaceChildren(...head(test, detail), ...depth(rows, layers), ...table(test, rows, layers, detail), ...pictures(place, test), ...steps(detail));
    drawCanvases();
    document.title = `${test.verdict}: ${test.id}`;
    if (focus) main.focus({preventScroll: true});
  }
  const readRow = ([name, kind, shape, verdict, judged, tolerance, detects, k, strain, l2, abs, ulp, bias, local, guilty, note]) => ({
    name: texts[name], kind: texts[kind], shape: texts[shape], verdict: texts[verdict], judged: !!judged, tolerance: texts[tolerance || 0],
    detects, k: k ?? 0, strain: finite(strain ?? 0), l2: l2 ?? 0, abs: abs ?? 0, ulp: ulp ?? 0, bias, local, guilty: !!guilty, note: texts[note || 0]});
  const readLayer = ([name, verdict, k, strain, l2, guilty, tensor, bias]) => ({
    name: texts[name], verdict: texts[verdict], k, strain: finite(strain), l2, guilty: !!guilty, tensor: !!tensor, bias});

  function head(test, detail) {
    const tag = (label, value) => (value ? make("li", {}, `${label} `, make("code", {}, value)) : "");
    return [
      make("h2", {}, test.id),
      make("p", {class: "lead"}, make("span", {class: "verdict", v: test.verdict}, `${test.verdict}. `), ...worded(detail.headline || detail.reason || summary(test, detail))),
      make("ul", {class: "tags"}, tag("baseline Keras", detail.baseline), tag("run Keras", detail.keras), tag("mode", detail.mode),
        tag("weights", detail.weights), tag("isolation", detail.isolation), tag("watching", detail.observer),
        ...(detail.stack || []).map((line) => make("li", {}, "changed ", make("code", {}, line)))),
      ...(detail.warnings || []).map((line) => make("p", {class: "hint"}, line)),
    ];
  }
  function summary(test, detail) {
    const counts = byVerdict(test.tensors || {}).map(([verdict, n]) => `${n} ${verdict}`).join(", ");
    return `${counts || "nothing compared"}${detail.baseline ? ` against Keras ${detail.baseline}` : ""}.`;
  }

  // -- drift against depth ------------------------------------------------------------------

  function depth(rows, layers) {
    const judged = rows.filter((row) => row.judged);
    if (!judged.some((row) => row.strain > 0) && !layers.some((layer) => layer.strain > 0)) return [];
    const W = 860, H = 250, L = 58, R = 14, T = 12, B = 34, FLOOR = 0.003;
    const most = Math.max(2, ...judged.map((row) => row.strain), ...layers.map((layer) => layer.strain));
    const y = (value) => H - B - (H - B - T) * (Math.log(Math.max(value, FLOOR)) - Math.log(FLOOR)) / (Math.log(most * 1.3) - Math.log(FLOOR));
    const places = judged.map((row) => row.place[0] + row.place[1] * 0.3).map((place, i, all) => (layers.length ? place + 0.3 * all.slice(0, i).filter((other) => other === place).length / 4 : place));
    const first = Math.min(...places, layers.length ? 0 : Infinity), last = Math.max(...places, layers.length - 1, first + 1);
    const x = (place) => L + (W - L - R) * (place - first) / (last - first);
    const line = (points) => points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
    const run = judged.map((row, i) => [x(places[i]), y(row.strain), row]);
    const own = layers.map((layer, i) => [x(i), y(layer.strain), layer]);
    const dot = (style, verdict) => ([px, py, item]) => make("circle", {class: style, v: verdict && item.verdict, cx: px.toFixed(1), cy: py.toFixed(1), r: item.guilty ? 4.5 : 3},
      make("title", {}, `${item.name}: ${number(item.strain)}× tolerance (${item.verdict})`));
    const ticks = [0.01, 0.1, 1, 10, 100, 1000, 1e4, 1e6].filter((value) => value < most * 1.3);
    return [make("h3", {}, "Drift against depth"),
      make("div", {class: "legend"}, make("span", {style: "--c:var(--drift)"}, "in the run: inherited and local"),
        layers.length ? make("span", {style: "--c:var(--local)"}, "local: the layer's own change on golden inputs") : "",
        make("span", {class: "area", style: "--c:var(--band)"}, "inside the tolerance"),
        [...new Set(judged.map((row) => row.verdict))].sort((a, b) => rank(a) - rank(b)).map((verdict) => make("span", {class: "point", v: verdict}, verdict))),
      make("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Drift of each tensor in units of its tolerance, in execution order"},
        make("rect", {class: "band", x: L, y: y(1), width: W - L - R, height: H - B - y(1)}),
        make("line", {class: "limit", x1: L, x2: W - R, y1: y(1), y2: y(1)}),
        ticks.map((value) => [make("line", {class: "axis", x1: L - 4, x2: L, y1: y(value), y2: y(value)}), make("text", {x: L - 8, y: y(value) + 4, "text-anchor": "end"}, `${value >= 1e4 ? value.toExponential(0) : value}×`)]).flat(),
        make("line", {class: "axis", x1: L, x2: L, y1: T, y2: H - B}), make("line", {class: "axis", x1: L, x2: W - R, y1: H - B, y2: H - B}),
        make("text", {x: L, y: H - 10}, `execution order: first ${judged.length ? judged[0].name : ""}`), make("text", {x: W - R, y: H - 10, "text-anchor": "end"}, `last ${judged.length ? judged[judged.length - 1].name : ""}`),
        make("path", {class: "runline", d: line(run)}), layers.length ? make("path", {class: "localline", d: line(own)}) : "",
        own.filter(([, , layer]) => layer.strain > 0).map(dot("localdot", false)), run.map(dot("dot", true))),
      ...excused(judged)];
  }
  /** Why points above the line may be in the colour of what holds. */
  function excused(judged) {
    const count = judged.filter((row) => row.strain > 1 && QUIET.has(row.verdict)).length;
    return count ? [make("p", {class: "hint"}, `${plural(count, "tensor")} above the line ${count === 1 ? "holds" : "hold"} all the same: no less accurate against a float32 reference than the golden.`)] : [];
  }

  // -- the layer table ----------------------------------------------------------------------

  function table(test, rows, layers, detail) {
    if (!rows.length) return [];
    const items = merged(rows, layers);
    const isolated = layers.length > 0;
    const headings = ["", "tensor or layer", "verdict", ["k / tolerance", 1], ...(isolated ? [["k local", 1]] : []), ["relative L2", 1], ["max |Δ|", 1], ["ULP", 1], ["detects", 1]];
    const body = make("tbody");
    fill(body, items, test, isolated, headings.length);
    return [make("h3", {}, plural(rows.length, "tensor")),
      make("p", {class: "hint"}, make("span", {class: "mark"}, "→"), " first drift", isolated ? [", ", make("span", {class: "mark local"}, "∗"), " local drift"] : "", ". k is the largest error in units of ε and the tensor's scale; ", "detects is the smallest relative drift that this check would have caught."),
      make("div", {class: "scroll"}, make("table", {class: "layers"}, make("thead", {}, make("tr", {}, headings.map((h) => (Array.isArray(h) ? make("th", {class: "n"}, h[0]) : make("th", {}, h))))), body))];
  }
  /** Tensors, and between them the layers that moved by themselves and are no tensors. */
  function merged(rows, layers) {
    const placed = rows.map((row, i) => [...row.place, i, row]);
    layers.forEach((layer, i) => { if (layer.verdict !== "identical" && !layer.tensor) placed.push([i, 0, 0, {...layer, layer: true}]); });
    return placed.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).map((entry) => entry[3]);
  }
  function fill(body, items, test, isolated, width) {
    let quiet = [];
    const flush = () => {
      if (quiet.length > 1) body.append(folded(quiet, test, isolated, width));
      else body.append(...quiet.map((item) => tensorRow(item, test, isolated)));
      quiet = [];
    };
    for (const item of items) {
      if (!item.layer && !item.guilty && QUIET.has(item.verdict) && item.name !== test.first) { quiet.push(item); continue; }
      flush();
      body.append(tensorRow(item, test, isolated));
    }
    flush();
  }
  function folded(items, test, isolated, width) {
    const counts = {};
    for (const item of items) counts[item.verdict] = (counts[item.verdict] || 0) + 1;
    const text = byVerdict(counts).reverse().map(([verdict, n]) => `${n} ${verdict}`).join(", ");
    const row = make("tr", {class: "run"}, make("td", {}, "⋮"), make("td", {colspan: width - 1}, make("button", {type: "button", onclick: () => row.replaceWith(...items.map((item) => tensorRow(item, test, isolated)))}, `${text}: show`)));
    return row;
  }
  function tensorRow(item, test, isolated) {
    const first = !item.layer && item.name === test.first;
    const cell = (value) => make("td", {class: "n"}, item.layer ? "" : number(value));
    const change = item.layer ? "" : `${number(item.k)} / ${item.tolerance.replace(/^k=/, "")}`;
    return make("tr", {class: [item.guilty && "guilty", first && "first"].filter(Boolean).join(" ")},
      make("td", {}, first ? make("span", {class: "mark"}, "→") : "", item.guilty ? make("span", {class: "mark local"}, "∗") : ""),
      make("td", {class: "name", title: item.note || false}, ...parted(item.name), item.shape ? make("small", {}, `${item.kind} ${item.shape}${item.judged ? "" : ", not judged"}`) : "", item.note && !QUIET.has(item.verdict) ? make("small", {}, item.note) : ""),
      make("td", {class: "verdict", v: item.verdict}, item.verdict),
      make("td", {class: "n"}, change),
      isolated ? make("td", {class: "n"}, item.layer ? number(item.k) : item.local === undefined || item.local === null ? "" : number(item.local)) : "",
      make("td", {class: "n"}, number(item.l2)), cell(item.abs), make("td", {class: "n"}, item.layer ? "" : compact(item.ulp)), cell(item.detects));
  }

  // -- pictures -----------------------------------------------------------------------------

  let waiting = [];
  function pictures(place, test) {
    waiting = [];
    const drawing = block(`drawing-${place}`);
    if (!drawing) {
      return QUIET.has(test.verdict) || !test.tensors ? [] : [make("p", {class: "hint"}, "Heat map, attention maps and error histogram need the golden and the candidate: keep the folder of --golden-output and make the report where both are.")];
    }
    if (drawing.problem) return [make("p", {class: "hint"}, `The golden or the candidate cannot be read: ${drawing.problem}`)];
    return [...heat(drawing.heat), ...maps(drawing.attention), ...histogram(drawing.ulps), ...topTokens(drawing.tokens)];
  }
  function heat(rows) {
    if (!rows || !rows.some(([, , values]) => values.some((value) => value > 0))) return [];
    const readout = make("p", {class: "readout"}, "point at a cell for its tensor and position");
    const canvas = make("canvas", {role: "img", "aria-label": "Change of each tensor at each position"});
    const width = Math.max(...rows.map((row) => row[2].length)), cell = Math.max(6, Math.min(16, 420 / rows.length));
    const used = ([, allowed, values], column) => values[Math.floor(column * values.length / width)] / (allowed || 5);
    const most = Math.max(2, ...rows.map((row) => Math.max(...row[2]) / (row[1] || 5)));
    const shade = shader(most);
    waiting.push(() => paint(canvas, width, rows.length, (column, line) => heatColour(shade(used(rows[line], column)))));
    canvas.addEventListener("mousemove", (event) => {
      const line = Math.min(rows.length - 1, Math.floor(event.offsetY / canvas.clientHeight * rows.length));
      const column = Math.min(width - 1, Math.floor(event.offsetX / canvas.clientWidth * width));
      readout.textContent = `${rows[line][0]}, position ${column + 1} of ${width}: ${number(used(rows[line], column))}× tolerance`;
    });
    const every = Math.ceil(13 / cell);
    const labels = make("div", {class: "labels", "aria-hidden": "true"}, rows.map(([name], line) => make("span", {}, line % every ? "" : name)));
    return [make("h3", {}, "Where it changed: layer by position"),
      make("figure", {class: "heat"}, make("div", {class: "grid", style: `height:${Math.max(48, cell * rows.length)}px`}, labels, canvas), readout,
        make("figcaption", {}, "Execution order from top to bottom, positions from left to right; each cell shows its largest change.")),
      scale("unchanged", `${number(most)}× tolerance; blue is inside it, amber to red beyond`, heatColour)];
  }
  /** 0 for nothing, then logarithmic: a hundredth of the tolerance, 0.5 at it, 1 at the most. */
  const shader = (most) => (used) => {
    if (used <= 0) return 0;
    return used <= 1 ? Math.max(0.05, 0.5 + Math.log10(used) / 4) : 0.5 + 0.5 * Math.log(used) / Math.log(most);
  };
  function maps(attention) {
    if (!attention || !attention.golden) return [];
    const high = Math.max(1e-9, ...attention.golden.flat(), ...attention.run.flat());
    const wide = Math.max(1e-9, ...attention.difference.flat().map(Math.abs));
    const figure = (title, values, colourOf) => {
      const canvas = make("canvas", {role: "img", "aria-label": title});
      waiting.push(() => paint(canvas, values[0].length, values.length, (column, line) => colourOf(values[line][column])));
      return make("figure", {}, canvas, make("figcaption", {}, title));
    };
    return [make("h3", {}, "Attention of the head that moved most"),
      make("p", {class: "hint"}, make("code", {}, attention.name), `, head ${attention.head}; queries from top to bottom, keys from left to right.`),
      make("div", {class: "maps"}, figure("baseline", attention.golden, (value) => quantity(Math.sqrt(value / high))),
        figure("run", attention.run, (value) => quantity(Math.sqrt(value / high))),
        figure(`run − baseline, up to ${number(wide)}`, attention.difference, (value) => diverging(value / wide)))];
  }
  function histogram(found) {
    if (!found || !found.length) return [];
    const holder = make("div");
    const worst = found.reduce((best, item) => (mean(item[1]) > mean(best[1]) ? item : best));
    const select = make("select", {"aria-label": "Tensor", onchange: () => holder.replaceChildren(columns(found[select.selectedIndex][1]))}, found.map(([name]) => make("option", {}, name)));
    select.selectedIndex = found.indexOf(worst);
    holder.append(columns(worst[1]));
    return [make("h3", {}, "Errors in ULPs"), select, holder];
  }
  const mean = (counts) => counts.reduce((sum, n, bin) => sum + n * bin, 0) / Math.max(1, counts.reduce((sum, n) => sum + n, 0));
  function columns(counts) {
    let last = counts.length - 1;
    while (last > 5 && !counts[last]) last--;
    const W = 860, H = 190, L = 20, B = 34, T = 18, kept = counts.slice(0, last + 1), most = Math.max(...kept, 1);
    const wide = (W - L) / kept.length, tall = (n) => (n ? 4 + (H - B - T - 4) * Math.log(n + 1) / Math.log(most + 1) : 0);
    const label = (bin) => (bin < 3 ? String(bin) : bin === 3 ? "3–4" : bin === counts.length - 1 ? `>${2 ** (bin - 2)}` : `≤${2 ** (bin - 1)}`);
    return make("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Elements by their distance in ULPs"},
      kept.map((n, bin) => make("g", {}, make("rect", {class: bin ? "column" : "column still", x: L + bin * wide + 2, width: Math.max(1, wide - 4), y: H - B - tall(n), height: tall(n)}),
        n ? make("text", {class: "value", x: L + (bin + 0.5) * wide, y: H - B - tall(n) - 5, "text-anchor": "middle"}, compact(n)) : "",
        make("text", {x: L + (bin + 0.5) * wide, y: H - B + 15, "text-anchor": "middle"}, label(bin)))),
      make("line", {class: "axis", x1: L, x2: W, y1: H - B, y2: H - B}), make("text", {x: W, y: H - 4, "text-anchor": "end"}, "ULPs between baseline and run; heights are logarithmic"));
  }
  const compact = (n) => (n < 1e4 ? String(n) : n < 1e6 ? `${+(n / 1e3).toPrecision(3)}k` : `${+(n / 1e6).toPrecision(3)}M`);
  function topTokens(found) {
    if (!found || !found.length) return [];
    return [make("h3", {}, "Likeliest tokens, before and after"), ...found.map(([name, row, before, after]) => {
      const flipped = before[0][0] !== after[0][0];
      const side = (title, tokens, other) => make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, title), make("th", {class: "n"}, "logit"))),
        make("tbody", {}, tokens.map(([token, value], i) => make("tr", {}, make("td", {class: `mono${other[i][0] === token ? "" : " changed"}`}, String(token)), make("td", {class: "n"}, number(value))))));
      return make("div", {}, make("p", {class: "hint"}, make("code", {}, name), `, row ${row}: `, flipped ? make("span", {class: "changed"}, `token ${before[0][0]} → ${after[0][0]}`) : `token ${before[0][0]} stays`),
        make("div", {class: "pair"}, side("baseline", before, after), side("run", after, before)));
    })];
  }
  function scale(low, high, colourOf) {
    const bar = make("i");
    waiting.push(() => { bar.style.background = gradient(colourOf); });
    return make("div", {class: "scale"}, low, bar, high);
  }
  function gradient(colourOf) {
    const stops = Array.from({length: 41}, (_, i) => i / 40).map((t) => `rgb(${colourOf(t).join(",")}) ${t * 100}% ${t * 100 + 2.5}%`).join(",");
    return `linear-gradient(90deg,${stops})`;
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const mix = (from, to, t) => from.map((value, i) => Math.round(value + (to[i] - value) * t));
  const ground = () => (dark.matches ? [29, 32, 38] : [255, 255, 255]);
  /** Blue up to the tolerance (t = 0.5), then a step to amber and on to red: beyond it stands out. */
  const heatColour = (t) => (t <= 0.5 ? mix(ground(), dark.matches ? [70, 140, 200] : [72, 136, 186], t * 2)
    : mix(dark.matches ? [214, 140, 30] : [246, 184, 60], dark.matches ? [255, 84, 84] : [176, 24, 24], t * 2 - 1));
  const quantity = (t) => (t < 0.5 ? mix(ground(), dark.matches ? [58, 122, 180] : [96, 160, 210], t * 2)
    : mix(dark.matches ? [58, 122, 180] : [96, 160, 210], dark.matches ? [226, 240, 255] : [12, 40, 92], t * 2 - 1));
  const diverging = (t) => (t < 0 ? mix(ground(), dark.matches ? [111, 177, 245] : [37, 99, 168], Math.sqrt(-t)) : mix(ground(), dark.matches ? [255, 138, 87] : [194, 65, 12], Math.sqrt(t)));
  function paint(canvas, width, height, colourOf) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    for (let line = 0; line < height; line++) {
      for (let column = 0; column < width; column++) image.data.set([...colourOf(column, line), 255], 4 * (line * width + column));
    }
    context.putImageData(image, 0, 0);
  }
  function drawCanvases() { for (const draw of waiting) draw(); }
  dark.addEventListener("change", drawCanvases);

  // -- what to run next ---------------------------------------------------------------------

  function steps(detail) {
    if (!detail.steps) return [];
    return [make("h3", {}, "What to run next"), ...detail.steps.map(([why, command]) => {
      const copy = make("button", {type: "button", onclick: () => navigator.clipboard.writeText(command).then(() => { copy.textContent = "Copied"; }, () => { copy.textContent = "Select it"; })}, "Copy");
      return make("div", {class: "step"}, make("span", {}, why), make("div", {}, make("code", {}, command), copy));
    })];
  }

  // -- address and keys ---------------------------------------------------------------------

  const places = new Map(report.tests.map((test, place) => [test.id, place]));
  function follow(focus) {
    const match = location.hash.match(/^#test=(.*)$/);
    const place = match ? places.get(decodeURIComponent(match[1])) : undefined;
    if (place !== undefined) show(place, focus);
    else if (open < 0 && links.length) show(0, false);
  }
  function move(by) {
    const at = shown.indexOf(open);
    const next = shown[Math.max(0, Math.min(shown.length - 1, (at < 0 ? (by > 0 ? -1 : shown.length) : at) + by))];
    if (next !== undefined) location.hash = link(next);
  }
  search.addEventListener("input", filter);
  addEventListener("hashchange", () => follow(true));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === search;
    if (event.key === "Escape") { search.value = ""; filter(); search.blur(); }
    else if (event.key === "Enter" && typing && shown.length) { location.hash = link(shown[0]); search.blur(); }
    else if (typing || event.target.tagName === "SELECT") return;
    else if (event.key === "/") { event.preventDefault(); search.focus(); }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
  });
  drawTop();
  filter();
  follow(false);
  document.documentElement.dataset.drawn = performance.now().toFixed(0);
})();
