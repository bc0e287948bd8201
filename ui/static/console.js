// The API tab's console: sends the request of the form and lists the events of the answer. The key is not stored.
(() => {
  "use strict";
  const SHOWN_CHARS = 400; // of one event's data
  const open = new WeakMap();

  const formPart = (form, name) => form.elements.namedItem(name);

  function addLogLine(form, since, name, text) {
    const row = document.createElement("li");
    const when = document.createElement("time");
    when.textContent = `${((performance.now() - since) / 1000).toFixed(3)} s`;
    const what = document.createElement("b");
    what.textContent = name;
    const code = document.createElement("code");
    code.textContent = text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)} …` : text;
    row.append(when, " ", what, " ", code);
    const log = form.querySelector("ol");
    log.append(row);
    log.scrollTop = log.scrollHeight;
  }

  function showPicture(form, url) {
    const image = form.querySelector("img");
    image.src = url;
    image.hidden = false;
  }

  async function handleEvent(form, since, text, headers) {
    const fields = Object.fromEntries(
      text.split("\n").filter((row) => row.includes(": ")).map((row) => {
        const at = row.indexOf(": ");
        return [row.slice(0, at), row.slice(at + 2)];
      }),
    );
    if (!fields.data) return;
    const data = JSON.parse(fields.data);
    if (data.preview) {
      showPicture(form, data.preview);
      data.preview = `${data.preview.slice(0, 32)}… (${data.preview.length} characters)`;
    }
    addLogLine(form, since, fields.event || "message", JSON.stringify(data));
    const first = fields.event === "result" && (data.files || []).find((file) => file.role === "result");
    if (first) {
      const file = await fetch(new URL(first.url.slice(1), document.baseURI), { headers });
      const picture = file.ok ? await file.blob() : null;
      if (picture && picture.type.startsWith("image/")) showPicture(form, URL.createObjectURL(picture));
    }
  }

  async function readEvents(form, since, answer, headers) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) await handleEvent(form, since, event, headers);
    }
  }

  // The sentence of an error's envelope, or whatever came instead of one.
  function findReason(body) {
    try {
      return JSON.parse(body).error.message;
    } catch {
      return body.slice(0, SHOWN_CHARS);
    }
  }

  async function sendRequest(form) {
    const since = performance.now();
    const abort = new AbortController();
    open.set(form, abort);
    form.querySelector("ol").replaceChildren();
    form.querySelector("img").hidden = true;
    formPart(form, "send").disabled = true;
    formPart(form, "stop").disabled = false;
    formPart(form, "state").value = "Sent";
    const key = formPart(form, "key").value.trim();
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const path = `v1/tools/${encodeURIComponent(formPart(form, "tool").value)}?stream=true`;
    try {
      addLogLine(form, since, "POST", `/${path}`);
      const answer = await fetch(new URL(path, document.baseURI), {
        method: "POST", signal: abort.signal, body: formPart(form, "body").value,
        headers: { ...headers, "Content-Type": "application/json" },
      });
      addLogLine(form, since, String(answer.status), answer.headers.get("x-request-id") || "");
      if (answer.ok) await readEvents(form, since, answer, headers);
      const refusal = answer.ok ? "" : await answer.text();
      if (refusal) addLogLine(form, since, "error", refusal);
      formPart(form, "state").value = answer.ok ? "Done" : "Refused";
      if (refusal) formPart(form, "state").value += ` · ${findReason(refusal)}`;
    } catch (error) {
      formPart(form, "state").value = abort.signal.aborted ? "Stopped" : "Broken off";
      if (!abort.signal.aborted) addLogLine(form, since, "error", String(error));
    } finally {
      formPart(form, "send").disabled = false;
      formPart(form, "stop").disabled = true;
    }
  }

  const formOf = (event) => event.target.closest && event.target.closest(".dbx-console");

  document.addEventListener("submit", (event) => {
    const form = formOf(event);
    if (!form) return;
    event.preventDefault();
    sendRequest(form);
  });
  document.addEventListener("click", (event) => {
    const form = formOf(event);
    if (form && event.target.name === "stop" && open.has(form)) open.get(form).abort();
  });
  document.addEventListener("change", (event) => {
    const form = formOf(event);
    if (form && event.target.name === "tool") {
      formPart(form, "body").value = JSON.parse(form.dataset.bodies)[event.target.value];
    }
  });
})();
