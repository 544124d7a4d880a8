// Puts a film in the place of its still picture, which stays where scripts do not run and on paper.
for (const figure of document.querySelectorAll("figure.film:not(.ready)")) {
  const film = JSON.parse(figure.querySelector("script").textContent);
  const last = film.scenes.length - 1;
  const player = document.createElement("div");
  player.className = "player";
  player.innerHTML = `${film.drawing}
    <div role="group" aria-label="Player">
      <button type="button" aria-label="One step back">◂</button>
      <button type="button" class="play">Play</button>
      <button type="button" aria-label="One step on">▸</button>
      <input type="range" min="0" max="${last}" value="0" aria-label="Step">
    </div>
    <p aria-live="polite"></p>`;
  const all = (selector) => player.querySelectorAll(selector);
  // Keys are for the player, not for JupyterLab.
  for (const control of all("button, input")) control.dataset.lmSuppressShortcuts = "true";
  const samples = all(".samples circle"), components = all(".components g");
  const [back, play, on] = all("button"), [slider] = all("input"), [words] = all("p");
  const [future] = all(".future"), [now] = all(".now");
  all("svg")[0].setAttribute("aria-label", figure.querySelector("img").alt);
  const right = Number(future.getAttribute("x")) + Number(future.getAttribute("width"));

  let scene = 0, clock = null;
  const show = (number) => {
    scene = Math.min(Math.max(number, 0), last);
    const [colours, places, x, y, text] = film.scenes[scene];
    samples.forEach((sample, i) => {
      sample.setAttribute("fill", `#${film.colours[colours].slice(3 * i, 3 * i + 3)}`);
    });
    components.forEach((component, k) => {
      component.setAttribute("transform", `matrix(${film.components[places][k]})`);
    });
    future.setAttribute("x", x);
    future.setAttribute("width", Math.max(right - x, 0));
    now.setAttribute("cx", x);
    now.setAttribute("cy", y);
    slider.value = scene;
    slider.setAttribute("aria-valuetext", text);
    words.textContent = text;
  };
  const stop = () => {
    clearInterval(clock);
    clock = null;
    play.textContent = "Play";
    words.ariaLive = "polite";
  };
  const start = () => {
    if (scene === last) show(0);
    play.textContent = "Pause";
    words.ariaLive = "off"; // or a screen reader would be told of every step
    clock = setInterval(() => {
      show(scene + 1);
      if (scene === last || !figure.isConnected) stop();
    }, film.pause);
  };
  const step = (by) => () => { stop(); show(scene + by); };
  back.addEventListener("click", step(-1));
  on.addEventListener("click", step(1));
  play.addEventListener("click", () => (clock === null ? start() : stop()));
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });

  show(0);
  figure.append(player);
  figure.classList.add("ready");
}
