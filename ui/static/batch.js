// The batch tab: the sheet's rows that have changed.
(() => {
  // A row's cell takes the place of the one on the sheet, with the picture that is there, unless that one is newer.
  const putCell = (cell) => {
    const { words } = cell.querySelector("button").dataset;
    const old = document.querySelector(`#batch-sheet [data-words="${words}"]`)?.closest("li");
    if (!old || Number(old.closest("[data-sent]").dataset.sent) >= Number(cell.dataset.sent)) return;
    const now = cell.cloneNode(true), hadFocus = old.contains(document.activeElement);
    now.querySelector("img").src = old.querySelector("img").src;
    old.replaceWith(now);
    if (hadFocus) now.querySelector("button").focus({ preventScroll: true });
  };
  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      document.querySelectorAll("#batch-cells li").forEach(putCell);
    });
  }).observe(document, { childList: true, subtree: true });
})();
