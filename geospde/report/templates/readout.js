// The legend of the layer, and what is read out under the pointer.

/** A bar of colours with its ticks. */
function colourBar(scale, greatest) {
  const bar = make('div', '', 'bar');
  const strip = Object.assign(document.createElement('canvas'), { width: 256, height: 1 });
  const image = new ImageData(256, 1);
  const colours = new Colours(scale);
  const { table } = colours;
  for (let k = 0; k < 256; k += 1) image.data.set([...table.subarray(3 * k, 3 * k + 3), 255], 4 * k);
  strip.getContext('2d').putImageData(image, 0, 0);
  bar.append(strip);
  for (const value of scale.ticks) {
    const tick = make('span', number(Number((scale.per * value).toPrecision(3))), 'tick');
    tick.style.left = `${100 * colours.share(value)}%`;
    bar.append(tick);
  }
  const beyond = greatest > scale.high + 1e-9 * Math.abs(scale.high);
  bar.classList.toggle('beyond', beyond);
  const notes = scale.spacing ? [scale.spacing] : [];
  if (beyond) notes.push(`arrow: up to ${number(Number((scale.per * greatest).toPrecision(3)))}`);
  const note = notes.length ? ` (${notes.join('; ')})` : '';
  return { bar, note };
}

function drawLegend() {
  const legend = find('map-legend');
  legend.replaceChildren();
  const { band } = state;
  if (band) {
    const { bar, note } = colourBar(band.scale, band.greatest);
    const when = data.steps ? `, ${data.steps.along} ${data.steps.values[state.step]}` : '';
    const words = band.scale.kind === 'response' ? `${band.title}: ${band.scale.label}` : band.title;
    bar.append(Object.assign(make('span', '', 'mark'), { id: 'map-mark', hidden: true }));
    legend.append(make('p', words + when + note), bar);
  }
  if (sites?.observed && ofResponse >= 0 && state.shown.has('sites')) {
    const same = band?.scale.kind === 'response';
    const then = sites.step ? `, ${data.steps.along} ${data.steps.values[state.step]}` : '';
    legend.append(make('p', (same ? `Circles: what was observed at the ${data.place}s, on the same colours` : `Circles: observed ${data.label}`) + then));
    if (!same) legend.append(colourBar(data.scales[ofResponse], Math.max(...sites.observed)).bar);
  }
}

/** Lines of the read-out: bands that it shows, and under which name. */
const lines = (() => {
  const { interval } = data;
  const limits = interval ? [bands[interval.lower], bands[interval.upper]] : [];
  const alone = bands.filter((band) => !limits.includes(band)).map((band) => ({ title: band.short, bands: [band] }));
  if (interval) {
    const before = alone.findIndex(({ bands: [band] }) => band.scale.kind !== 'response');
    alone.splice(before < 0 ? alone.length : before, 0, { title: interval.title, bands: limits });
  }
  return alone;
})();

function buildReadout() {
  const list = find('map-readout');
  if (!list) return;
  const add = (title) => {
    const line = make('div');
    const value = make('dd', '–');
    line.append(make('dt', title), value);
    list.append(line);
    return [line, value];
  };
  [, lines.place] = add('At');
  for (const line of lines) [line.row, line.value] = add(line.title);
}

/** Coordinates as a reader expects them. */
function placeWords([x, y]) {
  const digits = data.unit === 'degree' ? 5 : data.unit === 'm' ? (view.scale > 20 ? 1 : 0) : 3;
  const written = (value) => value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace('-', '−');
  const unit = { degree: '°', '': '' }[data.unit] ?? ` ${data.unit}`;
  return `${written(x + data.origin[0])}, ${written(y + data.origin[1])}${unit}`;
}

function exact(value, words = number(value)) {
  const element = make('data', words);
  element.value = String(value);
  return element;
}

function readOut() {
  const mark = find('map-mark');
  if (mark) mark.hidden = true;
  if (!lines.place) return;
  const cell = state.at ? cellAt(state.at) : -1;
  if (state.at) {
    const place = exact(`${state.at[0] + data.origin[0]} ${state.at[1] + data.origin[1]}`, placeWords(state.at));
    lines.place.replaceChildren(place);
  } else lines.place.textContent = 'point at the map';
  for (const { row, value, bands: of } of lines) {
    row.classList.toggle('current', of.includes(state.band));
    if (cell < 0) value.textContent = '–';
    else {
      const shown = (band) => exact(band.values[cell], number(band.scale.per * band.values[cell]));
      value.replaceChildren(...of.flatMap((band, k) => (k ? [' to ', shown(band)] : [shown(band)])));
    }
  }
  if (cell >= 0 && mark) {
    mark.style.left = `${100 * Math.min(Math.max(state.band.colours.share(state.band.values[cell]), 0), 1)}%`;
    mark.hidden = false;
  }
}

let saying;
/** Tell a screen reader, once things have come to rest. */
function say(words) {
  clearTimeout(saying);
  saying = setTimeout(() => { find('map-said').textContent = words; }, 250);
}

function sayPlace() {
  if (!state.at) return;
  const values = cellAt(state.at) < 0
    ? 'no prediction here'
    : lines.map(({ title, value }) => `${title} ${value.textContent}`).join(', ');
  say(`${placeWords(state.at)}: ${values}`);
}
