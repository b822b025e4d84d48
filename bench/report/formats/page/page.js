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
  const legends = Array.from(document.querySelectorAll(".legend"));

  function draw(figure) {
    figure.dataset.drawn = "";
    const name = figure.id.replace("chart-", "");
    const specification = JSON.parse(document.getElementById("spec-" + name).textContent);
    return window.vegaEmbed(figure, specification, options).then((result) => views.push(result.view) && result.view);
  }

  // A chart in a part that is closed has no width: it is drawn when that is opened, as the legends then say.
  function drawWhenOpened(part) {
    part.addEventListener("toggle", () => {
      Array.from(part.querySelectorAll(".chart:not([data-drawn])")).filter(shown).forEach((figure) =>
        draw(figure).then((view) => legends.forEach((legend) => follow(legend, view)))
      );
    });
  }

  function shown(figure) {
    return figure.closest("details:not([open])") === null;
  }

  // A chart of one run says so in its title: only those of all runs follow the legend of runs.
  function following(signal, view) {
    return signal !== "hidden_runs" || document.getElementById("charts").contains(view.container());
  }

  function follow(legend, view) {
    const signal = legend.dataset.signal;
    const off = Array.from(legend.querySelectorAll("button[aria-pressed=false]"), (button) => button.dataset.name);
    if (following(signal, view)) view.signal(signal, off).runAsync();
  }

  function wire(legend) {
    legend.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      views.forEach((view) => follow(legend, view));
    });
  }

  Promise.all(Array.from(document.querySelectorAll(".chart")).filter(shown).map(draw)).then(() => {
    legends.forEach(wire);
    document.querySelectorAll("details").forEach(drawWhenOpened);
    document.documentElement.dataset.charts = "drawn";
  });
})();
