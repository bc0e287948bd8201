// The page's own script: navigation, keyboard, paste, drag, translation, and alerts beside their fields.
(() => {
  const on = (name, answer, options) => document.addEventListener(name, answer, options);
  const visible = (node) => node && node.offsetParent !== null;
  const enter = (input, value) => { // as somebody types it and leaves the field
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new FocusEvent("blur"));
  };
  const findOpenTool = () => [...document.querySelectorAll(".dbx-tool")].find(visible);
  const pressButton = (suffix) => {
    const here = findOpenTool();
    const button = here && document.getElementById(here.id.replace(/-tool$/, suffix));
    if (button && !button.disabled) button.click();
    return Boolean(button);
  };

  // Ctrl+Z: marks that are being made, else the pictures of this tool; typing and the brush have undo of their own.
  const goThroughHistory = (event) => {
    const tool = findOpenTool(), isBack = event.key.toLowerCase() === "z" && !event.shiftKey;
    if (!tool || event.target.matches("textarea, input:not([type=range], [type=radio], [type=checkbox])") || tool.querySelector(".dbx-brush:not([hidden])")) return;
    const pictures = [...tool.querySelectorAll(".dbx-history input")], at = pictures.findIndex((input) => input.checked);
    const next = tool.querySelector(".dbx-box.pointing") ? isBack && tool.querySelector('.dbx-point-bar [data-do="undo"]') : pictures[isBack ? (at < 0 ? pictures.length : at) - 1 : at + 1];
    if (!next || next.disabled || (at < 0 && !isBack)) return;
    event.preventDefault();
    next.click();
  };
  on("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      document.activeElement?.blur(); // puts text that is still being typed into the form
      if (pressButton("-generate")) event.preventDefault();
    } else if (/^[zy]$/i.test(event.key) && (event.ctrlKey || event.metaKey)) goThroughHistory(event);
    else if (event.key === "Escape") {
      if (closeMenus(null) || document.querySelector("#dbx-keys:popover-open")) return;
      document.querySelectorAll(".near").forEach((box) => box.classList.remove("near"));
      if (!document.querySelector(".fullscreen, .dbx-brush.full")) pressButton("-stop"); // full screen is left first
    }
  }, true);

  // A picture that is pasted, or dropped on an existing one, goes into the photo field of the visible tool.
  const queued = new WeakSet();
  const putFiles = async (field, files, last = false) => {
    const find = () => field.querySelector("input[type=file]");
    if (!find()) field.querySelector(".icon-button-wrapper button:last-of-type")?.click();
    for (let tries = 0; !find() && tries < 40; tries++) await new Promise((done) => setTimeout(done, 25));
    if (!find()) return;
    const carrier = new DataTransfer();
    files.forEach((file) => carrier.items.add(file));
    find().files = carrier.files;
    const change = new Event("change", { bubbles: true });
    if (last) queued.add(change);
    find().dispatchEvent(change);
  };
  // A field of several pictures gets one upload after the other: Gradio rebuilds the field when the first upload arrives
  // and loses any upload that is still running.
  const sending = new WeakMap();
  const untilUploaded = async (field) => {
    const before = field.querySelectorAll("img").length;
    for (let tries = 0; field.querySelectorAll("img").length <= before && tries < 100; tries++) await new Promise((done) => setTimeout(done, 50));
  };
  on("change", (event) => {
    const field = event.target.matches?.("input[type=file]") && event.target.closest(".dbx-photos");
    if (!field || queued.has(event)) return;
    const before = sending.get(field), files = [...event.target.files];
    if (before) {
      event.stopImmediatePropagation();
      event.target.value = "";
    }
    const sent = (before ? before.then(() => Promise.all([untilUploaded(field), putFiles(field, files, true)])) : untilUploaded(field))
      .then(() => { if (sending.get(field) === sent) sending.delete(field); });
    sending.set(field, sent);
  }, true);
  const listImages = (carrier) => [...(carrier?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  on("paste", (event) => {
    const files = listImages(event.clipboardData);
    const field = [...(findOpenTool() ?? document).querySelectorAll(".dbx-photo, .dbx-photos")].find(visible);
    if (!files.length || !field) return;
    event.preventDefault();
    putFiles(field, field.matches(".dbx-photos") ? files : files.slice(0, 1)); // added to several pictures; replaces a single one
  });
  // What is no picture is answered at its field, in the page's language; Gradio would show a note of its own.
  const isOther = (file) => file.type && !file.type.startsWith("image/"); // of a HEIC file many browsers know no type
  const refuseOthers = (event, field, files) => {
    if (!field || !files.some(isOther)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    tellNoPicture(field);
  };
  const tellNoPicture = (field) => {
    field.querySelectorAll(":scope > .dbx-alert").forEach((old) => old.remove());
    field.append(Object.assign(document.createElement("p"), { className: "dbx-alert", role: "alert", textContent: "This file is no picture. JPEG, PNG, WebP, HEIC and others are taken." }));
  };
  on("change", (event) => {
    const field = event.target.matches?.("input[type=file]") ? event.target.closest(".dbx-photo, .dbx-photos") : null;
    field?.querySelectorAll(":scope > .dbx-alert:not(.placed)").forEach((old) => old.remove());
    refuseOthers(event, field, [...event.target.files ?? []]);
  }, true);
  on("drop", (event) => refuseOthers(event, event.target.closest?.(".dbx-photo, .dbx-photos"), [...event.dataTransfer.files]), true);
  const findFilledPhoto = (target) => { const field = target.closest?.(".dbx-photo"); return field?.querySelector("img") && field; };
  on("dragover", (event) => { if (findFilledPhoto(event.target)) event.preventDefault(); });
  on("drop", (event) => {
    const field = findFilledPhoto(event.target), [file] = listImages(event.dataTransfer);
    if (!field || !file) return;
    event.preventDefault();
    putFiles(field, [file]);
  });
  // A click on a photo chooses another one.
  on("click", (event) => {
    const field = findFilledPhoto(event.target);
    if (!field || event.target.closest("button:not(:has(img)), input, .dbx-alert, .icon-button-wrapper")) return;
    const chooser = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
    chooser.onchange = () => {
      if (isOther(chooser.files[0])) tellNoPicture(field); // the photo stays
      else putFiles(field, [...chooser.files]);
    };
    chooser.click();
  });

  // A folder dropped on the batch tab: collect its files, also from subfolders. The browser gives entries, not files, and
  // at most a hundred at a time.
  const listEntries = async (folder) => {
    const reader = folder.createReader(), all = [];
    for (let some = [null]; some.length;) {
      some = await new Promise((done, failed) => reader.readEntries(done, failed));
      all.push(...some);
    }
    return all;
  };
  const listFiles = async (entry) => {
    if (entry.name.startsWith(".") || entry.name === "Thumbs.db") return []; // files of the operating system
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const inside = [];
    for (const each of await listEntries(entry)) inside.push(...await listFiles(each));
    return inside;
  };
  on("drop", async (event) => {
    const field = event.target.closest?.("#batch-files");
    const found = field ? [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean) : [];
    if (!found.some((entry) => entry.isDirectory)) return; // Gradio handles plain files
    event.preventDefault();
    event.stopPropagation();
    const files = [];
    for (const entry of found) files.push(...await listFiles(entry));
    files.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    if (files.length) putFiles(field, files);
  }, true);

  // Every tab is an address: links like #headshot open it, and Back and Forward go between them.
  const tabButton = (id) => document.getElementById(`tab-${id}-button`);
  const openTabOfHash = () => {
    const id = location.hash.slice(1) || "home", button = tabButton(id);
    if (button && button.getAttribute("aria-selected") !== "true") button.click();
    return Boolean(button);
  };
  addEventListener("popstate", openTabOfHash);
  let arrived = false; // false: the address says which tab to open; true: the open tab sets the address
  let open = "";
  const noteOpenTab = () => {
    const id = document.querySelector("#dbx-tabs button[role=tab][aria-selected=true]")?.dataset.tabId;
    if (!id || id === open) return; // do not undo an address that a link has just changed
    const first = !open, address = `${location.pathname}#${id}`;
    const isFromRow = id === "batch" && innerWidth < 900 && document.querySelector(`#${open}-batch-row a`);
    open = id;
    markOpenTab();
    // On a phone a finger that said "Picture is fine" last would lie on the field for files.
    if (isFromRow) document.getElementById("batch-stage").scrollIntoView({ block: "start" });
    else if (!first) scrollTo(0, 0);
    if (!arrived || first || (location.hash.slice(1) || "home") === id) return;
    // The settings of a link are in the form now; a reload returns to the form, not to the link.
    if (location.search) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  };
  const markOpenTab = () => {
    document.querySelectorAll(".dbx-nav a, .dbx-nav summary").forEach((link) => {
      const here = link.hash === `#${open}` || (!link.hash && link.parentElement.querySelector(`a[href="#${open}"]`));
      if (here) link.setAttribute("aria-current", link.hash ? "page" : "true");
      else link.removeAttribute("aria-current");
    });
  };

  // Menus: one is open at a time, and a click elsewhere, a choice or Escape closes it.
  const closeMenus = (target) => {
    const folds = [...document.querySelectorAll(".dbx-nav details[open], .dbx-details[open]")].filter((each) => !each.contains(target));
    const panels = [...document.querySelectorAll(".dbx-menu.open")].filter((each) => !each.contains(target));
    folds.forEach((each) => { each.open = false; });
    panels.forEach((each) => each.classList.remove("open"));
    return folds.length + panels.length > 0;
  };
  on("click", (event) => {
    const target = event.target.closest?.("a, button, summary") ?? event.target;
    const panel = target.matches?.(".dbx-menu-button") ? target.closest(".dbx-bar").querySelector(".dbx-menu") : null;
    const opens = panel && !panel.classList.contains("open");
    if (!event.target.closest?.(".options, [role=option], [role=listbox]")) closeMenus(target.matches?.(".dbx-nav a, .dbx-close") ? null : target);
    if (opens) panel.classList.add("open");
    if (target.matches?.(".dbx-skip")) {
      event.preventDefault();
      const content = document.getElementById(`tab-${open}`);
      content.tabIndex = -1;
      content.focus();
    }
    if (target.dataset?.set) {
      localStorage.setItem(`dbx-${target.dataset.set}`, target.dataset.to);
      location.reload();
    }
  });
  // Whoever comes back from another page finds the picture: its tool is marked in the list.
  document.addEventListener("toggle", ({ target }) => {
    if (target.matches?.(".dbx-nav details")) for (const link of target.querySelectorAll("a")) link.classList.toggle("holds", Boolean(document.querySelector(`${link.hash}-live img`)));
  }, true);
  const step = (list, from, by) => list[(list.indexOf(from) + by + list.length) % list.length];
  on("keydown", (event) => {
    const item = event.target.closest?.(".dbx-nav a, .dbx-nav summary");
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!item || !by) return;
    event.preventDefault();
    const menu = item.closest("details"), heads = [...document.querySelectorAll(".dbx-nav > ul > li > :is(a, details)")].map((each) => each.matches("a") ? each : each.firstChild);
    const rows = menu ? [...menu.querySelectorAll("a")] : [];
    if (!menu || /Right|Left/.test(event.key)) { // from group to group
      if (menu) menu.open = false;
      step(heads, menu ? menu.firstChild : item, by).focus();
      return;
    }
    menu.open = true;
    (item.matches("a") ? step(rows, item, by) : by > 0 ? rows[0] : rows.at(-1)).focus();
  });

  // "?" opens the overview of keys, which navigation.py writes.
  on("keydown", (event) => {
    if (event.key === "?" && !event.target.closest?.("input, textarea, select, [contenteditable]")) document.getElementById("dbx-keys").togglePopover(true);
  });

  // Saves a file that Python put into a hidden button.
  window.dbxSaveFile = (file) => {
    if (!file?.url) return;
    const link = Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name ?? file.path.split("/").pop() });
    document.body.append(link);
    link.click();
    link.remove();
  };

  // The picture of a tool, copied or handed to another program.
  const readShownPicture = async (button) => {
    const source = button.closest(".dbx-side").querySelector(".dbx-live img")?.src;
    return source ? (await fetch(source)).blob() : null;
  };
  const toPng = async (blob) => {
    const bitmap = await createImageBitmap(blob), canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  };
  on("click", async (event) => {
    const button = event.target.closest?.(".dbx-copy, .dbx-share"), blob = button && await readShownPicture(button);
    if (!blob) return;
    if (button.matches(".dbx-share")) {
      await navigator.share({ files: [new File([blob], `designerbox.${blob.type.split("/")[1]}`, { type: blob.type })] }).catch(() => {});
      return;
    }
    await navigator.clipboard.write([new ClipboardItem({ "image/png": toPng(blob) })]);
    const before = button.textContent;
    button.textContent = say("Copied");
    setTimeout(() => { button.textContent = before; closeMenus(null); }, 1200);
  });

  // Dragging the picture (mouse, or two fingers) moves the subject; pinching, or Ctrl and the wheel, scales it. At the end
  // the result is written into the form's sliders, which do the same for the keyboard. Where the whole photo lies in a
  // larger frame, the photo moves; where the picture is a crop of the photo, the crop moves.
  const findPart = (box, name) => document.getElementById(`${box.id.replace(/-box$/, "")}-${name}`);
  const slider = (box, name) => findPart(box, name)?.querySelector("input[type=number]");
  const SUBJECT = { fold: "adjust-subject", x: "placement_x", y: "placement_y", scale: "placement_scale", rest: 0 };
  const PHOTO = { fold: "more", x: "place_x", y: "place_y", rest: 0.5 };
  const CROP = { fold: "more", x: "focus_x", y: "focus_y", scale: "zoom", rest: 0 };
  const findDragTarget = (box) => box.matches(".photo-moves") ? PHOTO : box.matches(".crop-moves") ? CROP : findPart(box, SUBJECT.fold) && SUBJECT;
  const unfoldSliders = async (box) => { // Gradio builds the content of an accordion when it is first opened
    const { fold, x, y, scale = y } = findDragTarget(box);
    if (!slider(box, x)) findPart(box, fold).querySelector(":scope > button").click();
    for (let tries = 0; !slider(box, scale) && tries < 80; tries++) await new Promise((done) => setTimeout(done, 25));
    return slider(box, scale);
  };
  const setValue = (input, value) => {
    const bounded = Math.min(Number(input.max), Math.max(Number(input.min), value)), fine = Number(input.step) < 0.01 ? 1000 : 100;
    enter(input, Math.round(bounded * fine) / fine);
  };
  // A photo's sliders go from border to border: the less free space beside the photo, the larger the slider step for the
  // same distance. A frame of the photo's own aspect ratio is always the one that is a quarter larger on every side.
  const measureFreeSpace = (box) => {
    const [frame, photo] = [box.querySelector(".dbx-live img"), findPart(box, "photo").querySelector("img")];
    if (!box.matches(".photo-moves")) return [1, 1];
    const share = photo ? photo.naturalWidth / photo.naturalHeight * frame.naturalHeight / frame.naturalWidth : 1;
    return Math.abs(share - 1) < 0.02 ? [1 / 3, 1 / 3] : [1 - share, 1 - 1 / share];
  };
  // The crop of a finished picture as eight shares: its box in the photo, then the box in the picture where it lies.
  const readCrop = (box) => {
    const said = findPart(box, "stage")?.querySelector("[data-crop]"), photo = findPart(box, "photo").querySelector("img")?.src;
    if (said || photo !== box.cropOf) [box.crop, box.cropOf] = [said?.dataset.crop.split(" ").map(Number), photo];
    return box.crop;
  };
  const panCrop = (box, axis, name, share, by) => { // the photo follows the hand, so the focus moves the other way
    const input = slider(box, name), [from, , to] = box.crop.slice(axis), [left, , right] = box.crop.slice(axis + 4);
    const half = (to - from) / 2 / by, inside = (focus) => Math.min(1 - half, Math.max(half, focus));
    if (half > 0.499) return; // the whole photo is visible already
    const focus = inside(Number(input.value) || (from + to) / 2) - share * (to - from) / (right - left);
    setValue(input, Math.max(0.001, inside(focus))); // 0 means automatic
  };
  const showDragText = (box, text) => { if (text) box.dataset.told = text; else delete box.dataset.told; };
  const percent = (share, plus, minus) => `${Math.abs(Math.round(share * 100))} % ${share < 0 ? minus : plus}`;
  let hold = null; // the current drag: its box, start point, and the picture's displayed size
  const touches = new Map();
  const touchDistance = () => { const [a, b] = [...touches.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
  const touchCentre = () => { const [a, b] = [...touches.values()]; return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }; };
  on("pointerdown", (event) => {
    const box = event.target.closest?.(".dbx-box");
    const image = box?.querySelector(".dbx-live img");
    if (!image || event.button || event.target.closest(".icon-button-wrapper, .dbx-wipe, input, label") || !findDragTarget(box)) return;
    const seen = Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight);
    const size = { width: image.naturalWidth * seen, height: image.naturalHeight * seen };
    if (event.pointerType === "touch") { // one finger scrolls the page
      touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (touches.size === 2) hold = { box, size, ...touchCentre(), apart: findDragTarget(box).scale && touchDistance() };
    } else hold = { box, size, x: event.clientX, y: event.clientY };
  });
  on("pointermove", (event) => {
    if (touches.has(event.pointerId)) touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!hold || (event.pointerType === "touch" && touches.size !== 2)) return;
    const at = touches.size === 2 ? touchCentre() : { x: event.clientX, y: event.clientY };
    hold.right = (at.x - hold.x) / hold.size.width;
    hold.down = (at.y - hold.y) / hold.size.height;
    hold.by = hold.apart ? touchDistance() / hold.apart : 1;
    const sized = Math.abs(hold.by - 1) > 0.03;
    if (!sized && Math.hypot(at.x - hold.x, at.y - hold.y) <= 4) return;
    showDragText(hold.box, `${percent(hold.right, "→", "←")} · ${percent(hold.down, "↓", "↑")}${sized ? ` · ${Math.round(hold.by * 100)} %` : ""}`);
  });
  on("touchmove", (event) => { if (hold && touches.size === 2 && event.cancelable) event.preventDefault(); }, { passive: false });
  const endDrag = async (event) => {
    touches.delete(event.pointerId);
    if (!hold) return;
    const { box, right, down, by } = hold;
    const moved = Boolean(box.dataset.told);
    hold = null;
    showDragText(box, "");
    if (!moved || event.type === "pointercancel" || !await unfoldSliders(box)) return;
    const { x, y, scale } = findDragTarget(box), free = measureFreeSpace(box), large = scale && Number(slider(box, scale).value);
    if (Math.abs(by - 1) > 0.03) setValue(slider(box, scale), large * by);
    for (const [axis, name, share] of [[0, x, right], [1, y, down]]) {
      if (Math.abs(share) < 0.005) continue;
      if (findDragTarget(box) === CROP) readCrop(box) && panCrop(box, axis, name, share, Number(slider(box, scale).value) / large);
      else if (free[axis] > 0.01) setValue(slider(box, name), Number(slider(box, name).value) + share / free[axis]);
    }
  };
  on("pointerup", endDrag);
  on("pointercancel", endDrag);
  on("click", async (event) => {
    const back = event.target.closest?.(".dbx-back"), box = back && document.getElementById(back.id.replace(/back$/, "box"));
    if (!box || !await unfoldSliders(box)) return;
    const { x, y, scale, rest } = findDragTarget(box);
    for (const [name, value] of [[x, rest], [y, rest], [scale, 1]]) {
      const input = name && slider(box, name);
      if (input && Number(input.value) !== value) setValue(input, value);
    }
  });
  on("dragstart", (event) => { if (event.target.closest?.(".dbx-box")) event.preventDefault(); });
  let turned = 0;
  on("wheel", (event) => {
    const box = event.ctrlKey && event.target.closest?.(".dbx-box");
    if (!box || !findDragTarget(box)?.scale || !box.querySelector(".dbx-live img")) return;
    event.preventDefault();
    box.wheel = (box.wheel ?? 1) * Math.exp(-event.deltaY / 500);
    showDragText(box, `${Math.round(box.wheel * 100)} %`);
    clearTimeout(turned);
    turned = setTimeout(async () => {
      const scale = await unfoldSliders(box);
      if (scale) setValue(scale, Number(scale.value) * box.wheel);
      box.wheel = 1;
      showDragText(box, "");
    }, 250);
  }, { passive: false });

  // A picture that cannot be fetched while the line is down is not shown as a broken one, and is fetched again.
  on("error", (event) => {
    const image = event.target.matches?.(".dbx-live img") && event.target;
    if (!image || navigator.onLine) return;
    image.style.visibility = "hidden";
    addEventListener("online", () => { image.style.visibility = ""; image.src = image.src; }, { once: true });
  }, true);

  // A double click zooms in at the pointer; another one, or Escape, zooms out.
  const setZoomOrigin = (box, event) => {
    const frame = box.querySelector(".image-container").getBoundingClientRect();
    box.style.setProperty("--at", `${(event.clientX - frame.left) / frame.width * 100}% ${(event.clientY - frame.top) / frame.height * 100}%`);
  };
  on("dblclick", (event) => {
    const box = event.target.closest?.(".dbx-live")?.closest(".dbx-box, .fullscreen");
    if (!box?.querySelector("img")) return;
    setZoomOrigin(box, event);
    box.classList.toggle("near");
  });
  on("mousemove", (event) => { const box = event.target.closest?.(".near"); if (box) setZoomOrigin(box, event); });

  // A row that was found right gives way to the next: the second press of a double click is not for that one.
  let fine = { words: "", at: -Infinity, x: 0, y: 0 };
  const isSecondPress = ({ timeStamp: at, clientX: x, clientY: y, detail }, { dataset: { words } }) => {
    const last = fine, isFine = detail > 0 && words.startsWith("approve"); // a key has no place and counts as 0
    if (isFine && words !== last.words && at - last.at < 600 && Math.hypot(x - last.x, y - last.y) < 40) return true;
    if (isFine) fine = { words, at, x, y };
    return false;
  };
  // It gives way too to the picture that was put into the batch, which takes longer to answer.
  on("click", ({ target, timeStamp, clientX: x, clientY: y }) => { if (target.closest?.('[id$="-put"]')) fine = { words: "", at: timeStamp + 900, x, y }; }, true);
  let pressedAt = 0;
  // A click on a close scene writes it into the field of the wish and generates anew, on a batch's picture its row.
  on("click", (event) => {
    const pick = event.target.closest?.("[data-words]"), words = pick && document.querySelector(`#${pick.dataset.field} textarea, #${pick.dataset.field} input`);
    if (!words || isSecondPress(event, pick)) return;
    if (pick.dataset.field !== "batch-open") enter(words, pick.dataset.words);
    else enter(words, [...words.value.split(";").slice(-99), `${pick.dataset.words} @${pressedAt = Math.max(pressedAt + 1, Date.now())}`].join(";")); // commands may wait for an answer
    document.getElementById(`${pick.dataset.field.split("-")[0]}-generate`)?.click();
  });

  on("click", (event) => document.querySelector(event.target.closest?.("[data-press]")?.dataset.press ?? null)?.click());

  // A click on a draft of the home tab presses its button.
  on("click", (event) => {
    const draft = event.target.closest?.(".dbx-draft");
    draft?.closest(".column")?.querySelector(":scope > button, .block > button, button[id]")?.click();
  });

  // Gradio translates labels and values; our HTML, choices and status lines are translated here, with the same words.
  // `{}` in a key matches any text.
  const germanWords = (navigator.language ?? "").startsWith("de") && window.gradio_config?.i18n_translations?.de;
  const shapes = germanWords ? Object.entries(germanWords).filter(([key]) => key.includes("{}")).map(([key, text]) =>
    [new RegExp(`^${key.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replaceAll("{}", "(.+?)")}$`, "s"), text]) : [];
  const translatePhrase = (text) => {
    for (const key of [text, ` ${text}`]) if (Object.hasOwn(germanWords, key)) return germanWords[key];
    for (const [shape, into] of shapes) {
      const found = shape.exec(text);
      if (found) { let n = 0; return into.replaceAll("{}", () => translate(found[++n])); }
    }
    return text;
  };
  const withCommas = (text) => text.replace(/(\d)\.(\d+)(?=\s?(?:s|min|h|[kKMG]B|px|TFLOP)\b|\s?%|-fach| von)/g, "$1,$2");
  const translate = (text) => withCommas(text.split(/( · )/).map((part) => part.replace(/^(\s*)(.*?)(\s*)$/s, (_, a, said, b) => a + translatePhrase(said) + b)).join(""));
  const TRANSLATED_ATTRIBUTES = ["alt", "aria-label", "placeholder", "title"];
  const say = (english) => germanWords ? translate(english) : english;
  const UNTRANSLATED = "script, style, textarea, code, pre, .cm-editor, [translate=no]";
  const translateTree = (root) => {
    if (root.nodeType === Node.TEXT_NODE) return translateNode(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = root; node; node = walk.nextNode()) translateNode(node);
  };
  const translateNode = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      const said = node.data.trim() && !node.parentElement?.closest(UNTRANSLATED) ? translate(node.data) : node.data;
      if (said !== node.data) node.data = said;
      return;
    }
    for (const name of TRANSLATED_ATTRIBUTES) {
      const said = node.getAttribute(name);
      if (said && translate(said) !== said) node.setAttribute(name, translate(said));
    }
    if (node.matches("input[role=combobox], input[role=listbox]") && node.value && translate(node.value) !== node.value) node.value = translate(node.value);
  };

  // Replace a poor label of Gradio's. Write only on a change: the observer below runs after each write.
  const setLabel = (node, attribute, english) => {
    const said = say(english);
    if (node.getAttribute(attribute) !== said) node.setAttribute(attribute, said);
  };

  // Copy each alert of a tab into the field that it is about, or over the picture, and update what Gradio has rebuilt.
  const isTouched = matchMedia("(pointer: coarse)").matches;
  const updatePage = () => {
    noteOpenTab();
    document.querySelectorAll(".dbx-box.crop-moves").forEach(readCrop); // while the next draft is drawn the line does not say it
    document.querySelectorAll(".dbx-alert.placed").forEach((copy) => {
      if (!copy.source.isConnected) {
        copy.field.querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
        copy.remove();
      }
    });
    document.querySelectorAll(".dbx-alerts .dbx-alert:not(.moved)").forEach((alert) => {
      const field = document.getElementById(alert.dataset.for) || alert.closest(".dbx-tool")?.querySelector(".dbx-stage")?.closest(".block");
      if (!visible(field)) {
        if (!alert.seen) alert.scrollIntoView({ block: "nearest" });
        return alert.seen = true;
      }
      field.querySelectorAll(":scope > .placed").forEach((old) => old.remove()); // one word about a field at a time
      const copy = alert.cloneNode(true);
      copy.classList.add("placed");
      copy.source = alert;
      copy.field = field;
      field.append(copy);
      alert.classList.add("moved");
      if (!copy.classList.contains("calm")) field.querySelectorAll("input, textarea").forEach((input) => input.setAttribute("aria-invalid", "true"));
      if (copy.matches("[role=alert]")) copy.scrollIntoView({ block: "nearest" });
    });
    document.querySelectorAll(".dbx-colour:not(.ready)").forEach(addColourPicker);
    document.querySelectorAll(".dbx-colour.ready").forEach((block) => block.followColour());
    const tool = findOpenTool(), photo = tool?.querySelector(".dbx-photo img")?.src;
    tool?.style.setProperty("--photo", photo ? `url(${photo})` : "none");
    if (tool) placePicture(tool);
    tool?.querySelectorAll(".dbx-bar .dbx-closest:not(.seen)").forEach((scenes) => {
      scenes.classList.add("seen");
      if (/-(generate|stop|save)$/.test(focused)) scenes.scrollIntoView({ block: "nearest" });
    });
    tool?.querySelectorAll(".dbx-form .block .info-text").forEach(foldHelp);
    document.querySelectorAll(".empty[aria-label]:not([role])").forEach((empty) => empty.setAttribute("role", "img"));
    document.querySelectorAll(".cm-scroller[tabindex='-1']").forEach((code) => { code.tabIndex = 0; }); // makes it scrollable by keyboard
    followJob();
    document.querySelectorAll(".dbx-form .block:has(input[type=range])").forEach(showZeroMeaning);
    // Gradio labels every one of several pictures "Delete image".
    document.querySelectorAll(".dbx-photos").forEach((field) => {
      field.querySelectorAll(".delete-button").forEach((button, n) => setLabel(button, "aria-label", `Remove picture ${n + 1}`));
      field.querySelectorAll(".thumbnail-item img").forEach((image, n) => setLabel(image, "alt", `Picture ${n + 1}`));
    });
    document.querySelectorAll("[aria-label='common.upload']").forEach((button) => ["aria-label", "title"].forEach((name) => setLabel(button, name, "Add files")));
    // A phone's keyboard would cover the list; and a chosen option is written in English.
    document.querySelectorAll("input[role=listbox], input[role=combobox]").forEach((input) => {
      if (isTouched) input.inputMode = "none";
      if (germanWords && input !== document.activeElement) translateNode(input);
    });
    document.querySelectorAll(".dbx-photos .upload-container, .dbx-photos button:has([data-testid=upload-text])").forEach((button) => setLabel(button, "aria-label", "Add pictures"));
    // Gradio gives every radio of a group another name; with one name the arrow keys move and Tab stops once.
    document.querySelectorAll("fieldset[id] input[type=radio]").forEach((radio) => {
      const group = radio.closest("fieldset").id;
      if (radio.name !== group) radio.name = group;
    });
  };

  // The help of a field is shown on demand; why a field is locked is always shown.
  const foldHelp = (help) => {
    const block = help.closest(".block, fieldset"), name = block?.querySelector("[data-testid=block-info]");
    if (!name || block.querySelector(":disabled") || name.querySelector(".dbx-help")) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "dbx-help", textContent: "?" });
    setLabel(button, "aria-label", "Help");
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", (event) => {
      event.preventDefault();
      button.setAttribute("aria-expanded", String(block.classList.toggle("helped")));
    });
    name.append(button);
    block.classList.add("folded");
  };

  // Add the system's colour picker beside a colour's text field.
  const addColourPicker = (block) => {
    const text = block.querySelector("input, textarea");
    if (!text) return;
    block.classList.add("ready");
    const picker = document.createElement("input");
    picker.type = "color";
    setLabel(picker, "aria-label", "Pick a colour");
    picker.addEventListener("change", () => enter(text, picker.value));
    const follow = () => {
      if (/^#[0-9a-f]{6}$/i.test(text.value)) picker.value = text.value;
      picker.classList.toggle("none", !text.value);
    };
    block.followColour = follow;
    text.addEventListener("input", follow);
    text.parentElement.append(picker);
  };

  // Where the help says what 0 means ("0: as in the look"), the number's box says that in place of 0 until it is typed into.
  const showZeroMeaning = (block) => {
    const [, meaning] = block.querySelector(".info-text, [class*=info]:not([data-testid])")?.textContent.match(/\b0: ([^.;]+)/) ?? [];
    const box = block.querySelector(".tab-like-container");
    if (!meaning || box?.closest(".block") !== block) return; // a group of fields is a block too
    const said = Number(block.querySelector("input[type=range]").value) === 0 ? meaning : "";
    if ((box.dataset.zero ?? "") === said) return;
    box.dataset.zero = said;
    block.querySelectorAll("input[type=range], input[type=number]").forEach((input) => { input.ariaValueText = said || null; });
  };
  on("input", (event) => {
    const block = event.target.closest?.(".dbx-form .block:has(input[type=range])");
    if (block) showZeroMeaning(block);
  });

  // The state of the open tool's job: in the tab's title, at the bottom of a phone, and for the focus, which would be lost
  // when Generate gives its place to Stop.
  let focused = "";
  on("focusin", (event) => { focused = event.target.id; });
  const followJob = () => {
    const tool = findOpenTool(), id = tool?.id.replace(/-tool$/, "");
    const line = tool?.querySelector(".dbx-bar .dbx-line"), bar = tool?.querySelector(".dbx-go");
    const share = line?.matches(".part") ? Math.round(100 * line.lastChild.style.getPropertyValue("--share")) : null;
    const name = open !== "home" && document.querySelector(".dbx-nav a[aria-current]")?.textContent;
    const title = `${share === null ? "" : `(${share} %) `}${name ? `${name} · ` : ""}DesignerBox`;
    if (document.title !== title) document.title = title;
    if (!line || !bar) return;
    tellUpload(tool, line);
    if (!bar.watched) { // Gradio changes the line's words and classes in place, which the page's observer does not see
      bar.watched = new MutationObserver(scheduleUpdate);
      for (const part of [line.closest(".dbx-bar"), bar]) bar.watched.observe(part, { subtree: true, childList: true, characterData: true, attributeFilter: ["class", "style", "disabled"] });
    }
    const picture = (tool.querySelector(".dbx-live img") ?? tool.querySelector(".dbx-photo img"))?.src, thumb = bar.querySelector(".dbx-thumb") ?? addThumb(bar, id);
    if (picture && thumb.firstChild.src !== picture) thumb.firstChild.src = picture;
    thumb.hidden = !tool.dataset.begun || !picture;
    bar.style.setProperty("--share", share === null ? 0 : share / 100);
    bar.classList.toggle("busy", line.matches(".busy"));
    const here = document.activeElement, kept = here !== document.body && visible(here) && !here.disabled;
    if (kept || !["generate", "stop"].some((each) => focused === `${id}-${each}`)) return;
    const next = ["stop", "save", "generate"].map((each) => document.getElementById(`${id}-${each}`)).find((each) => visible(each) && !each.disabled);
    next?.focus({ preventScroll: true });
  };
  // While a photo is on its way the line says so; of one that never arrives it says what it did before.
  const tellUpload = (tool, line) => {
    const words = line.firstChild, isComing = Boolean(tool.querySelector(".uploading"));
    if (isComing === ("said" in words)) return;
    const before = words.said ?? words.textContent;
    delete words.said;
    if (isComing) words.said = before;
    else if (tool.querySelector(`${PHOTO_FIELD} img`)) return;
    line.classList.toggle("busy", isComing);
    words.textContent = isComing ? say("Uploading your photo") : before;
  };
  // On a phone the picture goes over the form when its photo is chosen: nothing jumps when a draft comes.
  const PHOTO_FIELD = ".dbx-form > :is(.dbx-photo:not(.dbx-small-photo), .dbx-photos)";
  const placePicture = (tool, isChosen) => {
    const consent = tool.matches(".dbx-asks") && tool.querySelector('[id$="-consent"] input'), photo = tool.querySelector(`${PHOTO_FIELD} img`);
    const live = tool.querySelector(".dbx-live img");
    if ("renewed" in tool.dataset && !photo && !live) { delete tool.dataset.begun; delete tool.dataset.renewed; }
    else if (live || (photo && (tool.dataset.begun === "here" || !consent || consent.checked))) tool.dataset.begun = "here";
    else if (isChosen) tool.dataset.begun = "soon";
    else if (tool.dataset.begun !== "here" && tool.querySelector(".dbx-alert.placed")) delete tool.dataset.begun;
  };
  for (const name of ["change", "click"]) on(name, ({ type, target }) => {
    const tool = target.closest?.(".dbx-tool"), field = tool?.querySelector(PHOTO_FIELD);
    if (tool && target.closest('[id$="-new"]')) tool.dataset.renewed = ""; // the form comes first again
    if (type === "change" && tool) placePicture(tool, field ? field.contains(target) && !tool.matches(".dbx-asks") : target.closest(".dbx-form"));
    else if (target.closest?.(".dbx-tool .dbx-examples button")) placePicture(tool, true);
  });
  const addThumb = (bar, id) => {
    const thumb = Object.assign(document.createElement("button"), { type: "button", className: "dbx-thumb" });
    setLabel(thumb, "aria-label", "Show the picture");
    thumb.append(Object.assign(document.createElement("img"), { alt: "" }));
    thumb.addEventListener("click", () => document.getElementById(`${id}-bar`).scrollIntoView({ block: "start" }));
    bar.append(thumb);
    return thumb;
  };

  // A text with a largest length shows how much of it is used.
  on("input", (event) => {
    const block = event.target.closest?.("[class*=dbx-count-]");
    if (!block) return;
    const most = Number(block.className.match(/dbx-count-(\d+)/)[1]), used = event.target.value.length;
    if (used > 0.6 * most) block.dataset.used = `${used} / ${most}`; else delete block.dataset.used;
    block.classList.toggle("over", used > most);
    if (!block.id.endsWith("-model_words")) leaveSoon(event.target, 800);
  });

  // Gradio tells nobody what keys did to a slider or a text, until its field is left.
  const keyed = new WeakMap();
  const leaveSoon = (field, wait) => {
    clearTimeout(keyed.get(field));
    keyed.set(field, setTimeout(() => field.dispatchEvent(new FocusEvent("blur")), wait));
  };
  on("keyup", (event) => {
    const range = event.target.matches?.(".dbx-form input[type=range]") && event.target;
    if (!range || !/^(Arrow|Page|Home|End)/.test(event.key)) return;
    leaveSoon(range.closest(".block").querySelector("input[type=number]"), 300);
  });

  // "Pick none" clears every tile in the browser at once, so that a pick right after it is not lost.
  on("click", (event) => {
    if (!event.target.closest?.("#library-none")) return;
    document.querySelectorAll("#library-grid input:checked").forEach((tile) => tile.click());
  }, true);

  // The visible tab asks every few seconds whether something was started elsewhere.
  setInterval(() => {
    if (document.visibilityState !== "visible") return;
    document.querySelectorAll(".dbx-again").forEach((button) => { if (visible(button.closest("[role=tabpanel]"))) button.click(); });
  }, 4000);

  // A hidden page gets no updates until it is visible again; see gradio_patches/coalesce_updates.py. "Visible" is
  // reported twice because an earlier "hidden" may arrive after it.
  const reportVisibility = () => document.getElementById(document.hidden ? "dbx-page-left" : "dbx-page-back")?.click();
  on("visibilitychange", () => { reportVisibility(); if (!document.hidden) setTimeout(reportVisibility, 1000); });

  // A list of options opens under its field where five of them fit: above it Gradio's would cover what one works on.
  const optionLists = document.getElementsByClassName("option-list");
  const placeOptions = () => {
    const list = optionLists[0]?.parentElement, field = list && document.activeElement?.closest(".wrap-inner")?.getBoundingClientRect();
    if (!field) return;
    const bar = document.querySelector(".dbx-nav").getBoundingClientRect().top, end = visualViewport.offsetTop + visualViewport.height; // a phone's is below
    const room = (bar > field.bottom ? Math.min(bar, end) : end) - field.bottom - 12;
    list.classList.toggle("under", room > Math.min(180, field.top));
    list.style.setProperty("--top", `${field.bottom + 4}px`);
    list.style.setProperty("--room", `${room}px`);
  };
  addEventListener("scroll", placeOptions, { capture: true, passive: true });
  visualViewport.addEventListener("resize", placeOptions);

  if (germanWords) document.documentElement.lang = "de";
  let due = false;
  const scheduleUpdate = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; updatePage(); });
  };
  on("load", (event) => { if (event.target.closest?.(".dbx-live")) scheduleUpdate(); }, true);
  new MutationObserver((changes) => {
    for (const change of germanWords ? changes : []) {
      change.addedNodes.forEach(translateTree);
      if (change.type !== "childList") translateTree(change.target);
    }
    placeOptions();
    scheduleUpdate();
  }).observe(document, { childList: true, subtree: true, characterData: Boolean(germanWords), attributeFilter: ["aria-selected", ...(germanWords ? TRANSLATED_ATTRIBUTES : [])] });

  const opening = setInterval(() => {
    if (document.getElementById("tab-home-button") && openTabOfHash()) { arrived = true; clearInterval(opening); }
  }, 50);
  setTimeout(() => { arrived = true; clearInterval(opening); }, 30000);
})();
