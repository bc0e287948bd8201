// The API tab's console: sends the request in the box and lists what comes back, as it comes. Keeps no key.
(() => {
  "use strict";
  const SHOWN = 400; // characters of one event's data
  const open = new WeakMap();

  const part = (form, name) => form.elements.namedItem(name);

  function line(form, since, name, text) {
    const row = document.createElement("li");
    const when = document.createElement("time");
    when.textContent = `${((performance.now() - since) / 1000).toFixed(3)} s`;
    const what = document.createElement("b");
    what.textContent = name;
    const code = document.createElement("code");
    code.textContent = text.length > SHOWN ? `${text.slice(0, SHOWN)} …` : text;
    row.append(when, " ", what, " ", code);
    const log = form.querySelector("ol");
    log.append(row);
    log.scrollTop = log.scrollHeight;
  }

  function show(form, url) {
    const image = form.querySelector("img");
    image.src = url;
    image.hidden = false;
  }

  async function told(form, since, text, headers) {
    const found = Object.fromEntries(
      text.split("\n").filter((row) => row.includes(": ")).map((row) => {
        const at = row.indexOf(": ");
        return [row.slice(0, at), row.slice(at + 2)];
      }),
    );
    if (!found.data) return;
    const data = JSON.parse(found.data);
    if (data.preview) {
      show(form, data.preview);
      data.preview = `${data.preview.slice(0, 32)}… (${data.preview.length} characters)`;
    }
    line(form, since, found.event || "message", JSON.stringify(data));
    const first = found.event === "result" && (data.files || []).find((file) => file.role === "result");
    if (first) {
      const file = await fetch(new URL(first.url.slice(1), document.baseURI), { headers });
      const picture = file.ok ? await file.blob() : null;
      if (picture && picture.type.startsWith("image/")) show(form, URL.createObjectURL(picture));
    }
  }

  async function stream(form, since, answer, headers) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) await told(form, since, event, headers);
    }
  }

  async function send(form) {
    const since = performance.now();
    const abort = new AbortController();
    open.set(form, abort);
    form.querySelector("ol").replaceChildren();
    form.querySelector("img").hidden = true;
    part(form, "send").disabled = true;
    part(form, "stop").disabled = false;
    part(form, "state").value = "Sent";
    const key = part(form, "key").value.trim();
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const path = `v1/tools/${encodeURIComponent(part(form, "tool").value)}?stream=true`;
    try {
      line(form, since, "POST", `/${path}`);
      const answer = await fetch(new URL(path, document.baseURI), {
        method: "POST", signal: abort.signal, body: part(form, "body").value,
        headers: { ...headers, "Content-Type": "application/json" },
      });
      line(form, since, String(answer.status), answer.headers.get("x-request-id") || "");
      if (answer.ok) await stream(form, since, answer, headers);
      else line(form, since, "error", await answer.text());
      part(form, "state").value = answer.ok ? "Done" : "Refused";
    } catch (error) {
      part(form, "state").value = abort.signal.aborted ? "Stopped" : "Broken off";
      if (!abort.signal.aborted) line(form, since, "error", String(error));
    } finally {
      part(form, "send").disabled = false;
      part(form, "stop").disabled = true;
    }
  }

  const formOf = (event) => event.target.closest && event.target.closest(".dbx-console");

  document.addEventListener("submit", (event) => {
    const form = formOf(event);
    if (!form) return;
    event.preventDefault();
    send(form);
  });
  document.addEventListener("click", (event) => {
    const form = formOf(event);
    if (form && event.target.name === "stop" && open.has(form)) open.get(form).abort();
  });
  document.addEventListener("change", (event) => {
    const form = formOf(event);
    if (form && event.target.name === "tool") {
      part(form, "body").value = JSON.parse(form.dataset.bodies)[event.target.value];
    }
  });
})();
