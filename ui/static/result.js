// From the click on Generate or Start to the file.
(() => {
  // Download beside a draft: page.js presses Generate, and what comes of it is saved; nothing where it fails or is stopped.
  const watches = new WeakMap(); // by tool
  const saveWhenDone = (tool) => {
    const save = tool.querySelector(".dbx-actions > .primary");
    watches.get(tool)?.disconnect(); // a second press
    const watch = new MutationObserver(() => {
      if (tool.querySelector(".dbx-finish, .dbx-line.busy")) return;
      watch.disconnect();
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
    const bar = button.closest(".dbx-tool")?.querySelector(".dbx-bar") ?? document.getElementById("batch-stage");
    const { top, bottom } = bar.getBoundingClientRect();
    if (innerWidth < 900 && (bottom < 0 || top > innerHeight - 200)) bar.scrollIntoView({ behavior: "smooth", block: bottom < 0 ? "start" : "center" });
  };
  document.addEventListener("click", (event) => {
    if (event.target.matches?.(".dbx-finish")) saveWhenDone(event.target.closest(".dbx-tool"));
    const button = event.target.closest?.("[id$='-generate'], #batch-start, #batch-check");
    if (button) showBar(button);
  });
})();
