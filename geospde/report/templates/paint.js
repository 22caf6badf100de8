// What the map shows, and painting it: layer, mesh, coast, sites, crosshair, scale bar.

const find = (id) => document.getElementById(id);
const make = (tag, words = '', name = '') => Object.assign(document.createElement(tag), { textContent: words, className: name });
const data = JSON.parse(find('map-data').textContent);
const canvas = find('map-canvas');
const pen = canvas.getContext('2d');
const popup = find('map-popup');
const calm = matchMedia('(prefers-reduced-motion: reduce)');

const raster = data.grid && new Raster(data.grid);
const land = data.coast && new Land(data.coast);
const mesh = data.mesh && meshPaths(data.mesh);
const colours = data.scales.map((scale) => new Colours(scale));
const bands = data.bands.map((band) => {
  const each = [band.values].flat().map(floats); // one a step
  return { ...band, each, values: each[0], pictures: [], colours: colours[band.scale], scale: data.scales[band.scale] };
});
const sites = data.sites && { ...data.sites, xy: floats(data.sites.xy), observed: data.sites.observed && floats(data.sites.observed) };
const ofResponse = data.scales.findIndex((scale) => scale.kind === 'response');
const view = new View(data.view, everything(), data.stretch);
const state = { band: bands[0], step: 0, shown: new Set(), opacity: 1, at: null, crosshair: false, site: -1, hovered: -1 };

/** Bounds of all that may be looked at. */
function everything() {
  let [west, south, east, north] = data.view;
  const hold = (xy) => {
    for (let k = 0; k < xy.length; k += 2) {
      [west, east] = [Math.min(west, xy[k]), Math.max(east, xy[k])];
      [south, north] = [Math.min(south, xy[k + 1]), Math.max(north, xy[k + 1])];
    }
  };
  if (raster) hold([raster.x0, raster.y0, raster.x0 + raster.cols * raster.dx, raster.y0 + raster.rows * raster.dy]);
  for (const part of [land, mesh, sites]) if (part) hold(part.xy);
  return [west, south, east, north];
}

/** Number of the cell that is seen at a place, -1 where none is. */
function cellAt([x, y]) {
  return !raster || (state.shown.has('clip') && land && !land.holds(x, y)) ? -1 : raster.at(x, y);
}

let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function draw() {
  const ratio = canvas.width / view.width;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const placed = (path) => { const moved = new Path2D(); moved.addPath(path, view.matrix); return moved; };
  const line = (path, name, width) => { pen.strokeStyle = colour(name); pen.lineWidth = width; pen.stroke(path); };
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.lineJoin = 'round';
  pen.fillStyle = colour('sea');
  pen.fillRect(0, 0, view.width, view.height);
  const coast = land && placed(land.path);
  if (coast) { pen.fillStyle = colour('land'); pen.fill(coast, 'evenodd'); }
  if (state.band && state.opacity > 0) {
    pen.save();
    pen.globalAlpha = state.opacity;
    if (coast && state.shown.has('clip')) pen.clip(coast, 'evenodd');
    drawCells();
    pen.restore();
  }
  if (mesh && state.shown.has('mesh')) {
    line(placed(mesh.outer), 'mesh-outer', 0.7);
    line(placed(mesh.inner), 'mesh-inner', 0.7);
  }
  if (coast && state.shown.has('coast')) line(coast, 'ink', 1);
  if (sites && state.shown.has('sites')) drawSites(colour);
  if (state.crosshair && state.at) drawCrosshair(colour);
  drawScaleBar();
  placePopup();
  canvas.style.touchAction = view.isWhole ? 'pan-y' : 'none'; // a finger scrolls the page until there is more to see
}

