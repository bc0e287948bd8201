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
    } else if (event.key === "Escape") press("-stop");
  }, true);

  // A picture that is pasted, or dropped on one that is there already, goes into the photo of the tool in view.
  const give = async (field, file) => {
    const find = () => field.querySelector("input[type=file]");
    if (!find()) field.querySelector(".icon-button-wrapper button:last-of-type")?.click();
    for (let tries = 0; !find() && tries < 40; tries++) await new Promise((done) => setTimeout(done, 25));
    if (!find()) return;
    const carrier = new DataTransfer();
    carrier.items.add(file);
    find().files = carrier.files;
    find().dispatchEvent(new Event("change", { bubbles: true }));
  };
  const picture = (carrier) => [...(carrier?.files ?? [])].find((file) => file.type.startsWith("image/"));
  document.addEventListener("paste", (event) => {
    const file = picture(event.clipboardData);
    const field = [...(tool() ?? document).querySelectorAll(".dbx-photo")].find(visible);
    if (!file || !field) return;
    event.preventDefault();
    give(field, file);
  });
  const filled = (target) => { const field = target.closest?.(".dbx-photo"); return field?.querySelector("img") && field; };
  document.addEventListener("dragover", (event) => { if (filled(event.target)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    const field = filled(event.target), file = picture(event.dataTransfer);
    if (!field || !file) return;
    event.preventDefault();
    give(field, file);
  });

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
    document.getElementById(`tab-${id}-button`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
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

  // A draft on the first page opens as its button does.
  document.addEventListener("click", (event) => {
    const draft = event.target.closest?.(".dbx-draft");
    draft?.closest(".column")?.querySelector(":scope > button, .block > button, button[id]")?.click();
  });

  // The one alert of a tab is shown inside the field it is about.
  const settle = () => {
    note();
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
    document.querySelectorAll(".dbx-form .block:has(input[type=range])").forEach(zero);
    // Gradio says "Delete image" on each of several.
    document.querySelectorAll(".dbx-photos").forEach((field) => {
      field.querySelectorAll(".delete-button").forEach((button, n) => button.setAttribute("aria-label", `Remove picture ${n + 1}`));
      field.querySelectorAll(".thumbnail-item img").forEach((image, n) => { image.alt = `Picture ${n + 1}`; });
      field.querySelectorAll(".upload-container").forEach((button) => button.setAttribute("aria-label", "Add pictures"));
    });
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
    picker.setAttribute("aria-label", "Pick a colour");
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

  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; settle(); });
  }).observe(document, { childList: true, subtree: true, attributeFilter: ["aria-selected"] });

  const opening = setInterval(() => {
    if (document.getElementById("tab-home-button") && follow()) { arrived = true; clearInterval(opening); }
  }, 50);
  setTimeout(() => { arrived = true; clearInterval(opening); }, 30000);
})();
