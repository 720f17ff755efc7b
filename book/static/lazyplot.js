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

  // A picture in patches beside its cloud: pointing at a patch, or at a point of it, marks both.
  const pair = plot => {
    const {grid, cloud, size, marked, ...words} = plot.layout.meta.patches;
    const [patch, colour] = [words.patch, words.colour].map(line => line.split(" ").map(Number));
    let wanted, shown;
    const show = async () => {
      while (wanted !== shown) {
        const now = shown = wanted;
        const [row, column] = [Math.floor(now / grid), now % grid];
        const inside = patch.map(owner => owner === now);
        await Plotly.update(plot, {
          "marker.color": [colour.map((own, i) => inside[i] ? marked : own)],
          "marker.size": [inside.map(yes => size[yes ? 1 : 0])],
        }, {
          "shapes[0].x0": column - 0.5, "shapes[0].x1": column + 0.5,
          "shapes[0].y0": row - 0.5, "shapes[0].y1": row + 0.5,
        }, [cloud]);
      }
    };
    let drawing = Promise.resolve();
    plot.on("plotly_hover", ({points: [point]}) => {
      wanted = point.curveNumber === cloud ? patch[point.pointNumber] : point.y * grid + point.x;
      drawing = drawing.then(show);
    });
  };

  // Clouds that swing until a hand takes them; they stand still for whoever wants less motion.
  const swing = plot => {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const scenes = Object.keys(plot.layout).filter(key => /^scene/.test(key));
    const {x, y, z} = plot.layout[scenes[0]].camera.eye;
    let held = false, seen = true, start;
    for (const touch of ["pointerdown", "wheel"])
      plot.addEventListener(touch, () => held = true, {once: true, capture: true, passive: true});
    new IntersectionObserver(([entry]) => seen = entry.isIntersecting).observe(plot);
    const step = async time => {
      if (held) return;
      const angle = 0.7 * Math.sin((time - (start ??= time)) / 2500);
      const eye = {y, x: x * Math.cos(angle) - z * Math.sin(angle), z: x * Math.sin(angle) + z * Math.cos(angle)};
      if (seen && !document.hidden)
        await Plotly.relayout(plot, Object.fromEntries(scenes.map(scene => [`${scene}.camera.eye`, eye])));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
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
      if (figure.layout.meta?.patches) pair(plot);
      if (figure.layout.meta?.turning) swing(plot);
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
