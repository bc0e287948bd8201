// Runs between Gradio's config and its own script.
{
  // German is fetched by browsers that speak it, before Gradio's script looks for it.
  if ((navigator.language ?? "").startsWith("de")) document.write('<script src="assets/words/de.js"></' + "script>");

  // A state has no value here, and "no news of it" is null: at the first news Gradio's page takes that for a change, and
  // asked for the drafts and the code of every tool before anybody had touched one: seconds in which it heard nothing.
  for (const row of window.gradio_config?.components ?? []) if (row.type === "state") row.props.value = null;
}
