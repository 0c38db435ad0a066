/** A list of any length that draws only the rows in sight, from a pool of elements. All rows are equally high. */

import { h, setAttr } from "./dom.js";

/** Rows drawn beyond each edge, so that a quick scroll shows no hole. */
const MARGIN = 8;

export class VirtualList {
  #pool = [];
  #spacer = h("div", { class: "vl-spacer", role: "presentation" });
  #rowPx = 28;
  #length = 0;

  /** `make()` gives `{element, bind(index)}`; `onScroll(atTop)` after the person scrolled. */
  constructor(viewport, { make, onScroll }) {
    this.viewport = viewport;
    this.make = make;
    viewport.append(this.#spacer);
    viewport.addEventListener("scroll", () => {
      this.draw(this.#length);
      onScroll(viewport.scrollTop < this.#rowPx / 2);
    }, { passive: true });
    new ResizeObserver(() => this.#measure()).observe(viewport);
  }

  #measure() {
    this.#rowPx = parseFloat(getComputedStyle(this.viewport).getPropertyValue("--row")) || this.#rowPx;
    this.draw(this.#length);
  }

  /** Draw a list of `length` rows as it is scrolled now. */
  draw(length) {
    this.#length = length;
    const height = `${length * this.#rowPx}px`;
    if (this.#spacer.style.height !== height) this.#spacer.style.height = height;
    const first = Math.max(0, Math.floor(this.viewport.scrollTop / this.#rowPx) - MARGIN);
    const inSight = Math.ceil(this.viewport.clientHeight / this.#rowPx) + 2 * MARGIN;
    const last = Math.min(length, first + inSight);
    for (let i = first; i < last; i += 1) this.#place(i - first, i);
    for (let i = Math.max(0, last - first); i < this.#pool.length; i += 1) setAttr(this.#pool[i].element, "hidden", true);
  }

  #place(slot, index) {
    let row = this.#pool[slot];
    if (!row) {
      row = this.make();
      this.#pool[slot] = row;
      this.#spacer.append(row.element);
    }
    setAttr(row.element, "hidden", null);
    const shift = `translateY(${index * this.#rowPx}px)`;
    if (row.element.style.transform !== shift) row.element.style.transform = shift;
    row.bind(index);
  }

  toTop() {
    this.viewport.scrollTop = 0;
  }

  /** Scroll just as far as needed to bring a row into sight. */
  reveal(index) {
    const top = index * this.#rowPx;
    const { scrollTop, clientHeight } = this.viewport;
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + this.#rowPx > scrollTop + clientHeight) this.viewport.scrollTop = top + this.#rowPx - clientHeight;
  }
}
