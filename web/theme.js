// Light or dark, before anything is painted: as the person chose on the settings screen, or else as the system is.
// A classic script, since a module would run after the first paint.

(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const NAME = "sotto.theme"; // in localStorage, which a browser may refuse
  let chosen = "";
  try {
    chosen = localStorage.getItem(NAME) ?? "";
  } catch { /* as above */ }

  function show() {
    const theme = chosen || (dark.matches ? "dark" : "light");
    root.dataset.theme = theme;
    for (const meta of document.querySelectorAll("meta[data-of]")) { // what the browser paints around the page
      meta.setAttribute("media", meta.getAttribute("data-of") === theme ? "all" : "not all");
    }
  }

  /** Take a theme, "light", "dark" or "" for the system's; without one, tell which was taken. */
  globalThis.theme = (/** @type {string | undefined} */ name) => {
    if (name === undefined) return chosen;
    chosen = name;
    try {
      localStorage.setItem(NAME, name);
    } catch { /* as above */ }
    show();
    return chosen;
  };
  dark.addEventListener("change", show);
  show();
})();
