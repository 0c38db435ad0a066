/** Light, dark, or as the system has it; remembered in this browser. */

const KEY = "orchestrator.theme";
const NAMES = ["auto", "light", "dark"];

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function themes() {
  let name = NAMES.includes(stored()) ? stored() : "auto";
  const apply = () => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
  };
  apply();
  return {
    word: () => name,
    next() {
      name = NAMES[(NAMES.indexOf(name) + 1) % NAMES.length];
      apply();
      try {
        localStorage.setItem(KEY, name);
      } catch {
        // A browser that keeps nothing still shows the choice until the page is left.
      }
    },
  };
}
