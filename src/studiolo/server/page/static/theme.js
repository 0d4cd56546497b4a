// Light or dark, before anything is painted. Without a choice, as the system has it.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("studiolo.theme");
  } catch {
    // Storage may be switched off; the page works without.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
