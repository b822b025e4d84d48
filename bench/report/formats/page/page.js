"use strict";
(function () {
  // Colours in the specifications are CSS variables, so light, dark and paper need no second drawing.
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    ast: true, // the interpreter: the page's policy allows no evaluation of text
    defaultStyle: false,
    tooltip: { theme: "custom", disableDefaultStyle: true },
  };

  const views = [];
  const legend = document.querySelector(".legend");
  const unit = document.querySelector(".unit select");

  function draw(figure) {
    figure.dataset.drawn = "";
    const name = figure.id.replace("chart-", "");
    const specification = JSON.parse(document.getElementById("spec-" + name).textContent);
    return window.vegaEmbed(figure, specification, options).then((result) => {
      views.push(result.view);
      offerBaselines(result.view);
      return follow(result.view);
    });
  }

  // Every kernel one at a time is a baseline of the main chart: the value of its choice is its time in seconds.
  function offerBaselines(view) {
    const bases = view.getState().signals.bases;
    if (!unit || !bases || unit.options.length > 2) return;
    for (const [name, seconds] of Object.entries(bases).reverse()) {
      unit.add(new Option(`times as fast as ${name}, one at a time`, seconds));
    }
  }

  // A chart in a part that is closed has no width: it is drawn when that is opened.
  function drawShown() {
    const waiting = Array.from(document.querySelectorAll(".chart:not([data-drawn])"));
    return Promise.all(waiting.filter((figure) => figure.closest("details:not([open])") === null).map(draw));
  }

  function follow(view) {
    const signals = view.getState().signals;
    const off = Array.from(document.querySelectorAll(".legend button[aria-pressed=false]"), (button) => button.dataset.name);
    view.signal("hidden_kernels", off);
    if (unit && "unit" in signals) view.signal("unit", Number(unit.value) || unit.value);
    return view.runAsync();
  }

  // A picture has no page around it: it takes the page's colours as they are now, a ground, titles and a legend.
  async function picture(name) {
    const places = Array.from(document.querySelectorAll(`[id="chart-${name}"], [id^="chart-${name}_"]`));
    const style = getComputedStyle(document.documentElement);
    const whole = document.createElement("canvas");
    const parts = await Promise.all(places.map(async (place, number) => {
      const text = document.getElementById(place.id.replace("chart-", "spec-")).textContent;
      const painted = text.replace(/var\((--[\w-]+)\)/g, (_, variable) => paint(style.getPropertyValue(variable)));
      const chart = JSON.parse(painted);
      const titles = number ? [] : [`title-${name}`];
      if (places.length > 1) titles.push(place.getAttribute("aria-labelledby"));
      const textOf = (id) => document.getElementById(id).textContent.trim();
      const ink = paint(style.getPropertyValue("--ink"));
      Object.assign(chart, { width: place.clientWidth, title: { text: titles.map(textOf), color: ink }, padding: 16 });
      chart.background = paint(style.getPropertyValue("--surface"));
      if (number === places.length - 1) {
        chart.config.legend = { orient: "bottom", columns: 4, labelColor: ink, symbolOpacity: 1 };
      }
      const { view } = await window.vegaEmbed(document.createElement("div"), chart, { ...options, renderer: "canvas" });
      await follow(view);
      return view.toCanvas(2);
    }));
    whole.width = Math.max(...parts.map((canvas) => canvas.width));
    whole.height = parts.reduce((sum, canvas) => sum + canvas.height, 0);
    let top = 0;
    for (const canvas of parts) {
      whole.getContext("2d").drawImage(canvas, 0, top);
      top += canvas.height;
    }
    return whole.toDataURL("image/png");
  }

  // The colour of a variable as the theme has it: light-dark() is resolved on an element.
  function paint(colour) {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = colour;
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function save(url, name) {
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
  }

  async function take(event) {
    const { markdown, png } = event.target.dataset;
    if (png) {
      save(await picture(png), `${png}.png`);
    } else if (markdown) {
      const copied = navigator.clipboard && navigator.clipboard.writeText(markdown);
      await Promise.resolve(copied || Promise.reject()).catch(() =>
        save("data:text/markdown;charset=utf-8," + encodeURIComponent(markdown), "chart.md"));
    }
  }

  // The first use of each word of the glossary in a section is a link to it.
  function linkWords() {
    const words = Array.from(document.querySelectorAll("#glossary dt"), (word) => [word.id, word.dataset.words]);
    const spelled = words.map(([, spellings]) => spellings.replace(/[^\w|]/g, "\\$&"));
    const any = new RegExp(spelled.map((text) => `(?<!\\w)(${text})(?![\\w-])`).join("|"), "i");
    for (const section of document.querySelectorAll("main > section:not(#glossary), .remarks")) {
      const used = new Set();
      for (const text of section.querySelectorAll("p:not(.key, .take), li, figcaption")) linkIn(text, any, words, used);
    }
  }

  function linkIn(element, any, words, used) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      let rest = node;
      for (let found = any.exec(rest.data); found; found = any.exec(rest.data)) {
        const use = rest.splitText(found.index);
        rest = use.splitText(found[0].length);
        const [id] = words[found.slice(1).findIndex(Boolean)];
        if (!used.has(id)) {
          const link = document.createElement("a");
          link.href = "#" + id;
          link.className = "word";
          use.replaceWith(link);
          link.append(use);
          used.add(id);
        }
      }
      walker.currentNode = rest;
    }
  }

  function wire() {
    if (unit) unit.addEventListener("change", () => views.forEach(follow));
    if (legend) legend.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      views.forEach(follow);
    });
    document.querySelectorAll("details").forEach((part) => part.addEventListener("toggle", drawShown));
    window.addEventListener("hashchange", openTarget);
    document.addEventListener("click", take);
    window.addEventListener("beforeprint", () => {
      document.querySelectorAll("details:not([open]):not(.numbers)").forEach((part) => (part.open = true));
      drawShown();
    });
    document.querySelectorAll("th[scope=col]").forEach(sortable);
    document.querySelectorAll("table").forEach(filterable);
    openTarget();
  }

  function openTarget() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const part = target && (target.querySelector(":scope > details") || target.closest("details"));
    if (!part || part.open) return;
    part.open = true;
    target.scrollIntoView();
  }

  // The first number of a cell with its unit, as 12,000 or 18.3 µs (18.1 to 18.6), or else its words.
  const SCALES = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, KiB: 1024, MiB: 1048576, GiB: 1073741824 };
  function key(cell) {
    const found = /^[~\s]*(-?[\d,.]+)\s*(ns|µs|ms|[KMG]iB)?/.exec(cell.textContent);
    return found ? parseFloat(found[1].replaceAll(",", "")) * (SCALES[found[2]] || 1) : cell.textContent;
  }

  function compare(a, b) {
    if (typeof a === typeof b) return a < b ? -1 : Number(a > b);
    return typeof a === "number" ? -1 : 1;
  }

  function sortable(head) {
    const body = head.closest("table").tBodies[0];
    if (body.rows.length < 3) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = Array.from(body.rows, (row) => [key(row.cells[head.cellIndex]), row]);
      rows.sort(([a], [b]) => (up ? compare(a, b) : compare(b, a)));
      body.append(...rows.map(([, row]) => row));
    });
  }

  // A long table shows the rows that have all the words of its field.
  const LONG = 12;
  function filterable(table) {
    const rows = Array.from(table.tBodies[0].rows);
    if (rows.length < LONG) return;
    const label = document.createElement("label");
    const field = document.createElement("input");
    field.type = "search";
    label.className = "filter";
    label.append("Filter ", field);
    table.parentNode.before(label);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }

  linkWords();
  drawShown().then(() => {
    wire();
    document.documentElement.dataset.charts = "drawn";
  });
})();
