// What a figure keeps outside the book: its words for those who cannot see it, and linked cameras.
plot => {
  const {alt, linked} = plot.layout.meta ?? {};
  if (alt) {
    plot.setAttribute("role", "figure");
    plot.setAttribute("aria-label", alt);
  }
  if (!linked) return;
  const scenes = Object.keys(plot.layout).filter(key => /^scene/.test(key));
  const look = (scene, camera) =>  // JupyterLab keeps the library to itself
    plot._fullLayout[scene]._scene.setViewport({...plot._fullLayout[scene], camera});
  let busy = false;
  plot.on("plotly_relayout", async event => {
    const turned = scenes.find(scene => event[`${scene}.camera`]);
    if (busy || !turned) return;
    busy = true;
    const camera = event[`${turned}.camera`], others = scenes.filter(scene => scene !== turned);
    if (window.Plotly)
      await Plotly.relayout(plot, Object.fromEntries(others.map(scene => [`${scene}.camera`, camera])));
    else others.forEach(scene => look(scene, camera));
    busy = false;
  });
}
