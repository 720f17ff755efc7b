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
    const field = {type: "number", min: 0, max: grid * grid - 1, className: "by-keys", ariaLabel: "patch"};
    const typed = Object.assign(document.createElement("input"), field);
    typed.addEventListener("input", () => {
      if (typed.value === "" || !typed.checkValidity()) return;
      wanted = Number(typed.value);
      drawing = drawing.then(show);
    });
    plot.before(typed);
  };

  // Clouds that swing until a hand takes them; they stand still for whoever wants less motion.
  const swing = plot => {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const scenes = Object.keys(plot.layout).filter(key => /^scene/.test(key));
    const {x, y, z} = plot.layout[scenes[0]].camera.eye;
    let held = false, seen = true, start;
    for (const touch of ["pointerdown", "wheel", "keydown"])
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

  // Rows of switches above a plot. What was run stands in the menu that plotly shows elsewhere.
  const board = (plot, layout) => {
    const {rows, between, start, levels, apart, t, views} = layout.meta.switches;
    const runs = new Map(layout.updatemenus[0].buttons.map(({label, args}) => [label, args[0].x]));
    layout.updatemenus = [];
    layout.title = {};
    layout.height -= layout.margin.t - 10;
    layout.margin.t = 10;
    plot.style.minHeight = `${layout.height}px`;

    const make = (tag, own) => Object.assign(document.createElement(tag), own);
    const form = make("form", {className: "switches", onsubmit: () => false});
    const said = make("p", {className: "switches-said", role: "status"});
    [...rows, ["shown as", Object.keys(views)]].forEach(([name, choices], row) => {
      const set = form.appendChild(make("fieldset"));
      set.append(make("legend", {textContent: name}), ...choices.map(value => {
        const checked = value === (start[row] ?? choices[0]);
        const label = make("label");
        label.append(make("input", {type: "radio", name: `row${row}`, value, checked}), value);
        return label;
      }));
    });
    plot.before(form, said);

    const flip = () => {
      const chosen = [...form.querySelectorAll(":checked")].map(input => input.value);
      const view = chosen.pop(), level = view === "level";
      const run = runs.get(chosen.join(between));
      [...form.children].slice(0, -1).forEach((set, row) => {
        for (const input of set.querySelectorAll("input")) {
          const known = runs.has(chosen.map((value, i) => i === row ? input.value : value).join(between));
          input.parentElement.classList.toggle("not-run", !known);
          input.title = known ? "" : "not run here";
        }
      });
      const [dots, others] = levels.map((base, i) =>
        run ? run[3 * i].map((x, k) => x === null || !level ? x : x + base[k]) : []);
      const seen = dots.filter(x => x !== null), n = seen.length;
      const sum = numbers => numbers.reduce((a, b) => a + b, 0);
      const mean = sum(seen) / n;
      const half = t[n - 2] * Math.sqrt(sum(seen.map(x => (x - mean) ** 2)) / (n - 1) / n);
      const ends = n > 1 ? [mean - half, mean + half] : [];
      const word = x => (level || x < 0 || Object.is(x, -0) ? "" : "+") + x.toFixed(3);
      const inside = ends.length ? `95 % interval ${ends.map(word).join(" to ")}, ` : "";
      said.textContent = !run ? "Not run here." : [
        n ? `Mean ${view} ${word(mean)} (${inside}n = ${n} kind${n > 1 ? "s" : ""})` : "No kind was run here",
        ...apart.flatMap((name, k) => others[k] === null ? [] : `${name} ${word(others[k])}`),
      ].join("; ") + ".";
      const [title, range] = views[view];
      return Plotly.update(plot, {
        x: [dots, ends, n ? [mean] : [], others, level ? levels.flat() : []],
      }, {"xaxis.title.text": title, "xaxis.range": range, "xaxis.zeroline": !level});
    };
    form.addEventListener("change", flip);
    return flip;
  };

  // Plotly's menus and sliders know no keys: the same choices as real lists, seen while they are focused.
  const listChoices = plot => {
    for (const [kind, entries] of [["updatemenus", "buttons"], ["sliders", "steps"]])
      (plot.layout[kind] ?? []).forEach((own, place) => {
        const name = own.currentvalue?.prefix?.replace(/[:\s]+$/, "") || "shown";
        const list = Object.assign(document.createElement("select"), {className: "by-keys", ariaLabel: name});
        list.append(...own[entries].map(({label}, i) => new Option(label ?? `${i + 1}`)));
        const known = () => list.selectedIndex = plot.layout[kind][place].active ?? 0;
        known();
        list.addEventListener("focus", known);
        list.addEventListener("change", async () => {
          const chosen = list.selectedIndex, {method = "restyle", args} = own[entries][chosen];
          await Plotly[method](plot, ...args);
          await Plotly.relayout(plot, {[`${kind}[${place}].active`]: chosen});
        });
        plot.before(list);
      });
  };

  // A cloud turns by the arrow keys, and comes closer by plus and minus.
  const turnByKeys = plot => {
    const scenes = Object.keys(plot.layout).filter(key => /^scene/.test(key));
    if (!scenes.length) return;
    Object.assign(plot, {tabIndex: 0, role: "application"});
    plot.ariaLabel = "Cloud of points: arrow keys turn it, plus and minus bring it closer or farther";
    const turns = {ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1],
      ArrowDown: [0, -0.15, 1], "+": [0, 0, 0.9], "-": [0, 0, 1.1]};
    plot.addEventListener("keydown", event => {
      if (event.target !== plot || !turns[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const [around, over, far] = turns[event.key];
      const {eye, up} = plot._fullLayout[scenes[0]].camera;
      const [side, high, deep] = Math.abs(up.z) > Math.abs(up.y) ? ["x", "z", "y"] : ["x", "y", "z"];
      const radius = Math.hypot(eye.x, eye.y, eye.z);
      const angle = Math.atan2(eye[side], eye[deep]) + around;
      const height = Math.asin(eye[high] / radius) + over * Math.sign(up[high]);
      const lat = Math.max(-1.5, Math.min(1.5, height)), reach = far * radius;
      const moved = {[side]: reach * Math.cos(lat) * Math.sin(angle), [high]: reach * Math.sin(lat),
        [deep]: reach * Math.cos(lat) * Math.cos(angle)};
      Plotly.relayout(plot, Object.fromEntries(scenes.map(scene => [`${scene}.camera.eye`, moved])));
    });
  };

  // A tool bar must not lie over a menu, a slider or a legend: where they would meet, it goes.
  const makeRoom = plot => {
    const bar = plot.querySelector(".modebar");
    if (!bar) return;
    const own = bar.getBoundingClientRect();
    const meets = ({left, right, top, bottom}) =>
      left < own.right && right > own.left && top < own.bottom && bottom > own.top;
    const taken = plot.querySelectorAll(".updatemenu-container, .slider-container, .legend");
    bar.classList.toggle("in-the-way", [...taken].some(part => meets(part.getBoundingClientRect())));
  };

  const draw = async box => {
    try {
      await load();
      const figure = JSON.parse(box.querySelector("script").textContent);
      const plot = box.querySelector(".lazyplot-canvas");
      stepBack(figure.layout, plot.clientWidth);
      const flip = figure.layout.meta?.switches && board(plot, figure.layout);
      await Plotly.newPlot(plot, figure.data, figure.layout, {responsive: true, displaylogo: false});
      await Plotly.relayout(plot, ink(plot.layout));
      await flip?.();
      listChoices(plot);
      turnByKeys(plot);
      makeRoom(plot);
      plot.on("plotly_afterplot", () => makeRoom(plot));
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
