// Replace each still image by the interactive figure. The image remains for print, and where
// drawing fails, for example without WebGL.
for (const figure of document.querySelectorAll("figure.plotly")) {
  const still = figure.querySelector("img");
  const { data, layout = {}, config = {} } = JSON.parse(figure.querySelector("script").textContent);
  const plot = document.createElement("div");
  plot.className = "plot";
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", still ? still.alt : "Interactive figure");
  plot.style.height = `${layout.height || 480}px`;
  figure.append(plot);
  const { width, height, ...rest } = layout;
  const showImage = () => { plot.remove(); figure.classList.remove("drawn"); };
  figure.classList.add("drawn");
  Promise.resolve()
    .then(() => Plotly.newPlot(
      plot,
      data,
      { margin: { l: 40, r: 40, t: 60, b: 40 }, ...rest, autosize: true },
      { ...config, responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "" },
    ))
    .then(() => { if (plot.querySelector(".no-webgl")) showImage(); })
    .catch(showImage);
}
