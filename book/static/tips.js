// What a term or a symbol means (book/_ext/hover.py), for a pointer, a keyboard and a finger. A tap
// shows it and stays on the page; the link in it leads on. Without this script a term is a plain link.
(() => {
  const make = (tag, own) => Object.assign(document.createElement(tag), own);
  const tip = make("span", {className: "tip", id: "tip", role: "tooltip"});
  const words = tip.appendChild(make("span"));
  const onward = tip.appendChild(make("a", {textContent: "In the glossary"}));
  let owner, leaving, last = "mouse";

  // On a wide screen below its term and inside the window; on a phone the style sheet puts it at the foot.
  const place = () => {
    const {left, bottom, top} = owner.getBoundingClientRect();
    const {width, height} = tip.getBoundingClientRect();
    const below = bottom + height + 8 < innerHeight ? bottom + 2 : top - height - 2;
    tip.style.setProperty("--left", `${Math.max(8, Math.min(left, innerWidth - width - 24))}px`);
    tip.style.setProperty("--top", `${below}px`);
  };

  const hide = () => {
    clearTimeout(leaving);
    for (const name of ["aria-describedby", "aria-expanded"]) owner?.removeAttribute(name);
    owner = undefined;
    tip.remove();
  };

  const show = (term, tapped) => {
    clearTimeout(leaving);
    if (owner === term && !tapped) return;
    hide();
    owner = term;
    words.textContent = `${term.dataset.tip} `;
    onward.hidden = !term.href;
    onward.href = term.href ?? "";
    onward.tabIndex = tapped ? 0 : -1;  // to the keyboard the term itself is the link
    term.after(tip);  // next in the order of reading
    term.setAttribute("aria-describedby", "tip");
    if (tapped && term.href) term.setAttribute("aria-expanded", "true");
    place();
  };

  const termOf = target => target.closest?.("[data-tip]");
  const byFinger = () => last === "touch" || last === "pen" || matchMedia("(hover: none)").matches;

  document.addEventListener("pointerdown", event => last = event.pointerType, true);
  document.addEventListener("pointerover", event => {
    if (event.pointerType !== "mouse") return;
    const term = termOf(event.target);
    if (term) show(term);
    else if (tip.contains(event.target)) clearTimeout(leaving);
  });
  document.addEventListener("pointerout", event => {
    if (event.pointerType === "mouse" && owner) leaving = setTimeout(hide, 200);
  });
  document.addEventListener("focusin", ({target}) => {
    const term = termOf(target);
    if (term && last === "key") show(term);
  });
  document.addEventListener("focusout", ({relatedTarget}) => {
    if (owner && last === "key" && !tip.contains(relatedTarget) && relatedTarget !== owner) hide();
  });
  document.addEventListener("keydown", ({key}) => {
    last = "key";
    if (key === "Escape" && owner) hide();
  }, true);
  document.addEventListener("click", event => {
    const term = termOf(event.target);
    if (term && byFinger()) {
      event.preventDefault();
      owner === term ? hide() : show(term, true);
    } else if (owner && !term && !tip.contains(event.target)) hide();
  });
  addEventListener("scroll", () => owner && place(), {passive: true});
})();
