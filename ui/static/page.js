// Keyboard, paste, deep links, and alerts beside their fields. Knows element ids and classes, no tool.
(() => {
  const visible = (node) => node && node.offsetParent !== null;
  const tool = () => [...document.querySelectorAll(".dbx-tool")].find(visible);
  const press = (suffix) => {
    const here = tool();
    const button = here && document.getElementById(here.id.replace(/-tool$/, suffix));
    if (button && !button.disabled) button.click();
    return Boolean(button);
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      document.activeElement?.blur(); // so that words still being typed are in the form
      if (press("-generate")) event.preventDefault();
    } else if (event.key === "Escape") {
      document.querySelectorAll(".dbx-box.near").forEach((box) => box.classList.remove("near"));
      press("-stop");
    }
  }, true);

  // A picture that is pasted, or dropped on one that is there already, goes into the photo of the tool in view.
  const queued = new WeakSet();
  const give = async (field, files, last = false) => {
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
  // Where several fit, one upload after the other: Gradio's field is built anew as the first arrives, and forgets one
  // that was under way.
  const sending = new WeakMap();
  const arrives = async (field) => {
    const before = field.querySelectorAll("img").length;
    for (let tries = 0; field.querySelectorAll("img").length <= before && tries < 100; tries++) await new Promise((done) => setTimeout(done, 50));
  };
  document.addEventListener("change", (event) => {
    const field = event.target.matches?.("input[type=file]") && event.target.closest(".dbx-photos");
    if (!field || queued.has(event)) return;
    const before = sending.get(field), files = [...event.target.files];
    if (before) {
      event.stopImmediatePropagation();
      event.target.value = "";
    }
    const sent = (before ? before.then(() => Promise.all([arrives(field), give(field, files, true)])) : arrives(field))
      .then(() => { if (sending.get(field) === sent) sending.delete(field); });
    sending.set(field, sent);
  }, true);
  const images = (carrier) => [...(carrier?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  document.addEventListener("paste", (event) => {
    const files = images(event.clipboardData);
    const field = [...(tool() ?? document).querySelectorAll(".dbx-photo, .dbx-photos")].find(visible);
    if (!files.length || !field) return;
    event.preventDefault();
    give(field, field.matches(".dbx-photos") ? files : files.slice(0, 1)); // beside those that are there, or instead
  });
  const filled = (target) => { const field = target.closest?.(".dbx-photo"); return field?.querySelector("img") && field; };
  document.addEventListener("dragover", (event) => { if (filled(event.target)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    const field = filled(event.target), [file] = images(event.dataTransfer);
    if (!field || !file) return;
    event.preventDefault();
    give(field, [file]);
  });

  // A folder that is dropped on the batch tab: its pictures and tables, those of the folders in it too. A browser hands
  // over entries, not files, and only a hundred at a time.
  const entries = async (folder) => {
    const reader = folder.createReader(), all = [];
    for (let some = [null]; some.length;) {
      some = await new Promise((done, failed) => reader.readEntries(done, failed));
      all.push(...some);
    }
    return all;
  };
  const walked = async (entry) => {
    if (entry.name.startsWith(".") || entry.name === "Thumbs.db") return []; // a system's own, no picture of anybody's
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const inside = [];
    for (const each of await entries(entry)) inside.push(...await walked(each));
    return inside;
  };
  document.addEventListener("drop", async (event) => {
    const field = event.target.closest?.("#batch-files");
    const found = field ? [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean) : [];
    if (!found.some((entry) => entry.isDirectory)) return; // Gradio takes files by itself
    event.preventDefault();
    event.stopPropagation();
    const files = [];
    for (const entry of found) files.push(...await walked(entry));
    files.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    if (files.length) give(field, files);
  }, true);

  // Links like #headshot open a tab; the open tab is in the address, so that a refresh comes back to it.
  const tabButton = (id) => document.getElementById(`tab-${id}-button`);
  const follow = () => {
    const id = location.hash.slice(1);
    const button = id && tabButton(id);
    if (button && button.getAttribute("aria-selected") !== "true") button.click();
    return Boolean(button) || !id;
  };
  window.addEventListener("hashchange", () => { if (follow()) window.scrollTo(0, 0); }); // else a place on this page
  let arrived = false; // before that, the address says where to go; after it, where we are
  let open = "";
  const note = () => {
    const id = document.querySelector("#dbx-tabs button[role=tab][aria-selected=true]")?.dataset.tabId;
    if (!id || id === open) return; // an address that was just changed by a link is not ours to change back
    const first = !open;
    open = id;
    document.getElementById(`tab-${id}-button`)?.scrollIntoView({ block: "nearest", inline: "center" });
    // A link's settings are in the form by now; a refresh comes back to the form, not to the link.
    if (arrived && !first && location.hash.slice(1) !== id) history.replaceState(null, "", `${location.pathname}#${id}`);
  };

  // Before and after: the slider sets where the photo is cut.
  const wipe = (input) => {
    const box = input.closest(".dbx-box");
    box?.style.setProperty("--cut", `${input.value}%`);
    box?.style.setProperty("--line", Number(input.value) > 0 ? 1 : 0);
  };
  document.addEventListener("input", (event) => {
    if (event.target.matches?.(".dbx-wipe input")) wipe(event.target);
  });

  // The subject is moved by dragging the picture, with a mouse or with two fingers, and sized by pinching, or with Ctrl
  // and the wheel: what is let go is written into the form's own sliders, which do the same for keys. Where the whole
  // photo lies in a larger frame, the photo is what moves; where the picture is a window of the photo, the window.
  const part = (box, name) => document.getElementById(`${box.id.replace(/-box$/, "")}-${name}`);
  const slider = (box, name) => part(box, name)?.querySelector("input[type=number]");
  const SUBJECT = { fold: "adjust-subject", x: "placement_x", y: "placement_y", scale: "placement_scale", rest: 0 };
  const PHOTO = { fold: "more", x: "place_x", y: "place_y", rest: 0.5 };
  const CROP = { fold: "more", x: "focus_x", y: "focus_y", scale: "zoom", rest: 0 };
  const moves = (box) => box.matches(".photo-moves") ? PHOTO : box.matches(".crop-moves") ? CROP : part(box, SUBJECT.fold) && SUBJECT;
  const unfold = async (box) => { // Gradio makes what is folded away only once it is opened
    const { fold, x, y, scale = y } = moves(box);
    if (!slider(box, x)) part(box, fold).querySelector(":scope > button").click();
    for (let tries = 0; !slider(box, scale) && tries < 80; tries++) await new Promise((done) => setTimeout(done, 25));
    return slider(box, scale);
  };
  const put = (input, value) => {
    const bounded = Math.min(Number(input.max), Math.max(Number(input.min), value)), fine = Number(input.step) < 0.01 ? 1000 : 100;
    input.value = String(Math.round(bounded * fine) / fine);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new FocusEvent("blur"));
  };
  // A photo's sliders go from border to border: the less room there is beside it, the more of a slider is a share of the
  // frame. Of the photo's own shape is only the frame that is a quarter larger all round.
  const room = (box) => {
    const [frame, photo] = [box.querySelector(".dbx-live img"), part(box, "photo").querySelector("img")];
    if (!box.matches(".photo-moves")) return [1, 1];
    const share = photo ? photo.naturalWidth / photo.naturalHeight * frame.naturalHeight / frame.naturalWidth : 1;
    return Math.abs(share - 1) < 0.02 ? [1 / 3, 1 / 3] : [1 - share, 1 - 1 / share];
  };
  // What of the photo the picture shows, said with each finished picture: from where to where, and from where to where in
  // the picture that lies.
  const cropped = (box) => {
    const said = part(box, "stage")?.querySelector("[data-crop]");
    if (said) box.crop = said.dataset.crop.split(" ").map(Number);
    return box.crop;
  };
  const panned = (box, axis, name, share, by) => { // the photo goes with the hand, so the focus goes the other way
    const input = slider(box, name), [from, , to] = box.crop.slice(axis), [left, , right] = box.crop.slice(axis + 4);
    const half = (to - from) / 2 / by, inside = (focus) => Math.min(1 - half, Math.max(half, focus));
    if (half > 0.499) return; // all of it is seen already
    const focus = inside(Number(input.value) || (from + to) / 2) - share * (to - from) / (right - left);
    put(input, Math.max(0.001, inside(focus))); // 0 would be automatic
  };
  const tell = (box, text) => { if (text) box.dataset.told = text; else delete box.dataset.told; };
  const percent = (share, plus, minus) => `${Math.abs(Math.round(share * 100))} % ${share < 0 ? minus : plus}`;
  let hold = null; // what is being dragged: its box, where it began, how wide and high the picture is seen
  const touches = new Map();
  const apart = () => { const [a, b] = [...touches.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
  const middle = () => { const [a, b] = [...touches.values()]; return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }; };
  document.addEventListener("pointerdown", (event) => {
    const box = event.target.closest?.(".dbx-box");
    const image = box?.querySelector(".dbx-live img");
    if (!image || event.button || event.target.closest(".icon-button-wrapper, input, label") || !moves(box)) return;
    const seen = Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight);
    const size = { width: image.naturalWidth * seen, height: image.naturalHeight * seen };
    if (event.pointerType === "touch") { // one finger scrolls the page
      touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (touches.size === 2) hold = { box, size, ...middle(), apart: moves(box).scale && apart() };
    } else hold = { box, size, x: event.clientX, y: event.clientY };
  });
  document.addEventListener("pointermove", (event) => {
    if (touches.has(event.pointerId)) touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!hold || (event.pointerType === "touch" && touches.size !== 2)) return;
    const at = touches.size === 2 ? middle() : { x: event.clientX, y: event.clientY };
    hold.right = (at.x - hold.x) / hold.size.width;
    hold.down = (at.y - hold.y) / hold.size.height;
    hold.by = hold.apart ? apart() / hold.apart : 1;
    const sized = Math.abs(hold.by - 1) > 0.03;
    if (!sized && Math.hypot(at.x - hold.x, at.y - hold.y) <= 4) return;
    tell(hold.box, `${percent(hold.right, "→", "←")} · ${percent(hold.down, "↓", "↑")}${sized ? ` · ${Math.round(hold.by * 100)} %` : ""}`);
  });
  document.addEventListener("touchmove", (event) => { if (hold && touches.size === 2 && event.cancelable) event.preventDefault(); }, { passive: false });
  const letGo = async (event) => {
    touches.delete(event.pointerId);
    if (!hold) return;
    const { box, right, down, by } = hold;
    const moved = Boolean(box.dataset.told);
    hold = null;
    tell(box, "");
    if (!moved || event.type === "pointercancel" || !await unfold(box)) return;
    const { x, y, scale } = moves(box), free = room(box), large = scale && Number(slider(box, scale).value);
    if (Math.abs(by - 1) > 0.03) put(slider(box, scale), large * by);
    for (const [axis, name, share] of [[0, x, right], [1, y, down]]) {
      if (Math.abs(share) < 0.005) continue;
      if (moves(box) === CROP) cropped(box) && panned(box, axis, name, share, Number(slider(box, scale).value) / large);
      else if (free[axis] > 0.01) put(slider(box, name), Number(slider(box, name).value) + share / free[axis]);
    }
  };
  document.addEventListener("pointerup", letGo);
  document.addEventListener("pointercancel", letGo);
  document.addEventListener("click", async (event) => {
    const back = event.target.closest?.(".dbx-back"), box = back && document.getElementById(back.id.replace(/back$/, "box"));
    if (!box || !await unfold(box)) return;
    const { x, y, scale, rest } = moves(box);
    for (const [name, value] of [[x, rest], [y, rest], [scale, 1]]) {
      const input = name && slider(box, name);
      if (input && Number(input.value) !== value) put(input, value);
    }
  });
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.(".dbx-box")) event.preventDefault(); });
  let turned = 0;
  document.addEventListener("wheel", (event) => {
    const box = event.ctrlKey && event.target.closest?.(".dbx-box");
    if (!box || !moves(box)?.scale || !box.querySelector(".dbx-live img")) return;
    event.preventDefault();
    box.wheel = (box.wheel ?? 1) * Math.exp(-event.deltaY / 500);
    tell(box, `${Math.round(box.wheel * 100)} %`);
    clearTimeout(turned);
    turned = setTimeout(async () => {
      const scale = await unfold(box);
      if (scale) put(scale, Number(scale.value) * box.wheel);
      box.wheel = 1;
      tell(box, "");
    }, 250);
  }, { passive: false });

  // A double click looks closer, at the place under the pointer; another one, or Escape, looks away again.
  const aim = (box, event) => {
    const frame = box.getBoundingClientRect();
    box.style.setProperty("--at", `${(event.clientX - frame.left) / frame.width * 100}% ${(event.clientY - frame.top) / frame.height * 100}%`);
  };
  document.addEventListener("dblclick", (event) => {
    const box = event.target.closest?.(".dbx-box");
    if (!box?.querySelector(".dbx-live img") || event.target.closest("label")) return;
    aim(box, event);
    box.classList.toggle("near");
  });
  document.addEventListener("mousemove", (event) => { const box = event.target.closest?.(".dbx-box.near"); if (box) aim(box, event); });

  // What is inference?: one slider brings a step to the front, another says what more steps would cost.
  const scrub = (input) => {
    const film = input.closest(".dbx-film"), images = film.querySelectorAll("img");
    images.forEach((image, n) => { image.hidden = n !== Number(input.value); });
    film.querySelector("figcaption").textContent = images[input.value].alt;
  };
  const reckon = (input) => {
    const plot = input.closest(".dbx-plot");
    plot.querySelector("output").textContent = input.value;
    plot.querySelectorAll(".dbx-dot").forEach((row) => {
      const seconds = input.value * plot.dataset.flop / row.dataset.rate;
      const x = 20 + 120 * (Math.log10(Math.min(Math.max(seconds, 0.01), 1000)) + 2);
      row.querySelector("circle").setAttribute("cx", x);
      row.querySelector("line").setAttribute("x2", x);
      row.querySelector(".dbx-said").textContent = `${Number(seconds.toPrecision(2))} s`;
    });
  };
  document.addEventListener("input", (event) => {
    if (event.target.matches?.(".dbx-film input")) scrub(event.target);
    if (event.target.matches?.(".dbx-plot input")) reckon(event.target);
  });

  // A draft on the first page opens as its button does.
  document.addEventListener("click", (event) => {
    const draft = event.target.closest?.(".dbx-draft");
    draft?.closest(".column")?.querySelector(":scope > button, .block > button, button[id]")?.click();
  });

  // A phone shows a card's ticks when asked; a desk has room for all of them.
  const roomy = matchMedia("(min-width: 600px)");
  const fold = () => document.querySelectorAll(".dbx-can").forEach((can) => {
    if (can.dataset.roomy === String(roomy.matches)) return;
    can.open = roomy.matches;
    can.dataset.roomy = roomy.matches;
  });
  roomy.addEventListener("change", fold);

  // Gradio translates labels and values; what stands inside our HTML, in choices and on the stage line is done here, with
  // the same words. A key with {} in it stands for whatever is there.
  const speech = (navigator.language ?? "").startsWith("de") && window.gradio_config?.i18n_translations?.de;
  const shapes = speech ? Object.entries(speech).filter(([key]) => key.includes("{}")).map(([key, text]) =>
    [new RegExp(`^${key.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replaceAll("{}", "(.+?)")}$`, "s"), text]) : [];
  const phrase = (text) => {
    if (Object.hasOwn(speech, text)) return speech[text];
    for (const [shape, into] of shapes) {
      const found = shape.exec(text);
      if (found) { let n = 0; return into.replaceAll("{}", () => german(found[++n])); }
    }
    return text;
  };
  const german = (text) => text.split(/( · )/).map((part) => part.replace(/^(\s*)(.*?)(\s*)$/s, (_, a, said, b) => a + phrase(said) + b)).join("");
  const WORDED = ["alt", "aria-label", "placeholder", "title"];
  const SILENT = "script, style, textarea, code, pre, .cm-editor, [translate=no]";
  const speak = (root) => {
    if (root.nodeType === Node.TEXT_NODE) return utter(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = root; node; node = walk.nextNode()) utter(node);
  };
  const utter = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      const said = node.data.trim() && !node.parentElement?.closest(SILENT) ? german(node.data) : node.data;
      if (said !== node.data) node.data = said;
      return;
    }
    for (const name of WORDED) {
      const said = node.getAttribute(name);
      if (said && german(said) !== said) node.setAttribute(name, german(said));
    }
    if (node.matches("input[role=combobox], input[role=listbox]") && node.value && german(node.value) !== node.value) node.value = german(node.value);
  };

  // What Gradio names badly; named once, for the observer below hears of it.
  const named = (node, attribute, english) => {
    const said = speech ? german(english) : english;
    if (node.getAttribute(attribute) !== said) node.setAttribute(attribute, said);
  };

  // The one alert of a tab is shown inside the field it is about.
  const settle = () => {
    note();
    fold();
    document.querySelectorAll(".dbx-alert.placed").forEach((copy) => {
      if (!copy.source.isConnected) {
        copy.field.querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
        copy.remove();
      }
    });
    document.querySelectorAll(".dbx-alerts .dbx-alert:not(.moved)").forEach((alert) => {
      const field = alert.dataset.for && document.getElementById(alert.dataset.for);
      if (!visible(field)) return;
      const copy = alert.cloneNode(true);
      copy.classList.add("placed");
      copy.source = alert;
      copy.field = field;
      field.append(copy);
      alert.classList.add("moved");
      if (!copy.classList.contains("calm")) {
        field.querySelectorAll("input, textarea").forEach((input) => input.setAttribute("aria-invalid", "true"));
        copy.scrollIntoView({ block: "nearest" });
      }
    });
    document.querySelectorAll(".dbx-colour:not(.ready)").forEach(pick);
    document.querySelectorAll(".empty[aria-label]:not([role])").forEach((empty) => empty.setAttribute("role", "img"));
    document.querySelectorAll(".cm-scroller[tabindex='-1']").forEach((code) => { code.tabIndex = 0; }); // else no key scrolls it
    const told = tool()?.querySelector(".dbx-stage");
    if (told) told.tabIndex = told.scrollHeight > told.clientHeight ? 0 : -1; // on a phone it scrolls
    document.querySelectorAll(".dbx-form .block:has(input[type=range])").forEach(zero);
    // Gradio says "Delete image" on each of several.
    document.querySelectorAll(".dbx-photos").forEach((field) => {
      field.querySelectorAll(".delete-button").forEach((button, n) => named(button, "aria-label", `Remove picture ${n + 1}`));
      field.querySelectorAll(".thumbnail-item img").forEach((image, n) => named(image, "alt", `Picture ${n + 1}`));
    });
    document.querySelectorAll(".dbx-photos .upload-container, .dbx-photos button:has([data-testid=upload-text])").forEach((button) => named(button, "aria-label", "Add pictures"));
    // Gradio names every radio of a group differently; with one name the arrow keys move, and Tab stops once.
    document.querySelectorAll("fieldset[id] input[type=radio]").forEach((radio) => {
      const group = radio.closest("fieldset").id;
      if (radio.name !== group) radio.name = group;
    });
    document.querySelectorAll(".dbx-box").forEach((box) => {
      const input = box.querySelector(".dbx-wipe input");
      if (input) wipe(input);
    });
  };

  // The system's colour picker beside a colour's text.
  const pick = (block) => {
    const text = block.querySelector("input, textarea");
    if (!text) return;
    block.classList.add("ready");
    const picker = document.createElement("input");
    picker.type = "color";
    named(picker, "aria-label", "Pick a colour");
    picker.addEventListener("change", () => {
      text.value = picker.value;
      text.dispatchEvent(new Event("input", { bubbles: true }));
      text.dispatchEvent(new Event("blur", { bubbles: true }));
    });
    text.addEventListener("input", () => { if (/^#[0-9a-f]{6}$/i.test(text.value)) picker.value = text.value; });
    text.parentElement.append(picker);
  };

  // Where the help says what 0 stands for ("0: as the look asks"), a slider at 0 says so beside its name.
  const zero = (block) => {
    const [, meaning] = block.querySelector(".info-text, [class*=info]:not([data-testid])")?.textContent.match(/\b0: ([^.;]+)/) ?? [];
    const name = block.querySelector("[data-testid=block-info]");
    if (!meaning || !name) return;
    const said = Number(block.querySelector("input[type=range]").value) === 0 ? meaning : "";
    if ((name.dataset.zero ?? "") !== said) name.dataset.zero = said;
  };
  document.addEventListener("input", (event) => {
    const block = event.target.closest?.(".dbx-form .block:has(input[type=range])");
    if (block) zero(block);
  });

  // "Pick none" lets go of every tile before anything else is heard: what is picked right after it stays picked.
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("#library-none")) return;
    document.querySelectorAll("#library-grid input:checked").forEach((tile) => tile.click());
  }, true);

  // A tab that is looked at asks now and then whether something was begun elsewhere; one that is not asks nothing.
  setInterval(() => {
    if (document.visibilityState !== "visible") return;
    document.querySelectorAll(".dbx-again").forEach((button) => { if (visible(button.closest("[role=tabpanel]"))) button.click(); });
  }, 4000);

  // A page that nobody looks at is told nothing until somebody does; see unread.py. Told twice that it is looked at
  // again, for what was said before may be heard after.
  const looked = () => document.getElementById(document.hidden ? "dbx-page-left" : "dbx-page-back")?.click();
  document.addEventListener("visibilitychange", () => { looked(); if (!document.hidden) setTimeout(looked, 1000); });

  if (speech) document.documentElement.lang = "de";
  let due = false;
  new MutationObserver((changes) => {
    for (const change of speech ? changes : []) {
      change.addedNodes.forEach(speak);
      if (change.type !== "childList") speak(change.target);
    }
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; settle(); });
  }).observe(document, { childList: true, subtree: true, characterData: Boolean(speech), attributeFilter: ["aria-selected", ...(speech ? WORDED : [])] });

  const opening = setInterval(() => {
    if (document.getElementById("tab-home-button") && follow()) { arrived = true; clearInterval(opening); }
  }, 50);
  setTimeout(() => { arrived = true; clearInterval(opening); }, 30000);
})();
