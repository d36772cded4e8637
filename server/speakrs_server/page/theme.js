// Before anything is drawn: the theme and text size that were chosen last.
{
  const root = document.documentElement;
  const kept = (name, other) => {
    try {
      return localStorage.getItem(`speakrs ${name}`) ?? other;
    } catch {
      return other;
    }
  };
  root.dataset.theme = kept("theme", "system");
  root.style.setProperty("--size", kept("size", "1.25"));
  if (new URLSearchParams(location.search).get("overlay") === "1") root.classList.add("overlay");
}
