// Pointing at the subject: marks on the large picture go into the form's hidden fields as JSON, in shares of the photo,
// and the picture shows what they make of the cut-out. A click is a point, dragging is a stroke, or a box.
(() => {
  const STROKE_STEP = 0.02, MAX_STROKE = 60; // shares of the picture between two points of a stroke; points of one stroke, of which a longer one has fewer
  const LOOK_AGAIN_MS = 8000;
  const MAX_ZOOM = 6, ZOOM_STEP = 1.6, ROW_CHARS = 75; // of a doubt that has room beside its button on a phone
  const part = (box, name) => document.getElementById(`${box.id.replace(/-box$/, "")}-${name}`);
  const field = (box, name) => part(box, `${name}-marks`)?.querySelector("textarea, input");
  const CUTS = ["", "careful", "quick"]; // by all nets together, or by one
  const empty = () => ({ keep: [], drop: [], box: null, cut: "" });
  const states = new WeakMap(); // by box: the mode, the marks, those before each change, and what there was at first
  const stateOf = (box) => {
    if (!states.has(box)) states.set(box, { mode: "keep", marks: empty(), before: [], zoom: 1, x: 0, y: 0 });
    return states.get(box);
  };
  const read = (box) => {
    const parse = (name) => { try { return JSON.parse(field(box, name)?.value || "null"); } catch { return null; } };
    return { keep: parse("keep") ?? [], drop: parse("drop") ?? [], box: parse("box"), cut: (field(box, "cut_by")?.value || "").replace("all", "") };
  };
  const write = (box, name, value) => {
    const input = field(box, name), text = !value?.length ? "" : typeof value === "string" ? value : JSON.stringify(value);
    if (!input || input.value === text) return;
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const layerOf = (box) => box.querySelector(".dbx-point-layer");

  // Lay a node exactly over the picture, which is fitted into its box.
  const place = (box, layer = layerOf(box)) => {
    const image = box.querySelector(".dbx-live img");
    if (!image?.naturalWidth || layer.hidden) return;
    const frame = box.getBoundingClientRect(), seen = image.getBoundingClientRect();
    const scale = Math.min(seen.width / image.naturalWidth, seen.height / image.naturalHeight);
    const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    const style = {
      left: `${seen.left - frame.left + (seen.width - width) / 2}px`,
      top: `${seen.top - frame.top + (seen.height - height) / 2}px`, width: `${width}px`, height: `${height}px`,
    };
    Object.assign(layer.style, style);
  };
  const shift = (node, x, y) => Object.assign(node.style, { left: `${x * 100}%`, top: `${y * 100}%` });
  const addMark = (layer, kind, x, y) => {
    const dot = document.createElement("i");
    dot.className = kind;
    shift(dot, x, y);
    layer.append(dot);
    return dot;
  };
  const addArea = (layer, [left, top, right, bottom], kind = "") => {
    const area = addMark(layer, `area ${kind}`, left, top);
    Object.assign(area.style, { width: `${(right - left) * 100}%`, height: `${(bottom - top) * 100}%` });
  };
  const findPhoto = (box) => box.closest(".dbx-tool").querySelector(".dbx-form :is(.dbx-photo:not(.dbx-small-photo), .dbx-photos) img")?.src;
  const readLook = (box) => part(box, "point-places")?.querySelector("[data-look]")?.dataset ?? {};
  const draw = (box) => {
    const layer = layerOf(box), { marks, corner, doubts = [], seesPhoto } = stateOf(box);
    layer.replaceChildren();
    if (seesPhoto) layer.append(Object.assign(new Image(), { src: findPhoto(box), alt: "" }));
    const isMarked = ([left, top, right, bottom]) => [...marks.keep, ...marks.drop].some(([x, y]) => x >= left && x <= right && y >= top && y <= bottom);
    for (const each of doubts.filter((each) => !isMarked(each))) addArea(layer, each, "doubt");
    if (marks.box) addArea(layer, marks.box);
    if (corner) addMark(layer, "keep", ...corner);
    for (const kind of ["keep", "drop"]) for (const [x, y] of marks[kind]) addMark(layer, kind, x, y);
    JSON.parse(readLook(box).places || "[]").forEach(([x, y], pick) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.pick = pick;
      button.textContent = pick + 1;
      button.title = "Choose this person";
      shift(button, x, y);
      layer.append(button);
    });
    place(box);
  };
  const bar = (box) => box.querySelector(".dbx-point-bar");
  const tellEffect = (box, told = "") => { // a reader of the screen hears words that come
    const line = box.querySelector(".dbx-point-effect");
    for (const words of line.children) words.hidden = words.dataset.effect !== told;
    if (told === "refused") line.querySelector("[data-effect=refused]").textContent = readLook(box).refusal;
    if (!told) layerOf(box).querySelectorAll(".elsewhere").forEach((area) => area.remove());
    line.classList.toggle("told", Boolean(told));
  };
  const setBusy = (box, isBusy) => { // what is applied has been seen
    bar(box).setAttribute("aria-busy", isBusy);
    bar(box).querySelector("[data-do=done]").disabled = isBusy;
  };
  const look = (box, patience = LOOK_AGAIN_MS) => {
    setBusy(box, true);
    tellEffect(box);
    part(box, "point-look").click();
    clearTimeout(box.lookAgain); // a draft of what was typed before may have taken its place
    box.lookAgain = setTimeout(() => {
      if (box.matches(".pointing") && bar(box).ariaBusy === "true" && !part(box, "stage").querySelector(".busy")) look(box, 2 * patience);
    }, patience);
  };
  const setMarks = (box, marks) => {
    Object.assign(stateOf(box), { marks, corner: null, seesPhoto: false }); // what comes of them is seen
    for (const name of ["keep", "drop", "box"]) write(box, name, marks[name]);
    write(box, "cut_by", marks.cut);
    const cut = bar(box).querySelector("[data-do=cut]"), label = `Next cut-out ${CUTS.indexOf(marks.cut) + 1}/3`;
    if (cut && cut.dataset.cut !== marks.cut) [cut.dataset.cut, cut.textContent] = [marks.cut, label];
    bar(box).querySelector("[data-do=undo]").disabled = !stateOf(box).before.length;
    bar(box).querySelector("[data-do=clear]").disabled = isSame(marks, empty());
    box.classList.toggle("unmade", !isSame(marks, stateOf(box).first ?? marks) || stateOf(box).pick !== undefined); // no picture of them can go into a batch
    draw(box);
  };
  const change = (box, marks, isMarked = true) => { // what comes of a mark is compared with what was there
    const state = stateOf(box);
    state.before.push(state.marks);
    state.isMarked = isMarked;
    setMarks(box, marks);
    look(box);
  };
  // The picture is looked at closely and moved; never so far that its box is empty beside it.
  const moveView = (box, zoom, x, y) => {
    const image = box.querySelector(".dbx-live img");
    if (!image?.naturalWidth || !image.offsetWidth) return; // another tab is shown
    const { offsetWidth: width, offsetHeight: height, naturalWidth, naturalHeight } = image;
    const fit = Math.min(width / naturalWidth, height / naturalHeight);
    // The shown part fills the box, or lies in its middle where it is smaller than the box.
    const bound = (value, whole, shown) => {
      const beside = (whole - shown) / 2, room = whole - shown * zoom;
      return room >= 0 ? room / 2 - beside * zoom : Math.min(-beside * zoom, Math.max(room - beside * zoom, value));
    };
    const at = { x: bound(x, width, naturalWidth * fit), y: bound(y, height, naturalHeight * fit) };
    Object.assign(stateOf(box), { zoom, width, ...at });
    box.style.setProperty("--view", zoom === 1 ? "none" : `translate(${stateOf(box).x}px, ${stateOf(box).y}px) scale(${zoom})`);
    const [farther, closer] = ["farther", "closer"].map((each) => box.querySelector(`.dbx-point-zoom [data-do=${each}]`));
    [farther.disabled, closer.disabled] = [zoom <= 1, zoom >= MAX_ZOOM];
    box.classList.toggle("closer", zoom > 1);
    if (zoom === 1) stopMoving(box);
    place(box);
  };
  const setZoom = (box, zoom, clientX, clientY) => { // what is at this place of the window stays there
    const image = box.querySelector(".dbx-live img"), state = stateOf(box), to = zoom < 1.001 ? 1 : Math.min(MAX_ZOOM, zoom); // back is 1, not nearly
    if (!image) return;
    tellEffect(box);
    const { left, top } = image.getBoundingClientRect(), factor = to / state.zoom;
    moveView(box, to, state.x + (clientX - left) * (1 - factor), state.y + (clientY - top) * (1 - factor));
  };
  const centre = (box, zoom, [x, y]) => { // this place of the photo comes into the middle
    setZoom(box, zoom, 0, 0);
    const frame = box.querySelector(".dbx-live").getBoundingClientRect(), layer = layerOf(box).getBoundingClientRect(), at = stateOf(box);
    moveView(box, at.zoom, at.x + frame.left + frame.width / 2 - layer.left - layer.width * x, at.y + frame.top + frame.height / 2 - layer.top - layer.height * y);
  };
  const middleOf = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];
  const zoomTo = (box, factor) => { // to the newest mark, or from afar to what is doubted first, until one looks elsewhere
    const frame = box.querySelector(".dbx-live").getBoundingClientRect(), state = stateOf(box), { zoom, marks, doubts = [] } = state;
    const mark = (state.newest && marks[state.newest].at(-1)) ?? state.lastPlace; // also one that was taken back
    if (mark && String(mark) !== state.seenMark) state.target = mark;
    else if (zoom === 1) state.target = mark ?? (doubts[0] && middleOf(doubts[0]));
    state.seenMark = String(mark);
    if (state.target) return centre(box, zoom * factor, state.target);
    setZoom(box, zoom * factor, frame.left + frame.width / 2, frame.top + frame.height / 2);
  };
  const moveBy = (box, right, down) => {
    const state = stateOf(box), { zoom, x, y } = state;
    state.target = null;
    moveView(box, zoom, x + right, y + down);
  };
  const bringNear = (box, area) => { // a place comes into the middle, so large that one can mark it
    const zoom = Math.min(1.6, 0.4 / Math.max(area[2] - area[0], area[3] - area[1], 0.01));
    if (zoom < 1.2 || stateOf(box).zoom !== 1 || innerWidth < 900) return; // a phone shows the photo large enough
    centre(box, zoom, middleOf(area));
  };
  const open = (box, isOpen) => {
    box.classList.toggle("pointing", isOpen);
    box.classList.toggle("awaiting-photo", isOpen); // a mark on the finished picture would lie elsewhere
    box.classList.remove("near", "unmade");
    setBusy(box, false);
    layerOf(box).hidden = bar(box).hidden = box.querySelector(".dbx-point-zoom").hidden = !isOpen;
    tellEffect(box);
    moveView(box, 1, 0, 0);
  };
  const setMode = (box, mode) => {
    const state = stateOf(box), marking = mode === "move" ? state.mode : mode; // what Move gives way to again
    Object.assign(state, { mode, marking, corner: null });
    box.querySelectorAll(".dbx-point [aria-pressed]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.do === mode)));
  };
  const stopMoving = (box) => { if (stateOf(box).mode === "move") setMode(box, stateOf(box).marking); };
  // What there was before each mark, where the page has not seen them made: a point beside the last is of its stroke.
  const listBefore = (marks) => {
    const steps = [{ ...empty(), cut: marks.cut }];
    for (const kind of ["keep", "drop"]) marks[kind].forEach(([x, y], number) => {
      const last = steps.at(-1), [x0, y0] = marks[kind][number - 1] ?? [-1, -1];
      const grown = { ...last, [kind]: [...last[kind], [x, y]] };
      if (Math.hypot(x - x0, y - y0) < 2 * STROKE_STEP) steps[steps.length - 1] = grown;
      else steps.push(grown);
    });
    return marks.box ? steps : steps.slice(0, -1);
  };
  const isRefused = (box) => part(box, "save").disabled && Boolean(box.closest(".dbx-tool").querySelector('.dbx-alert[role="alert"][data-for*="photo"]'));
  const isSame = (one, other) => JSON.stringify([one.keep, one.drop, one.box, one.cut]) === JSON.stringify([other.keep, other.drop, other.box, other.cut]);
  const actions = {
    start: (box) => {
      const marks = read(box), last = stateOf(box), before = isSame(last.marks, marks) && last.before.length ? last.before : listBefore(marks);
      // What may be missing is kept; a crop's marks say something else.
      const asked = box.querySelector(".in-crop") ? undefined : readDoubt(box).mode, isLeft = asked === "drop" || asked === "ask";
      const used = last.before.length && isSame(last.marks, marks) && last.mode === "drop";
      const mode = asked === "ask" ? "" : asked ?? (used ? "drop" : "keep"); // what may be left may belong as well: that is to be chosen
      states.set(box, { mode, marks, before: [...before], opened: before, first: marks, isLeft, zoom: 1, x: 0, y: 0 });
      open(box, true);
      const line = part(box, "batch-row")?.querySelector("[data-pressed]"), name = box.querySelector(".dbx-point-row");
      Object.assign(name, { hidden: !line, textContent: line?.dataset.name ?? "" });
      setMode(box, mode);
      setMarks(box, marks);
      box.pointLook = readLook(box).look ?? ""; // of the last time
      look(box);
      bar(box).querySelector(`[data-do=${mode || "keep"}]`).focus({ preventScroll: true });
    },
    undo: (box) => {
      const state = stateOf(box);
      if (!state.before.length) return;
      state.isMarked = false;
      setMarks(box, state.before.pop());
      look(box);
    },
    cut: (box) => {
      const { marks } = stateOf(box);
      change(box, { ...marks, cut: CUTS[(CUTS.indexOf(marks.cut) + 1) % CUTS.length] });
    },
    clear: (box) => {
      if (isSame(stateOf(box).marks, empty())) return;
      stateOf(box).doubts = []; // they were those of the marks
      change(box, empty(), false);
    },
    cancel: async (box) => {
      const { first, opened, pick } = stateOf(box);
      stateOf(box).before = [...opened];
      setMarks(box, first);
      open(box, false);
      if (pick !== undefined) await setPick(findPick(box), pick);
      part(box, "point-done").click();
    },
    fine: (box) => { (box.fine ??= new Set()).add(doubtOf(box, part(box, "stage").querySelector("[data-doubt]")?.dataset ?? {})); soon(); },
    done: (box) => {
      if (bar(box).ariaBusy === "true") return;
      if (isRefused(box) && isSame(stateOf(box).marks, empty())) return tellEffect(box, "ask"); // else it is refused again
      box.closest(".dbx-tool").classList.add("made-of-marks");
      open(box, false);
      part(box, "point-done").click();
    },
    photo: (box) => {
      stateOf(box).seesPhoto = !stateOf(box).seesPhoto;
      draw(box);
    },
    closer: (box) => zoomTo(box, ZOOM_STEP),
    farther: (box) => zoomTo(box, 1 / ZOOM_STEP),
    // What is finished is the next photo; of a draft the paint is changed.
    more: (box) => part(box, box.closest(".dbx-tool").querySelector(".dbx-finish") ? "brush" : "continue").click(),
    shape: (box, { value }) => [...part(box, "ratio").querySelectorAll("label")].find((label) => label.textContent.trim() === value)?.querySelector("input").click(),
  };

  // Choosing a person sets the number of the subject; its slider is built when its fold is first opened.
  const findPick = (box) => part(box, "pick")?.querySelector("input[type=number]");
  const setPick = async (input, pick) => {
    if (input.value === String(pick)) return;
    input.value = String(pick);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new FocusEvent("blur"));
    await new Promise((done) => setTimeout(done, 60)); // the form's own draft starts, and what is asked next replaces it
  };
  const choose = async (box, pick) => {
    const wasOpen = box.matches(".pointing");
    for (const fold of ["adjust-subject", "more"]) if (!findPick(box)) part(box, fold)?.querySelector(":scope > button")?.click();
    for (let tries = 0; !findPick(box) && tries < 80; tries++) await new Promise((done) => setTimeout(done, 25));
    const input = findPick(box);
    if (!input || wasOpen !== box.matches(".pointing")) return; // another job is shown meanwhile
    stateOf(box).pick ??= input.value;
    await setPick(input, pick);
    change(box, empty(), false);
  };

  document.addEventListener("click", (event) => {
    const words = event.target.closest?.(".dbx-doubt p");
    if (words) {
      const isFolded = !words.querySelector("span")?.offsetParent; // a phone counts several of them first
      words.classList.toggle("whole", isFolded);
      words.parentElement.classList.toggle("told", isFolded);
      soon();
      return;
    }
    const box = event.target.closest?.(".dbx-point")?.closest(".dbx-box");
    if (!box) {
      const go = event.target.closest?.(".dbx-go button, .dbx-examples button");
      const side = go?.closest(".dbx-tool")?.querySelector(".dbx-box.pointing");
      if (side) open(side, false);
      return;
    }
    const button = event.target.closest("button");
    if (!button) return;
    event.stopPropagation();
    if (button.dataset.pick) choose(box, Number(button.dataset.pick));
    else if (button.matches("[data-do=move][aria-pressed=true]")) stopMoving(box);
    else if (button.hasAttribute("aria-pressed")) setMode(box, button.dataset.do);
    else actions[button.dataset.do]?.(box, button);
  });
  const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }, ARROW_PX = 60;
  document.addEventListener("keydown", (event) => { // on + and −, arrow keys move what is looked at
    const near = ARROWS[event.key] && event.target.closest?.(".dbx-point-zoom")?.closest(".dbx-box");
    if (near) {
      const [right, down] = ARROWS[event.key];
      event.preventDefault();
      return moveBy(near, right * ARROW_PX, down * ARROW_PX);
    }
    const box = event.key === "Escape" && document.querySelector(".dbx-box.pointing");
    if (!box) return;
    event.stopImmediatePropagation();
    actions.done(box);
  }, true);

  // Marks make the picture: whoever presses Generate then finds it in its place, and Stop beside it.
  document.addEventListener("click", ({ target }) => target.closest?.('[id$="-generate"]')?.closest(".dbx-tool")?.classList.remove("made-of-marks"));

  // "Repair" on the sheet of a batch opens the row in its tool, and there the marks.
  let repairAt = ""; // when it was pressed, as page.js told the studio
  document.addEventListener("click", ({ target }) => setTimeout(() => {
    const command = target.closest?.(":is(#batch-sheet, #batch-told) [data-words]");
    if (command) repairAt = command.matches(".dbx-command") && command.dataset.words.startsWith("open") ? document.querySelector("#batch-open :is(textarea, input)").value.split("@").at(-1) : "";
  }));
  const openToRepair = (box) => {
    const line = part(box, "batch-row")?.querySelector("[data-pressed]"), isReady = box.querySelector(".dbx-live img")?.complete && box.getClientRects().length;
    if (!repairAt || line?.dataset.pressed !== repairAt || !isReady || box.matches(".pointing")) return;
    repairAt = "";
    actions.start(box);
  };

  // The window hears of pointers before the page does, whose own dragging would move the subject.
  let held = null, grip = null; // the stroke or box under the pointer; the picture that it moves
  const fingers = new Map(); // two of them move the picture and bring it closer
  const spanOf = ([a, b]) => ({ x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2, apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) });
  const pinch = (box, event) => {
    const before = spanOf([...fingers.values()]);
    fingers.set(event.pointerId, event);
    const after = spanOf([...fingers.values()]);
    moveBy(box, after.x - before.x, after.y - before.y);
    setZoom(box, stateOf(box).zoom * after.apart / Math.max(before.apart, 1), after.x, after.y);
  };
  window.addEventListener("wheel", (event) => {
    const box = event.target.closest?.(".dbx-point-layer, .dbx-point-zoom")?.closest(".dbx-box"), { zoom } = box ? stateOf(box) : {};
    if (!box || !(event.ctrlKey || zoom > 1)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.ctrlKey) setZoom(box, zoom * Math.exp(-event.deltaY / 200), event.clientX, event.clientY);
    else moveBy(box, -event.deltaX, -event.deltaY);
  }, { passive: false, capture: true });
  const shareOf = (layer, event) => {
    const frame = layer.getBoundingClientRect(), bound = (share) => Math.round(Math.min(1, Math.max(0, share)) * 1e4) / 1e4;
    return [bound((event.clientX - frame.left) / frame.width), bound((event.clientY - frame.top) / frame.height)];
  };
  window.addEventListener("pointerdown", (event) => {
    const layer = event.target.closest?.(".dbx-point-layer");
    if (!layer || event.button > 1 || event.target.closest("button")) return;
    event.stopPropagation();
    event.preventDefault();
    const box = layer.closest(".dbx-box"), { mode } = stateOf(box);
    if (box.matches(".awaiting-photo")) return look(box); // the last order may have given way to another job
    if (!mode) return tellEffect(box, "choose");
    layer.setPointerCapture(event.pointerId);
    if (event.button || mode === "move") { // the middle one moves the picture
      grip = { box, id: event.pointerId, x: event.clientX, y: event.clientY };
      return;
    }
    fingers.set(event.pointerId, event);
    if (fingers.size > 1) { // the first finger's mark was none
      held = null;
      return draw(box);
    }
    tellEffect(box);
    held = { box, layer, mode, id: event.pointerId, step: STROKE_STEP, points: [shareOf(layer, event)] };
    if (mode !== "area") addMark(layer, mode, ...held.points[0]);
  }, true);
  window.addEventListener("pointermove", (event) => {
    if (grip?.id === event.pointerId) {
      event.stopPropagation();
      moveBy(grip.box, event.clientX - grip.x, event.clientY - grip.y);
      Object.assign(grip, { x: event.clientX, y: event.clientY });
      return;
    }
    const isFinger = fingers.has(event.pointerId), box = event.target.closest?.(".dbx-box");
    if (isFinger && fingers.size > 1) {
      event.stopPropagation();
      if (fingers.size === 2 && box) pinch(box, event);
      else fingers.set(event.pointerId, event);
      return;
    }
    if (held?.id !== event.pointerId) return;
    event.stopPropagation();
    const at = shareOf(held.layer, event), last = held.points.at(-1);
    if (held.mode === "area") {
      held.points[1] = at;
      held.layer.querySelectorAll("i.area:not(.doubt)").forEach((area) => area.remove());
      addArea(held.layer, toArea(held.points));
    } else if (Math.hypot(at[0] - last[0], at[1] - last[1]) > held.step) {
      // A quick finger is told of seldom: what lies on its way belongs to the stroke.
      const count = Math.max(1, Math.floor(Math.hypot(at[0] - last[0], at[1] - last[1]) / held.step));
      for (let number = 1; number <= count; number++) {
        if (held.points.length >= MAX_STROKE) Object.assign(held, { points: held.points.filter((_, place) => place % 2 === 0), step: held.step * 2 });
        held.points.push(at.map((end, axis) => Math.round((last[axis] + (end - last[axis]) * number / count) * 1e4) / 1e4));
        addMark(held.layer, held.mode, ...held.points.at(-1));
      }
    }
  }, true);
  const toArea = ([[x0, y0], [x1, y1] = [x0, y0]]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
  for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, (event) => {
    fingers.delete(event.pointerId);
    if (grip?.id === event.pointerId) grip = null;
    if (held?.id !== event.pointerId) return;
    event.stopPropagation();
    const { box, layer, mode, points } = held, state = stateOf(box), { marks, corner } = state;
    held = state.corner = null;
    if (end === "pointercancel") return draw(box);
    const last = shareOf(layer, event);
    if (mode !== "area" && points.length > 1 && String(last) !== String(points.at(-1))) points.push(last); // as far as the finger went
    if (mode !== "area") Object.assign(state, { newest: mode, lastPlace: points.at(-1) });
    if (mode !== "area") return change(box, { ...marks, [mode]: [...marks[mode], ...points] });
    const areas = [points, ...(corner ? [[corner, points[0]]] : [])].map(toArea);
    const area = areas.find(([left, top, right, bottom]) => right - left > 0.02 && bottom - top > 0.02);
    if (area) return change(box, { ...marks, box: area });
    [state.corner] = points; // two taps are two corners
    draw(box);
  }, true);

  // Before and after: the line is dragged on the picture, never beside it, or moved by arrow keys.
  const findEdge = (box) => { // of the wider picture; one that is looked at closely fills the box
    const edges = [...box.querySelectorAll(":is(.dbx-live, .dbx-before) img")].map(({ clientWidth, clientHeight, naturalWidth, naturalHeight }) =>
      naturalWidth ? (clientWidth - naturalWidth * Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight)) / 2 : 0);
    return box.matches(".near") ? 0 : Math.max(0, Math.min(...edges));
  };
  const setCut = (input) => {
    const box = input.closest(".dbx-box");
    box?.style.setProperty("--edge", `${findEdge(box)}px`);
    box?.style.setProperty("--cut", input.value);
    box?.classList.toggle("cut", Number(input.value) > 0 && Number(input.value) < 100);
  };
  document.addEventListener("input", (event) => {
    if (event.target.matches?.(".dbx-wipe input")) setCut(event.target);
  });
  let wipe = null; // the line under the pointer
  document.addEventListener("pointerdown", (event) => {
    wipe = event.target.closest?.(".dbx-wipe")?.querySelector("input");
    if (!wipe) return;
    event.preventDefault();
    wipe.focus({ preventScroll: true });
  });
  document.addEventListener("pointermove", (event) => {
    const box = wipe?.closest(".dbx-box");
    if (!box) return;
    const { left, width } = box.getBoundingClientRect(), edge = findEdge(box);
    wipe.value = Math.min(100, Math.max(0, (event.clientX - left - edge) / (width - 2 * edge) * 100));
    setCut(wipe);
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { wipe = null; });

  // What somebody found right is not told of that photo again, unless it is at another place.
  const doubtOf = (box, { doubt, boxes = "[]" }) => {
    return [findPhoto(box), doubt, JSON.parse(boxes).flat().map((share) => share.toFixed(1))].join();
  };
  const readDoubt = (box) => {
    const said = part(box, "stage")?.querySelector("[data-doubt]")?.dataset ?? {};
    return box.fine?.has(doubtOf(box, said)) ? {} : said;
  };
  // What the page writes anew: the picture, places of people, and what there is to doubt.
  const updateBoxes = () => document.querySelectorAll(".dbx-box:has(.dbx-point)").forEach((box) => {
    const { doubt: told = "", shape = "", boxes: where = "", other, small, tag = "" } = readDoubt(box), isOther = other !== undefined;
    const line = box.querySelector(".dbx-doubt"), ring = line.nextElementSibling;
    if ((line.dataset.told ?? "") !== told || ring.dataset.boxes !== where || line.matches(".small") !== (small !== undefined) || (line.dataset.tag ?? "") !== tag) {
      Object.assign(line.dataset, { told, tag });
      if (!line.contains(document.activeElement)) { // another note in the same place: the browser is not to count it as one that moved
        line.style.display = "none";
        void line.offsetHeight;
        line.style.display = "";
      }
      const words = line.querySelector("p");
      words.replaceChildren(...told.split("\n").map((textContent) => Object.assign(document.createElement("span"), { textContent })));
      words.dataset.count = words.childElementCount;
      if (tag) words.prepend(Object.assign(document.createElement("b"), { textContent: tag }));
      line.classList.toggle("small", small !== undefined);
      line.classList.toggle("long", told.length > ROW_CHARS);
      words.classList.remove("whole");
      line.classList.toggle("told", Boolean(told));
      line.classList.toggle("other", Boolean(told) && isOther);
      ring.dataset.boxes = where;
      ring.hidden = !where;
      ring.replaceChildren();
      for (const each of JSON.parse(where || "[]")) addArea(ring, each); // a new node is shown for some seconds
      const use = line.querySelector("[data-do=shape]"), mend = line.querySelector("[data-do=start]");
      if (mend && !mend.matches(".in-crop")) mend.hidden = Boolean(told) && isOther; // it mends the cut-out alone
      if (use) [use.hidden, use.textContent, use.value] = [!shape, `Use ${shape}`, shape];
    }
    const again = line.querySelector(".dbx-fill-again"), canFill = Boolean(part(box, "stage")?.querySelector("[data-fill-again]"));
    if (again && again.hidden === canFill) again.hidden = !canFill;
    // The picture leaves room for the words: what they speak of must be seen, and in the kit the headline itself.
    const below = (told || box.id === "kit-box") && line.offsetHeight ? line.offsetHeight + 20 : 0;
    box.style.setProperty("--strip", `${Math.min(below, box.clientHeight * 0.4)}px`);
    place(box, ring);
    openToRepair(box);
    if (!box.classList.contains("pointing")) return;
    const { look: ended = "", places = "", doubts = "[]", effect, changes = "[]", closed } = readLook(box), state = stateOf(box);
    if (ended !== box.pointLook) {
      box.pointLook = ended;
      box.classList.remove("awaiting-photo");
      if (closed !== undefined) { // another job is shown, with marks of its own in the form
        if (held?.box === box) held = null;
        states.delete(box);
        return open(box, false);
      }
      setBusy(box, false);
      const isTold = effect === "refused" || (state.isMarked && held?.box !== box); // not of a mark while the next is made
      tellEffect(box, isTold && !(effect === "settled" && isRefused(box)) ? effect : ""); // there a mark says what is meant
      for (const each of isTold ? JSON.parse(changes) : []) addArea(layerOf(box), each, "elsewhere");
      state.isMarked = false;
      if (ended && !state.doubts?.length) { // those of the picture that is repaired
        state.doubts = JSON.parse(doubts);
        draw(box);
        if (state.isLeft && state.doubts.length && isSame(state.marks, state.first)) bringNear(box, state.doubts[0]);
        state.isLeft = false;
      }
    }
    if (places !== box.pointPlaces) { box.pointPlaces = places; draw(box); }
    const image = box.querySelector(".dbx-live img");
    if (!image) return open(box, false); // its photo was taken away
    const { zoom, x, y, width } = state, share = width ? image.offsetWidth / width : 1; // another window
    moveView(box, zoom, x * share, y * share);
  });
  const update = () => {
    updateBoxes();
    document.querySelectorAll(".dbx-wipe input").forEach(setCut);
  };
  let due = false;
  const soon = () => { if (!due) { due = true; requestAnimationFrame(() => { due = false; update(); }); } };
  document.addEventListener("load", (event) => { if (event.target.matches?.(":is(.dbx-live, .dbx-before) img")) soon(); }, true);
  for (const each of ["resize", "dblclick", "keyup"]) addEventListener(each, soon);
  new MutationObserver(soon).observe(document, { childList: true, subtree: true, attributeFilter: ["src", "data-doubt", "data-look", "data-places"] });
  document.addEventListener("load", soon, true);
  window.addEventListener("resize", soon);
})();
