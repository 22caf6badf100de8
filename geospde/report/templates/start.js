// What the reader has chosen, the size of the map, and the start.

function choose() {
  const layer = document.querySelector('#map-layers input:checked');
  if (layer) state.band = bands.find((band) => band.name === layer.value);
  state.step = find('map-step')?.valueAsNumber ?? 0;
  for (const band of bands) band.values = band.each[state.step];
  if (data.steps) find('map-step-said').textContent = `${data.steps.along} ${data.steps.values[state.step]}`;
  state.shown = new Set([...document.querySelectorAll('#map-overlays input:checked')].map((box) => box.value));
  state.opacity = (find('map-opacity')?.valueAsNumber ?? 100) / 100;
  if (!popup.hidden && (!state.shown.has('sites') || (state.site >= 0 && !isVisited(state.site)))) closePopup();
  drawLegend();
  readOut();
  redraw();
}

find('map-body').addEventListener('input', choose);

function resize() {
  const width = find('map-stage').clientWidth;
  const height = Math.round(Math.min(Math.max(width * view.tallness, 240), Math.max(0.7 * innerHeight, 320)));
  const ratio = devicePixelRatio || 1;
  if (!width || (width === view.width && height === view.height && canvas.width === Math.round(width * ratio))) return;
  canvas.style.height = `${height}px`;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  view.resize(width, height);
  if (view.isWhole) furnish();
  draw();
}

function start() {
  find('map-body').hidden = false;
  find('figures-body')?.prepend(...find('map-still').children); // the picture that stood for the map
  buildReadout();
  view.resize(1, 1);
  choose();
  resize();
  new ResizeObserver(resize).observe(find('map-stage'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  addEventListener('beforeprint', () => { document.documentElement.dataset.print = ''; draw(); });
  addEventListener('afterprint', () => { delete document.documentElement.dataset.print; draw(); });
}

start();
