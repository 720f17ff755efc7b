// A table that is wider than its place can be scrolled by keys, as the theme sees to it for code.
(() => {
  const mark = () => document.querySelectorAll(".pst-scrollable-table-container").forEach(box => {
    const wide = box.scrollWidth > box.clientWidth;
    const own = {tabindex: 0, role: "region", "aria-label": "A wide table"};
    for (const name in own) wide ? box.setAttribute(name, own[name]) : box.removeAttribute(name);
  });
  mark();
  addEventListener("load", mark);
  addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true);  // what was folded has a width now
})();
