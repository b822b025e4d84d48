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

  function draw(figure) {
    const name = figure.id.replace("chart-", "");
    const specification = JSON.parse(document.getElementById("spec-" + name).textContent);
    return window.vegaEmbed(figure, specification, options).then((result) => result.view);
  }

  // A chart of one run says so in its title: only those of all runs follow the legend of runs.
  function following(signal, view) {
    return signal !== "hidden_runs" || document.getElementById("charts").contains(view.container());
  }

  function wire(legend, views) {
    const buttons = Array.from(legend.querySelectorAll("button"));
    legend.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      const off = buttons.filter((b) => b.getAttribute("aria-pressed") === "false").map((b) => b.dataset.name);
      const signal = legend.dataset.signal;
      views.filter((view) => following(signal, view)).forEach((view) => view.signal(signal, off).runAsync());
    });
  }

  Promise.all(Array.from(document.querySelectorAll(".chart"), draw)).then((views) => {
    document.querySelectorAll(".legend").forEach((legend) => wire(legend, views));
    document.documentElement.dataset.charts = "drawn";
  });
})();
