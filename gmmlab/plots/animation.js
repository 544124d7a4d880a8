// Puts the animation in place of its still image, which remains where scripts do not run and in
// print.
for (const figure of document.querySelectorAll(".gmmlab-animation:not(.ready)")) {
  const animation = JSON.parse(figure.querySelector("script").textContent);
  const last = animation.frames.length - 1;
  const player = document.createElement("div");
  player.className = "player";
  player.innerHTML = `${animation.drawing}
    <div class="controls" role="group" aria-label="Animation controls">
      <button type="button" aria-label="Previous step">◂</button>
      <button type="button" class="play">Play</button>
      <button type="button" aria-label="Next step">▸</button>
      <input type="range" min="0" max="${last}" value="0" aria-label="Step">
    </div>
    <p aria-live="polite"></p>`;
  const all = (selector) => player.querySelectorAll(selector);
  // JupyterLab must not take keys for its shortcuts while a control has the focus.
  for (const control of all("button, input")) control.dataset.lmSuppressShortcuts = "true";
  const samples = all(".samples circle"), components = all(".components g");
  const [previous, play, next] = all("button"), [slider] = all("input"), [description] = all("p");
  const [future] = all(".future"), [now] = all(".now");
  all("svg")[0].setAttribute("aria-label", figure.querySelector("img").alt);
  const right = Number(future.getAttribute("x")) + Number(future.getAttribute("width"));

  let frame = 0, timer = null;
  const show = (number) => {
    frame = Math.min(Math.max(number, 0), last);
    const [colours, places, x, y, text] = animation.frames[frame];
    samples.forEach((sample, i) => {
      sample.setAttribute("fill", `#${animation.colours[colours].slice(3 * i, 3 * i + 3)}`);
    });
    components.forEach((component, k) => {
      component.setAttribute("transform", `matrix(${animation.components[places][k]})`);
    });
    future.setAttribute("x", x);
    future.setAttribute("width", Math.max(right - x, 0));
    now.setAttribute("cx", x);
    now.setAttribute("cy", y);
    slider.value = frame;
    slider.setAttribute("aria-valuetext", text);
    description.textContent = text;
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    description.ariaLive = "polite";
  };
  const start = () => {
    if (frame === last) show(0);
    play.textContent = "Pause";
    description.ariaLive = "off"; // or screen readers would announce every frame
    timer = setInterval(() => {
      show(frame + 1);
      if (frame === last || !figure.isConnected) stop();
    }, animation.pause);
  };
  const step = (by) => () => { stop(); show(frame + by); };
  previous.addEventListener("click", step(-1));
  next.addEventListener("click", step(1));
  play.addEventListener("click", () => (timer === null ? start() : stop()));
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });

  show(0);
  figure.append(player);
  figure.classList.add("ready");
}
