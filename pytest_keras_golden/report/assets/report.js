"use strict";
/* Reads the JSON blocks that report/html.py wrote. A test is drawn when it is opened, its charts by
   plotly.js, which the page holds as text until the first chart needs it. */
(() => {
  const block = (id) => {
    const element = document.getElementById(id);
    return element && JSON.parse(element.textContent);
  };
  const report = block("report");
  const texts = report.texts;
  const QUIET = new Set(["identical", "within"]);
  /** Words of tests of which nothing more could be drawn. */
  const SETTLED = new Set([...QUIET, "holds", "skipped", "xfailed", "new", "failing before", "no tensors", "broke"]);
  const ORDER = ["broke", "moved", "loading", "incomparable", "structure", "nonfinite", "vacuous", "unstable", "drift", "systematic",
    "accumulated", "accepted", "failed", "error", "failing before", "new", "recorded", "skipped", "xfailed", "no tensors", "holds",
    "within", "identical", "passed"];
  const COLOURS = {identical: "identical", within: "within", passed: "within", accumulated: "accumulated",
    systematic: "systematic", drift: "drift", recorded: "recorded", skipped: "skipped", xfailed: "skipped",
    moved: "drift", accepted: "accumulated", holds: "within", new: "recorded", "failing before": "skipped", "no tensors": "skipped"};
  const colour = (verdict) => `var(--${COLOURS[verdict] || "severe"})`;
  const rank = (verdict) => (ORDER.indexOf(verdict) + 1 || 1);
  const byVerdict = (counts) => Object.entries(counts).sort((a, b) => rank(a[0]) - rank(b[0]));

  /** An element; children may be text, elements, or nothing. Text is never read as HTML. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
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
    const sentence = document.getElementById("sentence");
    sentence.classList.toggle("long", sentence.textContent.length > 140);
    sentence.replaceChildren(...worded(sentence.textContent));
    document.getElementById("overview").append(...report.sections.map(([heading, lines]) => make("section", {},
      make("h2", {}, heading), make("ul", {}, lines.map((line) => make("li", {}, ...worded(line)))))),
      report.steps.length ? make("section", {class: "wide"}, make("h2", {}, "What to run next"), ...report.steps.map(command)) : "");
    if (report.grid.length) document.getElementById("grid").append(grid(report.grid));
    document.getElementById("facts").append(
      make("span", {}, report.stack.length ? "Stack: " : "Same stack on both sides", ...report.stack.flatMap((line, i) => [i ? ", " : "", make("code", {}, line)])),
      make("span", {}, tensors ? `Tensors: ${tensors}` : ""), ...report.asides.map((line) => make("span", {}, line)),
      unseen(report.unseen),
      ...report.errors.map((error) => make("span", {class: "error"}, `Collection error: ${error}`)));
  }
  /** Tests that are in no list, since nothing of them was compared, by name. */
  function unseen(tests) {
    if (!tests.length) return "";
    return make("details", {}, make("summary", {}, `${plural(tests.length, "test")} not looked at`),
      make("ul", {}, tests.map(([id, kinds]) => make("li", {}, make("code", {}, id), ` ${kinds}`))));
  }
  /** Tests down, versions across; a cell leads to its test below. */
  function grid([headings, ...rows]) {
    const cell = ([text, why, bad, place]) => make("td", {class: bad ? "bad" : false, title: why || false},
      place === null ? text : make("a", {href: link(place)}, text));
    return make("table", {}, make("thead", {}, make("tr", {}, headings.map((heading) => make("th", {}, heading)))),
      make("tbody", {}, rows.map(([name, ...cells]) => make("tr", {}, make("th", {class: "mono"}, ...breakable(name)), cells.map(cell)))));
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
    const what = [test.share, local ? `local: ${local}` : test.first, strain > 1 ? `up to ${number(strain)}× tolerance` : "", test.flips];
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
  /** Of tests that are told alike the first stands for all, until the others are asked for. */
  const unfolded = new Set();
  const standing = (place) => report.tests[place].alike ?? place;
  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = report.tests.map((_, place) => place).filter((place) =>
      (!chosen.size || chosen.has(report.tests[place].verdict)) && words.every((word) => haystacks[place].includes(word)));
    const alike = new Map();
    for (const place of found) alike.set(standing(place), [...(alike.get(standing(place)) || []), place]);
    shown = found.filter((place) => unfolded.has(standing(place)) || alike.get(standing(place))[0] === place);
    list.replaceChildren(...shown.flatMap((place) => {
      const more = unfolded.has(standing(place)) ? 0 : alike.get(standing(place)).length - 1;
      return [make("li", {}, links[place]), more ? make("li", {class: "more"}, make("button", {type: "button", onclick: () => unfold(place)}, `and ${more.toLocaleString("en")} more`)) : ""].filter(Boolean);
    }));
    document.getElementById("found").textContent = found.length === links.length
      ? plural(links.length, "test") : `${found.length.toLocaleString("en")} of ${plural(links.length, "test")}`;
  }
  function unfold(place) {
    unfolded.add(standing(place));
    filter();
  }
  function link(place) { return `#test=${encodeURIComponent(report.tests[place].id)}`; }

  // -- one test -----------------------------------------------------------------------------

  const main = document.getElementById("test");
  // aimed: where keys went so far; what is open follows as soon as it is drawn.
  let open = -1, aimed = -1;
  function show(place, focus) {
    if (place < 0 || place >= links.length) return;
    if (links[open]) links[open].removeAttribute("aria-current");
    open = aimed = place;
    if (report.tests[place].alike !== undefined && !shown.includes(place)) unfold(place);
    links[place].setAttribute("aria-current", "true");
    links[place].scrollIntoView({block: "nearest"});
    const test = report.tests[place], detail = block(`test-${place}`);
    const rows = (detail.rows || []).map(readRow);
    rows.forEach((row, i) => { row.place = detail.places ? detail.places[i] : [i, 1]; });
    const layers = (detail.layers || []).map(readLayer);
    charts.splice(0).forEach((chart) => window.Plotly && Plotly.purge(chart.holder));
    main.replaceChildren(...head(test, detail), ...depth(rows, layers), ...table(test, rows, layers, detail), ...pictures(place, test), ...steps(detail));
    drawCharts();
    document.title = `${test.verdict}: ${test.id}`;
    if (focus) main.focus({preventScroll: true});
  }
  const readRow = ([name, kind, shape, verdict, judged, tolerance, detects, k, strain, l2, abs, ulp, bias, local, guilty, note, cause]) => ({
    name: texts[name], kind: texts[kind], shape: texts[shape], verdict: texts[verdict], judged: !!judged, tolerance: texts[tolerance || 0],
    detects, k: k ?? 0, strain: finite(strain ?? 0), l2: l2 ?? 0, abs: abs ?? 0, ulp: ulp ?? 0, bias, local, guilty: !!guilty, note: texts[note || 0], cause: texts[cause || 0]});
  const readLayer = ([name, verdict, k, strain, l2, guilty, tensor, bias, cause]) => ({
    name: texts[name], verdict: texts[verdict], k, strain: finite(strain), l2, guilty: !!guilty, tensor: !!tensor, bias, cause: texts[cause || 0]});

  function head(test, detail) {
    const tag = (label, value) => (value ? make("li", {}, `${label} `, make("code", {}, value)) : "");
    return [
      make("h2", {}, test.id),
      make("p", {class: "lead"}, make("span", {class: "verdict", v: test.verdict}, `${test.verdict}. `), ...worded(detail.headline || detail.reason || summary(test, detail))),
      make("ul", {class: "tags"}, tag("baseline Keras", detail.baseline), tag("run Keras", detail.keras), tag("mode", detail.mode),
        tag("weights", detail.weights), tag("isolation", detail.isolation), tag("watching", detail.observer), tag("not looked at", detail.unseen),
        ...(detail.stack || []).map((line) => make("li", {}, "changed ", make("code", {}, line))),
        ...(detail.names || []).map((line) => make("li", {}, "names: ", ...worded(line)))),
      ...(detail.warnings || []).map((line) => make("p", {class: "hint"}, line)),
    ];
  }
  function summary(test, detail) {
    const counts = byVerdict(test.tensors || {}).map(([verdict, n]) => `${n} ${verdict}`).join(", ");
    return `${counts || "nothing compared"}${detail.baseline ? ` against Keras ${detail.baseline}` : ""}.`;
  }

  // -- charts -------------------------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)"), paper = matchMedia("print");
  const isDark = () => dark.matches && !paper.matches;
  const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const charts = [];
  /** Where a chart will be; `figure` gives its traces and layout in the colours of the moment. */
  function chart(kind, label, height, figure) {
    const holder = make("div", {class: `chart ${kind}`, role: "img", "aria-label": label, style: `height:${height}px`});
    charts.push({holder, figure});
    return holder;
  }
  function drawCharts() {
    if (!charts.length) return;
    const source = document.getElementById("plotly").textContent;
    if (!window.Plotly && !source) {
      charts.forEach(({holder}) => { holder.style.height = ""; holder.replaceChildren(make("p", {class: "hint"}, "Charts need plotly where the page is made: pip install 'pytest-keras-golden[report]'")); });
      return;
    }
    if (!window.Plotly) document.head.append(make("script", {}, source));
    for (const {holder, figure} of charts) {
      const {traces, layout} = figure();
      Plotly.react(holder, traces, {...common(), ...layout}, {displaylogo: false, responsive: true, modeBarButtons: [["toImage", "resetScale2d"]]});
    }
  }
  const common = () => ({paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    modebar: {bgcolor: "rgba(0,0,0,0)", color: shade("soft"), activecolor: shade("ink")},
    font: {family: 'system-ui, "Segoe UI", sans-serif', size: 12, color: shade("soft")}, hoverlabel: {font: {family: "monospace"}, align: "left"}});
  const axis = (settings) => ({gridcolor: shade("rule"), linecolor: shade("rule"), zeroline: false, fixedrange: false, ...settings});
  dark.addEventListener("change", drawCharts);
  paper.addEventListener("change", drawCharts);

  // -- drift against depth ------------------------------------------------------------------

  /** What is unchanged is drawn here, in units of the tolerance: a logarithm has no zero. */
  const FLOOR = 0.003;
  function depth(rows, layers) {
    const judged = rows.filter((row) => row.judged);
    if (!judged.some((row) => row.strain > 0) && !layers.some((layer) => layer.strain > 0)) return [];
    const verdicts = [...new Set(judged.map((row) => row.verdict))].sort((a, b) => rank(a) - rank(b));
    return [make("h3", {}, "Drift against depth"),
      make("div", {class: "legend"}, make("span", {style: "--c:var(--drift)"}, "in the run: inherited and local"),
        layers.length ? make("span", {style: "--c:var(--local)"}, "local: the layer's own change on golden inputs") : "",
        make("span", {class: "area", style: "--c:var(--band)"}, "inside the tolerance"),
        verdicts.map((verdict) => make("span", {class: "point", v: verdict}, verdict))),
      chart("depth", "Drift of each tensor in units of its tolerance, in execution order", 290, () => depthFigure(judged, layers)),
      ...excused(judged)];
  }
  function depthFigure(judged, layers) {
    const curve = (name, items, x, colour, colours) => ({name, x, y: items.map((item) => Math.max(FLOOR, item.strain)), mode: "lines+markers",
      line: {color: shade(colour), width: 1.6}, marker: {color: colours, size: items.map((item) => (item.guilty ? 9 : 6)), opacity: 1, line: {width: 0}},
      customdata: items.map((item) => [escaped(item.name), number(item.strain), item.verdict]),
      hovertemplate: `%{customdata[0]}<br>%{customdata[1]}× tolerance (%{customdata[2]})<extra>${name}</extra>`});
    const traces = [curve("run", judged, depths(judged, layers), "drift", judged.map((row) => shade(COLOURS[row.verdict] || "severe")))];
    if (layers.length) traces.push(curve("local", layers, layers.map((_, i) => i), "local", shade("local")));
    const ends = judged.length ? `execution order: ${judged[0].name} … ${judged[judged.length - 1].name}` : "execution order";
    const whole = {xref: "paper", x0: 0, x1: 1};
    return {traces, layout: {margin: {l: 62, r: 12, t: 26, b: 34},
      xaxis: axis({title: {text: escaped(ends), font: {size: 12}}, showticklabels: false, showgrid: false}),
      yaxis: axis({type: "log", dtick: 1, exponentformat: "none", ticksuffix: "×", range: [Math.log10(FLOOR), Math.log10(1.5 * Math.max(2, ...traces.flatMap((trace) => trace.y)))]}),
      shapes: [{type: "rect", ...whole, y0: FLOOR, y1: 1, fillcolor: shade("band"), line: {width: 0}, layer: "below"},
        {type: "line", ...whole, y0: 1, y1: 1, line: {color: shade("within"), width: 1, dash: "dash"}}]}};
  }
  /** Where tensors are among the layers: those of one layer follow each other up to the next one. */
  function depths(judged, layers) {
    if (!layers.length) return judged.map((row) => row.place[0] + row.place[1] * 0.3);
    const before = new Map();
    return judged.map(({place: [layer, after]}) => {
      const key = `${layer} ${after}`, same = before.get(key) || 0;
      before.set(key, same + 1);
      return layer + after * 0.3 + 0.3 * same / 4;
    });
  }
  /** plotly reads a subset of HTML in its texts. */
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
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
    const headings = ["", "tensor or layer", "verdict", ["relative L2", 1], ["k / tolerance", 1], ...(isolated ? [["k local", 1]] : []), ["max |Δ|", 1], ["ULP", 1], ["detects", 1]];
    const body = make("tbody");
    fill(body, items, test, isolated, headings.length);
    return [make("h3", {}, plural(rows.length, "tensor")),
      make("p", {class: "hint"}, make("span", {class: "mark"}, "→"), " first drift", isolated ? [", ", make("span", {class: "mark local"}, "∗"), " local drift"] : "", ". k is the largest error in units of ε and the tensor's scale; ", "detects is the smallest relative drift that this check would have caught."),
      make("div", {class: "scroll"}, make("table", {class: "layers"}, make("thead", {}, make("tr", {}, headings.map((h) => (Array.isArray(h) ? make("th", {class: "n"}, h[0]) : make("th", {}, h))))), body))];
  }
  /** Tensors, and between them the layers that moved by themselves and are no tensors. */
  function merged(rows, layers) {
    const placed = rows.map((row, i) => [...row.place, i, row]);
    layers.forEach((layer, i) => { if ((layer.verdict !== "identical" || layer.cause) && !layer.tensor) placed.push([i, 0, 0, {...layer, layer: true}]); });
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
      make("td", {class: "n"}, typeof item.l2 === "number" ? `${number(100 * item.l2)} %` : number(item.l2)),
      make("td", {class: "n"}, change),
      isolated ? make("td", {class: "n"}, [item.layer ? number(item.k) : item.local === undefined || item.local === null ? "" : number(item.local), item.cause].filter(Boolean).join(" ")) : "",
      cell(item.abs), make("td", {class: "n"}, item.layer ? "" : compact(item.ulp)), cell(item.detects));
  }

  // -- pictures -----------------------------------------------------------------------------

  function pictures(place, test) {
    const drawing = block(`drawing-${place}`);
    if (!drawing) {
      return SETTLED.has(test.verdict) || !test.tensors ? [] : [make("p", {class: "hint"}, "Heat map, attention maps and error histogram need the golden and the candidate: keep the folder of --golden-output and make the report where both are.")];
    }
    if (drawing.problem) return [make("p", {class: "hint"}, `The golden or the candidate cannot be read: ${drawing.problem}`)];
    return [...heat(drawing.heat, drawing.place), ...maps(drawing.attention), ...histogram(drawing.ulps), ...topTokens(drawing.tokens)];
  }
  function heat(rows, place) {
    if (!rows || !rows.some(([, , values]) => values.some((value) => value > 0))) return [];
    const height = 108 + rows.length * Math.max(8, Math.min(16, 480 / rows.length));
    return [make("h3", {}, `Where it changed: layer by ${place}`),
      chart("heat", `Change of each tensor at each ${place}`, height, () => heatFigure(rows, place)),
      make("p", {class: "hint"}, `Execution order from top to bottom, ${place}s from left to right; each cell shows its largest change, blue inside the tolerance, amber to red beyond.`)];
  }
  function heatFigure(rows, place) {
    const width = Math.max(...rows.map((row) => row[2].length));
    const used = rows.map(([, allowed, values]) => Array.from({length: width}, (_, column) => values[Math.floor(column * values.length / width)] / (allowed || 5)));
    const most = Math.max(2, ...used.flat());
    const names = rows.map(([name]) => name);
    const tail = (name) => (name.length > 36 ? `…${name.slice(-35)}` : name);
    return {traces: [{type: "heatmap", z: used.map((row) => row.map(strength(most))), y: names.map((_, i) => i), x: Array.from({length: width}, (_, i) => i + 1),
      customdata: used.map((row, i) => row.map((value) => [escaped(names[i]), number(value)])), colorscale: stepped(heatColour), zmin: 0, zmax: 1,
      hovertemplate: "%{customdata[0]}<br>" + place + " %{x}: %{customdata[1]}× tolerance<extra></extra>",
      colorbar: {thickness: 10, outlinewidth: 0, tickvals: [0, 0.5, 1], ticktext: ["unchanged", "tolerance", `${number(most)}×`]}}],
    layout: {margin: {l: 8, r: 8, t: 26, b: 38},
      xaxis: axis({title: {text: place, font: {size: 12}}, showgrid: false, constrain: "domain"}),
      yaxis: axis({automargin: true, autorange: "reversed", showgrid: false, tickfont: {family: "monospace", size: 10.5}, tickvals: labelled(rows.length), ticktext: labelled(rows.length).map((i) => escaped(tail(names[i])))})}};
  }
  /** Rows with room for their name: at most 36 of them, evenly spread. */
  const labelled = (count) => Array.from({length: count}, (_, i) => i).filter((i) => i % Math.ceil(count / 36) === 0);
  /** 0 for nothing, then logarithmic: a hundredth of the tolerance, 0.5 at it, 1 at the most. */
  const strength = (most) => (used) => {
    if (used <= 0) return 0;
    return used <= 1 ? Math.max(0.05, 0.5 + Math.log10(used) / 4) : 0.5 + 0.5 * Math.log(used) / Math.log(most);
  };
  function maps(attention) {
    if (!attention || !attention.golden) return [];
    return [make("h3", {}, "Attention of the head that moved most"),
      make("p", {class: "hint"}, make("code", {}, attention.name), `, head ${attention.head}; queries from top to bottom, keys from left to right.`),
      chart("maps", "Attention of baseline and run, and their difference", 310, () => mapsFigure(attention))];
  }
  function mapsFigure(attention) {
    const high = Math.max(1e-9, ...attention.golden.flat(), ...attention.run.flat());
    const wide = Math.max(1e-9, ...attention.difference.flat().map(Math.abs));
    const panels = [["baseline", attention.golden, 0, high, quantity], ["run", attention.run, 0, high, quantity],
      [`run − baseline, up to ${number(wide)}`, attention.difference, -wide, wide, (t) => diverging(2 * t - 1)]];
    const layout = {grid: {rows: 1, columns: 3, pattern: "independent", xgap: 0.12}, margin: {l: 34, r: 8, t: 48, b: 26}, annotations: []};
    const traces = panels.map(([title, z, zmin, zmax, colourOf], i) => {
      const n = i ? String(i + 1) : "";
      layout[`xaxis${n}`] = axis({showgrid: false, constrain: "domain", nticks: 5});
      layout[`yaxis${n}`] = axis({showgrid: false, autorange: "reversed", scaleanchor: `x${n}`, constrain: "domain", nticks: 5});
      layout.annotations.push({text: title, xref: `x${n} domain`, yref: `y${n} domain`, x: 0, y: 1, xanchor: "left", yanchor: "bottom", showarrow: false});
      return {type: "heatmap", name: title, z, zmin, zmax, xaxis: `x${n}`, yaxis: `y${n}`, showscale: false, colorscale: stepped(colourOf), hovertemplate: "query %{y}, key %{x}: %{z:.3g}<extra></extra>"};
    });
    return {traces, layout};
  }
  function histogram(found) {
    if (!found || !found.length) return [];
    const worst = found.reduce((best, item) => (mean(item[1]) > mean(best[1]) ? item : best));
    const select = make("select", {"aria-label": "Tensor", onchange: drawCharts}, found.map(([name]) => make("option", {}, name)));
    select.selectedIndex = found.indexOf(worst);
    return [make("h3", {}, "Errors in ULPs"), select,
      chart("ulps", "Elements by their distance in ULPs", 230, () => ulpsFigure(found[select.selectedIndex][1]))];
  }
  const mean = (counts) => counts.reduce((sum, n, bin) => sum + n * bin, 0) / Math.max(1, counts.reduce((sum, n) => sum + n, 0));
  function ulpsFigure(counts) {
    let last = counts.length - 1;
    while (last > 5 && !counts[last]) last--;
    const kept = counts.slice(0, last + 1);
    const label = (bin) => (bin < 3 ? String(bin) : bin === 3 ? "3–4" : bin === counts.length - 1 ? `>${2 ** (bin - 2)}` : `≤${2 ** (bin - 1)}`);
    return {traces: [{type: "bar", x: kept.map((_, bin) => label(bin)), y: kept, text: kept.map((n) => (n ? compact(n) : "")), textposition: "outside", cliponaxis: false,
      marker: {color: kept.map((_, bin) => shade(bin ? "drift" : "identical"))}, hovertemplate: "%{y} elements<extra>%{x} ULPs</extra>"}],
    layout: {margin: {l: 50, r: 12, t: 26, b: 40}, xaxis: axis({type: "category", showgrid: false, tickangle: 0, tickfont: {size: 10.5}, title: {text: "ULPs between baseline and run", font: {size: 12}}}),
      yaxis: axis({type: "log", dtick: 1, exponentformat: "SI", range: [-0.3, Math.log10(Math.max(...kept, 1)) * 1.12 + 0.3], title: {text: "elements", font: {size: 12}}})}};
  }
  const compact = (n) => (n < 1e4 ? String(n) : n < 1e6 ? `${+(n / 1e3).toPrecision(3)}k` : `${+(n / 1e6).toPrecision(3)}M`);
  function topTokens(found) {
    if (!found || !found.length) return [];
    return [make("h3", {}, `Likeliest ${found[0][4] === "class " ? "classes" : "tokens"}, before and after`), ...found.map(([name, place, before, after, value]) => {
      const flipped = before[0][0] !== after[0][0];
      const side = (title, tokens, other) => make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, title), make("th", {class: "n"}, "logit"))),
        make("tbody", {}, tokens.map(([token, value], i) => make("tr", {}, make("td", {class: `mono${other[i][0] === token ? "" : " changed"}`}, String(token)), make("td", {class: "n"}, number(value))))));
      return make("div", {}, make("p", {class: "hint"}, make("code", {}, name), `, ${place}: `, flipped ? make("span", {class: "changed"}, `${value}${before[0][0]} → ${after[0][0]}`) : `${value}${before[0][0]} stays`),
        make("div", {class: "pair"}, side("baseline", before, after), side("run", after, before)));
    })];
  }
  const mix = (from, to, t) => from.map((value, i) => Math.round(value + (to[i] - value) * t));
  const ground = () => (isDark() ? [29, 32, 38] : [255, 255, 255]);
  /** Blue up to the tolerance (t = 0.5), then a step to amber and on to red: beyond it stands out. */
  const heatColour = (t) => (t <= 0.5 ? mix(ground(), isDark() ? [70, 140, 200] : [72, 136, 186], t * 2)
    : mix(isDark() ? [214, 140, 30] : [246, 184, 60], isDark() ? [255, 84, 84] : [176, 24, 24], t * 2 - 1));
  /** Roots make small probabilities and small differences visible. */
  const quantity = (share) => {
    const t = Math.sqrt(share), middle = isDark() ? [58, 122, 180] : [96, 160, 210];
    return t < 0.5 ? mix(ground(), middle, t * 2) : mix(middle, isDark() ? [226, 240, 255] : [12, 40, 92], t * 2 - 1);
  };
  const diverging = (t) => (t < 0 ? mix(ground(), isDark() ? [111, 177, 245] : [37, 99, 168], Math.sqrt(-t)) : mix(ground(), isDark() ? [255, 138, 87] : [194, 65, 12], Math.sqrt(t)));
  /** A plotly colour scale from a function of 0 … 1, with a step just beyond the middle. */
  const stepped = (colourOf) => [...Array.from({length: 51}, (_, i) => i / 100), 0.5001, ...Array.from({length: 50}, (_, i) => (i + 51) / 100)].map((t) => [t, `rgb(${colourOf(t).join(",")})`]);

  // -- what to run next ---------------------------------------------------------------------

  function steps(detail) {
    if (!detail.steps) return [];
    return [make("h3", {}, "What to run next"), ...detail.steps.map(command)];
  }
  function command([why, line]) {
    const copy = make("button", {type: "button", onclick: () => navigator.clipboard.writeText(line).then(() => { copy.textContent = "Copied"; }, () => { copy.textContent = "Select it"; })}, "Copy");
    return make("div", {class: "step"}, make("span", {}, why), make("div", {}, make("code", {class: "command"}, line), copy));
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
    const at = shown.indexOf(aimed);
    go(shown[Math.max(0, Math.min(shown.length - 1, (at < 0 ? (by > 0 ? -1 : shown.length) : at) + by))]);
  }
  function go(place) {
    if (place === undefined) return;
    aimed = place;
    location.hash = link(place);
  }
  search.addEventListener("input", filter);
  addEventListener("hashchange", () => follow(true));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === search;
    if (event.key === "Escape") { search.value = ""; filter(); search.blur(); }
    else if (event.key === "Enter" && typing && shown.length) { go(shown[0]); search.blur(); }
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
