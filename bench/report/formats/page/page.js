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
      return follow(result.view);
    });
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
    if (unit && "unit" in signals) {
      view.signal("unit", unit.value);
      unit.querySelector("[value=gain]").hidden = !signals.base_s;
    }
    return view.runAsync();
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
    const part = target && target.querySelector(":scope > details");
    if (part) part.open = true;
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
    label.append("Rows with ", field);
    table.parentNode.before(label);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }

  drawShown().then(() => {
    wire();
    document.documentElement.dataset.charts = "drawn";
  });
})();
