// What the page's data block holds: typed arrays in base64, and how its numbers are written.

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
const floats = (text) => new Float32Array(bytes(text));
const counts = (text) => new Uint32Array(bytes(text));

/** A number as the page's tables write it: four significant digits and a true minus sign. */
function number(value) {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  let text;
  if (Number.isInteger(value) && size < 1e9) text = value.toLocaleString('en-US');
  else if (size >= 1000 && size < 1e9) {
    const digits = size < 1e5 ? 2 : 0;
    text = value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  } else text = size < 1e-4 || size >= 1e9 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
  return text.replace('-', '−');
}

/** The largest of 1, 2, 5 times a power of ten that is no more than a length. */
function roundBelow(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return power * [5, 2, 1].find((times) => times * power <= length * (1 + 1e-9));
}

/** Colours of a scale; those at its ends hold beyond them. */
class Colours {
  constructor(scale) {
    this.low = scale.low;
    this.high = scale.high;
    this.knots = scale.knots;
    this.table = Uint8Array.from(scale.ramp.match(/../g), (pair) => parseInt(pair, 16));
  }

  /** Where the red of a value's colour stands in the table. */
  place(value) {
    return 3 * Math.min(Math.max(Math.floor(this.share(value) * 256), 0), 255);
  }

  /** How far along the colours a value lies, from 0 to 1 between the ends; between knots, where there are some. */
  share(value) {
    const { knots } = this;
    if (!knots.length) return (value - this.low) / (this.high - this.low);
    if (!(value > knots[0])) return 0;
    if (value >= knots.at(-1)) return 1;
    let [below, above] = [0, knots.length - 1];
    while (above - below > 1) {
      const middle = (below + above) >> 1;
      if (knots[middle] <= value) below = middle; else above = middle;
    }
    return (below + (value - knots[below]) / (knots[above] - knots[below])) / (knots.length - 1);
  }

  css(value) {
    const at = this.place(value);
    return `rgb(${this.table[at]},${this.table[at + 1]},${this.table[at + 2]})`;
  }
}

/** Cells of the raster, row by row from the south, and which of them hold a prediction. */
class Raster {
  constructor(grid) {
    Object.assign(this, grid);
    this.index = new Int32Array(this.rows * this.cols).fill(-1);
    let [at, found] = [0, 0];
    counts(grid.runs).forEach((length, turn) => {
      if (turn % 2) for (let k = 0; k < length; k += 1) this.index[at + k] = found++;
      at += length;
    });
  }

  column(x) { return Math.floor((x - this.x0) / this.dx); }

  row(y) { return Math.floor((y - this.y0) / this.dy); }

  /** Number of the predicted cell at a place, -1 where there is none. */
  at(x, y) {
    const [col, row] = [this.column(x), this.row(y)];
    return col < 0 || col >= this.cols || row < 0 || row >= this.rows ? -1 : this.index[row * this.cols + col];
  }

  /** A picture of values with a pixel a cell, north up; empty where there is no value. */
  paint(values, colours) {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [this.cols, this.rows];
    const pen = canvas.getContext('2d');
    const image = pen.createImageData(this.cols, this.rows);
    this.index.forEach((cell, place) => {
      if (cell < 0 || !Number.isFinite(values[cell])) return;
      const row = this.rows - 1 - Math.floor(place / this.cols);
      const to = 4 * (row * this.cols + (place % this.cols));
      const from = colours.place(values[cell]);
      image.data.set([colours.table[from], colours.table[from + 1], colours.table[from + 2], 255], to);
    });
    pen.putImageData(image, 0, 0);
    return canvas;
  }
}

/** Closed rings as a path for the canvas, and whether a place lies inside of them. */
class Land {
  constructor(coast) {
    this.xy = floats(coast.xy);
    this.rings = coast.rings;
    this.path = new Path2D();
    let at = 0;
    for (const length of this.rings) {
      for (let k = 0; k < length; k += 1) this.path[k ? 'lineTo' : 'moveTo'](this.xy[2 * (at + k)], this.xy[2 * (at + k) + 1]);
      this.path.closePath();
      at += length;
    }
  }

  holds(x, y) {
    let [inside, at] = [false, 0];
    const { xy } = this;
    for (const length of this.rings) {
      for (let k = 0, before = length - 1; k < length; before = k, k += 1) {
        const [a, b] = [2 * (at + k), 2 * (at + before)];
        if (xy[a + 1] > y !== xy[b + 1] > y && x < xy[a] + ((y - xy[a + 1]) * (xy[b] - xy[a])) / (xy[b + 1] - xy[a + 1])) inside = !inside;
      }
      at += length;
    }
    return inside;
  }
}

/** Edges of the mesh as paths, the inner zone's and the outer's. */
function meshPaths(mesh) {
  const [xy, edges] = [floats(mesh.xy), counts(mesh.edges)];
  const paths = { inner: new Path2D(), outer: new Path2D() };
  for (let k = 0; k < edges.length; k += 2) {
    const path = k < 2 * mesh.inner ? paths.inner : paths.outer;
    path.moveTo(xy[2 * edges[k]], xy[2 * edges[k] + 1]);
    path.lineTo(xy[2 * edges[k + 1]], xy[2 * edges[k + 1] + 1]);
  }
  return { ...paths, xy };
}
