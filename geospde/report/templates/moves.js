// How the map is moved: by keys, mouse, wheel and fingers.

let moving = 0;
/** Go to another middle and scale, gliding unless the reader wants no motion. */
function go(target) {
  cancelAnimationFrame(moving);
  if (calm.matches) {
    view.set(target);
    redraw();
    return;
  }
  const from = { x: view.x, y: view.y, scale: view.scale };
  const began = performance.now();
  const step = (now) => {
    const share = Math.min(Math.max((now - began) / 160, 0), 1);
    const eased = share * (2 - share);
    const scale = from.scale * (target.scale / from.scale) ** eased;
    // the place that both windows show at one pixel stays there
    const way = Math.abs(target.scale / from.scale - 1) < 1e-9 ? eased : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / target.scale);
    view.set({ x: from.x + way * (target.x - from.x), y: from.y + way * (target.y - from.y), scale });
    draw();
    if (share < 1) moving = requestAnimationFrame(step);
  };
  moving = requestAnimationFrame(step);
}

function zoom(factor, px = view.width / 2, py = view.height / 2) {
  go(view.zoomed(factor, px, py));
}

/** Put the crosshair somewhere, and the map so that it is seen. */
function point(x, y) {
  [state.at, state.crosshair] = [[x, y], true];
  const [px, py] = view.toScreen(x, y);
  const outside = (at, size) => Math.min(at - 0.1 * size, 0) + Math.max(at - 0.9 * size, 0);
  const [dx, dy] = [outside(px, view.width), outside(py, view.height)];
  if (dx || dy) view.set(view.moved(-dx, -dy));
  readOut();
  redraw();
  sayPlace();
}

/** Move the crosshair by cells, at least a few pixels a time. */
function step(right, up) {
  const [x, y] = state.at ?? [view.x, view.y];
  if (!raster) {
    point(x + (10 * right) / view.scale, y + (10 * up) / (view.scale * view.stretch));
    return;
  }
  const [{ dx, dy }, pixels] = [raster, 6];
  const cols = right * Math.max(1, Math.round(pixels / (dx * view.scale)));
  const rows = up * Math.max(1, Math.round(pixels / (dy * view.scale * view.stretch)));
  point(raster.x0 + (raster.column(x) + cols + 0.5) * dx, raster.y0 + (raster.row(y) + rows + 0.5) * dy);
}

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

canvas.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const about = state.crosshair && state.at ? view.toScreen(...state.at) : [];
  const arrow = arrows[event.key];
  if (arrow && event.shiftKey) go(view.moved((-arrow[0] * view.width) / 4, (arrow[1] * view.height) / 4));
  else if (arrow) step(...arrow);
  else if (event.key === '+' || event.key === '=') zoom(2, ...about);
  else if (event.key === '-' || event.key === '_') zoom(0.5, ...about);
  else if (event.key === '0' || event.key === 'Home') go(view.whole);
  else if (event.key === 'Enter' || event.key === ' ') openSite(siteNear(...view.toScreen(...(state.at ?? [view.x, view.y])), Infinity), true);
  else if (event.key === 'Escape') closePopup();
  else return;
  event.preventDefault();
});

canvas.addEventListener('focus', () => {
  if (!canvas.matches(':focus-visible')) return;
  point(...(state.at ?? [view.x, view.y]));
});

const held = new Map(); // pointers that are down
let [dragged, armed] = [false, false];

function pixel(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

canvas.addEventListener('pointerdown', (event) => {
  if (event.button) return;
  cancelAnimationFrame(moving);
  canvas.setPointerCapture(event.pointerId);
  held.set(event.pointerId, pixel(event));
  dragged = held.size > 1;
});

canvas.addEventListener('pointermove', (event) => {
  const [px, py] = pixel(event);
  if (event.movementX || event.movementY) armed = true;
  const last = held.get(event.pointerId);
  if (!last) {
    if (event.pointerType === 'mouse') hover(px, py);
    return;
  }
  if (held.size === 1) {
    if (!dragged && Math.hypot(px - last[0], py - last[1]) < 4) return;
    view.set(view.moved(px - last[0], py - last[1]));
    canvas.classList.add('dragged');
  } else {
    const [other] = [...held].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    view.set(view.moved((px - last[0]) / 2, (py - last[1]) / 2));
    view.set(view.zoomed(apart([px, py]) / Math.max(apart(last), 1), (px + other[0]) / 2, (py + other[1]) / 2));
  }
  dragged = true;
  held.set(event.pointerId, [px, py]);
  redraw();
});

function hover(px, py) {
  [state.at, state.crosshair] = [view.toWorld(px, py), false];
  state.hovered = siteNear(px, py, siteRadius() + 4);
  canvas.classList.toggle('on-site', state.hovered >= 0);
  readOut();
  redraw();
}

canvas.addEventListener('pointerup', (event) => {
  if (!held.delete(event.pointerId)) return;
  if (held.size) return;
  canvas.classList.remove('dragged');
  if (dragged) return;
  const [px, py] = pixel(event);
  const touch = event.pointerType !== 'mouse';
  const site = siteNear(px, py, touch ? 14 : siteRadius() + 4);
  if (touch) point(...(site < 0 ? view.toWorld(px, py) : placeOf(site)));
  if (site >= 0) openSite(site, false);
  else closePopup();
});

canvas.addEventListener('pointercancel', (event) => {
  held.delete(event.pointerId);
  canvas.classList.remove('dragged');
});

canvas.addEventListener('pointerleave', (event) => {
  if (event.pointerType !== 'mouse' || held.size || state.crosshair) return;
  [state.at, state.hovered] = [null, -1];
  readOut();
  redraw();
});

canvas.addEventListener('dblclick', (event) => zoom(event.shiftKey ? 0.5 : 2, ...pixel(event)));

// Only a pointer that was moved to the map zooms it: a reader who scrolls past it goes on scrolling.
document.addEventListener('scroll', () => { armed = false; }, { passive: true });
canvas.addEventListener('wheel', (event) => {
  const slope = event.deltaMode ? 0.05 : event.ctrlKey ? 0.01 : 0.002;
  const target = view.zoomed(Math.exp(-slope * event.deltaY), ...pixel(event));
  if (!armed && !event.ctrlKey) return;
  if (target.scale === view.scale && event.deltaY > 0 && !event.ctrlKey) return;
  event.preventDefault();
  cancelAnimationFrame(moving);
  view.set(target);
  state.at = view.toWorld(...pixel(event));
  readOut();
  redraw();
}, { passive: false });

find('map-in').addEventListener('click', () => zoom(2));
find('map-out').addEventListener('click', () => zoom(0.5));
find('map-home').addEventListener('click', () => go(view.whole));
