// Figures are drawn when they scroll into view; plotly.js is loaded once, from the book's own files.
(() => {
  const here = document.currentScript.src;
  const bundle = here.replace(/lazyplot\.js.*$/, "plotly/plotly.min.js");
  let loading;
  const load = () => loading ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = bundle;
    script.onload = done;
    script.onerror = () => fail(new Error("plotly.js could not be loaded"));
    document.head.append(script);
  });

  // Words in a figure take the colour of the page's text, in light and in dark.
  const ink = layout => {
    const colour = getComputedStyle(document.body).color;
    const change = {"font.color": colour};
    for (const scene of Object.keys(layout).filter(key => /^scene/.test(key)))
      for (const axis of ["xaxis", "yaxis", "zaxis"]) change[`${scene}.${axis}.color`] = colour;
    for (const axis of Object.keys(layout).filter(key => /^[xy]axis/.test(key)))
      change[`${axis}.color`] = colour;
    return change;
  };

  // On a narrow screen the eye moves away, so that the whole cloud is seen.
  const stepBack = (layout, width) => {
    const far = Math.max(1, 600 / width);
    for (const scene of Object.keys(layout).filter(key => /^scene/.test(key))) {
      const eye = layout[scene].camera?.eye;
      for (const axis in eye) eye[axis] *= far;
    }
  };

  // Turning one of several linked scenes turns the others.
  const link = plot => {
    const scenes = Object.keys(plot.layout).filter(key => /^scene/.test(key));
    let busy = false;
    plot.on("plotly_relayout", async event => {
      const turned = scenes.find(scene => event[`${scene}.camera`]);
      if (busy || !turned) return;
      busy = true;
      const change = {};
      for (const scene of scenes)
        if (scene !== turned) change[`${scene}.camera`] = event[`${turned}.camera`];
      await Plotly.relayout(plot, change);
      busy = false;
    });
  };

  const draw = async box => {
    try {
      await load();
      const figure = JSON.parse(box.querySelector("script").textContent);
      const plot = box.querySelector(".lazyplot-canvas");
      stepBack(figure.layout, plot.clientWidth);
      await Plotly.newPlot(plot, figure.data, figure.layout, {responsive: true, displaylogo: false});
      await Plotly.relayout(plot, ink(plot.layout));
      if (figure.layout.meta?.linked) link(plot);
      box.dataset.drawn = "yes";
    } catch (error) {
      box.dataset.drawn = "failed";
      box.querySelector(".lazyplot-canvas").textContent = `The figure could not be drawn: ${error.message}`;
      console.error(error);
    }
  };

  const start = () => {
    const watcher = new IntersectionObserver(entries => entries.forEach(entry => {
      if (!entry.isIntersecting) return;
      watcher.unobserve(entry.target);
      draw(entry.target);
    }), {rootMargin: "300px"});
    document.querySelectorAll(".lazyplot").forEach(box => watcher.observe(box));
    new MutationObserver(() => document.querySelectorAll(".lazyplot[data-drawn=yes] .lazyplot-canvas")
      .forEach(plot => Plotly.relayout(plot, ink(plot.layout)))
    ).observe(document.documentElement, {attributeFilter: ["data-theme"]});
  };
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();
