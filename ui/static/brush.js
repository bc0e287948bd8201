// The brush: strokes on a photo in the place of the large picture. They are kept as lines in shares of the photo, so
// that nothing is lost when the picture changes its size, and nothing but these lines is sent.
(() => {
  const LAYER_PX = 1280, OUTLINE_RADIUS = 0.001, MAX_ZOOM = 8, MIN_STEP_PX = 1.5, MAX_POINTS = 20000; // of the canvas; of one stroke
  const COLOURS = { keep: "#009682", drop: "#d22828" }, WAIT_MS = 3000, ANSWER_MS = 30000, TAP_POINTS = 4, TAP_PX = 6; // as far as a finger slips
  const MOVE_HINT = "Arrow keys move the picture.", ARROWS = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] }; // pixels
  const AGAIN = "Marked. Press again for more, then Preview.", LARGE_SHARE = 0.15, // of the photo
    MUCH = "A large part of the photo is marked. Too much? Press Undo, and paint a smaller thing with Brush.";
  const states = new WeakMap(); // by panel
  let pressCount = 0; // an answer says which press it is of
  const things = new WeakMap(); // by stroke: the points that a thing was asked for with, one more for each larger thing
  const toolOf = (panel) => panel.closest(".dbx-tool");
  const part = (panel, name) => document.getElementById(`${panel.dataset.tool}-brush-${name}`);
  const find = (panel, name) => panel.querySelector(`.dbx-brush-${name}`);
  const isOpen = (panel) => panel && !panel.hidden && !states.get(panel).sent;
  const findOpen = () => [...document.querySelectorAll(".dbx-brush:not([hidden])")].find((panel) => panel.getClientRects().length && isOpen(panel));
  const findShown = (panel) => toolOf(panel).querySelector(".dbx-live img")?.src ?? "";

  const newState = () => ({ strokes: [], undone: [], presses: [], zoom: 1, mode: "keep" });

  const paint = (panel, stroke, from = 0) => {
    const layer = find(panel, "layer"), pen = layer.getContext("2d"), { width, height } = layer, [x, y] = stroke.points[from];
    const clears = stroke.kind === "erase" || (stroke.kind === "drop" && !panel.matches(".of-cutout"));
    Object.assign(pen, { lineCap: "round", lineJoin: "round", lineWidth: 2 * stroke.radius * Math.max(width, height), strokeStyle: COLOURS[stroke.kind] ?? "#000", globalCompositeOperation: clears ? "destination-out" : "source-over" });
    pen.beginPath();
    pen.moveTo(x * width, y * height);
    pen.lineTo(x * width + 0.01, y * height); // a line without any length, as of a press, is none: Chromium 156 draws nothing
    for (const [x, y] of stroke.points.slice(Math.min(from + 1, stroke.points.length - 1))) pen.lineTo(x * width, y * height);
    if (stroke.closed) {
      pen.closePath();
      Object.assign(pen, { fillStyle: pen.strokeStyle }).fill();
    }
    pen.stroke();
  };
  const redraw = (panel) => {
    const layer = find(panel, "layer"), pen = layer.getContext("2d"), { strokes, painted } = states.get(panel);
    pen.globalCompositeOperation = "source-over";
    pen.clearRect(0, 0, layer.width, layer.height);
    if (painted?.naturalWidth) pen.drawImage(painted, 0, 0, layer.width, layer.height);
    for (const stroke of strokes) paint(panel, stroke);
  };
  const showSteps = (panel) => {
    const { strokes, undone, zoom } = states.get(panel);
    panel.classList.toggle("painted", strokes.length > 0);
    for (const [name, isUseless] of Object.entries({ undo: !strokes.length, redo: !undone.length, out: zoom <= 1, in: zoom >= MAX_ZOOM })) panel.querySelector(`[data-do=${name}]`).disabled = isUseless;
  };

  // The photo fits into its view, and is larger than it when it is looked at closely.
  const fit = (panel) => {
    const view = find(panel, "view"), image = panel.querySelector("img"), { zoom } = states.get(panel);
    if (!image.naturalWidth || !view.offsetWidth) return;
    const scale = zoom * Math.min(view.offsetWidth / image.naturalWidth, view.offsetHeight / image.naturalHeight);
    view.classList.toggle("enlarged", zoom > 1);
    Object.assign(find(panel, "sheet").style, { width: `${image.naturalWidth * scale}px`, height: `${image.naturalHeight * scale}px` });
    showSize(panel);
  };
  const setZoom = (panel, zoom, x, y) => { // what is at this place of the window stays there
    const state = states.get(panel), view = find(panel, "view"), frame = view.getBoundingClientRect();
    x ??= frame.left + frame.width / 2;
    y ??= frame.top + frame.height / 2;
    const before = find(panel, "sheet").getBoundingClientRect(), right = (x - before.left) / before.width, down = (y - before.top) / before.height;
    state.zoom = Math.min(MAX_ZOOM, Math.max(1, zoom));
    fit(panel);
    const after = find(panel, "sheet").getBoundingClientRect();
    view.scrollBy({ left: after.left + right * after.width - x, top: after.top + down * after.height - y, behavior: "instant" });
    showSteps(panel);
  };
  const zoomIn = (panel) => { // to where the pointer was last, which is now on the button
    const { zoom, at: [right, down] = [0.5, 0.5] } = states.get(panel), view = find(panel, "view");
    setZoom(panel, zoom * 1.5);
    const frame = view.getBoundingClientRect(), sheet = find(panel, "sheet").getBoundingClientRect();
    view.scrollBy({ left: sheet.left + right * sheet.width - frame.left - frame.width / 2, top: sheet.top + down * sheet.height - frame.top - frame.height / 2, behavior: "instant" });
    if (!matchMedia("(pointer: coarse)").matches) say(panel, MOVE_HINT);
  };
  const readSize = (panel) => Number(panel.querySelector("input[type=range]").value);
  const setSizes = (panel) => { // a brush as wide as a small photo's things could not paint one of them
    const { offsetWidth, offsetHeight } = find(panel, "sheet"), range = panel.querySelector("input[type=range]"), side = Math.max(offsetWidth, offsetHeight);
    if (panel.sized || !side) return;
    Object.assign(range, { min: side < 600 ? 2 : 4, max: side < 600 ? 60 : 120 });
    range.value = Math.min(28, Math.round(side * 0.04));
    panel.sized = true;
  };
  const showSize = (panel) => { find(panel, "tip").style.width = `${readSize(panel)}px`; };

  const setAspect = (panel) => {
    const image = panel.querySelector("img"), layer = find(panel, "layer"), scale = LAYER_PX / Math.max(image.naturalWidth, image.naturalHeight);
    panel.style.setProperty("--aspect", image.naturalWidth / image.naturalHeight);
    Object.assign(layer, { width: Math.round(image.naturalWidth * scale), height: Math.round(image.naturalHeight * scale) });
    redraw(panel);
    fit(panel);
    setSizes(panel);
    showSize(panel);
  };
  const openPanel = (panel, { ground, painted, cancel }) => {
    const state = newState(), image = panel.querySelector("img");
    states.set(panel, state);
    if (painted) state.painted = Object.assign(new Image(), { onload: () => redraw(panel), src: painted });
    image.src = ground || toolOf(panel).querySelector(".dbx-form .dbx-photo img")?.src || "";
    panel.hidden = false;
    panel.inert = false;
    part(panel, "cancel").hidden = cancel !== "1";
    setMode(panel, panel.lastMode ?? panel.querySelector("[data-mode]").dataset.mode);
    say(panel, "");
    letGo();
    const here = document.activeElement; // the button that opened it is gone now
    if (here === document.body || here.id === `${panel.dataset.tool}-brush`) panel.querySelector("[data-mode]").focus({ preventScroll: true });
    if (image.complete && image.naturalWidth) setAspect(panel);
    showSteps(panel);
    panel.scrollIntoView({ block: "nearest" });
  };
  const closePanel = (panel) => {
    const wasHere = panel.contains(document.activeElement);
    setFull(panel, false);
    letGo();
    panel.hidden = true;
    if (wasHere) requestAnimationFrame(() => document.getElementById(`${panel.dataset.tool}-brush`)?.focus({ preventScroll: true }));
    states.set(panel, newState());
  };
  // What was painted is seen until the first picture of the job comes, or until it has ended without one.
  const awaitPicture = (panel) => {
    const state = states.get(panel), { shown } = state, begun = Date.now();
    let wasBusy = false;
    state.awaits = true;
    const timer = setInterval(() => {
      const isBusy = Boolean(toolOf(panel)?.querySelector(".dbx-bar .dbx-line.busy"));
      const isOver = findShown(panel) !== shown || (wasBusy ? !isBusy : !isBusy && Date.now() - begun > WAIT_MS);
      wasBusy ||= isBusy;
      if (states.get(panel) !== state || !panel.isConnected) return clearInterval(timer);
      if (!isOver) return;
      clearInterval(timer);
      closePanel(panel);
      if (innerWidth < 900) toolOf(panel).querySelector(".dbx-bar").scrollIntoView({ block: "start" }); // the page moved up
    }, 100);
  };
  const answer = (panel) => {
    const message = part(panel, "message")?.querySelector("[data-brush]"), { brush, number, ...more } = message?.dataset ?? {};
    if (!message || panel.dataset.number === number) return;
    panel.dataset.number = number;
    if (brush === "open") return openPanel(panel, more);
    if (panel.hidden) return;
    if (brush === "thing") return more.press === String(states.get(panel).press) && takeThing(panel, more);
    if (brush === "close" && more.awaits === "1" && states.get(panel).sent) return awaitPicture(panel);
    if (brush === "close") return closePanel(panel);
    states.get(panel).sent = false;
    panel.inert = false;
  };

  // A press on a thing leaves a dab; the outline of the whole thing takes its place, or a sentence says why none does.
  const say = (panel, sentence) => { find(panel, "head").querySelector("p").textContent = sentence || panel.hint; };
  const askForThing = (panel) => {
    const state = states.get(panel);
    if (state.asked) return;
    state.asked = state.presses.shift();
    if (!state.asked) return state.sends && send(panel, state.sends);
    const { asked } = state, [point] = asked.points, input = part(panel, "pressed").querySelector("textarea, input");
    const within = things.get(state.strokes.findLast((each) => each.closed ? isInside(each, point) : each.kind === "drop" && isOn(panel, each, point))) ?? []; // none where it was rubbed out
    things.set(asked, [...within, within[0] ?? point]); // a press in the mark of a thing means the next larger one there
    say(panel, "Looking for all of it …");
    state.press = ++pressCount;
    input.value = `${state.press} ${JSON.stringify(things.get(asked))}`;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    part(panel, "look").click();
    setTimeout(() => { if (state.asked === asked) takeThing(panel, {}, state); }, ANSWER_MS);
  };
  const takeThing = (panel, { outline, sentence }, state = states.get(panel)) => {
    const stroke = state.asked;
    state.asked = null;
    if (!stroke || states.get(panel) !== state) return;
    if (outline) Object.assign(stroke, { points: JSON.parse(outline), radius: OUTLINE_RADIUS, closed: true });
    else if (things.get(stroke).length > 1) state.strokes = state.strokes.filter((each) => each !== stroke); // the mark stays as it was
    say(panel, sentence || (outline ? measureShare(stroke) > LARGE_SHARE ? MUCH : AGAIN : ""));
    showSteps(panel);
    redraw(panel);
    askForThing(panel);
  };
  const measureShare = ({ points }) => Math.abs(points.reduce((sum, [x, y], at) => { const [left, top] = points.at(at - 1); return sum + left * y - x * top; }, 0)) / 2;
  const isInside = ({ points }, [x, y]) => {
    const outline = new Path2D(`M${points.map((point) => point.map((share) => share * 1e4).join(" ")).join("L")}Z`); // it is exact to parts of a unit
    return document.createElement("canvas").getContext("2d").isPointInPath(outline, x * 1e4, y * 1e4);
  };
  const isOn = (panel, { points, radius }, [x, y]) => {
    const { width, height } = find(panel, "layer"), pen = document.createElement("canvas").getContext("2d");
    Object.assign(pen, { lineCap: "round", lineJoin: "round", lineWidth: 2 * radius * Math.max(width, height) });
    const [[left, top]] = points; // with some length, as above
    const line = new Path2D(`M${[[left + 1e-5, top], ...points].map(([right, down]) => `${right * width} ${down * height}`).join("L")}`);
    return pen.isPointInStroke(line, x * width, y * height);
  };
  const setMode = (panel, mode) => {
    states.get(panel).mode = mode;
    panel.querySelectorAll("[data-mode]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.mode === mode)));
  };
  const setFull = (panel, isFull) => { // a popover lies over everything else
    if (panel.matches(".full") === isFull) return;
    panel.classList.toggle("full", isFull);
    if (isFull) {
      panel.popover = "manual";
      panel.showPopover();
    } else panel.popover = null;
    panel.querySelector("[data-do=full]").setAttribute("aria-pressed", String(isFull));
    fit(panel);
  };
  const send = (panel, name) => {
    const state = states.get(panel), input = part(panel, "strokes").querySelector("textarea, input");
    state.sends = name;
    if (state.asked) return; // the thing that is looked for comes along
    Object.assign(state, { sent: true, sends: "", shown: findShown(panel) });
    input.value = JSON.stringify(state.strokes);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    setFull(panel, false);
    letGo();
    panel.inert = true;
    setTimeout(() => { // no answer: the line was down, or the studio was started again
      if (states.get(panel) !== state || !state.sent || state.awaits) return;
      state.sent = false;
      panel.inert = false;
    }, ANSWER_MS);
    setZoom(panel, 1); // all that is painted is seen
    part(panel, name).click();
  };
  const step = (panel, from, to) => {
    if (held || !from.length) return;
    to.push(from.pop());
    say(panel, ""); // what it said was of the mark before
    redraw(panel);
    showSteps(panel);
  };
  const actions = {
    undo: (panel) => step(panel, states.get(panel).strokes, states.get(panel).undone),
    redo: (panel) => step(panel, states.get(panel).undone, states.get(panel).strokes),
    out: (panel) => setZoom(panel, states.get(panel).zoom / 1.5),
    in: (panel) => zoomIn(panel),
    full: (panel) => setFull(panel, !panel.matches(".full")),
    use: (panel) => send(panel, "send"),
    drop: (panel) => part(panel, "discard").click(),
    cancel: closePanel,
  };

  // One pointer paints, two move and enlarge the picture.
  const pointers = new Map();
  let held = null; // the stroke under the pointer
  const letGo = () => { held = null; pointers.clear(); };
  const shareOf = (layer, { clientX, clientY }) => {
    const frame = layer.getBoundingClientRect(), bound = (share) => Math.round(Math.min(2, Math.max(-1, share)) * 1e5) / 1e5;
    return [bound((clientX - frame.left) / frame.width), bound((clientY - frame.top) / frame.height)];
  };
  const spanOf = ([a, b]) => ({ x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2, apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) });
  const start = (panel, layer, event) => {
    if (event.button) return;
    event.preventDefault();
    layer.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    const state = states.get(panel);
    if (pointers.size > 1) { // the first finger's dot was no stroke; what is longer was one, and the palm comes after it
      if (held?.points.length < TAP_POINTS) { state.strokes.pop(); redraw(panel); } else if (held) state.undone = [];
      held = null;
      showSteps(panel);
      return;
    }
    const { width, height } = layer.getBoundingClientRect();
    held = { kind: state.mode === "thing" ? "keep" : state.mode, radius: readSize(panel) / 2 / Math.max(width, height), points: [shareOf(layer, event)] };
    say(panel, "");
    state.strokes.push(held);
    paint(panel, held);
  };
  const move = (panel, layer, event) => {
    const tip = find(panel, "tip"), [right, down] = shareOf(layer, event);
    Object.assign(tip.style, { left: `${right * 100}%`, top: `${down * 100}%` });
    states.get(panel).at = [right, down];
    if (!pointers.has(event.pointerId)) return;
    if (pointers.size === 2) {
      const before = spanOf([...pointers.values()]);
      pointers.set(event.pointerId, event);
      const after = spanOf([...pointers.values()]);
      find(panel, "view").scrollBy({ left: before.x - after.x, top: before.y - after.y, behavior: "instant" });
      return setZoom(panel, states.get(panel).zoom * after.apart / before.apart, after.x, after.y);
    }
    if (!held) return;
    const from = held.points.length - 1, coalesced = event.getCoalescedEvents?.() ?? [];
    for (const each of coalesced.length ? coalesced : [event]) {
      const at = shareOf(layer, each), last = held.points.at(-1);
      if (Math.hypot((at[0] - last[0]) * layer.width, (at[1] - last[1]) * layer.height) >= MIN_STEP_PX && held.points.length < MAX_POINTS) held.points.push(at);
    }
    if (held.points.length > from + 1) paint(panel, held, from);
  };
  const end = (panel, event) => {
    if (!pointers.delete(event.pointerId) || !held) return;
    const stroke = held, state = states.get(panel), layer = find(panel, "layer").getBoundingClientRect(), [[left, top]] = stroke.points;
    const isPress = stroke.points.every(([x, y]) => Math.hypot((x - left) * layer.width, (y - top) * layer.height) < TAP_PX);
    held = null;
    state.undone = [];
    showSteps(panel);
    if (state.mode !== "thing" || !isPress || event.type !== "pointerup" || Math.max(left, top) > 1 || Math.min(left, top) < 0) return;
    state.presses.push(stroke);
    askForThing(panel);
  };
  const prepare = (panel) => {
    const layer = find(panel, "layer"), view = find(panel, "view");
    states.set(panel, newState());
    panel.hint = find(panel, "head").querySelector("p").textContent;
    panel.querySelector("img").addEventListener("load", () => setAspect(panel));
    panel.querySelector("input[type=range]").addEventListener("input", () => showSize(panel));
    panel.addEventListener("click", (event) => {
      const button = event.target.closest("button"), action = button?.dataset.do ?? button?.id.split("-").pop();
      const mode = button?.dataset.mode;
      if (["thing", "keep"].includes(mode)) panel.lastMode = mode; // the eraser is nothing to begin with
      if (mode) setMode(panel, mode);
      else if (button) actions[action](panel);
    });
    for (const [name, handle] of Object.entries({ pointerdown: start, pointermove: move })) layer.addEventListener(name, (event) => { event.stopPropagation(); handle(panel, layer, event); });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) layer.addEventListener(name, (event) => end(panel, event));
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      setZoom(panel, states.get(panel).zoom * Math.exp(-event.deltaY / 200), event.clientX, event.clientY);
    }, { passive: false });
    new ResizeObserver(() => fit(panel)).observe(view);
  };

  // What is in use can be given up without opening the brush.
  document.addEventListener("click", (event) => {
    const panel = event.target.closest?.(".dbx-matte-back")?.closest(".dbx-tool").querySelector(".dbx-brush");
    if (panel) actions.drop(panel);
  });
  // Generate takes along what is painted: it goes into the form first.
  document.addEventListener("click", (event) => {
    const generate = event.target.closest?.('.dbx-go button[id$="-generate"]'), panel = generate?.closest(".dbx-tool").querySelector(".dbx-brush");
    if (!panel || !states.has(panel) || panel.hidden) return;
    if (states.get(panel).awaits) return; // it is in the form
    event.stopImmediatePropagation();
    if (isOpen(panel)) send(panel, "generate");
  }, true);
  document.addEventListener("keydown", (event) => {
    const panel = findOpen();
    if (!panel) return;
    if (event.key === "Escape" && panel.matches(".full")) {
      event.stopImmediatePropagation();
      return actions.full(panel);
    }
    if (ARROWS[event.key] && states.get(panel).zoom > 1 && !event.target.matches("textarea, input, select, [role=tab]")) {
      const [left, top] = ARROWS[event.key];
      event.preventDefault();
      return find(panel, "view").scrollBy({ left, top, behavior: "instant" });
    }
    if (!(event.ctrlKey || event.metaKey) || !/^[zy]$/i.test(event.key) || event.target.matches("textarea, input:not([type=range])")) return;
    event.preventDefault();
    actions[event.key.toLowerCase() === "y" || event.shiftKey ? "redo" : "undo"](panel);
  }, true);

  const update = () => document.querySelectorAll(".dbx-brush").forEach((panel) => {
    if (!states.has(panel)) prepare(panel);
    answer(panel);
  });
  let due = false;
  const soon = () => { if (!due) { due = true; requestAnimationFrame(() => { due = false; update(); }); } };
  new MutationObserver(soon).observe(document, { childList: true, subtree: true, attributeFilter: ["data-number"] });
})();
