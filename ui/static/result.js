// From the click on Generate or Start to the file.
(() => {
  // Download beside a draft: page.js presses Generate, and what comes of it is saved; nothing where it fails or is stopped.
  // Download while a file is made (its format was changed, or Generate was pressed) waits for it in the same way.
  const watches = new WeakMap(); // by tool
  const saveWhenDone = (tool) => {
    const save = tool.querySelector(".dbx-actions > .primary");
    watches.get(tool)?.disconnect(); // a second press
    save.dataset.told = "awaited";
    const watch = new MutationObserver(() => {
      if (tool.querySelector(".dbx-finish, .dbx-line.busy")) return;
      watch.disconnect();
      delete save.dataset.told;
      if (!tool.querySelector(".dbx-stage .dbx-details")) return; // only a finished picture has details
      setTimeout(() => {
        if (save.disabled) return;
        save.click();
        save.focus({ preventScroll: true });
      }, 250);
    });
    watches.set(tool, watch);
    watch.observe(tool.querySelector(".dbx-stage"), { childList: true, subtree: true, attributeFilter: ["class"] });
  };
  // On a phone these buttons are always at hand, and what they do is told where the bar is.
  const showBar = (button) => {
    if (button.closest(".dbx-tool")?.querySelector(".dbx-alert[role=alert]:not(.calm, .moved)")) return; // a refusal is what is to be seen
    const bar = button.closest(".dbx-tool")?.querySelector(".dbx-bar") ?? document.getElementById("batch-stage");
    const { top, bottom } = bar.getBoundingClientRect();
    if (innerWidth < 900 && (bottom < 0 || top > innerHeight - 200)) bar.scrollIntoView({ behavior: "smooth", block: bottom < 0 ? "start" : "center" });
  };
  // A button that is disabled hears no click; by style this one lets it through to the row that it lies in.
  const findWaitingSave = ({ target, clientX, clientY }) => {
    const save = target.matches?.(".dbx-actions") ? target.querySelector(".primary:disabled") : null, place = save?.getBoundingClientRect();
    return place && clientX > place.left && clientX < place.right && clientY > place.top && clientY < place.bottom ? save : null;
  };
  document.addEventListener("click", (event) => {
    if (findWaitingSave(event)) saveWhenDone(event.target.closest(".dbx-tool"));
    if (event.target.matches?.(".dbx-finish")) saveWhenDone(event.target.closest(".dbx-tool"));
    const save = event.target.closest?.(".dbx-actions > .primary");
    if (save) { // the browser's own sign of a saved file is small, and on a phone there may be none
      delete save.dataset.told;
      requestAnimationFrame(() => { save.dataset.told = "saved"; }); // its sign fades: a second click shows it again
    }
    const button = event.target.closest?.("[id$='-generate'], #batch-start, #batch-check");
    if (!button) return;
    setTimeout(() => showBar(button), 300); // an open brush gives the bar its place first
    const alert = button.closest(".dbx-tool")?.querySelector(".dbx-alert.placed[role=alert]"); // said already: once more
    alert?.scrollIntoView({ block: "nearest" });
    alert?.animate([{ opacity: 0.2 }, { opacity: 1 }], { duration: 300, iterations: 2 });
  });
})();
