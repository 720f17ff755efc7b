// Filters, search, keys, and the cloud of one part at a time.

const $ = (query, root = document) => root.querySelector(query);
const parts = [...document.querySelectorAll(".part")];
const search = $("#search"), help = $("#help");

function choose() {
  const kind = $("input[name=show]:checked").value, words = search.value.trim().toLowerCase();
  let count = 0;
  for (const part of parts) {
    const named = $(".path", part).textContent.toLowerCase().includes(words);
    part.hidden = !(named && (kind === "all" || part.dataset.verdict === kind));
    count += !part.hidden;
  }
  $("#shown").textContent = `${count} of ${parts.length} shown`;
}

async function turn(part) {
  const button = $(".turn", part), before = $(".viewer");
  if (!button) return;
  if (before) {
    const other = before.closest(".part");
    $(".turn", other).setAttribute("aria-expanded", "false");
    before.remove();
    if (other === part) return;
  }
  const viewer = $("#viewer").content.cloneNode(true).firstElementChild;
  const [canvas, slider, told] = [$("canvas", viewer), $("input", viewer), $("output", viewer)];
  part.append(viewer);
  button.setAttribute("aria-expanded", "true");
  const name = $("h3", part).textContent;
  try {
    const data = await load(part.id);
    const cloud = new Viewer(canvas, data);
    canvas.setAttribute("aria-label", `${name}: ${data.count} points, arrow keys turn them`);
    slider.max = Math.max(2, Math.ceil(cloud.heat.reduce((a, b) => Math.max(a, b), 0)));
    slider.oninput = () => {
      const above = Number(slider.value), lit = cloud.light(above);
      const share = ((100 * lit) / data.count).toFixed(1);
      told.textContent = `${above.toFixed(2)} × what good parts stay below: ${lit} of ` +
        `${data.count} points lit (${share} %); the part is ${data.millimetres.toFixed(0)} mm long`;
    };
    slider.oninput();
  } catch (error) {
    told.textContent = `parts/${part.id}/cloud.js cannot be read; keep the page and its folder together`;
  }
  viewer.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const shown = parts.filter((part) => !part.hidden);
  const now = shown.indexOf(document.activeElement.closest(".part"));
  const next = shown[Math.min(Math.max(now + by, 0), shown.length - 1)];
  if (next) next.focus(), next.scrollIntoView({ block: "nearest" });
}

function show(kind) {
  $(`input[name=show][value="${kind}"]`).checked = true;
  choose();
}

const KEYS = {
  j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
  e: () => show("all"), n: () => show("no part seen"), a: () => show("anomalous"),
  g: () => show("good"), f: () => show("failed"),
  "/": () => search.focus(), "?": () => help.showModal(),
};

document.addEventListener("keydown", (event) => {
  const on = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (on === search) {
    if (event.key === "Escape") search.value = "", search.blur(), choose();
    else if (event.key === "Enter" || event.key === "ArrowDown") event.preventDefault(), step(1);
    return;
  }
  if (event.key === "Enter" && on.classList.contains("part")) turn(on);
  else if (KEYS[event.key] && !(on.matches("input") && event.key.startsWith("Arrow"))) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
document.addEventListener("click", (event) => {
  const button = event.target.closest(".turn");
  if (button) turn(button.closest(".part"));
});
$(".bar").addEventListener("input", choose);
$(".bar").addEventListener("submit", (event) => event.preventDefault());
$("#ask").addEventListener("click", () => help.showModal());
choose();