/** Paint the part of the raster that is in view. */
function drawCells() {
  const { band } = state;
  const picture = band.pictures[state.step] ??= raster.paint(band.values, band.colours);
  const [west, north] = view.toWorld(0, 0);
  const [east, south] = view.toWorld(view.width, view.height);
  const [left, right] = [Math.max(raster.column(west), 0), Math.min(raster.column(east) + 1, raster.cols)];
  const [low, high] = [Math.max(raster.row(south), 0), Math.min(raster.row(north) + 1, raster.rows)];
  if (left >= right || low >= high) return;
  const [x0, y0] = view.toScreen(raster.x0 + left * raster.dx, raster.y0 + high * raster.dy);
  const [x1, y1] = view.toScreen(raster.x0 + right * raster.dx, raster.y0 + low * raster.dy);
  pen.imageSmoothingEnabled = raster.dx * view.scale < 1;
  pen.drawImage(picture, left, raster.rows - high, right - left, high - low, x0, y0, x1 - x0, y1 - y0);
}

/** Whether a site was visited at the step that the map shows. */
function isVisited(site) {
  return !sites.step || sites.step[site] === state.step;
}

function siteRadius() {
  const zoom = view.scale / view.whole.scale;
  const room = 0.22 * Math.sqrt((view.width * view.height) / (sites?.rows.length || 1)); // of many, each is smaller
  return Math.min(Math.max(Math.min(view.width < 500 ? 2.2 : 3.4, room), 1.2) * Math.max(zoom, 0.5) ** 0.4, 9);
}

function drawSites(colour) {
  const radius = siteRadius();
  const circle = (k, more) => {
    const [px, py] = view.toScreen(...placeOf(k));
    pen.beginPath();
    pen.arc(px, py, radius + more, 0, 2 * Math.PI);
  };
  for (let k = 0; k < sites.rows.length; k += 1) {
    if (!isVisited(k)) continue;
    const value = sites.observed ? sites.observed[k] : NaN;
    const known = Number.isFinite(value) && ofResponse >= 0;
    circle(k, Math.min(radius / 3, 1.2));
    pen.fillStyle = '#fff';
    pen.fill();
    circle(k, 0);
    pen.fillStyle = known ? colours[ofResponse].css(value) : '#333';
    pen.fill();
  }
  pen.lineWidth = 2;
  pen.strokeStyle = colour('accent');
  for (const k of [state.hovered, state.site]) if (k >= 0) { circle(k, 3); pen.stroke(); }
}

function drawCrosshair(colour) {
  const [px, py] = view.toScreen(...state.at);
  for (const [width, name] of [[4, 'halo'], [1.5, 'ink']]) {
    pen.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(px + 5 * dx, py + 5 * dy);
      pen.lineTo(px + 16 * dx, py + 16 * dy);
    }
    pen.lineWidth = width;
    pen.strokeStyle = colour(name);
    pen.stroke();
  }
}

/** How much of a box at a corner of the map is land, in all. */
function busy(right, bottom, width, height) {
  let found = 0;
  for (let k = 0; k < 8; k += 1) {
    for (let l = 0; l < 8; l += 1) {
      const [px, py] = [(width * (k + 0.5)) / 8, (height * (l + 0.5)) / 8];
      const place = view.toWorld(right ? view.width - px : px, bottom ? view.height - py : py);
      if (land ? land.holds(...place) : raster && raster.at(...place) >= 0) found += 1;
    }
  }
  return found;
}

/** Put buttons and scale bar where they hide least. */
function furnish() {
  find('map-buttons').classList.toggle('left', busy(true, false, 60, 140) > busy(false, false, 60, 140));
  find('map-scale').classList.toggle('right', busy(false, true, 150, 50) > busy(true, true, 150, 50));
}

function drawScaleBar() {
  const bar = find('map-scale');
  if (!data.unit) return;
  let [unit, pixels] = [data.unit, view.scale];
  if (unit === 'degree') [unit, pixels] = ['km', (view.scale * data.stretch) / 111.32];
  const length = roundBelow(Math.min(120, view.width / 4) / pixels);
  bar.hidden = false;
  bar.firstElementChild.style.width = `${length * pixels}px`;
  let words = `${number(length)} ${unit}`;
  if (unit === 'm' && length >= 1000) words = `${number(length / 1000)} km`;
  if (unit === 'km' && length < 1) words = `${number(length * 1000)} m`;
  bar.replaceChildren(bar.firstElementChild, words);
}
