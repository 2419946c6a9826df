// Type declarations that the scripts need beyond the browser's own. Only `tsc` reads this file; it is neither served
// nor packaged.

// The scripts select only HTML elements, never Plotly's SVG. The result of a selector that is an element's name, or
// begins with `a[`, has the type of this element.
interface ParentNode {
  querySelector<K extends keyof HTMLElementTagNameMap>(selectors: K): HTMLElementTagNameMap[K] | null;
  querySelector(selectors: `a[${string}`): HTMLAnchorElement | null;
  querySelector<E extends HTMLElement = HTMLElement>(selectors: string): E | null;
  querySelectorAll<K extends keyof HTMLElementTagNameMap>(selectors: K): NodeListOf<HTMLElementTagNameMap[K]>;
  querySelectorAll(selectors: `a[${string}`): NodeListOf<HTMLAnchorElement>;
  querySelectorAll<E extends HTMLElement = HTMLElement>(selectors: string): NodeListOf<E>;
}

interface Element {
  closest<K extends keyof HTMLElementTagNameMap>(selectors: K): HTMLElementTagNameMap[K] | null;
  closest(selectors: `a[${string}`): HTMLAnchorElement | null;
  closest<E extends HTMLElement = HTMLElement>(selectors: string): E | null;
}

// The target of an event may also be the document or the window, which have neither of these methods. Therefore scripts
// write `event.target.closest?.(...)`.
interface EventTarget {
  closest?(selectors: `a[${string}`): HTMLAnchorElement | null;
  closest?<E extends HTMLElement = HTMLElement>(selectors: string): E | null;
  matches?: any; // a method of an element, a boolean of a MediaQueryList
}

interface Document {
  readonly activeElement: HTMLElement | null;
}

// Set by Plotly's script, which charts.js loads.
interface Window {
  Plotly: any;
}
