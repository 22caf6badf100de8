// What is known of a site: beside it on the map, and in the table under it.

/** The site nearest to a pixel and no further than so many pixels, -1 if there is none. */
function siteNear(px, py, within) {
  let [best, nearest] = [-1, within];
  if (!sites || !state.shown.has('sites')) return best;
  for (let k = 0; k < sites.rows.length; k += 1) {
    if (!isVisited(k)) continue;
    const [x, y] = view.toScreen(...placeOf(k));
    const distance = Math.hypot(x - px, y - py);
    if (distance < nearest) [best, nearest] = [k, distance];
  }
  return best;
}

function placeOf(site) {
  return [sites.xy[2 * site], sites.xy[2 * site + 1]];
}

/** What a site is called: by its name, where the survey has one. */
function nameOf(site) {
  return sites.name ? sites.name[site] : `${data.place} ${sites.number[site]}`.replace(/^./, (c) => c.toUpperCase());
}

/** All measurements at the place of one. */
function sameSpot(site) {
  const [x, y] = placeOf(site);
  return sites.rows.map((_, k) => k).filter((k) => sites.xy[2 * k] === x && sites.xy[2 * k + 1] === y);
}

function openSite(site, focus) {
  if (site < 0) return;
  state.site = site;
  const spot = placeOf(site);
  find('map-popup-title').textContent = nameOf(site);
  const facts = sites.head.map((name, k) => [name, sites.rows[site][k]]);
  find('map-popup-facts').replaceChildren(...[['at', placeWords(spot)], ...facts].map(([name, value]) => {
    const line = make('div');
    line.append(make('dt', name), make('dd', value));
    return line;
  }));
  const here = sameSpot(site);
  const next = find('map-popup-next');
  next.hidden = here.length < 2;
  next.textContent = `Next of ${here.length} here`;
  next.onclick = () => openSite(here[(here.indexOf(site) + 1) % here.length], false);
  popup.hidden = false;
  if (focus) {
    point(...spot);
    popup.focus();
  }
  redraw();
}

function closePopup() {
  if (popup.contains(document.activeElement)) canvas.focus();
  popup.hidden = true;
  state.site = -1;
  redraw();
}

/** Keep the popup beside its site and on the map; on a narrow map it stands at the bottom. */
function placePopup() {
  if (popup.hidden) return;
  const [px, py] = view.toScreen(...placeOf(state.site));
  const { offsetWidth: width, offsetHeight: height } = popup;
  const narrow = view.width < 480;
  const left = px + 14 + width < view.width ? px + 14 : px - 14 - width;
  popup.classList.toggle('narrow', narrow);
  popup.style.left = narrow ? '' : `${Math.min(Math.max(left, 4), view.width - width - 4)}px`;
  popup.style.top = narrow ? '' : `${Math.min(Math.max(py - height / 2, 4), Math.max(view.height - height - 4, 4))}px`;
}

find('map-popup-close').addEventListener('click', closePopup);
popup.addEventListener('keydown', (event) => { if (event.key === 'Escape') closePopup(); });

find('map-sites')?.addEventListener('toggle', () => {
  const table = find('map-sites-table');
  if (table.rows.length) return;
  const head = table.createTHead().insertRow();
  for (const name of [data.place, ...sites.head]) head.append(Object.assign(make('th', name), { scope: 'col' }));
  const body = table.createTBody();
  sites.rows.forEach((row, k) => {
    const line = body.insertRow();
    const site = Object.assign(make('button', String(sites.number[k])), { type: 'button' });
    site.setAttribute('aria-label', `${nameOf(k)}: show on the map`);
    site.addEventListener('click', () => { canvas.scrollIntoView({ block: 'nearest' }); openSite(k, true); });
    const name = Object.assign(make('th'), { scope: 'row' });
    name.append(site);
    line.append(name, ...row.map((value) => make('td', value)));
  });
});
