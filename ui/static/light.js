// Gradio's page goes through every listener for each component, and through Svelte's proxies at that. What is not quite
// an Array is given no proxy: a third of the wait for the page is spared. Runs between the config and Gradio's own script.
{
  const bare = Object.create(Array.prototype);
  const spare = (list) => Object.setPrototypeOf(list, bare);
  for (const row of window.gradio_config?.dependencies ?? []) {
    row.targets.forEach(spare);
    [row.targets, row.inputs, row.outputs].forEach(spare);
  }
}
