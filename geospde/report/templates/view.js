// The window on the map: what of the world is on the canvas, and how far it may be moved.

class View {
  /** @param home [west, south, east, north] shown at first; @param world the same of all there is to see. */
  constructor(home, world, stretch) {
    Object.assign(this, { home, world, stretch, width: 1, height: 1, x: 0, y: 0, scale: 0 });
  }

  /** Height over width at which the home window fills the canvas. */
  get tallness() {
    const [west, south, east, north] = this.home;
    return (this.stretch * (north - south)) / (east - west);
  }

  fitting([west, south, east, north]) {
    return Math.min(this.width / (east - west), this.height / (this.stretch * (north - south)));
  }

  get closest() { return 200 * this.fitting(this.home); }

  get furthest() { return Math.min(0.8 * this.fitting(this.world), 0.5 * this.fitting(this.home)); }

  /** Take another size of the canvas, keeping the middle and what is across. */
  resize(width, height) {
    const [first, was] = [this.scale === 0, this.fitting(this.home)];
    [this.width, this.height] = [width, height];
    if (first) this.set(this.whole);
    else this.set({ ...this, scale: (this.scale * this.fitting(this.home)) / was });
  }

  /** Middle and scale (pixels a unit of x) at which everything is seen. */
  get whole() {
    const [west, south, east, north] = this.home;
    return { x: (west + east) / 2, y: (south + north) / 2, scale: this.fitting(this.home) };
  }

  get isWhole() {
    return this.scale <= 1.001 * this.fitting(this.home);
  }

  set({ x, y, scale }) {
    const [west, south, east, north] = this.world;
    this.scale = Math.min(Math.max(scale, this.furthest), this.closest);
    this.x = Math.min(Math.max(x, west), east);
    this.y = Math.min(Math.max(y, south), north);
  }

  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale * this.stretch];
  }

  toWorld(px, py) {
    return [this.x + (px - this.width / 2) / this.scale, this.y - (py - this.height / 2) / (this.scale * this.stretch)];
  }

  /** The transform of toScreen, for paths. */
  get matrix() {
    const [e, f] = this.toScreen(0, 0);
    return new DOMMatrix([this.scale, 0, 0, -this.scale * this.stretch, e, f]);
  }

  /** Where to go so that the scale grows by a factor and the place under a pixel stays there. */
  zoomed(factor, px, py) {
    const scale = Math.min(Math.max(this.scale * factor, this.furthest), this.closest);
    const [x, y] = this.toWorld(px, py);
    const kept = this.scale / scale;
    return { x: x + (this.x - x) * kept, y: y + (this.y - y) * kept, scale };
  }

  moved(dx, dy) {
    return { x: this.x - dx / this.scale, y: this.y + dy / (this.scale * this.stretch), scale: this.scale };
  }
}
