// Runs between Gradio's config and its own script.
{
  // What this browser was told under More, before Gradio asks for it.
  const language = localStorage.getItem("dbx-language"), theme = localStorage.getItem("dbx-theme");
  if (language) for (const [name, value] of [["language", language], ["languages", [language]]]) Object.defineProperty(navigator, name, { get: () => value });
  const ask = window.matchMedia.bind(window);
  if (theme) window.matchMedia = (query) => query.includes("prefers-color-scheme") ? ask(query.includes("dark") === (theme === "dark") ? "all" : "not all") : ask(query);

  // Load the German words before Gradio's script looks for translations, in German browsers only.
  if ((navigator.language ?? "").startsWith("de")) document.write('<script src="assets/words/de.js"></' + "script>");

  // A gr.State has no value in the config, and "no update" arrives as null. Gradio's page takes undefined -> null for a
  // change and would request drafts and code for every tool at once. Starting with null avoids those events.
  for (const row of window.gradio_config?.components ?? []) if (row.type === "state") row.props.value = null;
}
