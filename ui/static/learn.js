// The tab "What is inference?": one slider shows a step, another computes the time for a number of steps.
(() => {
  const showStep = (input) => {
    const film = input.closest(".dbx-film"), images = film.querySelectorAll("img");
    images.forEach((image, n) => { image.hidden = n !== Number(input.value); });
    film.querySelector("figcaption").textContent = images[input.value].alt;
  };
  const updatePlot = (input) => {
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
    if (event.target.matches?.(".dbx-film input")) showStep(event.target);
    if (event.target.matches?.(".dbx-plot input")) updatePlot(event.target);
  });
})();
