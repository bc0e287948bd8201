// The batch tab: small pictures of the chosen files, also while their rows wait, and the sheet's rows that have changed.
(() => {
  const SIDE = 192;
  const chosen = new Map(); // files by name, as the list shows them
  // A batch has the files of the last Start before it was first shown: those chosen later may have the same names.
  const started = new Map(); // by batch
  let starting = new Map();
  document.addEventListener("click", ({ target }) => { if (target.closest?.("#batch-start")) starting = new Map(chosen); }, true);
  const note = (files) => [...files].forEach((file) => chosen.set(file.name, file));
  document.addEventListener("change", ({ target }) => { if (target.matches?.("#batch-files input[type=file]")) note(target.files); }, true);
  document.addEventListener("drop", (event) => { if (event.target.closest?.("#batch-files")) note(event.dataTransfer.files); }, true);

  const draw = async (file) => {
    const image = await createImageBitmap(file, { resizeHeight: 2 * SIDE, resizeQuality: "medium" });
    const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE }), pen = canvas.getContext("2d");
    const scale = SIDE / Math.min(image.width, image.height), width = image.width * scale, height = image.height * scale;
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.drawImage(image, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    image.close();
    return canvas.toDataURL("image/jpeg", 0.8);
  };
  // One after the other: a hundred large photographs at once would fill the memory of a phone.
  const drawn = new WeakMap(), pictures = new WeakMap();
  let last = Promise.resolve();
  const findPicture = (file) => {
    if (!drawn.has(file)) drawn.set(file, last = last.then(() => draw(file)).catch(() => "")); // HEIC and others have the plain sign
    return drawn.get(file);
  };
  const findFile = (cell) => cell.dataset.photo === undefined ? chosen.get(cell.ariaLabel)
    : started.get(cell.closest("[data-batch]").dataset.batch)?.get(cell.dataset.photo);
  const showPicture = (cell, picture) => { if (picture) cell.style.setProperty("--dbx-file", `url(${picture})`); };
  const inView = new IntersectionObserver((cells) => cells.forEach(async ({ isIntersecting, target }) => {
    const file = isIntersecting && findFile(target);
    if (!file || !file.type.startsWith("image/")) return;
    inView.unobserve(target);
    pictures.set(file, await findPicture(file));
    if (findFile(target) === file) showPicture(target, pictures.get(file)); // Gradio may have made it another row's cell
  }));
  const watchCell = (cell) => {
    const file = findFile(cell);
    cell.dataset.told = "";
    inView.unobserve(cell);
    if (file && pictures.has(file)) showPicture(cell, pictures.get(file)); // at once: the sheet comes anew all the time
    else inView.observe(cell);
  };
  const noteBatch = ({ dataset: { batch } }) => {
    if (!started.has(batch)) started.set(batch, starting);
  };

  // Letters that are typed go to the first tool of which a word begins with them, as in a browser's own list.
  let typed = "", typedAt = 0;
  document.addEventListener("keydown", (event) => {
    const options = event.target.matches?.("#batch-which input") ? [...document.querySelectorAll(".option-list [role=option]")] : [];
    const found = options.find((option) => option.matches(".dbx-typed"));
    if (event.key === "Enter" && found) found.dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true }));
    else if (!options.length || event.key.length !== 1 || event.ctrlKey || event.metaKey) return found?.classList.remove("dbx-typed");
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter") return;
    typed = event.timeStamp - typedAt < 1000 ? typed + event.key.toLowerCase() : event.key.toLowerCase();
    typedAt = event.timeStamp;
    const next = options.find((option) => ` ${option.textContent.toLowerCase().replace(/[^\p{L}\p{N}-]+/gu, " ")}`.includes(` ${typed}`));
    if (!next) return;
    options.forEach((option) => option.classList.toggle("dbx-typed", option === next));
    next.scrollIntoView({ block: "nearest" });
  }, true);

  // All of the list is seen where there is room, the chosen tool too.
  const showFirst = (list) => {
    list.scrollTop = 0;
    list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("click", ({ target }) => {
    if (target.matches?.("#batch-which input")) setTimeout(() => document.querySelectorAll(".option-list").forEach(showFirst), 60);
  });
  // One setting is chosen at a time: Gradio leaves the list open, over what comes next.
  document.addEventListener("mousedown", ({ target }) => {
    const input = target.closest?.("[role=option]") && document.activeElement.closest("#batch-add") && document.activeElement;
    if (input) setTimeout(() => input.blur(), 60);
  }, true);

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
      document.querySelectorAll("#batch-sheet [data-batch]:has([data-photo])").forEach(noteBatch);
      document.querySelectorAll(":is(#batch-files td.filename, #batch-sheet [data-photo]):not([data-told])").forEach(watchCell);
    });
  }).observe(document, { childList: true, subtree: true, attributeFilter: ["data-sent"] }); // a new sheet changes the old one's cells
})();
